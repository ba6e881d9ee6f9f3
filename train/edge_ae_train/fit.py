"""Rows -> a model: choose the window, train and calibrate each candidate, compare, put the graph of the best together."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, tzinfo
from typing import Any

import numpy as np

from edge_ae.core.model_spec import Channel, Kind
from edge_ae.errors import BadData
from edge_ae.model.onnx_model import OnnxModel
from edge_ae_train import select
from edge_ae_train.candidates import Candidate
from edge_ae_train.data.dataset import MODE_WINDOWS, some_windows
from edge_ae_train.data.season import Season, find_season
from edge_ae_train.data.segments import Segment, stretches, values_of
from edge_ae_train.data.window_length import choose_length
from edge_ae_train.discrete import discrete_score, fit_ladders, found, tail_of_both
from edge_ae_train.material import FEW_ROWS, Material
from edge_ae_train.models.families import LINEAR, trainable
from edge_ae_train.progress import SILENT, Reporter
from edge_ae_train.scoring.graph import Measure, ScoredNetwork
from edge_ae_train.scoring.oddness import DiscreteScore
from edge_ae_train.scoring.preprocess import Scaler, Standardise, fit_scaler
from edge_ae_train.scoring.sight import judged_features
from edge_ae_train.search import compare
from edge_ae_train.training_options import AUTO

LEAST_WINDOWS, LEAST_WINDOWS_OF_NETWORKS = 6, 12  # side by side; a network keeps some for stopping early
INSTALL = "pip install 'edge-ae[train]'"
ONLY_LINEAR = f"the families {' and '.join(LINEAR)} alone are tried; the others need torch: {INSTALL}"
FEW_FOUND = 0.7  # of the large injected faults


@dataclass(frozen=True, slots=True)
class Options:
    """What the user may choose; the defaults need no other option. `length` None: from the data. `channels`: with
    their kinds; empty: all are analog. `thorough`: every family is trained whole. `alone`: the family that is asked for is
    compared with no other. `period_ns`: of the rows, 0: not known, and `zone`: by whose clock they are; without these, the time
    of day is no matter."""

    family: str = AUTO
    length: int | None = None
    hop: int = 1
    seed: int = 0
    channels: tuple[Channel, ...] = ()
    thorough: bool = False
    alone: bool = False
    period_ns: int = 0
    zone: tzinfo | None = None

    @property
    def turns(self) -> tuple[float, ...]:
        """Of each channel the full turn, 0 where it is no angle."""
        return tuple(channel.turn for channel in self.channels)

    @property
    def discrete(self) -> tuple[int, ...]:
        """The channels that take few values."""
        return tuple(index for index, channel in enumerate(self.channels) if channel.kind == Kind.DISCRETE)


@dataclass(frozen=True)
class Fitted:
    """`graph`: what ships; `candidate`: what it was made from; `report`: the comparison, JSON-ready. `season`: what the time of
    day does, and the graph does not see; None: nothing."""

    graph: ScoredNetwork
    candidate: Candidate
    hop: int
    report: dict[str, Any]
    season: Season | None = None

    def seen(self, segments: Sequence[Segment]) -> Sequence[Segment]:
        """Rows as the graph takes them."""
        return segments if self.season is None else self.season.less(segments)


def fit(segments: Sequence[Segment], options: Options, reporter: Reporter = SILENT) -> Fitted:
    """`segments`: of normal operation, in the order of time. Raises BadData with one sentence."""
    season = _season(segments, options)
    material = material_of(segments if season is None else season.less(segments), options)
    families = (options.family,) if options.alone else _families(options.family)
    if options.family == AUTO and families == LINEAR:
        reporter.note(ONLY_LINEAR)
    halving = options.family == AUTO and not options.thorough
    compared = compare(families, material, reporter, halving=halving)
    contenders = compared.contenders
    shares = {family: one.found for family, one in contenders.items()}
    chosen = select.best(shares) if options.family == AUTO else options.family
    candidate = contenders[chosen].candidate
    report = {
        "rows": material.rows,
        "length": material.length,
        "seed": options.seed,
        "chosen": chosen,
        "asked": options.family,
        "trial_rate": select.TRIAL_RATE,
        "candidates": {family: one.facts for family, one in contenders.items()},
        "left_out": dict(compared.left_out),
    }
    if season is not None:
        report["season"] = [round(gain, 3) for gain in season.gain]
    if material.judged is None:
        return Fitted(assemble(candidate, material.scaler), candidate, options.hop, report, season)
    return replace(_with_discrete(candidate, material, options, report), season=season)


def _season(segments: Sequence[Segment], options: Options) -> Season | None:
    """None where rows are few, for then each block is held out in turn, and the course of a day would have seen it."""
    if options.period_ns <= 0 or sum(map(len, segments)) < FEW_ROWS:
        return None
    channels = options.channels or tuple(Channel(str(index)) for index in range(segments[0].values.shape[1]))
    return find_season(segments, channels, options.period_ns, options.zone or UTC)


def _with_discrete(candidate: Candidate, material: Material, options: Options, report: dict[str, Any]) -> Fitted:
    """The discrete channels judged beside the others; `report` is told of it."""
    tail, channels = candidate.calibration.tail, options.discrete
    ladders, both = fit_ladders(material, channels, tail), tail_of_both(tail)
    report["judged_alone"] = [options.channels[index].name for index in channels]
    report["found_of_discrete"] = found(material, channels, ladders, both.boundary(select.TRIAL_RATE))
    candidate = replace(candidate, calibration=replace(candidate.calibration, tail=both))
    graph = assemble(candidate, material.scaler, discrete_score(material, channels, ladders))
    return Fitted(graph, candidate, options.hop, report)


def material_of(segments: Sequence[Segment], options: Options) -> Material:
    """The rows as the windows part them, and their scaling. Raises BadData where they are too few."""
    if options.family != AUTO and options.family not in trainable():
        raise BadData(f"the family {options.family} needs torch, which is not installed: {INSTALL}, or --family auto")
    length = choose_length(segments) if options.length is None else options.length
    parts = stretches(segments, length)
    _require_rows(sum(map(len, parts)), length, options.family)
    if options.hop > length:
        raise BadData(f"a hop of {options.hop} passes over rows: windows are {length} long")
    if not any(len(part) >= length for part in parts):
        raise BadData(f"no stretch of {length} rows without a gap: record without gaps, or give a longer --period")
    scaler = fit_scaler(values_of(parts), options.turns)
    judged = judged_features(len(scaler.centre), options.discrete)
    return Material(parts, scaler, Standardise(scaler), length, options.hop, options.seed, judged)


def _families(asked: str) -> tuple[str, ...]:
    """Those to compare: all that can be trained here, or the linear ones and the one that is asked for."""
    return trainable() if asked == AUTO else tuple(dict.fromkeys((*LINEAR, asked)))


def _require_rows(rows: int, length: int, family: str) -> None:
    is_linear = family in LINEAR or trainable() == LINEAR
    needed = (LEAST_WINDOWS if is_linear else LEAST_WINDOWS_OF_NETWORKS) * length
    if rows < needed:
        fewer = "" if is_linear else f", or {LEAST_WINDOWS * length} with --family cva"
        raise BadData(
            f"{rows} rows are too few for windows of {length}: record at least {needed} rows of normal operation{fewer}"
        )


def assemble(candidate: Candidate, scaler: Scaler, discrete: DiscreteScore | None = None) -> ScoredNetwork:
    """The graph that ships."""
    calibration, trained = candidate.calibration, candidate.trained
    measure = Measure(trained.views, calibration.whitening, trained.latent)
    return ScoredNetwork(scaler, measure, calibration.limit, discrete)


def what_hides_faults(fitted: Fitted, model: OnnxModel, segments: Sequence[Segment]) -> str | None:
    """A sentence, where few large faults are found and one channel makes most of the highest scores of the training rows."""
    found = fitted.report["candidates"][model.spec.family]["found"]["large"]
    if found >= FEW_FOUND:
        return None
    outputs = model.run(
        some_windows(stretches(fitted.seen(segments), model.spec.length), model.spec.length, MODE_WINDOWS)
    )
    highest = np.argsort(outputs["score"])[-max(1, len(outputs["score"]) // 100) :]
    part = outputs["channel_score"][highest].sum(axis=0) / outputs["score"][highest].sum()
    if part.max() <= 0.5:
        return None
    name = model.spec.names[int(part.argmax())]
    return (
        f"note: of the large faults only {found:.0%} are found, for {name} does now and then, in these recordings, what "
        f"is as odd as a fault; if it says nothing of the machine's health, leave it out: --ignore {name}"
    )
