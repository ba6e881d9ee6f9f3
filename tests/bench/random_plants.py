"""Machines made up at random, most of whose channels are commands: valves, modes, flags, rare switches, and faults in the judged rows.

    commands ─► gains ─► first-order lags ─► mixing ─► analog channels + their own noise, of light or heavy tails
    season, load ─┘

Nothing here is any real plant, and nothing in the detector was fitted to one of these: each seed is another plant, of other
channels, laws and faults. A fault is in the plant (a valve that was told and does not move), in a command, or in a sensor.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_ae.core.timestamps import MINUTE
from tests.bench.series import Case, table_of

Rng = np.random.Generator
Rows = NDArray[np.float64]

TRAIN_ROWS = (1500, 5000)
JUDGED_ROWS = 2400
FAULTS, FAULT_ROWS = 8, (30, 150)
CALM_ROWS = 120  # between two faults, and before the first
LEAST_DIFFERENCE = 0.05  # deviations of a channel: a fault that changes less is none
START_NS = 1_767_225_600 * 10**9
HEAVY_TAILS = (3.0, 5.0, 100.0)  # degrees of freedom of a channel's noise


@dataclass
class Plant:
    """Commands [row, command] as they are shown and as they act, what drives each lag, and the laws of the analog channels.

    `season` [row, lag], `gains` [command, lag], `memory` [lag], `mixing` [lag, channel], `noise` [row, channel].
    """

    shown: Rows
    acting: Rows
    season: Rows
    gains: Rows
    memory: Rows
    mixing: Rows
    noise: Rows
    dead: list[int]
    """commands that never switch"""

    def analog(self) -> Rows:
        drive = self.season + self.acting @ self.gains
        lags = np.zeros_like(drive)
        lags[0] = drive[0]
        for row in range(1, len(drive)):
            lags[row] = self.memory * lags[row - 1] + (1.0 - self.memory) * drive[row]
        return lags @ self.mixing


def random_plants(seeds: Iterable[int]) -> Iterator[Case]:
    """A case a seed."""
    for seed in seeds:
        yield random_plant(seed)[0]


def quiet_plants(seeds: Iterable[int], train: int, rows: int) -> Iterator[Case]:
    """The same machines with nothing wrong: rows to learn from, and so many more to hold a budget against."""
    for seed in seeds:
        rng = np.random.default_rng([seed, 20])
        plant = _plant(train + rows, train, rng)
        clean = plant.analog()
        analog = clean / np.maximum(clean[:train].std(axis=0), 1e-6) + plant.noise
        yield _case(f"quiet plant {seed}", analog, plant.shown, train, np.zeros(train + rows, np.bool_), rng)


@dataclass(frozen=True)
class Fault:
    """Rows `span` of a case. `kind`: the name of what was done to a sensor, to a command, or to the plant."""

    kind: str
    span: slice
    of_sensor: bool


def random_plant(seed: int) -> tuple[Case, list[Fault]]:
    """A machine, and what is wrong in the rows to judge."""
    rng = np.random.default_rng([seed, 20])
    start = int(rng.integers(*TRAIN_ROWS))
    rows = start + JUDGED_ROWS
    plant = _plant(rows, start, rng)
    healthy = Plant(**{**vars(plant), "shown": plant.shown.copy(), "acting": plant.acting.copy()})
    spans = _spans(start, rows, rng)
    faults: list[Fault] = []
    for span in spans:
        kinds = SENSOR_FAULTS if rng.random() < 0.5 else COMMAND_FAULTS
        kind = list(kinds)[int(rng.integers(len(kinds)))]
        faults.append(Fault(kind, span, kinds is SENSOR_FAULTS))
        if kinds is COMMAND_FAULTS:
            COMMAND_FAULTS[kind](plant, span, rng)
    clean = healthy.analog()
    unit = np.maximum(clean[:start].std(axis=0), 1e-6)
    analog = plant.analog() / unit + plant.noise
    for fault in faults:
        if fault.of_sensor:
            channel = int(rng.integers(analog.shape[1]))
            analog[fault.span, channel] = SENSOR_FAULTS[fault.kind](analog[fault.span, channel], rng)
    differs = np.abs(analog - clean / unit - plant.noise).max(axis=1) > LEAST_DIFFERENCE
    differs |= (plant.shown != healthy.shown).any(axis=1)
    label = np.zeros(rows, np.bool_)
    for span in spans:
        rows_of = span.start + np.flatnonzero(differs[span])
        if len(rows_of):  # a valve that sticks where it would have stayed is no fault
            label[rows_of[0] : rows_of[-1] + 1] = True
    return _case(f"plant {seed}", analog, plant.shown, start, label, rng), faults


def _case(name: str, analog: Rows, shown: Rows, start: int, label: NDArray[np.bool_], rng: Rng) -> Case:
    """In units and with offsets of the channels' own, a row a minute."""
    scale, offset = 10.0 ** rng.uniform(-1, 3, analog.shape[1]), rng.uniform(-3, 3, analog.shape[1])
    values = np.concatenate([((analog + offset) * scale).round(4), shown], axis=1)
    names = tuple(f"a{n}" for n in range(analog.shape[1])) + tuple(f"c{n}" for n in range(shown.shape[1]))
    t_ns = START_NS + MINUTE * np.arange(len(values))
    return Case(name, table_of(name.replace(" ", ""), names, t_ns, values), start, label)


def _spans(start: int, rows: int, rng: Rng) -> list[slice]:
    """Of the faults: each in its own share of the judged rows."""
    share = (rows - start) // FAULTS
    lengths = rng.integers(*FAULT_ROWS, FAULTS)
    firsts = [
        start + n * share + int(rng.integers(CALM_ROWS, max(share - length, CALM_ROWS + 1)))
        for n, length in enumerate(lengths)
    ]
    return [
        slice(first, min(first + int(length), start + (n + 1) * share))
        for n, (first, length) in enumerate(zip(firsts, lengths, strict=True))
    ]


# -- normal operation ------------------------------------------------------------------------------------------


def _plant(rows: int, start: int, rng: Rng) -> Plant:
    makers = [COMMANDS[int(rng.integers(len(COMMANDS)))] for _ in range(int(rng.integers(1, 9)))]
    groups = [maker(rows, rng) for maker in makers]
    shown = np.concatenate(groups, axis=1)
    dead = [n for n in range(shown.shape[1]) if np.ptp(shown[:start, n]) == 0.0]
    shown[:, dead] = shown[0, dead]
    lags, channels = int(rng.integers(2, 5)), int(rng.integers(1, 13))
    gains = rng.normal(0, 1.0, (shown.shape[1], lags)) * (rng.random((shown.shape[1], lags)) < 0.4)
    return Plant(
        shown=shown,
        acting=shown.copy(),
        season=_season(rows, lags, rng),
        gains=gains / np.maximum(shown.max(axis=0), 1.0)[:, None],
        memory=np.exp(-1.0 / rng.uniform(0.3, 30.0, lags)),
        mixing=rng.normal(0, 1.0, (lags, channels)),
        noise=_noise(rows, channels, rng),
        dead=dead,
    )


def _season(rows: int, lags: int, rng: Rng) -> Rows:
    t = np.arange(rows)[:, None]
    waves = np.sin(2 * np.pi * t / rng.uniform(60, 1440, lags) + rng.uniform(0, 7, lags)) * rng.uniform(0, 1.0, lags)
    load = np.zeros((rows, lags))
    white = rng.normal(0, rng.uniform(0.02, 0.15, lags), (rows, lags))
    for row in range(1, rows):
        load[row] = 0.98 * load[row - 1] + white[row]
    return np.asarray(waves + load)


def _noise(rows: int, channels: int, rng: Rng) -> Rows:
    freedom = rng.choice(HEAVY_TAILS, channels)
    white = rng.standard_t(freedom, (rows, channels)) / np.sqrt(freedom / (freedom - 2.0))
    white *= rng.uniform(0.05, 0.4, channels)
    carry = rng.choice([0.0, 0.5, 0.9], channels)
    for row in range(1, rows):
        white[row] = carry * white[row - 1] + np.sqrt(1.0 - carry**2) * white[row]
    return np.asarray(white)


def _dwells(rows: int, means: Rows, rng: Rng) -> NDArray[np.int64]:
    """A number of a state a row; each state lasts its mean number of rows, more or less, and is followed by another."""
    states: list[int] = []
    state = 0
    while len(states) < rows:
        states += [state] * max(1, int(rng.gamma(6.0, means[state] / 6.0)))
        state = (state + 1 + int(rng.integers(len(means) - 1))) % len(means)
    return np.array(states[:rows])


def _duty(rows: int, rng: Rng) -> Rows:
    """A pump that goes on and off."""
    return _dwells(rows, rng.uniform(15, 150, 2), rng)[:, None].astype(float)


def _mode(rows: int, rng: Rng) -> Rows:
    """A number of a mode."""
    return _dwells(rows, rng.uniform(30, 300, int(rng.integers(3, 6))), rng)[:, None].astype(float)


def _one_hot(rows: int, rng: Rng) -> Rows:
    """A flag for each mode."""
    modes = int(rng.integers(3, 6))
    return np.eye(modes)[_dwells(rows, rng.uniform(30, 300, modes), rng)]


def _rare(rows: int, rng: Rng) -> Rows:
    """A switch that is on for a short time, now and then."""
    return _dwells(rows, np.array([rng.uniform(200, 1500), rng.uniform(1, 15)]), rng)[:, None].astype(float)


def _toggle(rows: int, rng: Rng) -> Rows:
    """A switch that is thrown a few times in all, or never."""
    return _dwells(rows, rng.uniform(500, 4000, 2), rng)[:, None].astype(float)


def _pulses(rows: int, rng: Rng) -> Rows:
    """Commands to something that is not measured."""
    return (rng.random((rows, int(rng.integers(1, 5)))) < rng.uniform(0.002, 0.03)).astype(float)


COMMANDS: tuple[Callable[[int, Rng], Rows], ...] = (_duty, _mode, _one_hot, _rare, _toggle, _pulses)

# -- faults ----------------------------------------------------------------------------------------------------


def _of_effect(plant: Plant, rng: Rng) -> int:
    """A command that the analog channels feel, where there is one."""
    felt = np.flatnonzero(np.abs(plant.gains).max(axis=1) * np.ptp(plant.shown, axis=0) > 0.0)
    return int(rng.choice(felt)) if len(felt) else int(rng.integers(plant.shown.shape[1]))


def _without_effect(plant: Plant, span: slice, rng: Rng) -> None:
    """A command is shown and not carried out, or what was carried out is not shown."""
    command = _of_effect(plant, rng)
    plant.acting[span, command] = plant.shown[:, command].max() - plant.shown[span, command]


def _stuck(plant: Plant, span: slice, rng: Rng) -> None:
    """A valve stays where it is, and is shown there."""
    command = _of_effect(plant, rng)
    for rows in (plant.shown, plant.acting):
        rows[span, command] = rows[span.start, command]


def _never_together(plant: Plant, span: slice, rng: Rng) -> None:
    """Some commands are what they were at another time."""
    chosen = rng.random(plant.shown.shape[1]) < 0.5
    there = int(rng.integers(0, span.start))
    for rows in (plant.shown, plant.acting):
        rows[span, chosen] = rows[there, chosen]


def _never_seen(plant: Plant, span: slice, rng: Rng) -> None:
    command = int(rng.integers(plant.shown.shape[1]))
    plant.shown[span, command] = plant.shown[:, command].max() + 1.0


def _woken(plant: Plant, span: slice, rng: Rng) -> None:
    """A switch that was never thrown; where each was, one that is thrown to and fro."""
    command = int(rng.choice(plant.dead)) if plant.dead else int(rng.integers(plant.shown.shape[1]))
    high = max(plant.shown[:, command].max(), 1.0)
    plant.shown[span, command] = plant.acting[span, command] = (
        high if plant.dead else high * (np.arange(span.stop - span.start) // 3 % 2)
    )


COMMAND_FAULTS: dict[str, Callable[[Plant, slice, Rng], None]] = {
    "without effect": _without_effect,
    "stuck command": _stuck,
    "never together": _never_together,
    "never seen": _never_seen,
    "woken": _woken,
}


def _sign(rng: Rng) -> float:
    return float(rng.choice([-1.0, 1.0]))


SENSOR_FAULTS: dict[str, Callable[[Rows, Rng], Rows]] = {
    "step": lambda rows, rng: rows + _sign(rng) * rng.uniform(0.7, 4.0),
    "drift": lambda rows, rng: rows + _sign(rng) * np.linspace(0.0, rng.uniform(1.0, 5.0), len(rows)),
    "noise": lambda rows, rng: rows + rng.uniform(0.5, 2.0) * rng.standard_normal(len(rows)),
    "stuck": lambda rows, _rng: np.full(len(rows), rows[0]),
    "gain": lambda rows, rng: rows.mean() + (rows - rows.mean()) * rng.uniform(1.5, 4.0),
    "another time": lambda rows, _rng: np.roll(rows, len(rows) // 2)[::-1],
}
