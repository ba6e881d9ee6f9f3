"""Rows -> rows that the score may see: the values of a sick sensor become NaN, "missing", and the channel is named.

A sensor's fault is what no machine does; whatever a machine might do is left to the score. The model's graph fills a
masked channel from the others, so that the asset stays watched.

    at once, row by row                            at the end of each block of rows
    stale         no value for long                dropout        values missing again and again
    not_a_number  no finite number for long        flat           unchanged far longer than ever, while others move
    (masked alone: not finite; far out of range;
     a value that stood for an error in training)   stuck_at_rail  the same at an end of the range, or beyond
                                                   quantised      much coarser steps, much fewer values
                                                   out_of_range   far out, reached at one stroke, and alone there

Rows without any value say nothing of one sensor: it is the asset that was silent. Where values come less often than the
model's rows all along, a sensor's silence is measured by that pace. Channels that stopped together have one cause, the machine
or what brings the readings: they stay in the score, and `stop` names them; where nothing moves at all, `frozen_since` does.

The limits come from the channel's own profile in training. Blocks lie on the absolute grid: one answer, live or from a file.
"""

import math
from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import gt, lt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ae.core.array_text import array_of, text_of
from edge_ae.core.channel_profile import BLOCK, MIN_CHANGES, Flags, Ints, Motion, distinct, motion
from edge_ae.core.common_stop import TOGETHER, StopWatch, in_company
from edge_ae.core.events import Row
from edge_ae.core.health_events import CommonStop, SensorFault, SickChannel
from edge_ae.core.model_spec import Channel
from edge_ae.core.pace import Pace
from edge_ae.core.sensor_limits import FAR_SPANS, LARGEST_VALUE, HabitLimits, bounds, error_values

RETURN_ROWS = 8  # A channel is back after so many rows in a row with a value.
DROPOUT_TIMES = 3  # Values go missing so often within a block; fewer times are an outage that is over.
FAR_ROWS = 3  # So many rows of a block far out are a fault; fewer are a glitch.
FEWER = 2  # Values so many times fewer than ever in training are few; coarse and few is quantised.
NEVER = -(2**62)  # before every slot
COARSE_BLOCKS = 2  # Coarse steps last for so many blocks side by side before they are a fault.


class SensorHealth:
    """One asset's sensors. `sick`: the channels at fault. `counts`: the values that were masked, by reason.

    `frozen_since`: the slot since which none of the channels that always move in training has moved; None: some do.
    """

    def __init__(self, channels: Sequence[Channel]) -> None:
        self.counts: Counter[str] = Counter()
        self.sick: tuple[SickChannel, ...] = ()
        self.frozen_since: int | None = None
        self._limits = HabitLimits(channels)
        self._low, self._high = bounds(channels, FAR_SPANS)
        self._errors = error_values(channels)
        self._end = 0  # slot at which the next block begins
        self._rows = array("d")  # of this block, one after the other
        self._newest = np.full(len(channels), np.nan, np.float32)  # values before this block
        self._unchanged = np.zeros(len(channels), np.int64)  # rows up to this block
        self._since = np.full(len(channels), NEVER, np.int64)  # slots of the last changes
        self._coarse = np.zeros(len(channels), np.int64)  # blocks of coarse steps up to this one
        self._pace = Pace()  # of the rows in which something is missing, in rows
        self._stops = StopWatch(self._limits.names, self._limits.leeway, self._limits.could_stop)
        self._faults: dict[int, SickChannel] = {}
        self._absent: dict[int, int] = {}  # channel -> rows in a row without a value
        self._back: dict[int, int] = {}  # channel with a lasting fault -> rows in a row with one
        self._out: dict[int, int] = {}  # channel that is far out of range -> slot in which it jumped there
        self._far: Counter[int] = Counter()  # channel -> rows of this block for which it was

    @property
    def watched(self) -> bool:
        """Whether enough channels are left for a score."""
        return 2 * len(self.sick) <= len(self._low)

    @property
    def quality(self) -> float:
        """The part of the channels that are not at fault, 0 to 1."""
        return 1.0 - len(self.sick) / len(self._low)

    @property
    def stop(self) -> CommonStop | None:
        """The channels that stopped together and stand still; None: there are none."""
        return self._stops.stop

    def push(self, row: Row) -> Row:
        """The row with what the score must not see as NaN; all of it where too few channels are left."""
        if not self._end - BLOCK <= row.slot < self._end:  # slots go back where a clock is set back
            self._close_block(row.slot)
        if self._errors:
            row = self._without_errors(row)
        values = row.values
        self._rows.extend(values)
        if self.is_calm and all(map(lt, self._low, values)) and all(map(gt, self._high, values)):
            return row
        return self._masked(row)

    @property
    def is_calm(self) -> bool:
        """Whether nothing is known against any channel, so that a usual value is no news."""
        return not (self._absent or self._out or self.sick)

    def calm_rows(self, slot: int, rows: NDArray[np.float64]) -> int:
        """How many rows [row, channel] from a slot on, with the first of them, begin no block and are usual in all channels: `push`
        would keep them and give them as they are. There it `is_calm`."""
        if not self._end - BLOCK <= slot < self._end:
            return 0
        rows = rows[: self._end - slot]
        odd = ~((rows > self._low) & (rows < self._high))
        for index, wrong in self._errors.items():
            odd[:, index] |= np.isin(rows[:, index], list(wrong))
        found = odd.any(axis=1)
        return int(found.argmax()) if found.any() else len(rows)

    def push_calm(self, rows: NDArray[np.float64]) -> None:
        """Take rows that are `calm_rows`."""
        self._rows.frombytes(rows.tobytes())

    # -- row by row ----------------------------------------------------------------------------------------

    def _without_errors(self, row: Row) -> Row:
        """The row with error values as none: a sensor that sends nothing else is as stale as one that sends nothing."""
        if not any(row.values[index] in wrong for index, wrong in self._errors.items()):
            return row
        values = list(row.values)
        for index, wrong in self._errors.items():
            if values[index] in wrong:
                self.counts["error_value"] += 1
                values[index] = math.nan
        return Row(row.slot, tuple(values))

    def _masked(self, row: Row) -> Row:
        if all(map(math.isnan, row.values)):
            return row
        self._pace.push(row.slot, dict(zip(self._limits.names, row.values, strict=True)))
        values = list(row.values)
        for index, value in enumerate(row.values):
            self._follow(row.slot, index, value)
            if math.isnan(value):
                continue
            fault = self._reason(row.slot, index, value, row.values)
            if fault is not None:
                self.counts[fault] += 1
                values[index] = math.nan
        return Row(row.slot, tuple(values) if self.watched else (math.nan,) * len(values))

    def _reason(self, slot: int, index: int, value: float, values: tuple[float, ...]) -> str | None:
        """Why the score must not see a value."""
        if not -LARGEST_VALUE < value < LARGEST_VALUE:
            return "not_finite"
        if self._is_far(slot, index, value, values):
            self._far[index] += 1
            return "out_of_range"
        return "sick_sensor" if index in self._faults else None

    def _is_far(self, slot: int, index: int, value: float, values: tuple[float, ...]) -> bool:
        """Alone, that is: another channel that leaves its range in the same few rows makes it the machine's."""
        if self._low[index] < value < self._high[index]:
            self._out.pop(index, None)
            return False
        width = len(values)
        before = self._rows[index - 2 * width] if len(self._rows) > width else self._newest[index]
        jumped = math.isnan(before) or not self._limits.is_out(index, before)
        young = jumped or slot - self._out.get(index, NEVER) < TOGETHER
        if young and self._limits.others_out(index, values, self._faults):
            self._out.pop(index, None)
            self._far.pop(index, None)
        elif jumped:
            self._out[index] = slot
        return index in self._out

    def _follow(self, slot: int, index: int, value: float) -> None:
        """Count the rows without a value, and those since it is back."""
        if -LARGEST_VALUE < value < LARGEST_VALUE:
            self._absent.pop(index, None)
            if index in self._back:
                self._back[index] += 1
                if self._back[index] >= RETURN_ROWS:
                    self._recover(index)
            return
        rows = self._absent[index] = self._absent.get(index, 0) + 1
        if index in self._back:
            self._back[index] = 0
        elif rows >= self._limits.absent[index] * self._rows_apart:
            fault = SensorFault.STALE if math.isnan(value) else SensorFault.NOT_A_NUMBER
            self._fall_ill(index, fault, slot - rows + 1)
            self._back[index] = 0

    @property
    def _rows_apart(self) -> int:
        """Every so many rows a channel's value comes: 1 where the asset keeps the model's pace."""
        return self._pace.step_ns or 1

    def _fall_ill(self, index: int, fault: SensorFault, slot: int) -> None:
        self._faults[index] = SickChannel(self._limits.names[index], fault, slot)
        self.sick = tuple(self._faults.values())

    def _recover(self, index: int) -> None:
        del self._faults[index]
        self._back.pop(index, None)
        self.sick = tuple(self._faults.values())

    # -- block by block ------------------------------------------------------------------------------------

    def _close_block(self, slot: int) -> None:
        """Judge the rows of the block behind in which there is anything, unless it is mostly a gap."""
        rows, far, last = np.array(self._rows).reshape(-1, len(self._low)), self._far, self._end - 1
        self._rows, self._far = array("d"), Counter()
        self._end = (slot // BLOCK + 1) * BLOCK
        rows = rows[~np.isnan(rows).all(axis=1)]
        if len(rows) < BLOCK // 2:
            return
        lost = ~(np.abs(rows) < LARGEST_VALUE)
        if lost.any():
            rows[lost] = math.nan
        now = motion(rows.astype(np.float32), self._newest)
        self._newest = now.newest
        self._unchanged = np.where(now.changes > 0, now.unchanged + 1, self._unchanged + len(rows))
        new = (now.changes > 0) | (self._since == NEVER)
        self._since = np.where(new, last - self._unchanged + 1, self._since)
        coarse = (now.smallest > self._limits.coarse) & (self._rows_apart == 1)
        self._coarse = np.where(coarse, self._coarse + (now.changes >= MIN_CHANGES), 0)
        still = (self._unchanged >= BLOCK) & np.isfinite(self._limits.patience)
        if self._faults or far or lost.any() or still.any() or coarse.any() or self.stop is not None:
            block = _Block(now, lost, np.array([far[i] for i in range(rows.shape[1])]))
            self._follow_stops(block)
            self._end_faults(block)
            self._begin_faults(block, last)

    def _follow_stops(self, block: "_Block") -> None:
        """Channels that stand for longer than ever: those that stopped together are no sensors' fault."""
        limits = self._limits
        standing = (self._unchanged >= np.where(limits.lively, BLOCK, self._patience(block))) & block.present
        self._stops.push(self._since, standing)
        stood = () if self.stop is None else self.stop.channels
        for index, sick in list(self._faults.items()):
            if sick.channel in stood and sick.fault in (SensorFault.FLAT, SensorFault.STUCK_AT_RAIL):
                self._recover(index)
        lively = limits.lively
        frozen = lively.sum() > 1 and standing[lively].all()
        self.frozen_since = int(self._since[lively].max()) if frozen else None

    def _patience(self, block: "_Block") -> NDArray[np.float64]:
        """Rows for which each channel may keep the value that it has."""
        value, limits = block.motion.newest, self._limits
        return np.where((value == limits.low) | (value == limits.high), limits.rail, limits.flat)

    def _end_faults(self, block: "_Block") -> None:
        moves = block.motion.changes >= MIN_CHANGES
        over = {
            SensorFault.OUT_OF_RANGE: block.far == 0,
            SensorFault.DROPOUT: block.lost.mean(axis=0) < self._limits.dropout / 2,
            SensorFault.FLAT: moves,
            SensorFault.STUCK_AT_RAIL: moves,
            SensorFault.QUANTISED: block.motion.smallest <= self._limits.coarse,
        }
        for index, sick in list(self._faults.items()):
            if sick.fault in over and over[sick.fault][index]:
                self._recover(index)

    def _begin_faults(self, block: "_Block", last: int) -> None:
        """A channel has one fault at a time, the first that is found."""
        limits, value, lost = self._limits, block.motion.newest, block.lost
        outside = (value <= limits.low) | (value >= limits.high)
        patience = self._patience(block)
        stands = np.isfinite(patience) & (self._unchanged >= BLOCK) & block.present
        alone = ~in_company(self._since, limits.leeway, stands, limits.could_stop)
        stuck = (self._unchanged >= patience) & self._others_move(block.motion) & alone
        again = (lost[1:] > lost[:-1]).sum(axis=0) >= DROPOUT_TIMES
        few = distinct(block.motion.rows) * FEWER <= limits.fewest
        begun = {
            SensorFault.OUT_OF_RANGE: block.far >= FAR_ROWS,
            SensorFault.DROPOUT: (lost.mean(axis=0) > limits.dropout) & again & (self._rows_apart == 1),
            SensorFault.STUCK_AT_RAIL: stuck & outside,
            SensorFault.FLAT: stuck,
            SensorFault.QUANTISED: (self._coarse >= COARSE_BLOCKS) & few,
        }
        for fault, flags in begun.items():
            for index in flags.nonzero()[0].tolist():
                if index not in self._faults:
                    rows = int(self._unchanged[index]) if stuck[index] else BLOCK
                    self._fall_ill(index, fault, last - rows + 1)

    def _others_move(self, now: Motion) -> Flags:
        """Whether of the channels that always move in training half do, each channel's own part aside."""
        lively, moves = self._limits.lively, self._limits.lively & (now.changes >= MIN_CHANGES)
        flags: Flags = 2 * (moves.sum() - moves) >= lively.sum() - lively
        return flags

    # -- restarts ------------------------------------------------------------------------------------------

    def snapshot(self) -> dict[str, Any]:
        """What a restart must know, as plain values."""
        return {
            "counts": dict(self.counts),
            "end": self._end,
            "rows": text_of(np.array(self._rows)),
            "past": text_of(np.array([self._newest, self._unchanged, self._coarse], np.float64)),
            "faults": [[index, str(sick.fault), sick.since_slot] for index, sick in self._faults.items()],
            "absent": list(self._absent.items()),
            "back": list(self._back.items()),
            "out": list(self._out),
            "out_since": list(self._out.values()),
            "far": list(self._far.items()),
            "since": text_of(self._since.astype(np.float64)),
            "stop": self._stops.snapshot(),
            "frozen_since": self.frozen_since,
            "pace": self._pace.snapshot(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up where `snapshot` was made."""
        self.counts = Counter(state["counts"])
        self._end = state["end"]
        self._rows = array("d", array_of(state["rows"], np.float64).tolist())
        newest, unchanged, coarse = array_of(state["past"], np.float64).reshape(3, -1)
        self._newest = newest.astype(np.float32)
        self._unchanged, self._coarse = unchanged.astype(np.int64), coarse.astype(np.int64)
        self._faults = {i: SickChannel(self._limits.names[i], SensorFault(f), slot) for i, f, slot in state["faults"]}
        self.sick = tuple(self._faults.values())
        self._absent, self._back = dict(state["absent"]), dict(state["back"])
        since = state.get("out_since", [NEVER] * len(state["out"]))  # this and what follows is younger than version 0.2
        self._out, self._far = dict(zip(state["out"], since, strict=True)), Counter(dict(state["far"]))
        if "since" in state:
            self._since = array_of(state["since"], np.float64).astype(np.int64)
            self._stops.restore(state["stop"])
            self.frozen_since = state["frozen_since"]
            self._pace.restore(state["pace"])


@dataclass(frozen=True, slots=True)
class _Block:
    """A block's motion [channel], where it has no value [row, channel], and the rows far out of range [channel]."""

    motion: Motion
    lost: Flags
    far: Ints

    @property
    def present(self) -> Flags:
        """Whether a channel has a value in most of the rows [channel]."""
        flags: Flags = self.lost.mean(axis=0) < 0.5
        return flags
