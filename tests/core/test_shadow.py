"""Models beside those in use: they change nothing, are compared, and change places with them without a loss."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_ae.core.alert_events import AlertEvent, Outcome
from edge_ae.core.detector import FORMER_KEPT, Watch
from edge_ae.core.events import Readings, Scored
from edge_ae.core.fleet import Fleet
from edge_ae.core.model_spec import Floats
from edge_ae.core.rules import AlertRules
from edge_ae.core.shadow import Shadows, SideBySide
from edge_ae.core.timestamps import SECOND
from edge_ae.errors import ModelFails
from tests.models import CHANNELS, LENGTH, FakeModel

RULES = AlertRules(interval_ns=100 * SECOND)  # 1 in 100 windows: the boundary is 1
CALM, FAULT = 0.2, 3.0
A, B = "a" * 64, "b" * 64


class Scaled(FakeModel):
    """The score is the newest flow times `by`."""

    def __init__(self, sha256: str, by: float = 1.0, **changes: Any) -> None:
        super().__init__(sha256=sha256, **changes)
        self.by = by

    def score(self, windows: Floats) -> Floats:
        return super().score(windows) * np.float32(self.by)


def watch(sha256: str = A, by: float = 1.0, **changes: Any) -> Watch:
    return Watch(Scaled(sha256, by, **changes), RULES)


class Bench:
    """A fleet and its shadows, fed a second at a time with flows of some assets."""

    def __init__(self) -> None:
        self.fleet, self.shadows = Fleet("node"), Shadows("node")
        self.t_s = 0
        self.outcomes: list[Outcome] = []

    def feed(self, *flows: float, assets: Sequence[str] = ("pump",), watched: Watch | None = None) -> "Bench":
        watched = watch() if watched is None else watched
        for flow in flows:
            for asset in assets:
                readings = Readings(asset, self.t_s * SECOND, {"flow": flow, "pressure": 1.0})
                self.fleet.push(readings, watched)
                self.shadows.push(readings)
            self.t_s += 1
            self.step()
        return self

    def step(self) -> None:
        results = self.fleet.step()
        self.shadows.step(results)
        self.outcomes += results

    def begin(self, beside: Watch, asset: str = "pump") -> "Bench":
        self.shadows.begin(self.fleet.detectors[asset], beside)
        return self

    def exchange(self, asset: str = "pump") -> "Bench":
        self.shadows.exchange([asset], self.fleet)
        return self

    @property
    def slots(self) -> list[int]:
        return [one.verdict.slot for one in self.outcomes if isinstance(one, Scored)]

    @property
    def events(self) -> list[tuple[str, str]]:
        return [(str(one.type), one.id) for one in self.outcomes if isinstance(one, AlertEvent)]

    @property
    def model(self) -> str:
        return self.fleet.detectors["pump"].spec.sha256

    def compared(self) -> SideBySide:
        return self.shadows.compared(["pump"])


@given(st.lists(st.sampled_from([CALM, 0.9, 1.2, FAULT]), max_size=60), st.integers(0, 40), st.integers(0, 40))
def test_what_runs_beside_changes_no_answer_of_what_is_in_use(flows: list[float], begins: int, lasts: int) -> None:
    alone, shadowed = Bench().feed(CALM, *flows), Bench().feed(CALM)
    shadowed.feed(*flows[:begins]).begin(watch(B, by=3.0)).feed(*flows[begins : begins + lasts])
    shadowed.shadows.end("pump")
    shadowed.feed(*flows[begins + lasts :])
    assert shadowed.outcomes == alone.outcomes
    assert orjson.dumps(shadowed.fleet.snapshot()) == orjson.dumps(alone.fleet.snapshot())


def test_an_exchange_loses_no_window_and_raises_nothing() -> None:
    bench = Bench().feed(*[CALM] * 10).begin(watch(B))
    for _ in range(200):
        bench.feed(CALM).exchange()
    assert bench.slots == list(range(LENGTH - 1, 209))
    assert bench.events == []


def test_an_exchange_between_the_readings_and_their_score_loses_no_window() -> None:
    bench = Bench().feed(*[CALM] * 10).begin(watch(B))
    readings = Readings("pump", 10 * SECOND, {"flow": CALM, "pressure": 1.0})
    bench.fleet.push(readings, watch())
    bench.shadows.push(readings)
    bench.exchange().step()
    assert bench.slots == list(range(LENGTH - 1, 10))
    assert bench.model == B


def test_an_alert_goes_on_over_an_exchange_and_ends_by_what_the_new_model_says() -> None:
    bench = Bench().feed(*[CALM] * 10, *[FAULT] * 3).begin(watch(B)).exchange().feed(*[FAULT] * 3, *[CALM] * 12)
    (new, raised), (end, ended) = bench.events
    assert (new, end, raised) == ("new", "end", ended)


def test_an_alert_that_the_new_model_does_not_see_ends_after_its_off_delay() -> None:
    bench = Bench().feed(*[CALM] * 10, *[FAULT] * 3).begin(watch(B, by=0.1)).exchange().feed(*[FAULT] * 12)
    assert [kind for kind, _ in bench.events] == ["new", "end"]


def test_what_people_asked_for_goes_over() -> None:
    bench = Bench().feed(*[CALM] * 10).begin(watch(B))
    bench.fleet.detectors["pump"].set_budget("1/month")
    bench.fleet.detectors["pump"].set_service(False)
    bench.exchange()
    pump = bench.fleet.detectors["pump"]
    assert (pump.budget, pump.alert.in_service) == ("1/month", False)


def test_back_again_the_threshold_is_what_it_would_have_been_without_the_new_model() -> None:
    flows = [*[CALM] * 10, *[0.9] * 40]
    never = Bench().feed(*flows, *[CALM] * 20)
    bench = Bench().feed(*flows).begin(watch(B, by=2.0)).exchange().feed(*[CALM] * 20).exchange()
    assert bench.model == A
    assert bench.fleet.detectors["pump"].threshold == never.fleet.detectors["pump"].threshold


def test_what_the_threshold_had_learned_is_known_after_a_restart_with_another_model_and_back() -> None:
    bench = Bench().feed(*[CALM] * 10, *[0.9] * 60)
    learned = bench.fleet.detectors["pump"].threshold
    state = bench.fleet.detectors["pump"].snapshot()
    for sha256 in (B, A):
        detector = Fleet("node").add("pump", watch(sha256))
        detector.restore(orjson.loads(orjson.dumps(state)))
        state = detector.snapshot()
    assert detector.threshold == learned != watch_threshold()


def watch_threshold() -> float:
    return Fleet("node").add("pump", watch()).threshold


def test_of_former_models_only_the_newest_are_remembered() -> None:
    bench = Bench().feed(*[CALM] * 10)
    for number in range(6):
        bench.begin(watch(f"{number}" * 64)).exchange()
        bench.shadows.end("pump")
    assert list(bench.fleet.detectors["pump"].former) == [f"{number}" * 64 for number in (3, 4)]
    assert FORMER_KEPT == 2


@pytest.mark.parametrize(
    ("by", "flows", "expected"),
    [
        (1.0, [FAULT] * 3, (1, 1, 0, 0)),
        (0.1, [FAULT] * 3, (1, 0, 0, 1)),
        (4.0, [0.5] * 3, (0, 1, 1, 0)),
        (1.0, [CALM] * 3, (0, 0, 0, 0)),
    ],
)
def test_alerts_are_held_side_by_side(by: float, flows: list[float], expected: tuple[int, ...]) -> None:
    bench = Bench().feed(*[CALM] * 10).begin(watch(B, by)).feed(*[CALM] * 5, *flows, *[CALM] * 30)
    found = bench.compared()
    assert (found.current, found.other, found.more, found.fewer) == expected
    assert (found.assets, found.judged_ns) == (1, 38 * SECOND)


def test_a_shadow_goes_on_after_a_restart_as_if_there_had_been_none() -> None:
    whole = Bench().feed(*[CALM] * 10).begin(watch(B, 4.0)).feed(*[0.5] * 5, *[CALM] * 30)
    bench = Bench().feed(*[CALM] * 10).begin(watch(B, 4.0)).feed(*[0.5] * 5, *[CALM] * 3)
    state = orjson.loads(orjson.dumps([bench.fleet.snapshot()["pump"], bench.shadows.snapshot("pump")]))
    again = Bench()
    again.t_s = bench.t_s
    again.fleet.add("pump", watch()).restore(state[0])
    again.shadows.begin(again.fleet.detectors["pump"], watch(B, 4.0), state[1])
    again.feed(*[CALM] * 27)
    assert again.compared() == whole.compared()
    assert orjson.dumps(again.shadows.snapshot("pump")) == orjson.dumps(whole.shadows.snapshot("pump"))


def test_a_model_that_makes_rows_otherwise_is_warm_after_a_window_of_them() -> None:
    bench = Bench().feed(*[CALM] * 10).begin(watch(B, channels=CHANNELS[::-1]))
    beside = bench.shadows.fleet.detectors["pump"]
    warm = [bench.feed(CALM) and beside.is_warm for _ in range(LENGTH + 1)]
    assert warm == [False] * LENGTH + [True]  # a row is closed by the next one


@pytest.mark.parametrize("broken", [float("nan"), float("inf")])
def test_a_score_that_is_no_number_beside_is_a_fault_of_the_model_and_nothing_is_lost(broken: float) -> None:
    bench = Bench().feed(*[CALM] * 10).begin(watch(B, broken))
    with pytest.raises(ModelFails, match=r"b{12}: the score of a window that is like those of training is no number"):
        bench.feed(CALM)
    assert bench.fleet.due == 0


def test_a_model_in_use_that_fails_has_judged_nothing_and_the_one_before_judges_it_all() -> None:
    bench = Bench().feed(*[CALM] * 10).begin(watch(B)).feed(CALM).exchange()
    bench.fleet.on_probation = frozenset({B})
    model: Any = bench.fleet.model_of(bench.fleet.detectors["pump"])
    model.by = float("nan")
    with pytest.raises(ModelFails):
        bench.feed(CALM)
    bench.exchange().shadows.end("pump")
    bench.step()
    bench.feed(*[CALM] * 5)
    assert bench.slots == list(range(LENGTH - 1, 16))
    assert bench.events == []


def test_an_absurd_value_is_no_fault_of_the_model() -> None:
    bench = Bench().feed(*[CALM] * 10).begin(watch(B, 1e38)).feed(1e9)
    assert bench.compared().judged_ns == SECOND


def test_models_that_no_asset_has_any_more_are_let_go() -> None:
    bench = Bench().feed(*[CALM] * 10, assets=("pump", "fan"))
    for number in range(9):
        for asset in ("pump", "fan"):
            bench.begin(watch(f"{number}" * 64), asset).exchange(asset)
            bench.shadows.end(asset)
    assert list(bench.fleet._models) == ["8" * 64]
    assert bench.shadows.fleet._models == {}
