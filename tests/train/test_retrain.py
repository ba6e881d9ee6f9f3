"""Retraining: what of the past is normal, who wins, and that what nobody noticed makes nothing worse."""

import json
import math
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from edge_ae_train import retrain
from edge_ae_train.cli import main
from edge_ae_train.data import history, recorded
from edge_ae_train.data.history import Hindsight, Past, Span
from edge_ae_train.data.segments import Segment, episodes
from edge_ae_train.retrain import Outcome, Performance
from edge_ae_train.synthetic.simulator import Fault, Simulation, simulate, write_csv

from edge_ae.core.alert import alert_id
from edge_ae.core.alert_events import ModelName
from edge_ae.core.alert_state import AlertSource
from edge_ae.core.detector import Watch
from edge_ae.core.payloads import alert_payload
from edge_ae.core.rules import AlertRules
from edge_ae.core.timestamps import SECOND
from edge_ae.errors import BadData
from edge_ae.model.onnx_model import OnnxModel
from edge_ae.offline import Result, score_table
from edge_ae.store.node_store import FILE, Feedback, NodeStore
from edge_ae.store.recorder import Recorder
from edge_ae.store.recording.options import ReadOptions
from edge_ae.store.recording_csv import read_csv
from edge_ae.store.recording_csv import write_csv as write_columns
from tests.train.conftest import FAULT, FAULT_END, ROWS, Small

HOURLY = AlertRules(interval_ns=3600 * SECOND)
SMALL_START = 1_700_000_000 + ROWS  # s, of the faulty recording


NOTHING = Hindsight()


def recalled(
    small: Small, hindsight: Hindsight = NOTHING, label: str | None = "anomaly", rules: AlertRules = HOURLY
) -> Past:
    current = OnnxModel.load(small.model)
    ignore = [] if label is not None else ["anomaly"]
    series = recorded.read([small.faulty], current.spec, ReadOptions(ignore, label))
    return history.recall(series, current, rules, hindsight)


def kept(found: Past) -> list[int]:
    """Which lines of the faulty recording are taken for normal."""
    return [s.start_slot - SMALL_START + row for s in found.normal for row in range(len(s))]


def own_alert(small: Small) -> dict[str, Any]:
    """What the current model itself says of the fault."""
    current, table = OnnxModel.load(small.model), read_csv(small.faulty, ReadOptions(label="anomaly"))
    events = score_table(table, current, Watch(current, HOURLY), node="n", asset="faulty").events
    bodies = (alert_payload(event.alert) for event in reversed(events))
    return next(body for body in bodies if body["ts_onset"].startswith("2023-11-14T22:48:"))


# -- what of the past is normal --------------------------------------------------------------------------------


def test_alert_and_a_window_before_it_are_left_out(small: Small) -> None:
    rows = kept(recalled(small, label=None))
    assert not set(rows) & set(range(FAULT - 10, FAULT_END))
    assert len(rows) > 0.85 * ROWS  # and a window before each of the few scores that are extreme by chance
    assert set(range(300)) <= set(rows)


def test_labelled_rows_are_left_out_and_are_known_faults(small: Small) -> None:
    found = recalled(small)
    assert not set(kept(found)) & set(range(FAULT, FAULT_END))
    (fault,) = found.assets[0].faults
    assert fault.start_ns == (SMALL_START + FAULT) * SECOND
    assert found.assets[0].left_out["fault"] == FAULT_END - FAULT + 16


def test_rows_of_another_state_are_left_out_and_the_next_model_has_the_state(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, current, new = tmp_path / "data.csv", tmp_path / "current.onnx", tmp_path / "new.onnx"
    simulated = simulate(1500, 1.0, seed=3)
    state = np.where(np.arange(1500) % 300 < 250, 1.0, 0.0)
    times = [str(t // SECOND) for t in simulated.t_ns.tolist()]
    names = [*simulated.names, "runs"]
    write_columns(data, times, names, np.column_stack([simulated.values, state]))
    quick = ["--data", str(data), "--length", "16", "--family", "pca"]
    assert main(["fit", *quick, "--when", "runs == 1", "--out", str(current)]) == 0
    capsys.readouterr()
    assert main(["retrain", "--current", str(current), *quick, "--out", str(new)]) in (0, 3)
    assert "250 not runs == 1" in " ".join(capsys.readouterr())
    past = history.recall(recorded.read([data], OnnxModel.load(current).spec), OnnxModel.load(current), HOURLY, NOTHING)
    assert all((segment.values[:, -1] == 1.0).all() for segment in past.normal)
    assert OnnxModel.load(new if new.exists() else current).spec.when == "runs == 1"


def test_false_alarm_is_kept_as_normal(small: Small) -> None:
    hindsight = Hindsight(labels={own_alert(small)["id"]: history.FALSE_ALARM}, node="n")
    found = recalled(small, hindsight, label=None)
    assert set(range(FAULT, FAULT_END)) <= set(kept(found))
    assert found.assets[0].faults == ()


def test_false_alarm_that_went_too_far_is_left_out_and_it_is_said(
    small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "FURTHEST_FALSE", 1.0)
    identity = own_alert(small)["id"]
    found = recalled(small, Hindsight(labels={identity: history.FALSE_ALARM}, node="n"), label=None)
    assert not set(range(FAULT, FAULT_END)) & set(kept(found))
    assert f"1 false alarms ({identity} ...) went further than 1 normal deviations" in found.notes[1]


def test_a_named_alert_is_a_known_fault_of_that_name(small: Small, tmp_path: Path) -> None:
    identity = own_alert(small)["id"]
    words = [{"id": identity, "label": "true_alarm", "name": name} for name in ("leak", "closing valve")]
    words.append({"id": "other", "label": "false_alarm"})
    file = tmp_path / "feedback.jsonl"
    file.write_bytes(b"".join(orjson.dumps(word) + b"\n" for word in words))
    (fault,) = recalled(small, history.read_hindsight([], [file], "n"), label=None).assets[0].faults
    assert (fault.id, fault.name) == (identity, "closing valve")


def test_confirmed_alert_is_a_known_fault(small: Small) -> None:
    hindsight = Hindsight(labels={own_alert(small)["id"]: history.TRUE_ALARM}, node="n")
    (fault,) = recalled(small, hindsight, label=None).assets[0].faults
    assert fault.id == own_alert(small)["id"]


def test_feedback_on_another_models_alert_needs_the_alert(small: Small) -> None:
    labels = {"0123456789abcdef": history.TRUE_ALARM}
    assert "feedback is passed over" in recalled(small, Hindsight(labels=labels)).notes[-1]
    span = Span(SMALL_START * SECOND, (SMALL_START + 50) * SECOND, "faulty", "0123456789abcdef")
    found = recalled(small, Hindsight((span,), labels))
    assert len(found.notes) == 1
    assert not set(kept(found)) & set(range(51))
    assert span in found.assets[0].faults


def test_feedback_is_read_from_the_state_of_a_daemon(tmp_path: Path) -> None:
    store = NodeStore(tmp_path / FILE)
    store.load()
    for label in ("true_alarm", "false_alarm"):  # the last word counts
        assert store.add_feedback(Feedback(1, "pump", "a1", label, "a note\nof two lines"))
    assert history.read_hindsight([], [tmp_path], "n").labels == {"a1": "false_alarm"}


def test_alerts_and_feedback_are_read_as_they_were_written(small: Small, tmp_path: Path) -> None:
    body = own_alert(small)
    alerts, state = tmp_path / "alerts.jsonl", tmp_path / "state"
    state.mkdir()
    words = [
        {"id": body["id"], "label": label, "note": "two\u2028lines"}
        for label in (history.FALSE_ALARM, history.TRUE_ALARM)
    ]
    (state / history.FEEDBACK).write_bytes(b"".join(orjson.dumps(word) + b"\n" for word in words))
    alerts.write_text("".join(json.dumps(body | {"ts_cleared": c}) + "\n\n" for c in (None, body["ts_cleared"])))
    found = history.read_hindsight([alerts], [state], "n")
    assert found.labels == {body["id"]: history.TRUE_ALARM}
    (span,) = found.alerts
    spec = OnnxModel.load(small.model).spec
    source = AlertSource("n", "faulty", ModelName(spec.name, spec.trained_at, spec.sha256))
    assert body["id"] == alert_id(source, span.start_ns)
    assert span.end_ns - span.start_ns == body["duration_s"] * SECOND


@pytest.mark.parametrize(
    "line", ["{", "{}", "7", '{"id": "a", "label": "maybe"}', '{"id": [1], "label": "false_alarm"}']
)
def test_broken_line_is_named(line: str, tmp_path: Path) -> None:
    file = tmp_path / "f.jsonl"
    file.write_text('{"id": "a", "label": "false_alarm"}\n' + line)
    with pytest.raises(BadData, match=r"f\.jsonl, line 2: is not what edge-ae writes there"):
        history.read_hindsight([], [file], "n")


def test_value_of_a_sick_sensor_is_missing(small: Small) -> None:
    spec = OnnxModel.load(small.model).spec
    values = np.ones((40, 2), np.float32)
    values[7, 1] = np.float32(3e38)
    seen = history._masked(Segment(values, 5, "a"), spec).values
    assert np.argwhere(np.isnan(seen)).tolist() == [[7, 1]]


def test_fault_below_a_small_budgets_boundary_is_extreme_and_normal_rows_hardly_ever_are(small: Small) -> None:
    current, never = OnnxModel.load(small.model), AlertRules(interval_ns=10**40)
    current.spec = replace(current.spec, tail=replace(current.spec.tail, shape=0.3, gross=math.inf))  # light tails end
    table = read_csv(small.faulty, ReadOptions(ignore=["anomaly"]))
    result = score_table(table, current, Watch(current, never))
    assert not result.alert.any()
    extreme = history.extreme(result, current.spec, never)
    assert extreme[FAULT:FAULT_END].all()
    extreme[FAULT : FAULT_END + 20] = False
    assert extreme.sum() < 0.01 * ROWS
    assert not set(kept(recalled(small, label=None, rules=never))) & set(range(FAULT, FAULT_END))


def test_what_is_extreme_depends_on_the_number_of_scores_and_not_of_rows(small: Small) -> None:
    spec, rules = replace(OnnxModel.load(small.model).spec, hop=4), AlertRules(interval_ns=3600 * SECOND)
    score = np.full(1000, np.nan)
    score[::4] = 0.1
    boundary = spec.tail.boundary(history.EXTREMES / 250)
    score[[400, 800]] = 0.99 * boundary, 1.01 * boundary
    threshold = np.full(1000, spec.tail.boundary(4 * spec.period_ns / rules.interval_ns))
    result = Result(score, threshold, np.zeros(1000, np.bool_), [], Counter())
    assert np.flatnonzero(history.extreme(result, spec, rules)).tolist() == [800]


# -- recordings ------------------------------------------------------------------------------------------------


def test_files_of_the_recorder_are_one_series_of_the_directorys_asset(small: Small, tmp_path: Path) -> None:
    midnight = 1_767_225_600
    recorder = Recorder(tmp_path, 10**9)
    for second in range(-30, 30):
        if second == -20:
            recorder.flush()
        values = {"flow": 50.0} if second < -20 else {"flow": 50.0, "speed": 5.0, "spare": 1.0}
        recorder.push("pump-1", (midnight + second) * SECOND, values)
    recorder.close()
    assert len(list(tmp_path.rglob("*.csv.gz"))) == 3
    (series,) = recorded.read([tmp_path], OnnxModel.load(small.model).spec)
    assert series.asset == "pump-1"
    assert series.table.names == ("flow", "speed")
    assert (np.diff(series.table.t_ns) == SECOND).all()
    assert np.isnan(series.table.values[:, 1]).sum() == 10


def test_recordings_of_something_else_are_refused_in_one_sentence(small: Small, tmp_path: Path) -> None:
    spec = OnnxModel.load(small.model).spec
    other = tmp_path / "other.csv"
    other.write_text("t,flow\n" + "".join(f"{1_700_000_000 + i},{i}\n" for i in range(50)))
    with pytest.raises(BadData, match="lack speed, which the model watches"):
        recorded.read([other], spec)
    other.write_text("t,flow,speed\n" + "".join(f"{1_700_000_000 + 10 * i},{i},1\n" for i in range(50)))
    with pytest.raises(BadData, match="readings come every 10 s, the model takes one every 1 s"):
        recorded.require_period(recorded.read([other], spec), spec)


# -- who wins --------------------------------------------------------------------------------------------------


def outcome(**candidate: Any) -> Outcome:
    current = Performance("pump", "pca", "", 1, known_found=2, injected_found={"all": 0.6}, named_found=("a leak", "b"))
    return Outcome(current, replace(current, **candidate), 1000, 10**12, alerts_allowed=0.5, known=3)


@pytest.mark.parametrize(
    ("candidate", "worse"),
    [
        ({}, []),
        ({"injected_found": {"all": 0.59}}, []),
        ({"injected_found": {"all": 0.57}}, ["it finds 57% of the injected faults"]),
        ({"false_alerts": 2}, ["it raises 2 alerts on normal rows"]),
        ({"known_found": 1}, ["it finds 1 of 3 known faults"]),
        ({"named_found": ("b", "another")}, ["it no longer finds a leak"]),
    ],
)
def test_candidate_is_taken_unless_it_is_worse_by_more_than_chance(candidate: dict[str, Any], worse: list[str]) -> None:
    assert outcome(**candidate).worse == worse
    assert outcome(**candidate).replaced == (worse == [])


def test_training_and_judging_share_no_row_and_not_the_window_between() -> None:
    rows = np.zeros((100, 1), np.float32)
    train, held_out = retrain.split([Segment(rows, 0, "a"), Segment(rows, 20, "b"), Segment(rows[:5], 105, "a")], 16)
    assert [(s.start_slot, len(s)) for s in train] == [(0, 92), (20, 72)]
    assert [(s.start_slot, len(s)) for s in held_out] == [(108, 12), (108, 2)]


def test_too_few_normal_rows_are_reported() -> None:
    with pytest.raises(BadData, match="too few normal rows are left"):
        retrain.split([], 16)


@dataclass(frozen=True)
class Station:
    """A pump station's model, and later rows in which nobody noticed some faults."""

    model: Path
    later: Path


HIDDEN = tuple(
    Fault(kind, 3500 + 900 * i, 3550 + 900 * i, 0.5)
    for i, kind in enumerate(("leak", "fouling", "cavitation", "worn_impeller", "closing_valve"))
)  # a twentieth of the rows


@pytest.fixture(scope="module")
def station(tmp_path_factory: pytest.TempPathFactory) -> Station:
    folder = tmp_path_factory.mktemp("station")
    found = Station(folder / "station.onnx", folder / "later.csv")
    write_csv(simulate(3000, 60.0), folder / "normal.csv")
    write_csv(later(simulate(8000, 60.0, faults=HIDDEN), 3000), found.later)
    units = ",".join(f"{name}={unit}" for name, unit in zip(simulate(1).names, simulate(1).units, strict=True))
    arguments = ["--family", "pca", "--length", "16", "--units", units]
    assert main(["fit", "--data", str(folder / "normal.csv"), "--out", str(found.model), *arguments]) == 0
    return found


def later(simulation: Simulation, first: int) -> Simulation:
    return replace(simulation, t_ns=simulation.t_ns[first:], values=simulation.values[first:])


def retrained(station: Station, out: Path, *more: str) -> int:
    arguments = ["--family", "pca", "--length", "16", "--budget", "1/day", *more]
    return main(
        ["retrain", "--current", str(station.model), "--data", str(station.later), "--out", str(out), *arguments]
    )


def test_candidate_that_never_saw_a_channel_does_not_replace_one_that_knows_it(
    small: Small, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sick = tmp_path / "sick.csv"
    header, *lines = small.normal.read_text().splitlines()
    cells = [line.split(",") for line in lines]
    sick.write_text("\n".join([header, *(f"{t},{float(flow) + 1000},{speed}" for t, flow, speed in cells)]) + "\n")
    out = tmp_path / "next.onnx"
    assert main(["retrain", "--current", str(small.model), "--data", str(sick), "--out", str(out)]) == 1
    assert "of flow no value is left in the normal rows: the sensor is silent there, or sick" in capsys.readouterr().err
    assert not out.exists()


def test_hidden_faults_make_nothing_worse(station: Station, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The model that was retrained on them finds, in rows that nobody has seen, what the one before found."""
    out, facts = tmp_path / "next.onnx", tmp_path / "facts.json"
    assert retrained(station, out, "--json", str(facts)) == 0
    shown = capsys.readouterr()
    assert "injected faults found" in shown.out
    assert "rows are taken for normal" in shown.err
    old, new = OnnxModel.load(station.model), OnnxModel.load(out)
    assert new.spec.names == old.spec.names
    assert [c.unit for c in new.spec.channels] == [c.unit for c in old.spec.channels]
    assert new.report["retrained"] == json.loads(facts.read_text())
    assert new.report["retrained"]["candidate"]["injected_found"]["all"] > 0.5
    fresh = later(
        simulate(13000, 60.0, faults=[Fault(f.kind, f.start_row + 5000, f.end_row + 5000) for f in HIDDEN]), 8000
    )
    write_csv(fresh, tmp_path / "fresh.csv")
    rules, found = AlertRules(86_400 * SECOND), []
    for model in (old, new):
        alert = score_table(read_csv(tmp_path / "fresh.csv"), model, Watch(model, rules)).alert
        found.append(sum(bool(alert[f.start_row - 3000 : f.end_row - 3000].any()) for f in HIDDEN))
    assert found[1] >= found[0] > 0


POISON = ("leak", "closing_valve", "flow_bias", "flow_noise")
EPISODES = [(3300 + 900 * n, 3350 + 900 * n) for n in range(5)]  # 5 % of the rows


def poisoned(kind: str, rows: int, severity: float = 1.0) -> Simulation:
    """The later rows with the same fault again and again, that nobody has noticed: of the machine, or of the flow's sensor."""
    made = kind in POISON[:2]
    faults = [Fault(kind, first, end, severity) for first, end in EPISODES] if made else []
    found = simulate(rows, 60.0, faults=faults)
    flow, rng = found.names.index("flow"), np.random.default_rng(5)
    for first, end in [] if made else EPISODES:
        scale = found.values[:, flow].std()
        off = scale if kind == "flow_bias" else scale * rng.standard_normal(end - first)
        found.values[first:end, flow] += severity * off
    return later(found, 3000)


@pytest.mark.parametrize("kind", POISON)
def test_a_fault_that_fills_a_twentieth_of_the_rows_unnoticed_is_refused_or_does_no_harm(
    kind: str, station: Station, tmp_path: Path
) -> None:
    out, fresh = tmp_path / "next.onnx", tmp_path / "fresh.csv"
    write_csv(poisoned(kind, 8000), tmp_path / "poisoned.csv")
    poisoned_station = Station(station.model, tmp_path / "poisoned.csv")
    status = retrained(poisoned_station, out)
    if status != 0:
        assert (status, out.exists()) == (3, False)
        return
    write_csv(poisoned(kind, 8000, severity=1.5), fresh)
    rules, models = AlertRules(86_400 * SECOND), [OnnxModel.load(path) for path in (station.model, out)]
    alerts = [score_table(read_csv(fresh), model, Watch(model, rules)).alert for model in models]
    faulty = np.zeros(len(alerts[0]), np.bool_)
    for first, end in EPISODES:
        faulty[first - 3000 : end + 100 - 3000] = True
    before, after = ([bool(alert[first - 3000 : end - 3000].any()) for first, end in EPISODES] for alert in alerts)
    assert sum(after) >= sum(before)
    assert len(episodes(alerts[1] & ~faulty)) <= max(len(episodes(alerts[0] & ~faulty)), 3.5 + retrain.SPARE_ALERTS)


def test_worse_candidate_is_not_written_and_the_status_says_so(
    small: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(retrain, "LOSS", -1.0)  # whoever wants to replace must find all faults and more
    out = tmp_path / "model.onnx"
    out.write_bytes(small.model.read_bytes())
    data = ["--data", str(small.faulty), "--label", "anomaly", "--family", "pca", "--length", "16"]
    assert main(["retrain", "--current", str(out), "--out", str(out), *data]) == 3
    assert out.read_bytes() == small.model.read_bytes()
    assert list(tmp_path.iterdir()) == [out]
    shown = capsys.readouterr().out
    assert "known faults found, of 1" in shown
    assert "stays the model in use" in shown
