"""A pump station that never was: coupled signals with known faults, for demo, tests and benchmarks.

    mains --- strainer --- pump (motor, bearing) --- valve --- pipe --- tank --- demand
       suction_pressure    speed, current, temperatures   discharge_pressure, flow   tank_level

The pump fills a tank between two levels at a speed that the hour of the day sets; the town empties it. Every
row solves the pump curve against the system curve, so whatever changes one signal changes those that physics
couples to it. A machine fault changes a parameter of the station, never a signal; a sensor fault changes one
signal, never the station.

Every random stream has its own generator, so a longer run begins with the shorter one, and a fault leaves all
rows before it as they were. The seed is the pump: another seed is another pump of the same make.
"""

import csv
import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

DEFAULT_START_NS = 1_767_225_600_000_000_000  # 2026-01-01T00:00:00Z, a midnight: the day's demand starts low
WARM_UP_S = 7200.0  # more than four of the longest thermal lag: the first row is a station at work
RATED_RPM = 1450.0
BAR_PER_M = 0.0980665  # water column, 1000 kg/m3
HOUR_S, DAY_S = 3600.0, 86400.0


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

# Parameters of a healthy station, as multiples or shares: what a machine fault adds to.
HEALTHY: Mapping[str, float] = {
    "strainer": 1.0,  # resistance of the strainer
    "valve": 1.0,  # opening; its resistance goes with the inverse square
    "head": 1.0,  # head of the pump at the same flow and speed
    "efficiency": 1.0,  # hydraulic efficiency
    "turbulence": 0.006,  # relative fluctuation of the head, one sigma
    "roughness": 1.0,  # vibration of the running pump
    "friction": 1.0,  # heat of the bearing
    "cooling": 1.0,  # heat that the motor's fins carry away per degree
    "current": 1.0,  # current for the same power
    "leak": 0.0,  # share of the flow that is lost behind the flow meter
}


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


@dataclass(frozen=True, slots=True)
class Pump:
    """One pump and its station; resistances in m per (m3/h)^2, heads in m, flows in m3/h, areas in m2."""

    head: float = 50.0
    droop: float = 6.9e-4
    pipe: float = 1.75e-3
    fittings: float = 3.0e-4
    strainer: float = 1.5e-4
    static_head: float = 15.0
    mains_bar: float = 1.0
    tank_area: float = 40.0
    demand: float = 55.0
    efficiency: float = 0.78
    vibration: float = 1.3
    bearing_rise: float = 17.0
    motor_rise: float = 48.0


MAKE_SPREAD = 0.015  # one sigma of every parameter between pumps of one make
START_LEVEL, STOP_LEVEL, FULL_LEVEL = 2.2, 3.2, 5.0  # m
SPEEDS_RPM = np.array([0.0, 1250.0, 1350.0, 1450.0])  # by regime
SPEED_LAG_S, MOTOR_LAG_S, BEARING_LAG_S = 6.0, 1500.0, 720.0
BEST_FLOW = 118.0  # m3/h at rated speed
FULL_LOAD_A = 36.0
AMPERE_PER_KW = 1.84  # 400 V, three phases, power factor times efficiency 0.785
STANDING = 0.02  # share of the rated speed


def simulate(
    rows: int,
    period_s: float = 1.0,
    seed: int = 0,
    start_ns: int = DEFAULT_START_NS,
    faults: Sequence[Fault] = (),
) -> Simulation:
    """`rows` readings of pump number `seed`, one every `period_s` from `start_ns`, with `faults`."""
    warm = math.ceil(WARM_UP_S / period_s)
    total = warm + rows
    draw = _Draw(seed, total, period_s)
    seconds = np.mod(start_ns / 1e9 + (np.arange(total) - warm) * period_s, DAY_S)
    condition = _condition(total, [_later(fault, warm) for fault in faults if fault.on_machine])
    signals, regime = _station(_pump(seed), condition, seconds, period_s, draw)
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


class _Draw:
    """Random streams by name: adding one, or drawing more of one, changes no other."""

    def __init__(self, seed: int, rows: int, period_s: float) -> None:
        self._seed, self._rows, self._period_s = seed, rows, period_s

    def white(self, name: str) -> Array:
        return _generator(self._seed, name).standard_normal(self._rows)

    def wander(self, name: str, lag_s: float) -> Array:
        """An Ornstein-Uhlenbeck process: unit variance, memory `lag_s`, the same law at any period."""
        keep = math.exp(-self._period_s / lag_s)
        noise = self.white(name)
        noise[1:] *= math.sqrt(1.0 - keep * keep)
        return _remember(noise, keep)


def _generator(*key: int | str) -> np.random.Generator:
    return np.random.default_rng([zlib.crc32(str(part).encode()) for part in key])


def _remember(drive: Array, keep: float) -> Array:
    """y[k] = keep * y[k-1] + drive[k]"""
    return np.fromiter(accumulate(drive.tolist(), lambda y, u: keep * y + u), float, len(drive))


def _lag(target: Array, lag_s: float, period_s: float) -> Array:
    """A first-order lag behind `target`, exact for a target that is constant within a period."""
    keep = math.exp(-period_s / lag_s)
    drive = (1.0 - keep) * target
    drive[0] = target[0]
    return _remember(drive, keep)


def _pump(seed: int) -> Pump:
    factors = np.exp(MAKE_SPREAD * _generator(seed, "pump").standard_normal(len(Pump.__slots__)))
    make = Pump()
    return Pump(*(getattr(make, name) * factors[at] for at, name in enumerate(Pump.__slots__)))


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


def _station(
    pump: Pump, condition: Mapping[str, Array], seconds: Array, period_s: float, draw: _Draw
) -> tuple[dict[str, Array], NDArray[np.int8]]:
    """The true signals, and the regime of every row."""
    hour = seconds / HOUR_S
    town = _daily_demand(hour) * (1.0 + 0.08 * draw.wander("day", DAY_S) + 0.06 * draw.wander("town", 600.0))
    mains_m = (pump.mains_bar - 0.05 * town + 0.02 * draw.wander("mains", 7200.0)) / BAR_PER_M
    ambient = 18.0 + 4.0 * np.sin((hour - 9.0) * math.tau / 24.0) + 1.2 * draw.wander("weather", DAY_S / 2)
    head = pump.head * condition["head"] * (1.0 + condition["turbulence"] * draw.wander("turbulence", 3.0))
    wanted = 1 + ((hour >= 6.0) & (hour < 22.0)) + _is_peak(hour)
    strainer, leak = pump.strainer * condition["strainer"], condition["leak"]
    losses = strainer + pump.fittings / condition["valve"] ** 2 + pump.pipe * (1.0 - leak) ** 2
    drive = (SPEEDS_RPM[wanted], head, mains_m, losses, leak, pump.demand * town)
    rpm, flow, level, runs = _hydraulics(pump, drive, period_s)

    s = rpm / RATED_RPM
    suction_m = mains_m - strainer * flow**2
    lift_m = head * s**2 - pump.droop * flow**2
    current = condition["current"] * _amperes(s, flow, lift_m, pump.efficiency * condition["efficiency"])
    heating = pump.motor_rise * (current / FULL_LOAD_A) ** 2 / condition["cooling"]
    motor_rise = _lag(heating, MOTOR_LAG_S, period_s)
    rubbing = pump.bearing_rise * s**1.5 * condition["friction"]
    shaking = pump.vibration * s**2 * condition["roughness"] * np.hypot(1.0, 0.8 * _off_best(s, flow))
    signals = {
        "suction_pressure": suction_m * BAR_PER_M,
        # the check valve holds the column of the tank while the pump stands
        "discharge_pressure": np.maximum(suction_m + lift_m, pump.static_head + level) * BAR_PER_M,
        "flow": flow,
        "motor_current": current,
        "speed": rpm,
        "vibration": np.hypot(0.12, shaking) * np.exp(0.06 * draw.wander("vibration", 5.0)),
        "bearing_temperature": ambient + _lag(rubbing + 0.3 * motor_rise, BEARING_LAG_S, period_s),
        "motor_temperature": ambient + motor_rise,
        "tank_level": level,
        "ambient_temperature": ambient,
    }
    return signals, np.where(runs, wanted, 0).astype(np.int8)


def _hydraulics(pump: Pump, drive: Sequence[Array], period_s: float) -> tuple[Array, Array, Array, Array]:
    """Speed, flow, level and run signal; the level switch makes this the one part that is no array code.

    The operating point is where head * s^2 - droop * q^2 (the pump, by the affinity laws) meets
    static head + level - mains + losses * q^2 (the system).
    """
    catch_up = 1.0 - math.exp(-period_s / SPEED_LAG_S)
    rise = period_s / HOUR_S / pump.tank_area
    rpm, level, runs = 0.0, 0.5 * (START_LEVEL + STOP_LEVEL), True
    rows: list[tuple[float, float, float, bool]] = []
    for wanted, head, mains, losses, leak, town in zip(*(x.tolist() for x in drive), strict=True):
        runs = level < STOP_LEVEL if runs else level < START_LEVEL
        rpm += ((wanted if runs else 0.0) - rpm) * catch_up
        spare = head * (rpm / RATED_RPM) ** 2 - (pump.static_head + level - mains)
        flow = math.sqrt(spare / (pump.droop + losses)) if spare > 0.0 else 0.0
        rows.append((rpm, flow, level, runs))
        level = min(max(level + rise * (flow * (1.0 - leak) - town), 0.0), FULL_LEVEL)
    rpms, flows, levels, run = np.array(rows, dtype=float).reshape(-1, 4).T
    return rpms, flows, levels, run


def _amperes(s: Array, flow: Array, lift_m: Array, efficiency: Array) -> Array:
    """Motor current: hydraulic power and disc friction (cube of the speed), and what magnetises the motor."""
    hydraulic_kw = 9.81 / HOUR_S * flow * np.maximum(lift_m, 0.0)
    shaft_kw = 2.5 * s**3 + hydraulic_kw / (efficiency * np.clip(1.0 - 0.5 * _off_best(s, flow) ** 2, 0.3, 1.0))
    magnetising = np.where(s > STANDING, 9.0 * np.sqrt(s), 0.0)
    return np.hypot(shaft_kw * AMPERE_PER_KW, magnetising)


def _off_best(s: Array, flow: Array) -> Array:
    """How far the flow is from the pump's best point at this speed, as a share."""
    return np.where(s > STANDING, flow / np.maximum(s * BEST_FLOW, 1.0) - 1.0, 0.0)


def _daily_demand(hour: Array) -> Array:
    """Share of the mean demand: a low night, a morning and an evening peak."""
    share = np.full_like(hour, 0.72)
    for size, at, width in ((0.55, 7.5, 1.6), (0.25, 13.0, 3.0), (0.5, 19.0, 2.0)):
        share += size * np.exp(-0.5 * ((hour - at) / width) ** 2)
    return share


def _is_peak(hour: Array) -> NDArray[np.bool_]:
    return ((hour >= 6.5) & (hour < 9.5)) | ((hour >= 17.0) & (hour < 21.0))


def _measure(name: str, signal: Array, draw: _Draw) -> Array:
    sensor = SENSORS[name]
    noisy = np.maximum(signal + sensor.noise * draw.white(name), sensor.low)
    steps: Array = np.round(noisy / sensor.step)
    return steps * sensor.step


def _break_sensor(fault: Fault, readings: Array, seed: int) -> None:
    """Changes `readings` (one channel, all rows) in place, inside the fault's span alone."""
    span = readings[fault.start_row : fault.end_row]
    rng = _generator(seed, fault.kind, fault.start_row, fault.channel or "")
    span[:] = SENSOR_FAULTS[fault.kind](span, fault.severity * SENSORS[fault.channel or ""].span, rng)


SENSOR_FAULTS: Mapping[str, Callable[[Array, float, np.random.Generator], Array]] = {
    "stuck": lambda x, _width, _rng: np.full_like(x, x[:1]),
    "drift": lambda x, width, _rng: x + 0.5 * width * np.arange(len(x)) / max(len(x), 1),
    "spike": lambda x, width, rng: x + width * rng.choice([-1.0, 0.0, 1.0], len(x), p=[0.02, 0.96, 0.02]),
    "dropout": lambda x, _width, rng: np.where(rng.random(len(x)) < 0.5, np.nan, x),
    "offset": lambda x, width, _rng: x + 0.4 * width,
    "noise": lambda x, width, rng: x + 0.15 * width * rng.standard_normal(len(x)),
}
