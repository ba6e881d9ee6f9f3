"""Many assets: scored together, answered apart, bounded."""

import random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from edge_ae.core.alert_events import Outcome
from edge_ae.core.detector import Watch
from edge_ae.core.events import Readings, Row, Scored
from edge_ae.core.fleet import MAX_BATCH, Fleet
from edge_ae.core.rules import AlertRules
from edge_ae.core.timestamps import SECOND
from tests.models import LENGTH, FakeModel

RULES = AlertRules(interval_ns=100 * SECOND)


def reading(asset: str, t_s: int, flow: float = 0.2) -> Readings:
    return Readings(asset, t_s * SECOND, {"flow": flow, "pressure": 1.0})


def by_asset(results: list[Outcome]) -> dict[str, list[Outcome]]:
    found: dict[str, list[Outcome]] = {}
    for result in results:
        found.setdefault(result.asset, []).append(result)
    return found


def test_nothing_due_is_no_call() -> None:
    model = FakeModel()
    fleet = Fleet("node")
    assert (fleet.step(), model.batches, fleet.due) == ([], [], 0)


def test_all_windows_that_are_due_are_scored_in_one_call() -> None:
    model = FakeModel()
    fleet, watch = Fleet("node"), Watch(model, RULES)
    for t_s in range(LENGTH + 1):
        for n in range(20):
            fleet.push(reading(f"pump{n}", t_s), watch)
    assert fleet.due == 20
    assert len(fleet.step()) == 20
    assert (model.batches, fleet.due) == ([20], 0)


def test_each_model_is_called_once_for_its_assets() -> None:
    one, other = FakeModel(), FakeModel(sha256="6" * 64, hop=1)
    fleet = Fleet("node")
    for t_s in range(LENGTH + 1):
        for n in range(10):
            fleet.push(reading(f"pump{n}", t_s, float(n) / 100), Watch(one if n % 3 else other, RULES))
    results = fleet.step()
    assert (one.batches, other.batches) == ([6], [4])
    assert [round(r.verdict.score * 100) for r in results if isinstance(r, Scored)] == list(range(10))


def test_many_windows_are_scored_in_bounded_batches_and_in_order() -> None:
    model = FakeModel()
    fleet, watch = Fleet("node"), Watch(model, RULES)
    for t_s in range(MAX_BATCH * 2 + LENGTH):
        fleet.push(reading("pump", t_s), watch)
    slots = [r.verdict.slot for r in fleet.step() if isinstance(r, Scored)]
    assert slots == list(range(LENGTH - 1, MAX_BATCH * 2 + LENGTH - 1))
    assert model.batches == [MAX_BATCH, MAX_BATCH]


def test_more_assets_than_allowed_are_counted_and_change_nothing() -> None:
    fleet, watch = Fleet("node", max_assets=2), Watch(FakeModel(), RULES)
    for n in range(5):
        fleet.push(reading(f"pump{n}", 1), watch)
    assert (sorted(fleet.detectors), fleet.counts) == (["pump0", "pump1"], {"too_many_assets": 3})


def test_an_asset_that_is_known_keeps_its_model() -> None:
    fleet = Fleet("node")
    first, second = FakeModel(), FakeModel(sha256="6" * 64)
    for t_s in range(LENGTH + 1):
        fleet.push(reading("pump", t_s), Watch(first if t_s == 0 else second, RULES))
    fleet.step()
    assert (first.batches, second.batches) == ([1], [])


def test_a_quiet_fleet_asks_for_no_explanation() -> None:
    model = FakeModel()
    fleet, watch = Fleet("node"), Watch(model, RULES)
    for t_s in range(100):
        fleet.push(reading("pump", t_s), watch)
    fleet.step()
    assert model.explained == 0
    fleet.push(reading("pump", 100, 5.0), watch)
    fleet.push(reading("pump", 101), watch)
    fleet.step()
    assert model.explained > 0


@given(seed=st.integers(0, 10**6), assets=st.integers(1, 4), each=st.sampled_from([1, 2, 7, 64, 1000]))
def test_interleaving_and_batching_change_no_answer(seed: int, assets: int, each: int) -> None:
    rng = random.Random(seed)
    names = [f"pump{n}" for n in range(assets)]
    streams = {name: [reading(name, t, rng.choice((0.2, 0.5, 5.0))) for t in range(30)] for name in names}

    def run(order: list[Readings], step_each: int) -> dict[str, list[Outcome]]:
        fleet, watch = Fleet("node"), Watch(FakeModel(), RULES)
        results = []
        for n, one in enumerate(order):
            fleet.push(one, watch)
            if n % step_each == 0:
                results += fleet.step()
        fleet.flush()
        return by_asset(results + fleet.step())

    asset_by_asset = [one for name in names for one in streams[name]]
    mixed, left = [], {name: list(reversed(streams[name])) for name in names}
    while any(left.values()):
        mixed.append(left[rng.choice([name for name in names if left[name]])].pop())
    assert run(mixed, each) == run(asset_by_asset, 1)


def test_an_asset_of_a_snapshot_is_taken_up_alone() -> None:
    fleet, watch = Fleet("node"), Watch(FakeModel(), RULES)
    for name in ("pump0", "pump1"):
        fleet.push(reading(name, 1), watch)
    state: dict[str, Any] = fleet.snapshot()
    again = Fleet("node")
    again.add("pump1", watch).restore(state["pump1"])
    assert again.snapshot()["pump1"] == state["pump1"]


def test_the_newest_row_is_restored_on_demand_and_costs_nothing_else() -> None:
    model = FakeModel(hop=5)
    fleet, watch = Fleet("node"), Watch(model, RULES)
    for t_s in range(LENGTH):
        fleet.push(reading("pump", t_s), watch)
    assert fleet.denoised("pump") is None, "the last row is not closed, so that there is no window yet"
    for t_s in range(LENGTH, LENGTH + 4):
        fleet.push(reading("pump", t_s), watch)
    fleet.step()
    assert model.explained == 0
    assert fleet.denoised("pump") == Row(LENGTH + 2, (0.0, 0.0))
    assert model.explained == 1
