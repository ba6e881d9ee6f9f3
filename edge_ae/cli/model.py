"""`edge-ae model`: keeps the models of a machine in a folder, and says which of them is in use (`model.registry`)."""

import json
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from edge_ae.cli import model_send
from edge_ae.cli.options import add_command
from edge_ae.core.printable import printable
from edge_ae.core.timestamps import HOUR, SECOND, rfc3339

if TYPE_CHECKING:
    from edge_ae.model.onnx_model import OnnxModel
    from edge_ae.model.registry import Installed, Registry
    from edge_ae.model.signature import Verify

WHAT = "keep the models of a machine in a folder: install, compare, put to use, go back"
EXAMPLE = "edge-ae model install pump.onnx --in /etc/edge-ae/models/pump --promote"
FOLDER = "/etc/edge-ae/models/pump"

FOLLOWS = "a running daemon follows within seconds"
NAME_CHARS = 60
WEEK_NS = 7 * 24 * HOUR


def add_options(parser: ArgumentParser) -> None:
    commands = parser.add_subparsers(required=True, metavar="ACTION")
    for name, (what, example, options, action) in ACTIONS.items():
        made = add_command(commands, name, what, f"edge-ae model {example}", action)
        for add in options:
            add(made)


def execute(_options: Namespace) -> int:
    """The parser wants one of ACTIONS, each of which sets its own."""
    raise AssertionError("model without an action")


# -- options ---------------------------------------------------------------------------------------------------


def _folder(parser: ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="the folder of models that the settings name")


def _into(parser: ArgumentParser) -> None:
    parser.add_argument("--in", dest="folder", type=Path, required=True, metavar="FOLDER", help="the folder of models")


def _file(parser: ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="ONNX", help="the model file")


def _which(parser: ArgumentParser) -> None:
    parser.add_argument(
        "model", metavar="SHA256", help="the first digits of its SHA-256, four or more, as `list` shows them"
    )


def _which_or_none(parser: ArgumentParser) -> None:
    parser.add_argument(
        "model", metavar="SHA256", help="the first digits of its SHA-256, four or more; `none` ends what runs there"
    )


def _two(parser: ArgumentParser) -> None:
    for name in ("one", "other"):
        parser.add_argument(
            name, type=Path, metavar=name.upper(), help="a model file, or a folder of models: the one in use"
        )
    _as_json(parser)


def _key(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--key", type=Path, metavar="PEM", help="the public key that it must be signed with: model_key of the settings"
    )


def _promote(parser: ArgumentParser) -> None:
    parser.add_argument("--promote", action="store_true", help="put it to use at once")


def _as_json(parser: ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")


# -- actions ---------------------------------------------------------------------------------------------------


def _list(options: Namespace) -> int:
    from edge_ae.errors import BadModel

    if not options.folder.is_dir():
        raise BadModel(
            f"{options.folder}: is no folder of models; edge-ae model install FILE --in {options.folder} makes one"
        )
    models = _registry(options.folder).models()
    if options.json:
        print(json.dumps([_facts_of_place(one) for one in models], indent=2))
        return 0
    for one in models:
        use = next((word for word, is_so in _uses(one).items() if is_so), "")
        print(f"{one.short}  {rfc3339(one.installed_ns)}  {use:<7} {_title(one.path)}")
    if not models:
        print(f"no model is there; edge-ae model install FILE --in {options.folder} puts one there", file=sys.stderr)
    return 0


def _uses(one: "Installed") -> dict[str, bool]:
    return {"in use": one.is_current, "shadow": one.is_shadow, "before": one.is_previous}


def _verify(options: Namespace) -> int:
    model = _loaded(options.file, _verifier(options.key))
    signed = "" if options.key is None else f", signed by the owner of {options.key}"
    print(f"{options.file}: whole{signed}, and computes on this machine as it should: {_described(model)}")
    return 0


def _install(options: Namespace) -> int:
    registry, verify = _registry(options.folder), _verifier(options.key)
    model, dropped = registry.install(options.file, verify)
    for one in dropped:
        print(f"removed: {one.short}, which is the oldest; the folder keeps five models")
    if options.promote:
        return _in_use(registry.promote(model.sha256, verify))
    if model.is_current:
        return _in_use(model)
    print(f"installed: {model.short}; edge-ae model promote {model.short} --in {options.folder} puts it to use")
    return 0


def _put_to_use(options: Namespace) -> int:
    return _in_use(_registry(options.folder).promote(options.model, _verifier(options.key)))


def _put_beside(options: Namespace) -> int:
    registry = _registry(options.folder)
    if options.model == "none":
        registry.end_shadow()
        print("nothing runs in the shadow of the model in use any more")
        return 0
    model = registry.shadow(options.model, _verifier(options.key))
    print(f"in the shadow: {model.short} ({_title(model.path)}); {FOLLOWS}")
    return 0


def _go_back(options: Namespace) -> int:
    return _in_use(_registry(options.folder).rollback(_verifier(options.key)))


def _diff(options: Namespace) -> int:
    """1 would say that something is wrong; two models may well differ."""
    one, other = (_loaded(path, None) for path in (options.one, options.other))
    rows = list(_differences(_facts(one), _facts(other)))
    if options.json:
        print(json.dumps([dict(zip(("what", "one", "other"), row, strict=True)) for row in rows], indent=2))
        return 0
    width = max((len(what) for what, _, _ in rows), default=0)
    for what, before, after in rows:
        print(f"{what:<{width}}  {before} -> {after}")
    if not rows:
        print(
            "the two say the same of themselves; their weights may differ" if _differ(one, other) else "the same file"
        )
    return 0


# -- what is shown ---------------------------------------------------------------------------------------------


def _in_use(model: "Installed") -> int:
    print(f"in use: {model.short} ({_title(model.path)}); {FOLLOWS}")
    return 0


def _title(path: Path) -> str:
    """Of a file that may have been spoiled since it was installed."""
    from edge_ae.errors import BadModel

    try:
        return _described(_loaded(path, None))
    except BadModel as fault:
        return f"FAULT {fault}"


def _described(model: "OnnxModel") -> str:
    spec = model.spec
    trained = f", trained {spec.trained_at}" if spec.trained_at else ""
    return printable(f"{spec.name}, {spec.family}, {len(spec.channels)} channels{trained}", 2 * NAME_CHARS)


def _facts_of_place(one: "Installed") -> dict[str, object]:
    return {
        "sha256": one.sha256,
        "path": str(one.path),
        "installed": rfc3339(one.installed_ns),
        "current": one.is_current,
        "previous": one.is_previous,
        "shadow": one.is_shadow,
        "model": _title(one.path),
    }


def _facts(model: "OnnxModel") -> dict[str, str]:
    """What people compare, in words."""
    spec = model.spec
    boundary = spec.tail.boundary(spec.hop * spec.period_ns / WEEK_NS)
    facts = {
        "name": spec.name,
        "family": spec.family,
        "trained": spec.trained_at or "unknown",
        "rows": str(model.report.get("rows", "unknown")),
        "sample period": f"{spec.period_ns / SECOND:g} s",
        "window": f"{spec.length} rows",
        "hop": f"{spec.hop} rows",
        "watched while": spec.when or "always",
        "boundary at 1/week": f"{boundary:.3g}",
        **{f"{size} injected faults found": share for size, share in _found(model).items()},
        **{
            f"channel {one.name}": f"{one.kind}, {one.low:g} to {one.high:g} {one.unit}".rstrip()
            for one in spec.channels
        },
    }
    return {printable(what, NAME_CHARS): printable(text, NAME_CHARS) for what, text in facts.items()}


def _found(model: "OnnxModel") -> dict[str, str]:
    """What the trainer wrote into the report; that of another version may say it in other ways, and is passed over."""
    try:
        found = model.report["candidates"][model.spec.family]["found"]
        return {str(size): f"{share:.0%}" for size, share in found.items()}
    except (AttributeError, KeyError, TypeError, ValueError):
        return {}


def _differences(one: dict[str, str], other: dict[str, str]) -> Iterator[tuple[str, str, str]]:
    for what in dict.fromkeys([*one, *other]):
        before, after = one.get(what, "none"), other.get(what, "none")
        if before != after:
            yield what, before, after


def _differ(one: "OnnxModel", other: "OnnxModel") -> bool:
    return one.spec.sha256 != other.spec.sha256


def _loaded(path: Path, verify: "Verify | None") -> "OnnxModel":
    from edge_ae.model.onnx_model import OnnxModel

    return OnnxModel.load(path, verify)


def _registry(folder: Path) -> "Registry":
    from edge_ae.model.registry import Registry

    return Registry(folder)


def _verifier(key: Path | None) -> "Verify | None":
    from edge_ae.model.signature import verifier

    return None if key is None else verifier(key)


Options = tuple[Callable[[ArgumentParser], None], ...]
ACTIONS: dict[str, tuple[str, str, Options, Callable[[Namespace], int]]] = {
    "list": ("show the models of a folder", f"list {FOLDER}", (_folder, _as_json), _list),
    "verify": ("try a model file out on this machine", "verify pump.onnx", (_file, _key), _verify),
    "install": (
        "copy a model file into the folder; the first one is in use at once",
        f"install pump.onnx --in {FOLDER} --promote",
        (_file, _into, _key, _promote),
        _install,
    ),
    "promote": ("put an installed model to use", f"promote 3f2ab4 --in {FOLDER}", (_which, _into, _key), _put_to_use),
    "shadow": (
        "run a model beside the one in use: its alerts are counted, and nobody is told of them",
        f"shadow 3f2ab4 --in {FOLDER}",
        (_which_or_none, _into, _key),
        _put_beside,
    ),
    "rollback": ("put the model to use that was in use before", f"rollback --in {FOLDER}", (_into, _key), _go_back),
    "send": (
        "install a model file on another machine, over MQTT; it goes on where it was interrupted",
        "send pump.onnx --node pi-7 --shadow",
        (model_send.add_options,),
        model_send.execute,
    ),
    "diff": ("show what two models differ in", f"diff {FOLDER} pump.onnx", (_two,), _diff),
}
