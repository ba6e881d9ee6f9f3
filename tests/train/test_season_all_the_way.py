"""A machine that runs by day and rests at night: what is normal by day is odd at night, for a model that knows the course of a day."""

from dataclasses import replace
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from edge_ae_train.cli import main
from edge_ae_train.data.fault_injection import Injection
from edge_ae_train.data.history import AssetPast, Hindsight, Past
from edge_ae_train.data.segments import Recording, Segment
from edge_ae_train.export import Origin, save
from edge_ae_train.fit import Fitted, Options, fit
from edge_ae_train.fleet.fitting import trained
from edge_ae_train.fleet.work import FitOptions
from edge_ae_train.learn.rounds import Plan
from edge_ae_train.retrain import Trial, compare, retrain
from numpy.typing import NDArray

from edge_ae.core.alert_events import EventType
from edge_ae.core.detector import Watch
from edge_ae.core.events import Readings, Scored
from edge_ae.core.fleet import Fleet
from edge_ae.core.learned_time import Goals
from edge_ae.core.rules import AlertRules, budget_ns
from edge_ae.core.season import day_course
from edge_ae.core.signals import AssetView
from edge_ae.core.timestamps import HOUR, MINUTE, SECOND, parse_time_ns
from edge_ae.model.onnx_model import OnnxModel
from edge_ae.offline import score_table
from edge_ae.store.recording.options import ReadOptions
from edge_ae.store.recording_csv import Table, write_csv
from tests.bench.series import table_of

PERIOD_NS = 5 * MINUTE
DAY = 288  # rows
START_NS = parse_time_ns("2026-03-20T00:00:00Z")  # clocks in Berlin go forward on the 29th
BERLIN = ZoneInfo("Europe/Berlin")
NAMES = ("flow", "current", "temperature")
TAUGHT, JUDGED = 15 * DAY, 3 * DAY
RULES = AlertRules(budget_ns("1/month"))

Values = NDArray[np.float64]


def hour_in_berlin(rows: int) -> Values:
    """Of each row: clocks go forward at 2026-03-29T01:00:00Z."""
    t_ns = START_NS + PERIOD_NS * np.arange(rows)
    ahead = np.where(t_ns < parse_time_ns("2026-03-29T01:00:00Z"), 1, 2)
    return (t_ns / (3600 * SECOND) + ahead) % 24.0


@cache
def machine(rows: int = TAUGHT + JUDGED) -> Values:
    """It works from 6 to 18 by the clock on the wall, more or less, and what it takes and how warm it is go with it."""
    rng = np.random.default_rng(4)
    load = np.clip(1.5 - np.abs(hour_in_berlin(rows) - 12.0) / 4.0, -1.0, 1.0)
    noise = np.zeros((rows, 2))
    for row in range(1, rows):
        noise[row] = 0.9 * noise[row - 1] + rng.normal(0.0, 0.03, 2)
    work = load + noise[:, 0]
    values = np.stack([20.0 + 5.0 * work, 3.0 + work, 40.0 + 4.0 * work + 2.0 * noise[:, 1]], axis=1)
    return np.asarray(values + rng.normal(0.0, 0.05, values.shape))


def segments() -> tuple[Segment, ...]:
    return (Segment(machine()[:TAUGHT].astype(np.float32), START_NS // PERIOD_NS),)


def fitted(*, knows_time: bool) -> Fitted:
    options = Options("cva", alone=True, length=16)
    return fit(segments(), replace(options, period_ns=PERIOD_NS, zone=BERLIN) if knows_time else options)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, OnnxModel]:
    """With the course of a day, and without."""
    folder, recording = tmp_path_factory.mktemp("season"), Recording(NAMES, PERIOD_NS, segments())
    origin = Origin("machine", "2026-04-04T00:00:00Z", "d" * 64, {"flow": "m3/h"})
    return {
        knows: save(fitted(knows_time=knows), recording, origin, folder / f"{knows}.onnx") for knows in (True, False)
    }


def judged(values: Values, first: int = TAUGHT) -> Table:
    """The days after those that were taught."""
    t_ns = START_NS + PERIOD_NS * np.arange(len(values))
    return table_of("machine", NAMES, t_ns[first:], values[first:])


def running_at_night() -> tuple[Values, slice]:
    """In the evening it starts again, as smoothly as in the morning, works as it did by day, and stops before the morning comes."""
    values, night = machine().copy(), slice(TAUGHT + DAY + DAY * 17 // 24, TAUGHT + 2 * DAY + DAY * 3 // 24)
    rows = np.arange(night.start, night.stop)
    share = np.clip(np.minimum(rows - night.start, night.stop - 1 - rows) / 54.0, 0.0, 1.0)[:, None]
    values[night] = (1.0 - share) * values[night] + share * values[rows - DAY * 10 // 24]
    return values, slice(night.start - TAUGHT, night.stop - TAUGHT)


def test_what_is_normal_by_day_is_odd_at_night_with_the_course_of_a_day_alone(models: dict[bool, OnnxModel]) -> None:
    values, night = running_at_night()
    alerts = {}
    for knows, model in models.items():
        found = score_table(judged(values), model, Watch(model, RULES))
        alerts[knows] = bool((found.alert[night] == 1).any())
    assert alerts == {True: True, False: False}


def test_days_after_those_that_were_taught_raise_no_alert_though_clocks_have_changed(
    models: dict[bool, OnnxModel],
) -> None:
    for model in models.values():
        assert [event.type for event in score_table(judged(machine()), model, Watch(model, RULES)).events] == []


def test_an_alert_shows_values_as_they_come_beside_what_is_expected_at_that_time(models: dict[bool, OnnxModel]) -> None:
    values, night = running_at_night()
    (alert, *_) = (
        event.alert
        for event in score_table(judged(values), models[True], Watch(models[True], RULES)).events
        if event.type is EventType.NEW
    )
    assert alert.raised_ns is not None
    row = (alert.raised_ns - START_NS) // PERIOD_NS
    assert TAUGHT + night.start <= row < TAUGHT + night.stop
    (flow,) = (share for share in alert.channels if share.name == "flow")
    assert flow.observed == pytest.approx(values[row, 0], abs=1e-3)
    assert machine()[row, 0] < flow.expected < values[row, 0]


def test_what_is_expected_line_by_line_has_the_course_of_the_day_in_it(models: dict[bool, OnnxModel]) -> None:
    found = score_table(judged(machine()), models[True], Watch(models[True], RULES), explained=True)
    assert found.reconstruction is not None
    off = found.reconstruction - machine()[TAUGHT:]
    assert float(np.nanmean(off**2)) < 0.1 * float(machine()[TAUGHT:].var(axis=0).mean())


def test_one_by_one_and_in_a_table_a_window_has_the_same_score(models: dict[bool, OnnxModel]) -> None:
    table, watch = judged(running_at_night()[0]), Watch(models[True], RULES)
    whole = score_table(table, models[True], watch)
    fleet, scores = Fleet("offline"), dict[int, float]()
    for t_ns, row in zip(table.t_ns.tolist(), table.values.tolist(), strict=True):
        fleet.push(Readings("asset", t_ns, dict(zip(NAMES, row, strict=True))), watch)
        for outcome in fleet.step():
            if isinstance(outcome, Scored):
                scores[outcome.verdict.slot] = outcome.verdict.score
    lines = [(int(t_ns) // PERIOD_NS, score) for t_ns, score in zip(table.t_ns, whole.score, strict=True)]
    assert [(slot, scores[slot]) for slot, _ in lines if slot in scores] == [
        line for line in lines if line[0] in scores
    ]
    assert len(scores) > JUDGED - 20


def test_the_file_says_of_each_channel_what_the_day_does_to_it_and_by_whose_clock(
    models: dict[bool, OnnxModel],
) -> None:
    knows, ignores = models[True].spec, models[False].spec
    assert (knows.zone, ignores.zone) == ("Europe/Berlin", "UTC")
    assert day_course(ignores) is None
    course = day_course(knows)
    assert course is not None
    day = course.of((START_NS + 30 * 24 * 3600 * SECOND) // PERIOD_NS, DAY)
    assert day.mean(axis=0) == pytest.approx([0.0] * 3, abs=0.01)
    assert np.ptp(day, axis=0) == pytest.approx(np.ptp(machine()[:DAY], axis=0), rel=0.4)
    assert [(c.low, c.high) for c in knows.channels] == [(c.low, c.high) for c in ignores.channels]


def test_a_model_that_is_trained_anew_keeps_the_clock_that_it_goes_by(
    models: dict[bool, OnnxModel], tmp_path: Path
) -> None:
    whole, rows = (
        table_of("machine", NAMES, START_NS + PERIOD_NS * np.arange(TAUGHT + JUDGED), machine()),
        Segment(machine().astype(np.float32), START_NS // PERIOD_NS),
    )
    past = Past(
        models[True], RULES, (AssetPast(whole, np.zeros(len(whole), np.bool_), (rows,), (), len(whole), {}),), ()
    )
    outcome = retrain(past, Options("cva", alone=True, length=16), Origin("machine"), tmp_path / "new.onnx")
    assert outcome.replaced, outcome.worse
    spec = OnnxModel.load(tmp_path / "new.onnx").spec
    assert spec.zone == "Europe/Berlin"
    assert day_course(spec) is not None


def test_rows_that_models_are_compared_on_are_normal_at_their_time_of_day(models: dict[bool, OnnxModel]) -> None:
    first = START_NS // PERIOD_NS
    days = machine().astype(np.float32)
    nothing = [
        Injection("step", "small", days[row : row + 48], 16, first + row) for row in range(TAUGHT, TAUGHT + DAY, 48)
    ]
    trial = Trial(RULES, (), (Segment(days[TAUGHT:], first + TAUGHT),), nothing)
    outcome = compare(models[True], models[True], trial)
    assert outcome.current.injected_found["all"] == 0.0


def test_fit_says_whose_clock_the_day_goes_by_and_which_channels_follow_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table, data, out = judged(machine(), first=0), tmp_path / "normal.csv", tmp_path / "m.onnx"
    write_csv(data, table.times, table.names, table.values)
    options = ["--family", "cva", "--length", "16", "--time-zone", "Europe/Berlin"]
    assert main(["fit", "--data", str(data), "--out", str(out), *options]) == 0
    said = "knows the course of a day, by the clock of Europe/Berlin: on later days it explains 99% of "
    assert said in capsys.readouterr().out
    assert OnnxModel.load(out).spec.zone == "Europe/Berlin"


def test_the_models_of_a_fleet_and_of_a_learner_go_by_the_clock_of_their_columns() -> None:
    columns = ReadOptions(time_zone=BERLIN)
    _, found = trained([judged(machine(), first=0)], FitOptions(columns, family="cva", alone=True))
    assert found.season is not None
    assert found.season.zone is BERLIN
    plan = Plan("plant/+", RULES, Goals(HOUR, HOUR, HOUR), "cva", Hindsight, BERLIN)
    assert (plan.fitting.columns, plan.columns) == (columns, columns)


def test_who_looks_at_an_asset_sees_values_as_they_come_and_what_is_expected_of_them(
    models: dict[bool, OnnxModel],
) -> None:
    watch, fleet, table = Watch(models[True], RULES), Fleet("node"), judged(machine())
    for t_ns, row in zip(table.t_ns[:125].tolist(), table.values[:125].tolist(), strict=True):
        fleet.push(Readings("machine", t_ns, dict(zip(NAMES, row, strict=True))), watch)
    fleet.step()
    seen = AssetView(fleet.detectors["machine"], models[True]).look()
    assert seen is not None
    rows = [int(t_ns - START_NS) // PERIOD_NS for t_ns in seen.t_ns]
    np.testing.assert_allclose(seen.observed, machine()[rows], atol=1e-4)
    np.testing.assert_allclose(seen.expected, machine()[rows], atol=2.0)
    denoised = fleet.denoised("machine")
    assert denoised is not None
    np.testing.assert_allclose(denoised.values, machine()[denoised.slot - START_NS // PERIOD_NS], atol=2.0)
    night = day_course(models[True].spec)
    assert night is not None
    assert abs(night.of(denoised.slot, 1)[0, 0]) > 4.0  # so that what the graph gives would be far off
