"""The quality bench in small: what it counts, and that tables for people and figures for programs say the same."""

import json
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_ae.cli.progress import ProgressLine
from edge_ae.core.alert_events import AlertEvent, EventType
from edge_ae.core.model_spec import Floats
from edge_ae.core.timestamps import SECOND
from edge_ae.model.onnx_model import OnnxModel
from tests.bench import answers, cost, quality, shares
from tests.bench.aims import KEYS, OURS, Aim
from tests.bench.grid import Grid
from tests.bench.jobs import Job, Runner, kept_results
from tests.bench.series import Case, table_of
from tests.bench.shares import START, TEST_ROWS, Outcome
from tests.models import TRAIN_ROWS, alert_of, pump, trained

GRID = Grid("sensor faults", ("fault", "called"), [("flat", "19 of 20"), ("stale", "20 of 20")], "39 of 40")


def test_a_table_has_the_same_cells_in_a_terminal_and_in_markdown() -> None:
    text, markdown = GRID.as_text(), GRID.as_markdown()
    assert [line.split()[0] for line in text.splitlines()] == ["sensor", "fault", "flat", "stale", "39"]
    assert markdown.splitlines() == [
        "## sensor faults",
        "",
        "| fault | called |",
        "| --- | ---: |",
        "| flat | 19 of 20 |",
        "| stale | 20 of 20 |",
        "",
        "39 of 40",
    ]


def test_tables_are_written_beside_the_figures(tmp_path: Path) -> None:
    out = tmp_path / "new" / "quality.json"
    quality.write({"sensors": ({"called": 0.975}, GRID)}, out)
    assert json.loads(out.read_text()) == {"sensors": {"called": 0.975}}
    assert out.with_suffix(".md").read_text() == GRID.as_markdown()


def test_a_wrong_channel_is_counted_where_the_alert_lists_it_first_and_where_there_is_none() -> None:
    places = {3.0: 1, -3.0: shares.TOP + 1, 6.0: None, -6.0: shares.TOP}
    found = [Outcome("drift", "flow", size, place) for size, place in places.items()]
    small, large = (one for one in shares._counts(found) if one["shape"] == "drift")
    assert (small["cases"], small["alerts"], small["named"]) == (2, 2, 1)
    assert (large["cases"], large["alerts"], large["named"]) == (2, 1, 1)


@pytest.mark.parametrize(("deviations", "expected"), [(0.0, None), (8.0, 1)])
def test_the_place_of_the_wrong_channel_is_that_in_the_alert(
    tmp_path_factory: pytest.TempPathFactory, deviations: float, expected: int | None
) -> None:
    model, run = OnnxModel.load(trained(tmp_path_factory)), pump(TRAIN_ROWS + TEST_ROWS)
    t_ns, values = run.t_ns[TRAIN_ROWS:], run.values[TRAIN_ROWS:].copy()
    channel = run.names.index("motor_temperature")
    values[START:, channel] += deviations * np.std(run.values[:TRAIN_ROWS, channel])
    assert shares.place(model, table_of("pump", run.names, t_ns, values), "motor_temperature") == expected


def test_a_recording_too_short_for_one_alert_does_not_count_for_that_budget() -> None:
    found = [("pump", 20_000, [25, 2]), ("short", 3000, [7, 0]), ("loud", 50_000, [60, 11])]
    figures, grid = quality.budget_table(
        [{"case": case, "rows": rows, "raised": raised} for case, rows, raised in found]
    )
    assert [(one["holding"], one["series"]) for one in figures["holding"]] == [(2, 3), (1, 2)]
    assert grid.rows[-1][2:] == ("2 of 3: NO", "1 of 2: NO")


@pytest.mark.parametrize(
    ("aim", "said"),
    [
        (Aim("auc_pr", times_best=1.2), "AUC-PR 0.500, aim 1.2 times the 0.450 of PCA: NO"),
        (Aim("auc_pr", times_best=1.0), "AUC-PR 0.500, aim 1 times the 0.450 of PCA: yes"),
        (Aim("f1", least=0.82), "F1 0.820, aim 0.82 at least: yes"),
        (Aim("far", most=15.0), "FAR % 16.000, aim 15 at most: NO"),
    ],
)
def test_a_leaderboard_says_whether_its_aim_was_reached(aim: Aim, said: str) -> None:
    ours = [{"auc_pr": found, "f1": 0.82, "far": 16.0} for found in (0.4, 0.6)]
    others = {"PCA": [{"auc_pr": 0.45, "f1": 0.9, "far": 1.0}], "CVA": [{"auc_pr": 0.3, "f1": 0.1, "far": 2.0}]}
    assert aim.kept({OURS: ours} | others) == said


@pytest.mark.parametrize(
    ("row", "counted"), [(49, False), (50, True), (69, True), (70, False), (79, False), (80, True)]
)
def test_an_alert_counts_where_rows_are_judged_and_normal(row: int, counted: bool) -> None:
    label = np.zeros(100, np.bool_)
    label[70:80] = True
    case = Case("", table_of("", (), np.arange(100) * SECOND, np.zeros((100, 0))), 50, label)
    event = AlertEvent("pump", EventType.NEW, "id", 1, alert_of(raised_ns=row * SECOND))
    assert answers._raised_on_normal(event, case) == counted


def some_case(name: str = "pump") -> Case:
    rows = 40
    values = np.random.default_rng(0).normal(size=(rows, 2))
    label = np.zeros(rows, np.bool_)
    label[30:35] = True
    return Case(name, table_of(name, ("a", "b"), np.arange(rows) * SECOND, values), 20, label)


def test_a_detector_that_has_no_seed_is_run_once() -> None:
    board = quality.leaderboard("pumps", [some_case("p1"), some_case("p2")], seeds=3)
    runs = Counter(job.arguments[0] for job in board.jobs)
    assert (runs[OURS], runs["isolation forest"], runs["dynamic PCA"]) == (6, 6, 2)
    figures = dict.fromkeys(KEYS, 0.5)
    counts = dict.fromkeys(("tp", "fp", "fn", "tn", "found", "events"), 1)
    made, grid = board.table({job.key: figures | counts for job in board.jobs})
    assert {name: len(found) for name, found in made["pooled"].items()}["dynamic PCA"] == 1
    assert grid.title == "pumps: 2 recordings, 3 seeds (mean, and +- half the range over seeds)"


def test_a_job_is_another_where_its_rows_are() -> None:
    one, other = some_case(), some_case()
    other.table.values[3, 1] += 1.0
    assert one.digest == some_case().digest
    assert len({one.digest, other.digest, replace(one, start=21).digest, replace(one, label=~one.label).digest}) == 4


def test_what_is_done_is_kept_when_a_later_part_fails(tmp_path: Path) -> None:
    def broken() -> None:
        raise RuntimeError("no such data")

    def part(name: str, function: Callable[[], Any]) -> quality.Part:
        return quality.Part(name, [Job(name, function)], lambda results: ({"called": results[name]}, GRID))

    out = tmp_path / "quality.json"
    parts = {"sensors": part("sensors", lambda: 1.0), "smd": part("smd", broken)}
    with (
        ThreadPoolExecutor(1) as pool,
        kept_results(tmp_path / "kept.jsonl", "code") as kept,
        pytest.raises(RuntimeError, match="no such data"),
    ):
        quality.run(parts, Runner(pool, kept, ProgressLine(terminal=False), []), out)
    assert json.loads(out.read_text()) == {"sensors": {"called": 1.0}}


def test_what_is_timed_takes_turns_and_its_time_is_that_of_a_window(monkeypatch: pytest.MonkeyPatch) -> None:
    now, order = 0.0, []

    def detector(name: str, seconds: float) -> tuple[str, cost.Score]:
        def score(_windows: Floats) -> None:
            nonlocal now
            now += seconds
            order.append(name)

        return name, score

    monkeypatch.setattr("time.perf_counter", lambda: now)
    windows = np.zeros((2, 4, 1), np.float32)
    us = cost.taken([detector("a", 2e-6), detector("b", 8e-6)], windows, calls=3)
    assert us == pytest.approx({"a": 1.0, "b": 4.0})
    assert order[:12] == [*"aaabbb"] * 2
