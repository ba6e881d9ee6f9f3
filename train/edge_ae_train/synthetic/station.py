"""The physics of a pump station that fills a tank: parameters in, true signals out.

    mains --- strainer --- pump (motor, bearing) --- valve --- pipe --- tank --- demand

Every row solves the pump curve against the system curve, so whatever changes one signal changes those that physics couples
to it. Knows nothing of sensors and faults: a fault is a change of parameters.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_ae_train.synthetic.streams import Array, Draw, generator, remember

RATED_RPM = 1450.0
BAR_PER_M = 0.0980665  # water column, 1000 kg/m3
HOUR_S, DAY_S = 3600.0, 86400.0
MAKE_SPREAD = 0.015  # one sigma of every parameter between pumps of one make
START_LEVEL, STOP_LEVEL, FULL_LEVEL = 2.2, 3.2, 5.0  # m
SPEEDS_RPM = np.array([0.0, 1250.0, 1350.0, 1450.0])  # by regime
SPEED_LAG_S, MOTOR_LAG_S, BEARING_LAG_S = 6.0, 1500.0, 720.0
BEST_FLOW = 118.0  # m3/h at rated speed
FULL_LOAD_A = 36.0
AMPERE_PER_KW = 1.84  # 400 V, three phases, power factor times efficiency 0.785
STANDING = 0.02  # share of the rated speed

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


USUAL_MAKE = Pump()


def pump_of(seed: int, make: Pump = USUAL_MAKE) -> Pump:
    """One pump of a make: each parameter a little off the make's."""
    factors = np.exp(MAKE_SPREAD * generator(seed, "pump").standard_normal(len(Pump.__slots__)))
    return Pump(*(getattr(make, name) * factors[at] for at, name in enumerate(Pump.__slots__)))


def station(
    pump: Pump, condition: Mapping[str, Array], seconds: Array, period_s: float, draw: Draw
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


def _lag(target: Array, lag_s: float, period_s: float) -> Array:
    """A first-order lag behind `target`, exact for a target that is constant within a period."""
    keep = math.exp(-period_s / lag_s)
    drive = (1.0 - keep) * target
    drive[0] = target[0]
    return remember(drive, keep)


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
