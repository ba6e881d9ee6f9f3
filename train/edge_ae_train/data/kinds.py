"""Tables -> what each channel's numbers mean: its kind, and the reason in words that a person can check.

    constant   never moves
    angle      jumps between the ends of a full turn, 360 or 2 pi, and moves on there as it does elsewhere
    counter    only rises, or rises and falls back to its beginning
    discrete   takes few whole values, or two
    analog     anything else

A wrong guess costs more than none: a short recording in which a temperature happens to rise makes no counter. A name or a unit
("energy_kwh", "wind_dir") stands for what few lines cannot show; see `names`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from edge_ae.core.model_spec import Channel, Kind
from edge_ae.errors import BadData
from edge_ae.store.recording_csv import Table
from edge_ae_train.data.clean import too_fine
from edge_ae_train.data.names import ANALOG, COUNTER, DIRECTION, ROUND, Hints, hints
from edge_ae_train.data.segments import Recording

Values = NDArray[np.float64]

# -- angles ----------------------------------------------------------------------------------------------------
TURNS = (360.0, 2.0 * np.pi)  # that any channel may have
NAMED_TURNS = (*TURNS, 3600.0, 400.0, 6400.0)  # that a channel may have whose name or unit says that it is an angle
OVER = 0.005  # of a turn: beyond its ends no angle goes further
NEAR_END, NEAR_END_NAMED = 0.05, 0.15  # of a turn: so near to both ends it comes; the compass has 8 points
LEAST_JUMPS = 3  # between the ends; one is enough where the name says so
SECTORS = 12  # of a turn: an angle has been in all
CONTINUES = 0.25  # of a turn: no further does it move on where it jumps
BETWEEN = 0.25  # of the jumps, at most, may there be steps that are neither short nor a jump
UNLIKE = 5.0  # times more often at one end than at the other: a machine that is off, or at its full speed
LEAST_SPAN = 0.25  # of a turn: a direction that has not passed north is an angle if it moves as much

# -- counters --------------------------------------------------------------------------------------------------
LEAST_LINES, LEAST_RISES = 1000, 100
LEAST_STEPS = 10  # of a channel of whole numbers
LEAST_LINES_NAMED, LEAST_RISES_NAMED = 50, 5
FALLS, FALLS_NAMED = 0.005, 0.02  # of the moves, at most
LEAST_HALF = 0.2  # of the rise falls on each half of the lines: what warms up rises ever less
USUAL_RISE = 0.99  # quantile of the rises
RESETS_TO = 0.01  # of what it fell from, or two usual rises: so near to 0 a counter begins anew

# -- the rest --------------------------------------------------------------------------------------------------
MOST_VALUES = 10  # of a discrete channel
LEAST_KNOWN = 50  # values, to call a channel discrete
GLANCE = 10_000  # values that show soon enough that a channel has too many


@dataclass(frozen=True, slots=True)
class Finding:
    """A channel with its kind, and why."""

    channel: Channel
    reason: str


def find_kinds(
    tables: Sequence[Table], asked: Sequence[Channel] = (), units: Mapping[str, str] | None = None
) -> list[Finding]:
    """Of each channel of tables in time, in their order. `asked`: channels whose kind is known. BadData where an angle's
    turn is asked for and cannot be told."""
    wanted, units = {channel.name: channel for channel in asked}, units or {}
    return [
        _as_asked(signal, wanted[signal.name]) if signal.name in wanted else _found(signal)
        for signal in (_signal(tables, index, units) for index in range(len(tables[0].names)))
    ]


def _signal(tables: Sequence[Table], index: int, units: Mapping[str, str]) -> "_Signal":
    name = tables[0].names[index]
    columns = [table.values[:, index] for table in tables]
    return _Signal(name, hints(name, units.get(name, "")), tuple(column[~np.isnan(column)] for column in columns))


class _Signal:
    """One channel's values in time, of each table, and what is asked of them more than once."""

    def __init__(self, name: str, hints: Hints, parts: tuple[Values, ...]) -> None:
        self.name, self.hints, self.parts = name, hints, parts

    @cached_property
    def values(self) -> Values:
        return np.concatenate(self.parts)

    @cached_property
    def steps(self) -> Values:
        """Between values one after the other."""
        return np.concatenate([np.diff(part) for part in self.parts])

    @cached_property
    def low(self) -> float:
        return float(self.values.min())

    @cached_property
    def high(self) -> float:
        return float(self.values.max())

    @cached_property
    def whole(self) -> bool:
        """Whether all are whole numbers."""
        return bool((self.values == np.round(self.values)).all())

    @cached_property
    def distinct(self) -> Values:
        """Its values; those of its beginning where these are too many for a discrete channel."""
        first = np.unique(self.values[:GLANCE])
        return first if len(first) > MOST_VALUES else np.unique(self.values)


def _found(signal: _Signal) -> Finding:
    if len(signal.values) == 0 or signal.low == signal.high:
        return _finding(signal, Kind.CONSTANT, "never moves")
    for rule in (_angle, _counter, _constant, _discrete):
        if (finding := rule(signal)) is not None:
            return finding
    return _finding(signal, Kind.ANALOG, f"moves between {signal.low:.6g} and {signal.high:.6g}{_doubt(signal)}")


def _finding(signal: _Signal, kind: Kind, reason: str, turn: float = 0.0) -> Finding:
    return Finding(Channel(signal.name, kind=kind, turn=turn), reason)


def _as_asked(signal: _Signal, channel: Channel) -> Finding:
    if channel.kind == Kind.ANGLE and channel.turn == 0.0:
        turn = next((turn for turn in NAMED_TURNS if _start(signal, turn) is not None), None)
        if turn is None:
            raise BadData(
                f"--kind: {signal.name} goes from {signal.low:g} to {signal.high:g}, which is within no usual turn; "
                f"give its full turn, such as {signal.name}=angle:360"
            )
        channel = replace(channel, turn=turn)
    return Finding(channel, "as asked")


# -- angles ----------------------------------------------------------------------------------------------------


def _angle(signal: _Signal) -> Finding | None:
    named = signal.hints.are(ROUND)
    turns = (*signal.hints.turns, *(NAMED_TURNS if named else TURNS))
    for turn in turns:
        start = _start(signal, turn)
        if start is None:
            continue
        jumps = np.abs(signal.steps) > turn / 2.0
        if _reaches_both_ends(signal, turn, start, NEAR_END_NAMED if named else NEAR_END) and (
            jumps.any() if named else _moves_on(signal, turn, start, jumps)
        ):
            times = int(jumps.sum())
            ends = f"between {start:.5g} and {start + turn:.5g}"
            return _finding(signal, Kind.ANGLE, f"jumps {times} time{'s' if times > 1 else ''} {ends}", turn)
    if signal.hints.are(DIRECTION) and _is_direction(signal):
        return _finding(signal, Kind.ANGLE, "by its name a direction, in degrees", 360.0)
    return None


def _start(signal: _Signal, turn: float) -> float | None:
    """Where a turn begins that holds all values; None: it holds not all."""
    for start in (0.0, -turn / 2.0):
        if signal.low >= start - OVER * turn and signal.high <= start + (1.0 + OVER) * turn:
            return start
    return None


def _reaches_both_ends(signal: _Signal, turn: float, start: float, near: float) -> bool:
    return signal.low <= start + near * turn and signal.high >= start + (1.0 - near) * turn


def _moves_on(signal: _Signal, turn: float, start: float, jumps: NDArray[np.bool_]) -> bool:
    """Whether the jumps are those of an angle, and not of a machine that goes on and off between 0 and 360."""
    if jumps.sum() < LEAST_JUMPS:
        return False
    sizes = np.abs(signal.steps)
    short_way = turn - sizes[jumps]
    between = int(((sizes > CONTINUES * turn) & (sizes < (1.0 - CONTINUES) * turn)).sum())
    counts, _ = np.histogram(signal.values, bins=SECTORS, range=(start, start + turn))
    ends = sorted((int(counts[0]), int(counts[-1])))
    continues = float(np.quantile(short_way, 0.9)) <= CONTINUES * turn and between <= BETWEEN * int(jumps.sum())
    return continues and bool(counts.all()) and ends[1] <= UNLIKE * ends[0]


def _is_direction(signal: _Signal) -> bool:
    """Whether values are degrees, and far enough apart that it may well pass north."""
    in_degrees = _start(signal, 360.0) is not None and max(abs(signal.low), signal.high) > TURNS[1] * (1.0 + OVER)
    return in_degrees and signal.high - signal.low >= LEAST_SPAN * 360.0


# -- counters --------------------------------------------------------------------------------------------------


def _counter(signal: _Signal) -> Finding | None:
    rises, falls = signal.steps[signal.steps > 0.0], np.flatnonzero(signal.steps < 0.0)
    if len(falls) > (FALLS_NAMED if signal.hints.are(COUNTER) else FALLS) * len(rises):
        return None
    if not (_is_named_counter(signal, rises) or _is_plain_counter(signal, rises)):
        return None
    lines = f"{len(signal.values):,} lines"
    how = (
        f"falls {len(falls)} time{'s' if len(falls) > 1 else ''} in {lines}"
        if len(falls)
        else f"never falls in {lines}"
    )
    usual = rises[rises <= _usual_rise(rises)]
    return _finding(signal, Kind.COUNTER, f"{how}, rises by {rises.min():.3g} to {usual.max():.3g} a line")


def _is_named_counter(signal: _Signal, rises: Values) -> bool:
    enough = len(signal.values) >= LEAST_LINES_NAMED and len(rises) >= LEAST_RISES_NAMED
    return signal.hints.are(COUNTER) and enough


def _is_plain_counter(signal: _Signal, rises: Values) -> bool:
    least = LEAST_STEPS if signal.whole else LEAST_RISES
    if signal.hints.are(ANALOG) or len(signal.values) < LEAST_LINES or len(rises) < least:
        return False
    return _rises_all_along(signal, rises) and _falls_to_its_beginning(signal, rises)


def _rises_all_along(signal: _Signal, rises: Values) -> bool:
    """What warms up, or fills, rises ever less."""
    usual = np.clip(signal.steps, 0.0, _usual_rise(rises))
    first = float(usual[: len(usual) // 2].sum())
    return LEAST_HALF <= first / float(usual.sum()) <= 1.0 - LEAST_HALF


def _falls_to_its_beginning(signal: _Signal, rises: Values) -> bool:
    """At each fall, but for one in some hundreds of rises: a new meter stands anywhere."""
    elsewhere = 0
    for part in signal.parts:
        falls = np.flatnonzero(np.diff(part) < 0.0)
        near = np.maximum(2.0 * _usual_rise(rises), RESETS_TO * np.abs(part[falls]))
        elsewhere += int((np.abs(part[falls + 1]) > near).sum())
    return elsewhere <= 0.2 * FALLS * len(rises)


def _usual_rise(rises: Values) -> float:
    return float(np.quantile(rises, USUAL_RISE, method="higher"))


def _doubt(signal: _Signal) -> str:
    """A hint, where a channel is perhaps no level, or will leave what was seen of it."""
    rises, falls = bool((signal.steps > 0.0).any()), bool((signal.steps < 0.0).any())
    if rises and not falls:
        return f"; it only rises here: if it counts, give --kind {signal.name}=counter"
    if falls and not rises:
        return f"; it only falls here: if it will go on so, --ignore {signal.name}"
    if _counts_in_one_half(signal):
        return f"; it counts in one half of the lines and not in the other: give one of them, or --ignore {signal.name}"
    return ""


def _counts_in_one_half(signal: _Signal) -> bool:
    halves = np.array_split(signal.values, 2)
    counts = [_counter(_Signal(signal.name, signal.hints, (half,))) is not None for half in halves]
    return any(counts) and not all(counts)


# -- the rest --------------------------------------------------------------------------------------------------


def _constant(signal: _Signal) -> Finding | None:
    if not too_fine(signal.low, signal.high):
        return None
    return _finding(signal, Kind.CONSTANT, f"moves by less than single precision shows at {signal.high:g}")


def _discrete(signal: _Signal) -> Finding | None:
    values = signal.distinct
    few = len(values) <= MOST_VALUES and (len(values) == 2 or signal.whole)
    if not few or len(signal.values) < LEAST_KNOWN:
        return None
    named = ", ".join(f"{value:g}" for value in values)
    return _finding(signal, Kind.DISCRETE, f"takes {len(values)} values: {named}")


# -- what is asked for -----------------------------------------------------------------------------------------


def asked_kinds(text: str | None, names: Sequence[str]) -> tuple[Channel, ...]:
    """Of "energy=counter,dir=angle:400". BadData, in one sentence, where that names no channel, no kind, or no turn."""
    return tuple(_asked(pair, names) for pair in text.split(",")) if text else ()


def _asked(pair: str, names: Sequence[str]) -> Channel:
    name, equals, what = (part.strip() for part in pair.rpartition("="))
    kind, colon, turn = what.partition(":")
    if name not in names:
        wrong = f"{name!r} is no channel" if equals else f"{pair!r} should be a channel, an equals sign, and its kind"
        raise BadData(f"--kind: {wrong}; channels are {', '.join(names)}")
    if kind not in set(Kind):
        raise BadData(f"--kind: {what!r} is no kind of channel; {name} may be {', '.join(Kind)}")
    if not colon:
        return Channel(name, kind=Kind(kind))
    if kind != Kind.ANGLE or not _is_turn(turn):
        raise BadData(f"--kind: {what!r}: the full turn of an angle is a number above 0, such as {name}=angle:360")
    return Channel(name, kind=Kind.ANGLE, turn=float(turn))


def _is_turn(text: str) -> bool:
    try:
        return 0.0 < float(text) < np.inf
    except ValueError:
        return False


# -- for people ------------------------------------------------------------------------------------------------

MOST_SHOWN = 40  # channels: of more, only those that are not analog


def table_of(recording: Recording, units: Mapping[str, str]) -> list[str]:
    """Lines under a header: channel, unit, kind, reason."""
    every = list(zip(recording.channels, recording.reasons, strict=True))
    shown = [one for one in every if len(every) <= MOST_SHOWN or one[0].kind != Kind.ANALOG]
    cells = [(channel.name, units.get(channel.name, ""), str(channel.kind), reason) for channel, reason in shown]
    rows = [("channel", "unit", "kind", "reason"), *cells]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]]) for row in rows
    ]
    left = len(every) - len(shown)
    return lines + ([f"and {left} analog channels"] if left else [])
