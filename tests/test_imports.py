"""Imports run one way: the table of the design, read from the sources; and what a device never loads."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DEVICE = ROOT / "edge_ae"
HEAVY = ("torch", "scipy", "sklearn", "matplotlib", "rich", "pandas", "pyarrow", "river", "onnx", "edge_ae_train")
IF_WANTED = {"cryptography"}  # and what it may, as an extra
CARRIED = {"numpy", "onnxruntime", "orjson", "paho", "pydantic", "pydantic_settings"}  # what a device installs
ONLY_IN = {
    "onnxruntime": {"model"},
    "paho": {"mqtt", "connection", "client", "check", "replay", "tls"},
    "pydantic": {"settings", "problems"},
    "pydantic_settings": {"settings"},
    "cryptography": {"signature"},
}

NOTATIONS = {"types", "times", "paths", "topics"}  # what every stage of the core may use
CORE_MAY = {
    "types": set[str](),
    "times": set[str](),
    "paths": set[str](),
    "topics": set[str](),
    "message": {"alert"} | NOTATIONS,  # says what the alert stage found
    "health": {"habits"} | NOTATIONS,
    "detector": {"align", "health", "pulse", "window", "threshold", "alert", "message"} | NOTATIONS,
    "fleet": {"detector"} | NOTATIONS,
}
TOOLS = {"core", "errors", "files"}  # what every module of the shell may use
SHELL_MAY = {
    "mqtt": {"connection", "inbox"},
    "connection": {"tls"},
    "client": {"tls"},
    "teller": {"mqtt", "outbox"},  # the parts of the daemon
    "intake": {"mqtt"},
    "ledger": {"mqtt", "outbox", "state"},
    "stats": {"daemon"},
    "daemon": {"intake", "ledger", "mqtt", "notify", "orders", "outbox", "state", "stats", "teller"},
    "offline": {"model", "table"},
    "replay": {"table"},
    "settings": {"problems"},
    "build": {
        "check",
        "client",
        "daemon",
        "intake",
        "model",
        "mqtt",
        "outbox",
        "recorder",
        "settings",
        "signature",
        "state",
    },  # wires
    "__main__": {
        "arguments",
        "build",
        "client",
        "offline",
        "record",
        "recorder",
        "replay",
        "settings",
        "table",
        "terminal",
        "watch",
    },
}
TRAINER_MAY = {"arguments", "core", "errors", "model", "offline", "signature", "table"}


def imports_of(path: Path) -> set[str]:
    """Every module that a source names, wherever in it; `from a import b` is a, and a.b where that is a module."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            module = node.module or ""
            found |= {module} | {f"{module}.{alias.name}" for alias in node.names if is_module(module, alias.name)}
    return found


def is_module(package: str, name: str) -> bool:
    return (ROOT.joinpath(*package.split(".")) / f"{name}.py").exists()


def sources(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.py"))


def ours(found: set[str], package: str) -> set[str]:
    """The modules of a package among imports, by their own names."""
    return {name.removeprefix(f"{package}.").split(".")[0] for name in found if name.startswith(f"{package}.")}


@pytest.mark.parametrize("path", sources(DEVICE / "core"), ids=lambda p: p.stem)
def test_core_knows_types_and_what_is_below_it(path: Path) -> None:
    found = imports_of(path)
    outside = {name.split(".")[0] for name in found} - set(sys.stdlib_module_names)
    assert outside <= {"edge_ae", "numpy", "orjson"}
    assert ours(found, "edge_ae") <= {"core", "errors"}
    assert ours(found, "edge_ae.core") <= CORE_MAY.get(path.stem, NOTATIONS)


@pytest.mark.parametrize("path", sources(DEVICE / "core"), ids=lambda p: p.stem)
def test_core_has_no_clock_file_socket_thread_log_or_random(path: Path) -> None:
    impure = {"time", "os", "io", "pathlib", "socket", "threading", "asyncio", "logging", "random", "uuid", "tempfile"}
    assert {name.split(".")[0] for name in imports_of(path)} & impure == set()


@pytest.mark.parametrize("path", sources(DEVICE), ids=lambda p: p.stem)
def test_shell_modules_carry_only_what_a_device_installs(path: Path) -> None:
    outside = {name.split(".")[0] for name in imports_of(path)} - set(sys.stdlib_module_names) - {"edge_ae"}
    assert outside <= CARRIED | IF_WANTED
    for package, homes in ONLY_IN.items():
        assert package not in outside or path.stem in homes


@pytest.mark.parametrize("path", sources(DEVICE), ids=lambda p: p.stem)
def test_shell_modules_know_only_what_the_table_says(path: Path) -> None:
    assert ours(imports_of(path), "edge_ae") <= TOOLS | SHELL_MAY.get(path.stem, set())


@pytest.mark.parametrize("path", sources(ROOT / "train"), ids=lambda p: p.stem)
def test_trainer_uses_the_device_side_and_never_the_live_one(path: Path) -> None:
    assert ours(imports_of(path), "edge_ae") <= TRAINER_MAY


def loaded_by(statements: str) -> set[str]:
    """The top-level packages in memory after `statements` in a fresh interpreter."""
    code = f"{statements}\nimport sys; print(' '.join({{name.split('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_the_core_loads_neither_runtime_nor_broker_nor_settings() -> None:
    every = "; ".join(f"import edge_ae.core.{p.stem}" for p in sources(DEVICE / "core") if p.stem != "__init__")
    assert loaded_by(every) & {"onnxruntime", "paho", "pydantic", "pydantic_settings", *HEAVY} == set()


def test_importing_the_whole_device_side_loads_nothing_of_the_trainer() -> None:
    every = "; ".join(f"import edge_ae.{p.stem}" for p in sources(DEVICE) if p.stem not in ("__init__", "__main__"))
    loaded = loaded_by(f"{every}; import edge_ae.__main__" if (DEVICE / "__main__.py").exists() else every)
    assert loaded & {*HEAVY, *IF_WANTED} == set()
    assert {"numpy", "onnxruntime", "paho"} <= loaded
