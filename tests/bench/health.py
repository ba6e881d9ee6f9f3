"""`python -m tests.bench.health [--data DIR]`: are sick sensors called sick, and machines not? Seeds fixed, under a minute.

Pumps are simulated, a linear model each. One sensor is broken in one of eight ways, or the machine in one of its own, and
the rows go the daemon's way: readings in, health and alerts out, our clock being that of the rows as they should be.
"""

import argparse
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from edge_ae_train.data.prepare import recording_of
from edge_ae_train.data.segments import Recording, Segment
from edge_ae_train.export import Origin, save
from edge_ae_train.fit import Options, fit
from edge_ae_train.synthetic.simulator import FAULTS, Fault, simulate
from numpy.typing import NDArray

from edge_ae.core.alert_events import AlertEvent, EventType
from edge_ae.core.detector import Watch
from edge_ae.core.events import Readings
from edge_ae.core.fleet import Fleet
from edge_ae.core.rules import AlertRules
from edge_ae.core.timestamps import SECOND
from edge_ae.model.onnx_model import OnnxModel
from edge_ae.store.recording_csv import Table, read_csv
from tests.bench import series

SERIES = 20  # each fault's
PUMPS = 4
PERIOD_S = 60.0
BATCH = 50  # windows scored at once
TRAIN_ROWS, TEST_ROWS = 3 * 1440, 700
START, END = 150, 550  # of the fault, in the rows of the test
WEEK_NS, MONTH_NS = 7 * 86_400 * SECOND, 30 * 86_400 * SECOND
MISSING = ("stale", "dropout", "not_a_number")
WHOLE = ""  # stands for all channels together

Values = NDArray[np.float64]
Rng = np.random.Generator
Break = Callable[[Values, Rng], Values]


def dropout(values: Values, rng: Rng) -> Values:
    return np.where(rng.random(len(values)) < 0.6, np.nan, values)


def not_a_number(values: Values, rng: Rng) -> Values:
    return np.where(rng.random(len(values)) < 0.8, np.inf, values)


def stuck_at_rail(values: Values, rng: Rng) -> Values:
    """A transmitter's end stop, a quarter beyond the range."""
    beyond = 0.25 * np.ptp(values)
    return np.full_like(values, rng.choice([values.min() - beyond, values.max() + beyond]))


def out_of_range(values: Values, rng: Rng) -> Values:
    """An error code in place of most values."""
    return np.where(rng.random(len(values)) < 0.9, rng.choice([-9999.0, 32_767.0]), values)


def quantised(values: Values, _rng: Rng) -> Values:
    """Its lower bits are gone."""
    step = 0.15 * np.ptp(values)
    return np.asarray(np.round(values / step) * step)


BREAKS: dict[str, Break] = {
    "stale": lambda values, _: np.full_like(values, np.nan),
    "dropout": dropout,
    "not_a_number": not_a_number,
    "flat": lambda values, _: np.full_like(values, values[0]),
    "stuck_at_rail": stuck_at_rail,
    "out_of_range": out_of_range,
    "quantised": quantised,
}
CLOCK_JUMPS_S = (-3 * 3600, -1800, 2 * 3600, 5 * 3600)  # what a sensor's clock may be off by


@dataclass(frozen=True)
class Input:
    """What reaches the daemon, row by row: our time, event time, and values of which NaN is missing and infinity no number."""

    now_ns: NDArray[np.int64]
    t_ns: NDArray[np.int64]
    values: Values


@dataclass(frozen=True)
class Seen:
    """`called`: (channel, fault) -> row in which it was first named; `raised`: rows of alerts, up to BATCH late."""

    called: dict[tuple[str, str], int]
    raised: list[int]


def watched(model: OnnxModel, given: Input) -> Seen:
    fleet, watch = Fleet("bench"), Watch(model, AlertRules(interval_ns=WEEK_NS))
    detector = fleet.add("pump", watch)
    seen, shown = Seen({}, []), detector.health_now()
    rows = zip(given.now_ns.tolist(), given.t_ns.tolist(), given.values.tolist(), strict=True)
    for row, (now_ns, t_ns, values) in enumerate(rows):
        known = {name: value for name, value in zip(model.spec.names, values, strict=True) if value == value}
        fleet.push(Readings("pump", t_ns, known), watch)
        fleet.tick(now_ns)
        if fleet.due >= BATCH:
            seen.raised.extend(row for one in fleet.step() if is_new(one))
        if detector.health_now() != shown:
            shown = detector.health_now()
            names = [(one.channel, str(one.fault)) for one in shown.channels]
            names += [] if shown.fault is None else [(WHOLE, shown.fault)]
            for name in names:
                seen.called.setdefault(name, row)
    seen.raised.extend(len(given.t_ns) for one in fleet.step() if is_new(one))
    return seen


def is_new(result: object) -> bool:
    return isinstance(result, AlertEvent) and result.type is EventType.NEW


# -- what is watched -------------------------------------------------------------------------------------------


@cache
def folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory()


def trained(recording: Recording, name: str) -> OnnxModel:
    fitted = fit(recording.segments, Options(family="pca", length=16))
    return save(fitted, recording, Origin(name), Path(folder().name) / f"{name}.onnx")


@cache
def pump(number: int) -> OnnxModel:
    run = simulate(TRAIN_ROWS, PERIOD_S, seed=300 + number)
    rows = Segment(run.values.astype(np.float32))
    return trained(Recording(run.names, round(PERIOD_S * SECOND), (rows,)), f"pump{number}")


@cache
def rows_of(number: int, faults: tuple[Fault, ...] = ()) -> Input:
    """The rows that come after those of training."""
    run = simulate(TRAIN_ROWS + TEST_ROWS, PERIOD_S, seed=300 + number, faults=faults)
    t_ns = run.t_ns[TRAIN_ROWS:]
    return Input(t_ns, t_ns, run.values[TRAIN_ROWS:])


def broken(kind: str, number: int) -> tuple[Input, str]:
    """Series `number` of a fault, and the channel that has it."""
    rng = np.random.default_rng([number, len(kind)])
    given = rows_of(number % PUMPS)
    span = slice(START, END)
    if kind == "clock_jump":
        t_ns = given.t_ns.copy()
        t_ns[span] += int(rng.choice(CLOCK_JUMPS_S)) * SECOND
        return Input(given.now_ns, t_ns, given.values), WHOLE
    values = given.values.copy()
    channel = int(rng.integers(values.shape[1]))
    values[span, channel] = BREAKS[kind](values[span, channel], rng)
    return Input(given.now_ns, given.t_ns, values), pump(number % PUMPS).spec.names[channel]


# -- figures ---------------------------------------------------------------------------------------------------


@cache
def usual_alerts(number: int) -> int:
    """Alerts in the rows of a pump with nothing broken."""
    return len(watched(pump(number), rows_of(number)).raised)


def sensor_faults() -> Iterator[dict[str, Any]]:
    """For each fault: series called by any name of a sensor fault, by its own, alerts beyond the usual, rows until called."""
    for kind in (*BREAKS, "clock_jump"):
        called = by_name = alerts = 0
        delays: list[int] = []
        for number in range(SERIES):
            given, channel = broken(kind, number)
            seen = watched(pump(number % PUMPS), given)
            names = {fault: row for (where, fault), row in seen.called.items() if where == channel and row >= START}
            called += bool(names)
            by_name += kind in names
            delays += [min(names.values()) - START] if names else []
            alerts += max(len(seen.raised) - usual_alerts(number % PUMPS), 0)
        delay = float(np.median(delays)) if delays else None
        yield {"fault": kind, "called": called, "by_name": by_name, "series": SERIES, "alerts": alerts, "delay": delay}


def machine_faults() -> Iterator[dict[str, Any]]:
    """For each fault of the machine: series in which a sensor was called sick (none should be), and those with an alert."""
    for kind, fault in FAULTS.items():
        if not fault.effect:
            continue
        wrong, found = [], 0
        for number in range(PUMPS):
            given = rows_of(number, (Fault(kind, TRAIN_ROWS + START, TRAIN_ROWS + END, severity=1.0),))
            seen = watched(pump(number), given)
            wrong += list(seen.called)
            found += any(START <= row <= END + BATCH for row in seen.raised)
        yield {"fault": kind, "called": wrong, "found": found, "series": PUMPS}


def normal(folder: Path | None) -> Iterator[dict[str, Any]]:
    """Normal rows that trained nothing: what was called a sensor's fault, and how long the rows are."""
    run = simulate(44 * 1440, 60.0, seed=400)
    yield quiet("pump, 30 days", series.table_of("pump", run.names, run.t_ns, run.values), 14 * 1440)
    if folder is None:
        return
    whole = read_csv(folder / "skab" / "anomaly-free" / "anomaly-free.csv")
    yield quiet("skab", whole, len(whole) // 2)
    yield quiet("skab, 400 rows learned", whole, 400)
    for path in sorted((folder / "smd").glob("*_train.csv.gz")):
        table = read_csv(path)
        yield quiet(path.name.removesuffix("_train.csv.gz"), table, len(table) // 2)


def quiet(name: str, table: Table, start: int) -> dict[str, Any]:
    model = trained(recording_of([series.part(table, 0, start)]), "normal")
    columns = [table.names.index(channel) for channel in model.spec.names]
    seen = watched(model, Input(table.t_ns[start:], table.t_ns[start:], table.values[start:, columns]))
    months = float(table.t_ns[-1] - table.t_ns[start]) / MONTH_NS
    return {"name": name, "months": months, "called": list(seen.called)}


def bench_health(folder: Path | None = None) -> dict[str, Any]:
    """All figures; `folder`: where skab and smd are."""
    return {"sensors": list(sensor_faults()), "machines": list(machine_faults()), "normal": list(normal(folder))}


def report(figures: dict[str, Any]) -> Iterator[str]:
    sensors, machines, months = figures["sensors"], figures["machines"], sum(n["months"] for n in figures["normal"])
    yield f"{'sensor fault':<16}{'called':>8}{'by name':>9}{'alerts':>8}{'rows until':>12}"
    for one in sensors:
        share = f"{one['called']}/{one['series']}"
        yield f"{one['fault']:<16}{share:>8}{one['by_name']:>9}{one['alerts']:>8}{one['delay'] or 0:>12.0f}"
    total = sum(one["called"] for one in sensors) / sum(one["series"] for one in sensors)
    missing = sum(one["alerts"] for one in sensors if one["fault"] in MISSING)
    yield f"called a sensor's fault: {total:.1%}; alerts of the asset from missing data: {missing}"
    for one in machines:
        yield f"machine: {one['fault']:<16} alert in {one['found']}/{one['series']}, taken for a sensor: {one['called']}"
    for one in figures["normal"]:
        yield f"normal: {one['name']:<24} {one['months']:.2f} months, called: {one['called']}"
    false = sum(len(one["called"]) for one in figures["normal"])
    yield f"false: {false} in {months:.1f} asset-months"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="the folder that holds skab and smd")
    print("\n".join(report(bench_health(parser.parse_args().data))))
