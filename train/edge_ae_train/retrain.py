"""A candidate against the model in use: trained on the past's normal rows, and no worse in three respects, or not taken.

    normal rows in time  ▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓░░▒▒▒▒▒▒▒▒
                         the candidate's: train, calibrate   held out from both: false alerts, injected faults

Both are judged as model files, by the code of the device, at the boundaries that their own tails give for the budget. The
held-out rows are new to the candidate; the model in use may have seen them, which can only be to its advantage.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ae.core.counters import readings_of
from edge_ae.core.detector import Watch
from edge_ae.core.model_spec import ModelSpec
from edge_ae.core.rules import AlertRules
from edge_ae.core.season import day_course, zone_of
from edge_ae.core.timestamps import duration_text
from edge_ae.errors import BadData
from edge_ae.model.onnx_model import OnnxModel
from edge_ae.offline import score_table
from edge_ae.store.recording_csv import Table
from edge_ae_train import fit
from edge_ae_train.data import fault_injection
from edge_ae_train.data.dataset import standardised
from edge_ae_train.data.fault_injection import Injection
from edge_ae_train.data.history import AssetPast, Past, Span
from edge_ae_train.data.segments import Recording, Segment, episodes, stretches, values_of
from edge_ae_train.export import Origin, save, with_report
from edge_ae_train.progress import SILENT, Reporter
from edge_ae_train.scoring.preprocess import Standardise, fit_scaler
from edge_ae_train.scoring.sight import judged_features

HELD_OUT = 0.2  # of the normal rows, the last
SPARE_ALERTS = 1  # false alerts that the candidate may raise beyond the budget: so many are chance
LOSS = 0.02  # of the injected faults that it may miss beyond those that the current model misses: so many are chance
INJECTED_INTO = 4  # stretches of held-out rows, the longest
TRAINED, EXPORTED = 0.65, 0.7  # shares of the work that are done with training, and with writing the candidate
REPEATS = 5  # of each kind and strength of fault in each stretch


@dataclass(frozen=True)
class Performance:
    """How one of the two models did."""

    name: str
    family: str
    trained_at: str
    false_alerts: int
    known_found: int
    injected_found: dict[str, float]  # the share, of each strength and kind, and of `all`
    named_found: tuple[str, ...] = ()  # of known faults that people have named, those that it finds, once at least


@dataclass(frozen=True)
class Outcome:
    current: Performance
    candidate: Performance
    held_out_rows: int
    held_out_ns: int
    alerts_allowed: float  # by the budget, in the time held out
    known: int  # faults that people confirmed or labelled

    @property
    def worse(self) -> list[str]:
        """In what respects the candidate is worse by more than chance: sentences, none where it is taken."""
        old, new = self.current, self.candidate
        lost = sorted({*old.named_found} - {*new.named_found})
        sentences = {
            f"it raises {new.false_alerts} alerts on normal rows": new.false_alerts > self.most_alerts,
            f"it finds {new.known_found} of {self.known} known faults": new.known_found < old.known_found,
            f"it no longer finds {', '.join(lost)}": len(lost) > 0,
            f"it finds {new.injected_found['all']:.0%} of the injected faults": new.injected_found["all"] < self.least,
        }
        return [sentence for sentence, true in sentences.items() if true]

    @property
    def most_alerts(self) -> float:
        return max(self.current.false_alerts, self.alerts_allowed + SPARE_ALERTS)

    @property
    def least(self) -> float:
        return self.current.injected_found["all"] - LOSS

    @property
    def replaced(self) -> bool:
        return not self.worse


def retrain(past: Past, options: fit.Options, origin: Origin, out: Path, reporter: Reporter = SILENT) -> Outcome:
    """Writes the candidate to `out`, which may be the current model's file, where it is no worse than that."""
    spec = past.current.spec
    train, held_out = split(past.normal, spec.length)
    require_channels(train, spec)
    recording = Recording(spec.names, spec.period_ns, tuple(train), spec.hold_rows, kinds=spec.channels, when=spec.when)
    temporary = out.with_name(f".{out.name}.candidate")
    options = replace(options, period_ns=spec.period_ns, zone=options.zone or zone_of(spec.zone))
    try:
        fitted = fit.fit(train, options, reporter.part(0.0, TRAINED))
        reporter.step("export", TRAINED)
        candidate = save(fitted, recording, origin, temporary)
        length = max(spec.length, candidate.spec.length)
        trial = Trial(past.rules, past.assets, tuple(held_out), injections(train, held_out, length, options))
        outcome = compare(past.current, candidate, trial, reporter.part(EXPORTED, 1.0))
        if outcome.replaced:
            with_report(temporary, fitted.report | {"retrained": as_dict(outcome)}, out)
    finally:
        temporary.unlink(missing_ok=True)
    return outcome


def require_channels(train: Sequence[Segment], spec: ModelSpec) -> None:
    """A candidate that never saw a channel does not take the place of a model that knows it."""
    seen = np.any([np.isfinite(segment.values).any(axis=0) for segment in train], axis=0)
    known = [channel.low > -np.inf for channel in spec.channels]
    lost = [name for name, there, before in zip(spec.names, seen, known, strict=True) if before and not there]
    if lost:
        raise BadData(
            f"of {', '.join(lost)} no value is left in the normal rows: the sensor is silent there, or sick; "
            "mend it and record anew, or train a new model without it: fit --ignore"
        )


def split(normal: Sequence[Segment], length: int) -> tuple[list[Segment], list[Segment]]:
    """The rows to train on, and the last HELD_OUT of all assets' rows in time; a window's length of rows parts the two."""
    if not normal:
        raise BadData(TOO_LITTLE)
    slots = np.sort(np.concatenate([s.start_slot + np.arange(len(s)) for s in normal]))
    border = int(slots[int(len(slots) * (1.0 - HELD_OUT))])
    train = [part for s in normal if len(part := s.part(0, border - s.start_slot)) > 0]
    held_out = [part for s in normal if len(part := s.part(border + length - s.start_slot, len(s))) > 0]
    if not held_out:
        raise BadData(TOO_LITTLE)
    return train, held_out


TOO_LITTLE = (
    "too few normal rows are left to train on and to judge by: record for longer, "
    "say in feedback which alerts were false, or train a new model with fit"
)


# -- comparison ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Trial:
    """What both models are judged on: held-out normal rows, the assets' known faults, and injected ones."""

    rules: AlertRules
    assets: tuple[AssetPast, ...]
    held_out: tuple[Segment, ...]
    injected: Sequence[Injection]


def compare(current: OnnxModel, candidate: OnnxModel, trial: Trial, reporter: Reporter = SILENT) -> Outcome:
    held_out_rows = sum(map(len, trial.held_out))
    held_out_ns = held_out_rows * current.spec.period_ns
    return Outcome(
        current=_judged(current, trial, reporter),
        candidate=_judged(candidate, trial, reporter.part(0.5, 1.0)),
        held_out_rows=held_out_rows,
        held_out_ns=held_out_ns,
        alerts_allowed=held_out_ns / trial.rules.interval_ns,
        known=sum(len(asset.faults) for asset in trial.assets),
    )


def _judged(model: OnnxModel, trial: Trial, reporter: Reporter) -> Performance:
    reporter.step(f"judging {model.spec.family} of {model.spec.trained_at}")
    found = [span for asset in trial.assets if asset.faults for span in _found_known(model, trial.rules, asset)]
    return Performance(
        name=model.spec.name,
        family=model.spec.family,
        trained_at=model.spec.trained_at,
        false_alerts=sum(_alerts(model, trial.rules, segment) for segment in trial.held_out),
        known_found=len(found),
        injected_found=_found_injected(model, trial),
        named_found=tuple(sorted({span.name for span in found if span.name})),
    )


def _alerts(model: OnnxModel, rules: AlertRules, segment: Segment) -> int:
    """Each row as a line; those that fill a gap are left to the device's own law, which depends on the model."""
    rows = np.arange(len(segment), dtype=np.int64) if segment.gap is None else np.flatnonzero(segment.gap == 0)
    spec = model.spec
    t_ns = (segment.start_slot + rows) * spec.period_ns
    values = readings_of(segment.values, spec.channels, spec.period_ns)[rows]
    table = Table(Path(segment.asset), [""] * len(t_ns), t_ns, spec.names, values)
    return len(episodes(score_table(table, model, Watch(model, rules)).alert))


def _found_known(model: OnnxModel, rules: AlertRules, asset: AssetPast) -> list[Span]:
    alert = score_table(asset.table, model, Watch(model, rules)).alert
    return [span for span in asset.faults if _alert_in(span, asset.table.t_ns, alert)]


def _alert_in(span: Span, t_ns: NDArray[np.int64], alert: NDArray[np.bool_]) -> bool:
    return bool(alert[(t_ns >= span.start_ns) & (t_ns <= span.end_ns)].any())


def injections(
    train: Sequence[Segment], held_out: Sequence[Segment], length: int, options: fit.Options
) -> list[Injection]:
    """Faults in held-out rows, in physical units; their strengths are in standard deviations of the rows trained on."""
    rng = np.random.default_rng(options.seed)
    standardise = Standardise(fit_scaler(values_of(train), options.turns))
    judged = judged_features(len(standardise.centre), options.discrete)
    enough = [
        part for part in stretches(held_out, length) if len(part) > 2 * length
    ]  # a window of normal, and a fault as long
    longest = sorted(enough, key=len, reverse=True)[:INJECTED_INTO]
    if not longest:
        raise BadData(TOO_LITTLE)
    return [
        Injection(one.kind, one.strength, standardise.restore(one.rows), one.start, segment.start_slot + one.first)
        for segment in longest
        for one in fault_injection.inject(
            standardised(segment.values, standardise), length, REPEATS * INJECTED_INTO // len(longest), rng, judged
        )
    ]


def _found_injected(model: OnnxModel, trial: Trial) -> dict[str, float]:
    """The share whose highest score is beyond the model's own boundary; by strength, by kind, and of `all`."""
    spec, course = model.spec, day_course(model.spec)
    boundary = spec.tail.boundary(spec.hop * spec.period_ns / trial.rules.interval_ns)
    outcomes: dict[str, list[bool]] = {}
    for injection in trial.injected:
        seen = injection if course is None else injection.less(course.of(injection.first, len(injection.rows)))
        hit = bool(model.score(seen.windows(spec.length)).max() > boundary)
        for key in ("all", injection.strength, injection.kind):
            outcomes.setdefault(key, []).append(hit)
    return {key: float(np.mean(hits)) for key, hits in outcomes.items()}


# -- for people ------------------------------------------------------------------------------------------------


def as_dict(outcome: Outcome) -> dict[str, Any]:
    return {
        "replaced": outcome.replaced,
        "worse": outcome.worse,
        **asdict(outcome),
        "margins": {
            "most_alerts": outcome.most_alerts,
            "least_known_found": outcome.current.known_found,
            "least_injected_found": outcome.least,
        },
    }


def show(outcome: Outcome) -> None:
    old, new = outcome.current, outcome.candidate
    known = (
        f"known faults found, of {outcome.known}",
        f"{old.known_found}",
        f"{new.known_found}",
        f">= {old.known_found}",
    )
    lines = [
        ("", f"current ({old.family})", f"candidate ({new.family})", "needed"),
        (
            f"alerts on {duration_text(outcome.held_out_ns)} of normal rows",
            f"{old.false_alerts}",
            f"{new.false_alerts}",
            f"<= {outcome.most_alerts:.3g}",
        ),
        *([known] if outcome.known > 0 else []),
        ("injected faults found", *_percent("all", old, new), f">= {outcome.least:.0%}"),
        *((f"  {strength}", *_percent(strength, old, new), "") for strength in fault_injection.STRENGTHS),
    ]
    for line in lines:
        print(f"{line[0]:<40}" + "".join(f"{cell:>18}" for cell in line[1:]))
    print("the candidate is no worse" if outcome.replaced else f"the candidate is worse: {'; '.join(outcome.worse)}")


def _percent(key: str, *showings: Performance) -> tuple[str, ...]:
    return tuple(f"{showing.injected_found[key]:.0%}" for showing in showings)
