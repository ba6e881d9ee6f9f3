"""A model judged on recordings: the figures, the words, and that they are the daemon's own alerts."""

import io
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from edge_ae_train.evaluation import clock, evaluate, figures
from edge_ae_train.evaluation.evaluate import Evaluation, ScoredRows
from edge_ae_train.progress import Reporter
from edge_ae_train.report.report import report
from numpy.typing import NDArray

from edge_ae.core.detector import Watch
from edge_ae.core.rules import AlertRules
from edge_ae.errors import BadData
from edge_ae.model.onnx_model import OnnxModel
from edge_ae.offline import Result, score_table
from edge_ae.store.recording.options import ReadOptions
from edge_ae.store.recording_csv import Table, read_csv
from tests.train.conftest import Small

SECOND = 10**9
RULES = AlertRules(interval_ns=3600 * SECOND)


def flags(text: str) -> NDArray[np.bool_]:
    return np.array([mark == "#" for mark in text])


def series(alert: str, label: str | None, name: str = "a") -> ScoredRows:
    alarm = flags(alert)
    return ScoredRows(
        name=name,
        period_ns=60 * SECOND,
        recorded_ns=len(alarm) * 60 * SECOND,
        slot=np.arange(len(alarm)),
        watched_ns=np.full(len(alarm), 60 * SECOND),
        score=np.where(alarm, 3.0, 1.0),
        threshold=np.full(len(alarm), 2.0),
        alert=alarm,
        label=None if label is None else flags(label),
    )


def evaluation(*several: ScoredRows) -> Evaluation:
    return Evaluation("pump", "cae", 60 * SECOND, 1.0, tuple(map(evaluate.judge, several)))


def test_figures_of_a_labelled_recording() -> None:
    found = figures.as_dict(evaluation(series("#...##....", "....####..")))["series"][0]
    assert found == {
        "name": "a",
        "recorded_s": 600.0,
        "watched_s": 600.0,
        "rows": 10,
        "alerts": 2,
        "alert_rows": 3,
        "alerts_per_week": 2016.0,
        "ratio_quantiles": {"0.5": 0.5, "0.95": 1.5, "0.99": 1.5, "1.0": 1.5},
        "f1": 0.571429,
        "precision": 0.666667,
        "recall": 0.5,
        "false_alarm_rate": 0.166667,
        "missed_rate": 0.5,
        "events": 1,
        "events_found": 1,
        "event_recall": 1.0,
        "median_delay_s": 0.0,
        "false_alerts": 1,
        "false_alerts_per_1000_rows": 166.667,
        "false_alerts_per_week": 1680.0,
        "affiliation_precision": pytest.approx(0.7, abs=0.2),
        "affiliation_recall": pytest.approx(0.9, abs=0.1),
        "affiliation_f1": pytest.approx(0.8, abs=0.15),
        "vus_pr": pytest.approx(0.7, abs=0.3),
        "auc_pr": pytest.approx(0.5333333, abs=1e-6),
        "best_f1": 0.571429,
    }


def test_counts_are_pooled_and_curves_averaged() -> None:
    one, two = series("##..", "##.."), series("....", "##..", "b")
    total = figures.as_dict(evaluation(one, two))["total"]
    assert (total["f1"], total["recall"], total["events"], total["events_found"]) == (0.666667, 0.5, 2, 1)
    assert total["auc_pr"] == pytest.approx((1.0 + 0.5) / 2)


def test_figure_that_does_not_exist_is_null_in_json_and_a_dash_in_the_table() -> None:
    no_event = evaluation(series("....", "...."))
    assert json.loads(json.dumps(figures.as_dict(no_event), allow_nan=False))["total"]["recall"] is None
    assert "-" in figures.table_rows(no_event)[1][0]


def test_without_labels_the_alerts_stand_against_the_budget() -> None:
    week = "#" + "." * (7 * 24 * 60 - 1)
    found = evaluation(series(week, None))
    assert found.labelled == ()
    assert found.alerts_per_week == 1.0
    assert figures.as_dict(found)["total"] is None
    assert figures.conclusion(found) == ("1 alert in 7 days; the budget is 1 a week on normal data, which allows 1.")


def test_short_recording_is_not_held_against_the_budget() -> None:
    assert figures.conclusion(evaluation(series("#..#", "#..."))) == (
        "2 alerts in 4 min, 1 of them false; "
        "the budget is 1 a week on normal data, which so short a recording cannot show."
    )


def test_table_in_a_pipe_is_not_folded() -> None:
    text = io.StringIO()
    figures.show(evaluation(series("##..", "##.."), series("....", "##..", "b")), text)
    assert "affiliation F1" in text.getvalue()
    assert "\x1b" not in text.getvalue()
    assert any("│ all " in line and "1 of 2" in line for line in text.getvalue().splitlines())


def test_evaluation_is_of_the_daemons_own_alerts(small: Small) -> None:
    found = evaluate.evaluate(small.model, [small.faulty], RULES, ReadOptions(label="anomaly"))
    model = OnnxModel.load(small.model)
    scored = score_table(
        read_csv(small.faulty, ReadOptions(label="anomaly")), model, Watch(model, RULES), asset="faulty"
    )
    (quality,) = found.series
    assert quality.alert_rows == int(scored.alert.sum())
    assert quality.rows == int(np.isfinite(scored.score).sum())
    assert (found.events.events, found.events.found) == (1, 1)
    assert quality.name == "faulty"


def test_recording_shorter_than_a_window_is_refused(small: Small, tmp_path: Path) -> None:
    short = tmp_path / "short.csv"
    short.write_text("t,flow,speed\n" + "".join(f"{1_700_000_000 + i},{i},{i}\n" for i in range(1, 10)))
    with pytest.raises(BadData, match="9 lines do not fill one window of 16 rows of 1 s"):
        evaluate.evaluate(small.model, [short], RULES)


def test_recording_at_another_pace_is_refused_with_both_paces(small: Small, tmp_path: Path) -> None:
    slow = tmp_path / "slow.csv"
    slow.write_text("t,flow,speed\n" + "".join(f"{1_700_000_000 + 20 * i},{i % 7},{i % 5}\n" for i in range(60)))
    with pytest.raises(BadData, match="no score can be made: readings come every 20 s, the model takes one every 1 s"):
        evaluate.evaluate(small.model, [slow], RULES)


@pytest.mark.parametrize("line", ["5,50", "5,"], ids=["nothing moves", "a channel without a value"])
def test_machine_that_stands_still_or_a_dead_sensor_is_judged_too(small: Small, tmp_path: Path, line: str) -> None:
    still = tmp_path / "still.csv"
    still.write_text("t,flow,speed\n" + "".join(f"{1_700_000_000 + i},{line}\n" for i in range(60)))
    (quality,) = evaluate.evaluate(small.model, [still], RULES).series
    assert quality.rows == 60 - 15
    assert "Recording still" in report(small.model, [still], tmp_path / "report", RULES).read_text()


def test_recording_too_short_for_a_window_does_not_stop_the_others(small: Small, tmp_path: Path) -> None:
    short = tmp_path / "short.csv"
    short.write_text("t,flow,speed\n1600000000,1,1\n")
    notes: list[str] = []
    found = evaluate.evaluate(small.model, [short, small.normal], RULES, reporter=Reporter(note=notes.append))
    assert [quality.name for quality in found.series] == ["normal"]
    assert f"{short}: 1 lines do not fill one window of 16 rows of 1 s; no score can be made: 1 of 16 rows" in notes
    page = report(small.model, [short, small.normal], tmp_path / "report", RULES).read_text()
    assert "Recording normal" in page
    assert "Recording short" not in page


def test_column_to_leave_out_need_not_be_in_every_file(small: Small) -> None:
    found = evaluate.evaluate(small.model, [small.normal, small.faulty], RULES, ReadOptions(ignore=["anomaly"]))
    assert [quality.name for quality in found.series] == ["normal", "faulty"]


def test_row_without_a_score_of_its_own_counts_with_the_last_one(small: Small) -> None:
    """Between two hops, and in a hole: a week is a week, and what is labelled there is to be found."""
    spec = OnnxModel.load(small.model).spec
    score = np.array([np.nan, np.nan, 1.0, np.nan, 3.0, np.nan, np.nan, 1.0])
    table = Table(
        Path("a.csv"), [""] * 8, np.arange(8) * SECOND, spec.names, np.zeros((8, 2)), labels=flags(".....#..")
    )
    result = Result(score, np.full(8, 2.0), flags("....###."), [], Counter())
    found = evaluate.scored_rows(table, result, spec)
    assert found.score.tolist() == [1.0, 1.0, 3.0, 3.0, 3.0, 1.0]
    assert evaluate.judge(found).rows == 6
    assert evaluate.judge(found).truth.events.found == 1  # type: ignore[union-attr]


def test_rows_are_slots_and_not_lines(small: Small, tmp_path: Path) -> None:
    lines = small.normal.read_text().splitlines()
    doubled = tmp_path / "doubled.csv"
    doubled.write_text("\n".join([lines[0], *(line for line in lines[1:] for _ in range(2))]) + "\n")
    once, twice = (evaluate.evaluate(small.model, [path], RULES).series[0] for path in (small.normal, doubled))
    assert (once.rows, once.alerts) == (twice.rows, twice.alerts)


def test_time_is_the_clocks_and_not_that_of_lines(small: Small) -> None:
    """Lines that come on change, each a few rows after the last, with values that are held."""
    spec = replace(OnnxModel.load(small.model).spec, hold_rows=20)
    slots = np.array([0, 5, 6, 10, 40])  # the last behind a gap that no window bridges
    table = Table(Path("a.csv"), [""] * 5, slots * SECOND, spec.names, np.zeros((5, 2)))
    scores = np.array([1.0, 1.0, 1.0, 1.0, np.nan])
    found = evaluate.scored_rows(table, Result(scores, np.full(5, 2.0), flags("....."), [], Counter()), spec)
    assert (found.watched_ns // SECOND).tolist() == [5, 1, 4, 1, 0]
    assert evaluate.judge(found).recorded_ns == 41 * SECOND
    assert evaluate.judge(found).watched_ns == 11 * SECOND


def test_delay_is_by_the_clock() -> None:
    sparse = replace(series(".#..", "####"), slot=np.array([10, 40, 41, 42]))
    assert figures.as_dict(evaluation(sparse))["total"]["median_delay_s"] == 30 * 60


DAY_NS = 24 * 3600 * SECOND


@pytest.mark.parametrize(
    ("spans", "text"),
    [
        ([("a", 7 * DAY_NS)], "7 days"),
        ([("a", 7 * DAY_NS), ("a", DAY_NS)], "8 days"),
        ([(name, 7 * DAY_NS - 60 * SECOND) for name in "abcd"], "28 asset-days (4 assets x 7 days)"),
        ([("a", DAY_NS), ("b", 2 * DAY_NS)], "3 asset-days (2 assets)"),
        ([("a", DAY_NS // 4), ("b", DAY_NS // 4)], "12 asset-hours (2 assets x 6 h)"),
    ],
)
def test_time_of_several_assets_is_said_as_such(spans: list[tuple[str, int]], text: str) -> None:
    assert clock.asset_time(spans) == text


def test_sentence_says_what_was_watched_of_the_recorded_time() -> None:
    gap = [replace(series("#" + "." * 9, None, name), recorded_ns=2 * DAY_NS) for name in "ab"]
    assert figures.conclusion(evaluation(*gap)) == (
        "2 alerts in 4 asset-days (2 assets x 2 days; watched: 20 min); "
        "the budget is 1 a week for each asset on normal data, which so short a recording cannot show."
    )
