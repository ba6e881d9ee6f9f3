"""The command line of the workstation: `edge-ae-train`. Each command reads recordings; most make or judge a model file.

Heavy modules are imported by the command that needs them: `--help` is there at once.
"""

import hashlib
import json
import os
import sys
from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_ae.cli.options import Command, alert_rules, read_options, run, spare
from edge_ae.core.timestamps import seconds_ns
from edge_ae.errors import BadData
from edge_ae.store.atomic import is_special
from edge_ae_train.options import KEPT, parser
from edge_ae_train.progress import reporting

if TYPE_CHECKING:
    from edge_ae_train.export import Origin

READ, RECALLED, FITTED = 0.15, 0.4, 0.9  # shares of a command's work that are done with reading, scoring, training


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
    from edge_ae_train.data import prepare
    from edge_ae_train.data.hours import unseen_times
    from edge_ae_train.data.kinds import table_of
    from edge_ae_train.data.loading import recordings
    from edge_ae_train.data.names import proposal
    from edge_ae_train.export import save
    from edge_ae_train.scoring.calibrate import reach
    from edge_ae_train.select import print_comparison

    _require_replaceable(options.out, reads=recordings(options.data))
    if options.hold is not None and options.period is None:
        raise BadData("--hold needs --period: channels that report on change show none")
    asked = prepare.RowOptions(
        _period_ns(options),
        seconds_ns(0.0 if options.hold is None else options.hold),
        options.length,
        options.kind,
        options.when,
    )
    with reporting() as reporter:
        recording = prepare.read(options.data, read_options(options), asked, reporter.part(0.0, READ))
        for text in recording.notes:
            reporter.note(text)
        origin = _origin(options, options.out.stem, {**recording.units, **_units(options.units, recording.names)})
        print(*table_of(recording, origin.units), sep="\n", flush=True)
        if (aside := proposal((name, origin.units.get(name, "")) for name in recording.names)) is not None:
            reporter.note(aside)
        chosen = fit.Options(
            options.family,
            options.length,
            options.hop,
            options.seed,
            recording.channels,
            options.thorough,
            period_ns=recording.period_ns,
            zone=options.time_zone or UTC,
        )
        fitted = fit.fit(recording.segments, chosen, reporter.part(READ, FITTED))
        reporter.step("export", FITTED)
        model = save(fitted, recording, origin, options.out)
    print_comparison(fitted.report)
    if sentence := fit.what_hides_faults(fitted, model, recording.segments):
        print(sentence)
    calibration = fitted.candidate.calibration
    print(reach(calibration.windows, calibration.tail, options.hop * recording.period_ns))
    if fitted.season is not None:
        print(fitted.season.text(recording.names))
    if sentence := unseen_times(recording.segments, recording.period_ns, options.time_zone or UTC):
        print(sentence)
    print(
        f"{options.out}: {model.spec.family}, {len(model.spec.channels)} channels, windows of {model.spec.length} rows, "
        f"{options.out.stat().st_size / 1000:.0f} kB"
    )
    return 0


def _evaluate(options: Namespace) -> int:
    from edge_ae_train.data.loading import recordings
    from edge_ae_train.evaluation import figures
    from edge_ae_train.evaluation.evaluate import evaluate

    _require_writable(options.json, reads=(options.model, *recordings(options.data)))
    with reporting() as reporter:
        found = evaluate(options.model, options.data, alert_rules(options), read_options(options), reporter)
    figures.show(found)
    _write_json(options.json, figures.as_dict(found))
    return 0


def _report(options: Namespace) -> int:
    from edge_ae_train.report.report import report

    with reporting() as reporter:
        source = (options.model, options.data, options.out)
        page = report(*source, alert_rules(options), read_options(options), reporter, options.time_zone or UTC)
    print(f"open {page}")
    return 0


def _retrain(options: Namespace) -> int:
    from edge_ae.model.onnx_model import OnnxModel
    from edge_ae_train import fit, retrain
    from edge_ae_train.data import history, recorded, recorded_marks
    from edge_ae_train.data.loading import recordings

    inputs = [*recordings(options.data), *options.alerts, *options.feedback]
    _require_replaceable(options.out, reads=inputs)
    _require_writable(options.json, reads=(options.current, options.out, *inputs))
    current = OnnxModel.load(options.current)
    spec, units = current.spec, {channel.name: channel.unit for channel in current.spec.channels}
    written = history.read_hindsight(options.alerts, options.feedback, options.node)
    hindsight = recorded_marks.with_marks(written, options.data)
    with reporting() as reporter:
        series = recorded.read(options.data, spec, read_options(options), reporter.part(0.0, READ))
        recorded.require_period(series, spec)
        scoring, training = reporter.part(READ, RECALLED), reporter.part(RECALLED, 1.0)
        past = history.recall(series, current, alert_rules(options), hindsight, options.length, scoring)
        for text in past.notes:
            reporter.note(text)
        chosen = fit.Options(options.family, options.length, spec.hop, options.seed, spec.channels, options.thorough)
        chosen = replace(chosen, zone=options.time_zone)
        outcome = retrain.retrain(past, chosen, _origin(options, spec.name, units), options.out, training)
    retrain.show(outcome)
    _write_json(options.json, retrain.as_dict(outcome))
    print(f"{options.out}: the candidate" if outcome.replaced else f"{options.current} stays the model in use")
    return 0 if outcome.replaced else KEPT


def _learn(options: Namespace) -> int:
    from edge_ae_train.learn.service import learn

    learn(options.config, once=options.once, say=lambda text: print(text, flush=True))
    return 0


def _generate(options: Namespace) -> int:
    from edge_ae.store.recording_csv import write_csv
    from edge_ae_train.synthetic.generate import generate

    _require_writable(options.out, reads=[options.model])
    series = generate(options.model, options.rows, options.seed)
    write_csv(options.out, series.times, series.names, series.values)
    return 0


def _keygen(options: Namespace) -> int:
    from edge_ae_train.signing import keygen

    _require_writable(options.out)
    print(f"{options.out}: keep it; {keygen(options.out)}: for model_key on the devices")
    return 0


def _sign(options: Namespace) -> int:
    from edge_ae_train.signing import sign

    print(sign(options.model, options.key))
    return 0


def _fleet(_options: Namespace) -> int:
    """Never called: argparse asks for one of the group's commands, and each of them sets its own."""
    raise AssertionError("fleet without a command")


COMMANDS: Mapping[str, Command] = {
    "fit": _fit,
    "evaluate": _evaluate,
    "report": _report,
    "retrain": _retrain,
    "learn": _learn,
    "fleet": _fleet,
    "generate": _generate,
    "keygen": _keygen,
    "sign": _sign,
}


# -- what commands share ---------------------------------------------------------------------------------------


def _period_ns(options: Namespace) -> int | None:
    return None if options.period is None else seconds_ns(options.period)


def _origin(options: Namespace, name: str, units: Mapping[str, str]) -> "Origin":
    """`name`: where the options have none."""
    from edge_ae_train.export import Origin

    now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return Origin(options.name or name, now, _sha256(options.data), units)


def _require_writable(path: Path | None, reads: Sequence[Path] = ()) -> None:
    """Said before the work and not after it. None: nothing is wanted. `reads`: files that it must not take the place of."""
    if path is None:
        return
    place = path if is_special(path) else path.parent
    if path.is_dir() or not os.access(place, os.W_OK):
        raise BadData(f"{path}: cannot be written; name a file in a directory that exists and is yours")
    spare(reads, [path])


def _require_replaceable(path: Path, reads: Sequence[Path]) -> None:
    """For a model, which takes its file's place in one move: a pipe or a device would be gone."""
    _require_writable(path, reads)
    if is_special(path):
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
