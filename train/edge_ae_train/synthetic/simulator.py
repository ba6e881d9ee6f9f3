"""A pump station that never was: coupled signals with known faults, for demo, tests and benchmarks.

    mains --- strainer --- pump (motor, bearing) --- valve --- pipe --- tank --- demand
       suction_pressure    speed, current, temperatures   discharge_pressure, flow   tank_level

The pump fills a tank between two levels at a speed that the hour of the day sets; the town empties it (see `station`). A
machine fault changes a parameter of the station, never a signal; a sensor fault changes one signal, never the station.

Every random stream has its own generator, so a longer run begins with the shorter one, and a fault leaves all
rows before it as they were. The seed is the pump: another seed is another pump of the same make.
"""

import csv
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_ae_train.synthetic.station import DAY_S, HEALTHY, USUAL_MAKE, Pump, pump_of, station
from edge_ae_train.synthetic.streams import Array, Draw, generator

DEFAULT_START_NS = 1_767_225_600_000_000_000  # 2026-01-01T00:00:00Z, a midnight: the day's demand starts low
WARM_UP_S = 7200.0  # more than four of the longest thermal lag: the first row is a station at work


@dataclass(frozen=True, slots=True)
class Sensor:
    """A channel: unit, noise (one sigma) and step of its transmitter, its working width and lowest reading."""

    unit: str
    noise: float
    step: float
    span: float
    low: float = 0.0


SENSORS: Mapping[str, Sensor] = {
    "suction_pressure": Sensor("bar", 0.004, 0.002, 0.4, -1.0),
    "discharge_pressure": Sensor("bar", 0.012, 0.005, 3.0),
    "flow": Sensor("m3/h", 0.5, 0.1, 120.0),
    "motor_current": Sensor("A", 0.15, 0.05, 35.0),
    "speed": Sensor("rpm", 1.0, 1.0, 1450.0),
    "vibration": Sensor("mm/s", 0.02, 0.01, 2.0),
    "bearing_temperature": Sensor("degC", 0.08, 0.1, 25.0, -40.0),
    "motor_temperature": Sensor("degC", 0.1, 0.1, 50.0, -40.0),
    "tank_level": Sensor("m", 0.004, 0.002, 1.5),
    "ambient_temperature": Sensor("degC", 0.05, 0.1, 12.0, -40.0),
}


@dataclass(frozen=True, slots=True)
class FaultKind:
    """What a fault does and where it shows.

    `effect`: change of each station parameter at severity 1 (none: a sensor fault, on the channel it names).
    `shows`: the channels a technician would look at. `growth`: the share of its span in which it grows.
    """

    shows: tuple[str, ...] = ()
    effect: Mapping[str, float] = field(default_factory=dict)
    growth: float = 0.1


FAULTS: Mapping[str, FaultKind] = {
    "cavitation": FaultKind(
        ("suction_pressure", "vibration", "flow", "discharge_pressure"),
        {"strainer": 6.0, "head": -0.15, "turbulence": 0.05, "roughness": 2.0},
    ),
    "closing_valve": FaultKind(("flow", "discharge_pressure", "motor_current", "suction_pressure"), {"valve": -0.75}),
    "bearing_wear": FaultKind(("vibration", "bearing_temperature"), {"roughness": 1.6, "friction": 0.9}, growth=0.5),
    "leak": FaultKind(("flow", "discharge_pressure", "suction_pressure", "motor_current", "tank_level"), {"leak": 0.4}),
    "fouling": FaultKind(("motor_temperature", "bearing_temperature"), {"cooling": -0.45}, growth=0.4),
    "worn_impeller": FaultKind(
        ("flow", "discharge_pressure", "motor_current"), {"head": -0.3, "efficiency": -0.15}, growth=0.5
    ),
    "air_ingress": FaultKind(
        ("flow", "discharge_pressure", "motor_current", "vibration"),
        {"head": -0.12, "turbulence": 0.12, "roughness": 0.6},
    ),
    "phase_imbalance": FaultKind(
        ("motor_current", "motor_temperature", "vibration"), {"current": 0.3, "roughness": 0.8}
    ),
} | {kind: FaultKind() for kind in ("stuck", "drift", "spike", "dropout", "offset", "noise")}


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault in rows [start_row, end_row); `severity` 1 nobody could miss, 0.2 is hard to see.

    `channel` names the sick sensor and belongs to sensor faults alone.
    """

    kind: str
    start_row: int
    end_row: int
    severity: float = 1.0
    channel: str | None = None

    def __post_init__(self) -> None:
        if self.kind not in FAULTS:
            raise ValueError(f"no fault is called {self.kind!r}: there are {', '.join(FAULTS)}")
        if (self.channel is None) != self.on_machine or (self.channel or "flow") not in SENSORS:
            raise ValueError(f"a sensor fault names one channel, a machine fault none: {self}")
        if not 0 <= self.start_row < self.end_row:
            raise ValueError(f"a fault ends after it starts: {self}")

    @property
    def on_machine(self) -> bool:
        return len(FAULTS[self.kind].effect) > 0

    @property
    def shows(self) -> tuple[str, ...]:
        """The channels where the fault is expected to show."""
        return FAULTS[self.kind].shows if self.channel is None else (self.channel,)


@dataclass(frozen=True, slots=True)
class Simulation:
    """`values` float64 [rows, channels], NaN = missing; `regime` 0 standing, 1 night, 2 day, 3 peak speed."""

    names: tuple[str, ...]
    units: tuple[str, ...]
    t_ns: NDArray[np.int64]
    values: Array
    regime: NDArray[np.int8]
    faults: tuple[Fault, ...] = ()

    @property
    def labels(self) -> NDArray[np.bool_]:
        """True for every row inside a fault."""
        rows = np.arange(len(self.t_ns))
        inside = [(rows >= fault.start_row) & (rows < fault.end_row) for fault in self.faults]
        return np.any(inside, axis=0) if inside else np.zeros(len(rows), bool)


def simulate(
    rows: int,
    period_s: float = 1.0,
    seed: int = 0,
    start_ns: int = DEFAULT_START_NS,
    faults: Sequence[Fault] = (),
    make: Pump = USUAL_MAKE,
) -> Simulation:
    """`rows` readings of pump number `seed` of a make, one every `period_s` from `start_ns`, with `faults`."""
    warm = math.ceil(WARM_UP_S / period_s)
    total = warm + rows
    draw = Draw(seed, total, period_s)
    seconds = np.mod(start_ns / 1e9 + (np.arange(total) - warm) * period_s, DAY_S)
    condition = _condition(total, [_later(fault, warm) for fault in faults if fault.on_machine])
    signals, regime = station(pump_of(seed, make), condition, seconds, period_s, draw)
    values: Array = np.stack([_measure(name, signals[name], draw) for name in SENSORS], axis=1)[warm:]
    for fault in faults:
        if fault.channel is not None:
            _break_sensor(fault, values[:, list(SENSORS).index(fault.channel)], seed)
    return Simulation(
        names=tuple(SENSORS),
        units=tuple(sensor.unit for sensor in SENSORS.values()),
        t_ns=start_ns + np.arange(rows, dtype=np.int64) * round(period_s * 1e9),
        values=values,
        regime=regime[warm:],
        faults=tuple(faults),
    )


def write_csv(simulation: Simulation, path: Path) -> None:
    """One line per row: the time in ISO 8601 UTC, then the channels; an empty cell is a missing value."""
    times = np.datetime_as_string(simulation.t_ns.astype("datetime64[ns]"), unit="ms")
    with path.open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["time", *simulation.names])
        for time, row in zip(times, simulation.values.tolist(), strict=True):
            out.writerow([f"{time}Z", *("" if math.isnan(value) else f"{value:.6g}" for value in row)])


def _later(fault: Fault, rows: int) -> Fault:
    return Fault(fault.kind, fault.start_row + rows, fault.end_row + rows, fault.severity)


def _condition(rows: int, faults: Sequence[Fault]) -> dict[str, Array]:
    """The station's parameters row by row."""
    condition = {name: np.full(rows, value) for name, value in HEALTHY.items()}
    for fault in faults:
        span = slice(fault.start_row, fault.end_row)
        grown = fault.severity * _growth(fault, len(range(rows)[span]))
        for name, change in FAULTS[fault.kind].effect.items():
            condition[name][span] += change * grown
    return condition


def _growth(fault: Fault, rows: int) -> Array:
    """0..1 over the first `rows` rows of the fault."""
    full = max(FAULTS[fault.kind].growth * (fault.end_row - fault.start_row), 1.0)
    grown: Array = np.minimum((np.arange(rows) + 1.0) / full, 1.0)
    return grown


def _measure(name: str, signal: Array, draw: Draw) -> Array:
    sensor = SENSORS[name]
    noisy = np.maximum(signal + sensor.noise * draw.white(name), sensor.low)
    steps: Array = np.round(noisy / sensor.step)
    return steps * sensor.step


def _break_sensor(fault: Fault, readings: Array, seed: int) -> None:
    """Changes `readings` (one channel, all rows) in place, inside the fault's span alone."""
    span = readings[fault.start_row : fault.end_row]
    rng = generator(seed, fault.kind, fault.start_row, fault.channel or "")
    span[:] = SENSOR_FAULTS[fault.kind](span, fault.severity * SENSORS[fault.channel or ""].span, rng)


SENSOR_FAULTS: Mapping[str, Callable[[Array, float, np.random.Generator], Array]] = {
    "stuck": lambda x, _width, _rng: np.full_like(x, x[:1]),
    "drift": lambda x, width, _rng: x + 0.5 * width * np.arange(len(x)) / max(len(x), 1),
    "spike": lambda x, width, rng: x + width * rng.choice([-1.0, 0.0, 1.0], len(x), p=[0.02, 0.96, 0.02]),
    "dropout": lambda x, _width, rng: np.where(rng.random(len(x)) < 0.5, np.nan, x),
    "offset": lambda x, width, _rng: x + 0.4 * width,
    "noise": lambda x, width, rng: x + 0.15 * width * rng.standard_normal(len(x)),
}
