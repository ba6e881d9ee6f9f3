"""The command line of the workstation: `edge-ae-train`. Each command reads recordings; most make or judge a model file.

Heavy modules are imported by the command that needs them: `--help` is there at once.
"""

import hashlib
import json
import os
import sys
from argparse import Namespace
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from edge_ae.cli.options import Command, alert_rules, ns, run, spare
from edge_ae.errors import BadData
from edge_ae_train.options import KEPT, parser


def main(argv: Sequence[str] | None = None) -> int:
    """0 done; 1 the input or the model is at fault, in one line on stderr; 2 usage; 3 the current model was kept."""
    options = parser(COMMANDS).parse_args(argv)
    try:
        return run("edge-ae-train", options)
    except ModuleNotFoundError as error:  # a device has this program, and not what it trains with
        print(
            f"edge-ae-train: {error.name} is not installed; in the checkout: pip install '.[train]' ./train",
            file=sys.stderr,
        )
        return 1
    except OSError as error:  # a disk that is full, a directory that is not ours
        print(f"edge-ae-train: {error.filename or 'output'}: {error.strerror or error}", file=sys.stderr)
        return 1


def _fit(options: Namespace) -> int:
    from edge_ae_train import fit
    from edge_ae_train.candidates import print_comparison
    from edge_ae_train.data import prepare
    from edge_ae_train.data.loading import recordings
    from edge_ae_train.progress import progress
    from edge_ae_train.scoring.calibrate import reach

    _replaceable(options.out, reads=recordings(options.data))
    if options.hold is not None and options.period is None:
        raise BadData("--hold needs --period: channels that report on change show none")
    period_ns = None if options.period is None else ns(options.period)
    recording = prepare.read(
        options.data, **_columns(options), period_ns=period_ns, hold_ns=ns(options.hold or 0.0), length=options.length
    )
    for text in recording.notes:
        _note(text)
    units = _units(options.units, recording.names)
    with progress() as say:
        chosen = fit.Options(options.family, options.length, options.hop, options.seed)
        fitted = fit.fit(recording.segments, chosen, say)
        say("export")
        model = fit.save(
            fitted,
            recording.segments,
            recording.names,
            recording.period_ns,
            options.out,
            name=options.name or options.out.stem,
            units=units,
            trained_at=_now(),
            data_sha256=_sha256(options.data),
            hold_rows=recording.hold_rows,
        )
    print_comparison(fitted.report)
    if sentence := fit.what_hides_faults(fitted, model, recording.segments):
        print(sentence)
    print(reach(fitted.candidate.calibration.windows, options.hop * recording.period_ns))
    print(
        f"{options.out}: {model.spec.family}, {len(model.spec.channels)} channels, windows of {model.spec.length} rows, "
        f"{options.out.stat().st_size / 1000:.0f} kB"
    )
    return 0


def _evaluate(options: Namespace) -> int:
    from edge_ae_train.data.loading import recordings
    from edge_ae_train.evaluation import evaluate
    from edge_ae_train.progress import progress

    _writable(options.json, reads=(options.model, *recordings(options.data)))
    with progress() as say:
        found = evaluate.evaluate(
            options.model, options.data, alert_rules(options), **_columns(options), say=say, note=_note
        )
    evaluate.show(found)
    _write_json(options.json, evaluate.as_dict(found))
    return 0


def _report(options: Namespace) -> int:
    from edge_ae_train.progress import progress
    from edge_ae_train.report.report import report

    with progress() as say:
        page = report(
            options.model, options.data, options.out, alert_rules(options), **_columns(options), say=say, note=_note
        )
    print(page)
    return 0


def _retrain(options: Namespace) -> int:
    from edge_ae.model.onnx_model import OnnxModel
    from edge_ae_train import fit, retrain
    from edge_ae_train.data import history, recorded
    from edge_ae_train.data.loading import recordings
    from edge_ae_train.progress import progress

    inputs = [*recordings(options.data), *options.alerts, *options.feedback]
    _replaceable(options.out, reads=inputs)
    _writable(options.json, reads=(options.current, options.out, *inputs))
    spec, rules = (current := OnnxModel.load(options.current)).spec, alert_rules(options)
    said = history.said(options.alerts, options.feedback, options.node)
    series = recorded.read(options.data, spec, **_columns(options), note=_note)
    recorded.require_period(series, spec)
    with progress() as say:
        remembered = history.recall(series, current, rules, said, say, options.length)
        for text in remembered.notes:
            _note(text)
        outcome = retrain.retrain(
            current,
            remembered,
            rules,
            options.out,
            fit.Options(options.family, options.length, spec.hop, options.seed),
            name=options.name or spec.name,
            trained_at=_now(),
            data_sha256=_sha256(options.data),
            say=say,
        )
    retrain.show(outcome)
    _write_json(options.json, retrain.as_dict(outcome))
    print(f"{options.out}: the candidate" if outcome.replaced else f"{options.current} stays the model in use")
    return 0 if outcome.replaced else KEPT


def _generate(options: Namespace) -> int:
    from edge_ae.store.recording_csv import write_csv
    from edge_ae_train.synthetic.generate import generate

    _writable(options.out, reads=[options.model])
    series = generate(options.model, options.rows, options.seed)
    write_csv(options.out, series.times, series.names, series.values)
    return 0


def _keygen(options: Namespace) -> int:
    from edge_ae_train.signing import keygen

    _writable(options.out)
    print(f"{options.out}: keep it; {keygen(options.out)}: for model_key on the devices")
    return 0


def _sign(options: Namespace) -> int:
    from edge_ae_train.signing import sign

    print(sign(options.model, options.key))
    return 0


COMMANDS: Mapping[str, Command] = {
    "fit": _fit,
    "evaluate": _evaluate,
    "report": _report,
    "retrain": _retrain,
    "generate": _generate,
    "keygen": _keygen,
    "sign": _sign,
}


# -- what commands share ---------------------------------------------------------------------------------------


def _columns(options: Namespace) -> dict[str, Any]:
    return {"ignore": options.ignore, "label": options.label, "asset_column": options.asset_column}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _note(text: str) -> None:
    print(text, file=sys.stderr)


def _writable(path: Path | None, reads: Sequence[Path] = ()) -> None:
    """Said before the work and not after it. None: nothing is wanted. `reads`: files that it must not take the place of."""
    if path is None:
        return
    place = path if path.exists() and not path.is_file() else path.parent  # a pipe or a device stays
    if path.is_dir() or not os.access(place, os.W_OK):
        raise BadData(f"{path}: cannot be written; name a file in a directory that exists and is yours")
    spare(reads, [path])


def _replaceable(path: Path, reads: Sequence[Path]) -> None:
    """For a model, which takes its file's place in one move: a pipe or a device would be gone."""
    _writable(path, reads)
    if path.exists() and not path.is_file():
        raise BadData(f"{path}: is no file, and a model is written as one")


def _units(text: str | None, names: Sequence[str]) -> dict[str, str]:
    """Of "pressure=bar,flow=m3/h"."""
    units = {}
    for pair in text.split(",") if text else ():
        name, equals, unit = (part.strip() for part in pair.partition("="))
        if not equals or name not in names:
            raise BadData(
                f"--units: {pair!r} should be one of the channels {', '.join(names)}, an equals sign, and its unit"
            )
        units[name] = unit
    return units


def _write_json(path: Path | None, facts: Mapping[str, Any]) -> None:
    if path is not None:
        path.write_text(json.dumps(facts, indent=2) + "\n")


def _sha256(paths: Sequence[Path]) -> str:
    from edge_ae_train.data.loading import recordings

    total = hashlib.sha256()
    for path in recordings(paths):
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()
