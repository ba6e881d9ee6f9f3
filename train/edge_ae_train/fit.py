"""Rows -> a model: choose the window, split in time, train, calibrate on held-out rows, compare, put the graph together.

    rows ─┬─ fold 1: train ▓▓▓▓▓▓▓▓░░held out░░▓▓▓▓▓▓ ─► views of windows, of which the network has   ─┐
          ├─ fold 2 ...                                    seen no row                                ├─► calibrate
          └─ all rows ─► the network that ships                                                       ┘

With few rows every block is held out in turn; with many, the last part alone, and the network that saw the rest ships.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from edge_ae.core.channel_profile import with_habits
from edge_ae.core.detector import OFF_DELAY_HOPS
from edge_ae.core.model_spec import Channel, Floats, ModelSpec
from edge_ae.errors import BadData
from edge_ae.model.onnx_model import OnnxModel
from edge_ae_train import candidates
from edge_ae_train.candidates import Block, Candidate, Trained
from edge_ae_train.data.dataset import CHUNK, WindowSet, spread_over, standardised, window_ends
from edge_ae_train.data.segments import Segment, cut, stretches, values_of
from edge_ae_train.export import export
from edge_ae_train.models import autoencoders
from edge_ae_train.models.trainer import Recipe, train
from edge_ae_train.scoring import modes
from edge_ae_train.scoring.calibrate import HeldOut, calibrate
from edge_ae_train.scoring.graph import (
    FLOOR,
    PLAIN,
    TEMPERED,
    Measure,
    Scaler,
    ScoredNetwork,
    Standardise,
    Views,
    Whitening,
    fit_whitening,
    whitening_root,
)
from edge_ae_train.synthetic import sampler

AUTO = "auto"
LENGTHS = (16, 32, 64)
FEW_ROWS = 4000  # below this every block is held out in turn
FOLDS = 4
BATCH_OF_FEW = 64
HELD_OUT = 0.3  # of many rows, the last
CHECK = 0.15  # of the rows to train on, the last: for stopping early
CLIP = 20.0  # standardised values beyond this are this: a channel that has gone must not drown what the others say
RESOLUTION = 3.0  # steps of a float32: a channel that moves by less, or by less than STILL, is taken for constant
STILL = 1e-30  # units of the channel: what single precision can still divide by
CONSTANT_LIMIT = 3.0  # a channel that never moved in training and now moves speaks as loud as three deviations
PROOF_WINDOWS = 256
MODE_WINDOWS = 1000  # that the operating modes are found in
LEAST_WINDOWS, LEAST_WINDOWS_OF_NETWORKS = 6, 12  # side by side; a network keeps some for stopping early
MOST_CHUNKS = 16  # of a block's windows, spread over it: more make its tail no better
FEW_FOUND = 0.7  # of the large injected faults
LATENT_FLOOR = 0.01  # of the latent's largest standard deviation: finer directions are not trusted
LATENT_WINDOWS = 4096  # of those trained on, for the latent's whitening

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Options:
    """What the user may choose; the defaults need no other option. `length` None: from the data."""

    family: str = AUTO
    length: int | None = None
    hop: int = 1
    seed: int = 0


@dataclass(frozen=True)
class Fitted:
    graph: ScoredNetwork
    candidate: Candidate
    hop: int
    report: dict[str, Any]


def fit(segments: Sequence[Segment], options: Options, say: Say = lambda _text: None) -> Fitted:
    """`segments`: of normal operation, in the order of time. Raises BadData with one sentence."""
    torch.set_num_threads(1)  # the networks are too small for two, and on a busy core OpenMP's barriers cost 40 times
    length = choose_length(segments) if options.length is None else options.length
    parts = stretches(segments, length)
    rows = sum(map(len, parts))
    enough(rows, length, options.family)
    if options.hop > length:
        raise BadData(f"a hop of {options.hop} passes over rows: windows are {length} long")
    if not any(len(part) >= length for part in parts):
        raise BadData(f"no stretch of {length} rows without a gap: record without gaps, or give a longer --period")
    scaler = fit_scaler(values_of(parts))
    standardise = Standardise(scaler)
    wanted = (
        autoencoders.NAMES if options.family == AUTO else tuple(dict.fromkeys((*autoencoders.LINEAR, options.family)))
    )
    shares, trained = {}, {}
    trials = None
    for family in wanted:
        plain, tempered = train_candidate(family, parts, standardise, scaler, length, options, say)
        trials = candidates.plan(plain, scaler.limit, options.seed) if trials is None else trials
        say(f"{family}: looking for injected faults")
        by_plain, by_tempered = (candidates.found(candidate, trials) for candidate in (plain, tempered))
        better = by_tempered["all"] - by_plain["all"] > candidates.TIE  # a tempered score hides how bad a fault is
        trained[family], shares[family] = (tempered, by_tempered) if better else (plain, by_plain)
    winner = candidates.best(shares) if options.family == AUTO else options.family
    chosen = trained[winner]
    report = {
        "rows": rows,
        "length": length,
        "seed": options.seed,
        "chosen": winner,
        "asked": options.family,
        "trial_rate": candidates.TRIAL_RATE,
        "candidates": {
            family: {
                "found": shares[family],
                "error": trained[family].error,
                "tempered": trained[family].calibration.temper == TEMPERED,
            }
            for family in wanted
        },
    }
    return Fitted(assemble(chosen, scaler), chosen, options.hop, report)


def assemble(candidate: Candidate, scaler: Scaler) -> ScoredNetwork:
    """The graph that ships."""
    calibration, trained = candidate.calibration, candidate.trained
    measure = Measure(trained.views, calibration.whitening, trained.latent, calibration.temper)
    return ScoredNetwork(scaler, measure, calibration.limit).eval()


def enough(rows: int, length: int, family: str) -> None:
    linear = family in autoencoders.LINEAR
    needed = (LEAST_WINDOWS if linear else LEAST_WINDOWS_OF_NETWORKS) * length
    if rows < needed:
        fewer = "" if linear else f", or {LEAST_WINDOWS * length} with --family cva"
        raise BadData(
            f"{rows} rows are too few for windows of {length}: record at least {needed} rows of normal operation{fewer}"
        )


def choose_length(segments: Sequence[Segment]) -> int:
    """Four correlation times of the median channel, as far as there are a dozen windows side by side, in whole stretches."""
    rows = sum(map(len, segments))
    signals = max(segments, key=len).values[:20000].T
    wanted = 4.0 * float(np.median([correlation_time(signal) for signal in signals]))
    longest = {length: max(map(len, stretches(segments, length)), default=0) for length in LENGTHS}
    affordable = [length for length in LENGTHS if rows >= 12 * length and longest[length] > length] or [LENGTHS[0]]
    return next((length for length in affordable if length >= wanted), affordable[-1])


def correlation_time(signal: Floats) -> float:
    """Rows until the autocorrelation falls below 1/e; 1 for a constant."""
    known = signal[np.isfinite(signal)].astype(np.float64)
    if len(known) == 0 or is_constant(known.mean(), known.std()):
        return 1.0
    known -= known.mean()
    power = float((known**2).mean())
    for lag in range(1, min(len(known) - 1, LENGTHS[-1])):
        if float((known[lag:] * known[:-lag]).mean()) < power / np.e:
            return float(lag)
    return float(LENGTHS[-1])


def is_constant(centre: NDArray[np.float64], spread: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether channels of such means and standard deviations move by no more than single precision shows."""
    return spread <= np.maximum(RESOLUTION * np.spacing(np.abs(centre).astype(np.float32)), STILL)


def fit_scaler(segments: Sequence[Floats]) -> Scaler:
    """Mean and standard deviation of each channel; one that never moves is given its smallest sensible step."""
    rows = np.concatenate(segments).astype(np.float64)
    count = np.maximum(np.isfinite(rows).sum(axis=0), 1)
    centre = np.nansum(rows, axis=0) / count
    spread = np.sqrt(np.nansum((rows - centre) ** 2, axis=0) / count)
    constant = is_constant(centre, spread)
    spread = np.where(constant, np.maximum(0.01 * np.abs(centre), 1e-3), spread)
    limit = np.where(constant, CONSTANT_LIMIT, CLIP)
    floor = np.where(constant, 1.0, FLOOR)
    scaled = np.nan_to_num(np.clip((rows - centre) / spread, -limit, limit))
    parts = (centre, spread, limit, floor, whitening_root(scaled, floor))
    return Scaler(*(part.astype(np.float32) for part in parts))


def train_candidate(
    family: str,
    segments: Sequence[Segment],
    standardise: Standardise,
    scaler: Scaler,
    length: int,
    options: Options,
    say: Say,
) -> tuple[Candidate, Candidate]:
    """The same network with plain and with tempered squares."""
    rows = sum(len(segment) for segment in segments)
    few = rows < FEW_ROWS
    blocks, held, errors = [], [], []
    for number, (first, last) in enumerate(held_out_blocks(rows)):
        if few or number == 0:
            say(f"{family}: held-out block {number + 1}")
            before, after = cut(segments, 0, first - length), cut(segments, last + length, rows)
            trained = train_on(family, before + (after if few else []), standardise, length, options, say)
        held_out = held_out_rows(segments, (first, last), length)
        windows = WindowSet(held_out, standardise, length, options.hop)
        longest = max(values_of(held_out), key=len, default=segments[0].values[:0])
        if len(windows) > 0 and len(longest) > length:  # faults are injected after a window of normal rows
            averages, error = trained.averages(windows.chunks(MOST_CHUNKS))
            held.append(HeldOut(averages, partial(_distances, trained, windows)))
            errors.append(error)
            blocks.append(Block(standardised(longest, standardise), trained))
    if len(blocks) < 2:
        raise BadData(
            f"no two stretches of {length} rows without a gap to calibrate on: record for longer, without gaps"
        )
    if few:
        say(f"{family}: all rows")
        trained = train_on(family, segments, standardise, length, options, say)
    plain, tempered = (calibrate(held, scaler.floor, OFF_DELAY_HOPS, temper) for temper in (PLAIN, TEMPERED))
    candidate = Candidate(family, trained, length, tuple(blocks), plain, float(np.mean(errors)))
    return candidate, replace(candidate, calibration=tempered)


def _distances(trained: Trained, windows: WindowSet, whitening: Whitening, temper: float) -> NDArray[np.float64]:
    return trained.distances(windows.chunks(MOST_CHUNKS), whitening, temper)


def held_out_blocks(rows: int) -> list[tuple[int, int]]:
    """First and last row (exclusive) of each block that is held out, in time order."""
    start = 0 if rows < FEW_ROWS else int(rows * (1.0 - HELD_OUT))
    edges = np.linspace(start, rows, FOLDS + 1).astype(int)
    return [(int(a), int(b)) for a, b in pairwise(edges)]


def held_out_rows(parts: Sequence[Segment], block: tuple[int, int], length: int) -> list[Segment]:
    """A block's rows and those before it that its first windows begin with: each window is in the block in which it ends."""
    first, last = block
    return cut(parts, max(first - length + 1, 0), last)


def train_on(
    family: str, segments: Sequence[Segment], standardise: Standardise, length: int, options: Options, say: Say
) -> Trained:
    windows = WindowSet(segments, standardise, length)
    if len(windows) == 0:
        raise BadData(
            f"in a part of the recordings, no stretch of {length} rows has values in half of them: "
            "give a longer --period, or record without gaps"
        )
    network = train_network(family, segments, standardise, length, options, say)
    outlook = autoencoders.fit_outlook([standardised(rows, standardise) for rows in values_of(segments)], length)
    values, _ = windows.take(spread_over(len(windows), LATENT_WINDOWS))
    with torch.no_grad():
        latents = [network(part)[0] for part in torch.split(values, CHUNK)]
    latent = torch.cat(latents)[None].numpy()
    floor = np.full(latent.shape[2], LATENT_FLOOR * float(latent.std(axis=1).max()) + 1e-6, np.float32)
    return Trained(Views(network, outlook, length), fit_whitening([latent], floor))


def train_network(
    family: str, segments: Sequence[Segment], standardise: Standardise, length: int, options: Options, say: Say
) -> nn.Module:
    """Seeded anew each time, so that a family's network does not depend on which others were trained."""
    rows = sum(len(segment) for segment in segments)
    if family in autoencoders.LINEAR:
        return autoencoders.fit_linear(family, [standardised(part, standardise) for part in values_of(segments)])
    split = int(rows * (1.0 - CHECK))
    train_set = WindowSet(cut(segments, 0, split), standardise, length)
    check_set = WindowSet(cut(segments, split, rows), standardise, length)
    if min(len(train_set), len(check_set)) == 0:
        raise BadData(f"no stretch of {length} rows without a gap in what there is to train on: record without gaps")
    channels = segments[0].values.shape[1]
    shape = autoencoders.Shape(length, channels, latent=min(4 + channels, autoencoders.MAX_LATENT))
    torch.manual_seed(options.seed)
    batch = BATCH_OF_FEW if rows < FEW_ROWS else Recipe().batch
    recipe = replace(Recipe(), batch=batch, steps=int(np.clip(len(train_set), 300, Recipe().steps)))

    def progress(step: int, error: float) -> None:
        say(f"{family}: step {step} of {recipe.steps}, error {error:.4f}")

    return train(
        autoencoders.build(family, shape),
        train_set,
        check_set,
        denoising=family == "dae",
        seed=options.seed,
        recipe=recipe,
        progress=progress,
    )


def save(
    fitted: Fitted,
    segments: Sequence[Segment],
    names: Sequence[str],
    period_ns: int,
    out: Path,
    *,
    name: str,
    units: Mapping[str, str],
    trained_at: str,
    data_sha256: str,
    hold_rows: int = 0,
) -> OnnxModel:
    """Export and prove, on windows from all over the rows."""
    graph, length = fitted.graph, fitted.candidate.length
    parts = stretches(segments, length)
    rows = values_of(parts)
    channels = with_habits([channel(n, units.get(n, ""), rows, i) for i, n in enumerate(names)], rows)
    calibration = fitted.candidate.calibration
    spec = ModelSpec(
        name=name,
        sha256="",
        family=fitted.candidate.family,
        channels=channels,
        period_ns=period_ns,
        length=length,
        hop=fitted.hop,
        tail=calibration.tail,
        typical=calibration.typical,
        trained_at=trained_at,
        hold_rows=hold_rows,
    )
    extra = sampler.metadata(graph.measure.views.network, rows, graph.standardise, length)
    extra |= modes.metadata(latents(graph, some_windows(parts, length, MODE_WINDOWS)))
    return export(graph, spec, fitted.report, data_sha256, some_windows(parts, length), out, extra)


def latents(graph: ScoredNetwork, windows: Floats) -> Floats:
    """[window, latent] of windows [window, length, channel] in physical units, as the model file will give them."""
    with torch.no_grad():
        parts = [graph(part)[3] for part in torch.split(torch.from_numpy(windows), CHUNK)]
    found: Floats = torch.cat(parts).numpy()
    return found


def what_hides_faults(fitted: Fitted, model: OnnxModel, segments: Sequence[Segment]) -> str | None:
    """A sentence, where few large faults are found and one channel makes most of the highest scores of the training rows."""
    found = fitted.report["candidates"][model.spec.family]["found"]["large"]
    if found >= FEW_FOUND:
        return None
    outputs = model.run(some_windows(stretches(segments, model.spec.length), model.spec.length, MODE_WINDOWS))
    highest = np.argsort(outputs["score"])[-max(1, len(outputs["score"]) // 100) :]
    part = outputs["channel_score"][highest].sum(axis=0) / outputs["score"][highest].sum()
    if part.max() <= 0.5:
        return None
    name = model.spec.names[int(part.argmax())]
    return (
        f"note: of the large faults only {found:.0%} are found, for {name} does now and then, in these recordings, what "
        f"is as odd as a fault; if it says nothing of the machine's health, leave it out: --ignore {name}"
    )


def channel(name: str, unit: str, segments: Sequence[Floats], index: int) -> Channel:
    """Range and smallest step of a channel in the rows."""
    values = np.unique(np.concatenate([segment[:, index] for segment in segments]))
    values = values[np.isfinite(values)]
    steps = np.diff(values)
    resolution = float(steps.min()) if len(steps) > 0 else 0.0
    low, high = (float(values[0]), float(values[-1])) if len(values) > 0 else (-np.inf, np.inf)
    return Channel(name, unit, low, high, resolution)


def some_windows(parts: Sequence[Segment], length: int, most: int = PROOF_WINDOWS) -> Floats:
    """At most `most` windows [n, length, channel] that a device would score, spread over the stretches."""
    ends = window_ends(parts, length)
    chosen = ends[spread_over(len(ends), most)]
    every: Floats = np.concatenate(values_of(parts))[chosen[:, None] + np.arange(1 - length, 1)]
    return every
