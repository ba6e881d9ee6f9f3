"""Imports run one way: the table of the architecture, read from the sources; and what a device never loads.

Rooms are the packages of edge_ae; `ROOMS` says which rooms each may use, and no two use each other.
"""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DEVICE, TRAINER = ROOT / "edge_ae", ROOT / "train" / "edge_ae_train"
HEAVY = ("torch", "scipy", "sklearn", "matplotlib", "rich", "pandas", "pyarrow", "river", "onnx", "edge_ae_train")
IF_WANTED = {
    "apprise",
    "cryptography",
    "fastapi",
    "h11",
    "nicegui",
    "PIL",
    "prometheus_client",
    "pyarrow",
    "starlette",
    "uvicorn",
}  # an extra
CARRIED = {"numpy", "onnxruntime", "orjson", "paho", "pydantic", "pydantic_settings"}  # what a device installs
ONLY_IN = {
    "onnxruntime": {"edge_ae.model.onnx_model"},
    "paho": {"edge_ae.mqtt"},
    "pydantic": {"edge_ae.config"},
    "pydantic_settings": {"edge_ae.config"},
    "cryptography": {"edge_ae.model.signature"},
    "prometheus_client": {"edge_ae.bridges.prometheus"},
    "pyarrow": {"edge_ae.store.recording_export"},
    "apprise": {"edge_ae.bridges.notify_services"},
    "PIL": {"edge_ae.bridges.notify_picture"},
    "nicegui": {"edge_ae.web"},
    "fastapi": {"edge_ae.web.server", "edge_ae.web.pages"},
    "starlette": {"edge_ae.web.server"},
    "uvicorn": {"edge_ae.web.server", "edge_ae.web.request_deadline"},
    "h11": {"edge_ae.web.request_deadline"},
}

ROOMS: dict[str, set[str]] = {
    "errors": set(),
    "core": {"errors"},
    "store": {"core", "errors"},
    "model": {"core", "errors", "store"},
    "mqtt": {"core", "errors"},
    "config": {"core", "errors"},
    "offline": {"core", "errors", "model", "store"},
    "daemon": {"core", "errors", "model", "mqtt", "store"},
    "bridges": {"core", "errors"},
    "web": {"core", "errors"},
    "wiring": {"bridges", "core", "config", "daemon", "errors", "model", "mqtt", "store"},
    "cli": {"core", "config", "daemon", "errors", "model", "mqtt", "offline", "store", "web", "wiring"},
    "_api": {"core", "errors", "model", "offline", "store"},
    "__main__": {"cli"},
}
TRAINER_MAY = {"core", "config", "errors", "model", "offline", "store", "cli"}

# Inside the core: what every stage may use, and what is above another stage.
NOTATIONS = {
    "events",
    "alert_events",
    "health_events",
    "lesson_events",
    "model_spec",
    "rules",
    "signatures",
    "suppression",
    "timestamps",
    "field_paths",
    "topics",
    "words",
}
CORE_MAY = {
    "events": {"model_spec"},
    "alert_events": {"events", "model_spec", "signatures", "suppression"},
    "health_events": {"lesson_events", "rules", "suppression", "timestamps"},
    "lesson_events": {"signatures", "suppression", "timestamps"},
    "signatures": {"events", "model_spec"},
    "rules": {"suppression", "timestamps"},
    "suppression": {"quiet_hours", "timestamps"},
    "model_spec": set[str](),
    "timestamps": set[str](),
    "words": set[str](),
    "field_paths": {"words"},
    "topics": set[str](),
    "payloads": NOTATIONS,  # the events as JSON
    "alert_state": NOTATIONS,
    "alert_snapshot": {"alert_state"} | NOTATIONS,
    "alert": {"alert_state"} | NOTATIONS,
    "asset_rules": NOTATIONS,
    "lessons": NOTATIONS,
    "pending_notices": {"alert_snapshot", "alert_state"} | NOTATIONS,
    "expression": set[str](),
    "watched_state": {"expression"} | NOTATIONS,
    "description": {"alert_state"} | NOTATIONS,  # says what the alert stage found
    "align": {"slot_value"} | NOTATIONS,
    "large_payloads": set[str](),
    "published": {"large_payloads"} | NOTATIONS,
    "pace": {"timestamps"},
    "common_stop": {"channel_profile"} | NOTATIONS,
    "sensor_limits": {"channel_profile", "common_stop"} | NOTATIONS,
    "array_text": set[str](),
    "sensor_health": {"array_text", "channel_profile", "common_stop", "pace", "sensor_limits"} | NOTATIONS,
    "window": {"array_text"} | NOTATIONS,
    "drift": {"array_text"} | NOTATIONS,
    "quiet_hours": {"timestamps"},
    "notices": {"quiet_hours"} | NOTATIONS,
    "notice_text": {"notices", "printable"} | NOTATIONS,
    "notice_ledger": {"notices", "payloads"} | NOTATIONS,
    "commands": {"payloads"} | NOTATIONS,
    "usual": {"align", "window"} | NOTATIONS,
    "input_pace": {"pace", "usual"} | NOTATIONS,
    "asset_input": {
        "alert_state",
        "align",
        "counters",
        "description",
        "input_pace",
        "liveness",
        "pending_notices",
        "score_watch",
        "sensor_health",
        "usual",
        "watched_state",
        "window",
    }
    | NOTATIONS,
    "detector": {
        "alert",
        "alert_snapshot",
        "alert_state",
        "asset_input",
        "asset_rules",
        "description",
        "drift",
        "expectation",
        "lessons",
        "peak_hours",
        "pending_notices",
        "season",
        "threshold",
    }
    | NOTATIONS,
    "score_watch": {"alert_state"} | NOTATIONS,
    "expectation": NOTATIONS,
    "fleet": {"detector", "expectation"} | NOTATIONS,
    "shadow": {"detector", "fleet"} | NOTATIONS,
    "signals": {"detector", "expectation"} | NOTATIONS,
    "peak_hours": {"timestamps"},
    "what_if": {"detector", "peak_hours", "rules"} | NOTATIONS,
}


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
    homes = (ROOT.joinpath(*package.split(".")), ROOT.joinpath("train", *package.split(".")))
    return any((home / f"{name}.py").exists() or (home / name).is_dir() for home in homes)


def sources(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.py"))


def name_of(path: Path) -> str:
    """edge_ae/core/align.py -> edge_ae.core.align; a package's __init__ is the package."""
    inner = path.relative_to(ROOT / "train" if path.is_relative_to(ROOT / "train") else ROOT).with_suffix("")
    return ".".join(inner.parts).removesuffix(".__init__")


def room_of(module: str) -> str:
    return module.split(".")[1]


def rooms_of(found: set[str]) -> set[str]:
    return {room_of(name) for name in found if name.startswith("edge_ae.")}


@pytest.mark.parametrize("path", sources(DEVICE), ids=name_of)
def test_rooms_use_only_what_the_table_says(path: Path) -> None:
    module = name_of(path)
    if module != "edge_ae":  # the public API stands outside the house
        assert rooms_of(imports_of(path)) <= ROOMS[room_of(module)] | {room_of(module)}


def test_the_table_of_rooms_has_no_circle() -> None:
    assert list(TopologicalSorter(ROOMS).static_order())


@pytest.mark.parametrize("package", ["edge_ae", "edge_ae_train"])
def test_no_modules_import_each_other_in_a_circle(package: str) -> None:
    graph = {name_of(path): imports_of(path) for path in sources(DEVICE if package == "edge_ae" else TRAINER)}
    parents = {name for name in graph if any(other.startswith(f"{name}.") for other in graph)}  # packages hold nothing
    edges = {name: {other for other in found if other in graph} - parents - {name} for name, found in graph.items()}
    assert list(TopologicalSorter(edges).static_order())  # raises CycleError


@pytest.mark.parametrize("path", sources(DEVICE / "core"), ids=name_of)
def test_core_knows_types_and_what_is_below_it(path: Path) -> None:
    found = imports_of(path)
    outside = {name.split(".")[0] for name in found} - set(sys.stdlib_module_names)
    assert outside <= {"edge_ae", "numpy", "orjson"}
    stage = name_of(path).removeprefix("edge_ae.core.").split(".")[0]
    used = {name.split(".")[2] for name in found if name.startswith("edge_ae.core.")}
    assert used <= CORE_MAY.get(stage, NOTATIONS) | {stage}


@pytest.mark.parametrize("path", sources(DEVICE / "core"), ids=name_of)
def test_core_has_no_clock_file_socket_thread_log_or_random(path: Path) -> None:
    impure = {"time", "os", "io", "pathlib", "socket", "threading", "asyncio", "logging", "random", "uuid", "tempfile"}
    assert {name.split(".")[0] for name in imports_of(path)} & impure == set()


@pytest.mark.parametrize("path", sources(DEVICE), ids=name_of)
def test_device_modules_carry_only_what_a_device_installs(path: Path) -> None:
    outside = {name.split(".")[0] for name in imports_of(path)} - set(sys.stdlib_module_names) - {"edge_ae"}
    assert outside <= CARRIED | IF_WANTED
    for package, homes in ONLY_IN.items():
        assert package not in outside or any(f"{name_of(path)}.".startswith(f"{home}.") for home in homes)


@pytest.mark.parametrize("path", sources(TRAINER), ids=name_of)
def test_trainer_uses_the_device_side_and_never_the_live_one(path: Path) -> None:
    assert rooms_of(imports_of(path)) <= TRAINER_MAY


def loaded_by(statements: str) -> set[str]:
    """The top-level packages in memory after `statements` in a fresh interpreter."""
    code = f"{statements}\nimport sys; print(' '.join({{name.split('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_the_package_alone_loads_no_library() -> None:
    assert loaded_by("import edge_ae") - set(sys.stdlib_module_names) <= {"edge_ae"} | loaded_by("pass")


def test_importing_the_core_loads_neither_runtime_nor_broker_nor_settings() -> None:
    every = "; ".join(f"import {name_of(path)}" for path in sources(DEVICE / "core"))
    assert loaded_by(every) & {"onnxruntime", "paho", "pydantic", "pydantic_settings", *HEAVY} == set()


def test_reading_of_variables_is_loaded_only_where_there_is_one() -> None:
    load = "from edge_ae.config.loading import inspect; inspect(None, {'HOME': '/tmp', '%s': 'pump'})"
    assert loaded_by(load % "EDGE_AE_NODE") >= {"pydantic_settings", "asyncio"}
    assert loaded_by(load % "OTHER_NODE") & {"pydantic_settings", "asyncio"} == set()


def test_importing_the_whole_device_side_loads_nothing_of_the_trainer() -> None:
    """Six modules are the live page itself, and import its library: a command loads them, and only that one."""
    page = {f"edge_ae.web.{name}" for name in ("answers", "components", "gone", "pages", "request_deadline", "server")}
    loaded = loaded_by("; ".join(f"import {name_of(path)}" for path in sources(DEVICE) if name_of(path) not in page))
    assert loaded & {*HEAVY, *IF_WANTED} == set()
    assert {"numpy", "onnxruntime", "paho"} <= loaded
