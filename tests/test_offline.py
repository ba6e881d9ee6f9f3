"""A file through the core: a line's answer is made of that line and earlier ones alone, and is the daemon's."""

import csv
import math
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from edge_ae.core.alert_events import AlertEvent, Outcome
from edge_ae.core.detector import Watch
from edge_ae.core.events import Readings, Scored
from edge_ae.core.fleet import Fleet
from edge_ae.core.rules import AlertRules, ChannelRule
from edge_ae.core.timestamps import SECOND
from edge_ae.errors import BadData
from edge_ae.model.onnx_model import OnnxModel
from edge_ae.offline import Outputs, Result, score_table, write_outputs
from edge_ae.store.recording_csv import Table, read_csv
from tests.models import TRAIN_ROWS, TRAINED_LENGTH, pump, trained, write_model

RULES = AlertRules(interval_ns=7 * 86400 * SECOND)
PERIOD_NS = 10 * SECOND


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> OnnxModel:
    return OnnxModel.load(trained(tmp_path_factory))


@pytest.fixture(scope="session")
def model_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory)


def table_of(lines: slice = slice(TRAIN_ROWS, TRAIN_ROWS + 300)) -> Table:
    """Normal rows that trained nothing, with a step in one channel near the end."""
    simulation = pump()
    values = simulation.values[lines].copy()
    values[200:240, 2] += 60.0  # m3/h of flow that no other channel knows of
    t_ns = simulation.t_ns[lines]
    return Table(Path("pump.csv"), [str(t) for t in t_ns.tolist()], t_ns, simulation.names, values)


def part_of(table: Table, lines: Sequence[int] | np.ndarray[Any, Any]) -> Table:
    chosen = list(lines)
    times = [table.times[i] for i in chosen]
    return replace(table, times=times, t_ns=table.t_ns[chosen], values=table.values[chosen])


def rough(table: Table, seed: int) -> Table:
    """Jitter, gaps, lines that share a slot, doubled lines, lines out of order, missing cells."""
    rng = random.Random(seed)
    lines = [i for i in range(len(table)) if rng.random() > 0.05 and not 90 <= i < 120]
    lines = sorted(lines + [i for i in lines if rng.random() < 0.2] + [i for i in lines if rng.random() < 0.1])
    for _ in range(5):
        at = rng.randrange(len(lines) - 1)
        lines[at], lines[at + 1] = lines[at + 1], lines[at]
    found = part_of(table, lines)
    jitter = np.array([rng.choice((0, rng.randrange(-4, 5))) for _ in lines], np.int64) * SECOND
    values = found.values.copy()
    values[np.random.default_rng(seed).random(values.shape) < 0.03] = math.nan
    return replace(found, t_ns=found.t_ns + jitter, values=values)


def astray(table: Table, seed: int) -> Table:
    """Outages longer than usual, stamps that are minutes or hours ahead, and a clock that goes back by an hour."""
    rng = random.Random(seed)
    lines, t_ns = [i for i in range(len(table)) if not (60 <= i < 66 or 120 <= i < 170)], table.t_ns.copy()
    for line in rng.sample(range(1, len(table)), 12):
        t_ns[line] += rng.choice((60, 590, 3540, 80_000)) * SECOND
    t_ns[210:] -= 3600 * SECOND
    return part_of(replace(table, t_ns=t_ns), lines)


def score(table: Table, model: OnnxModel, **options: Any) -> Result:
    return score_table(table, model, Watch(model, RULES), **options)


def score_file(model_path: Path, data: Path, outputs: Outputs) -> Result:
    """As `edge-ae score` does."""
    model, table = OnnxModel.load(model_path), read_csv(data)
    result = score(table, model, explained=outputs.explained)
    write_outputs(outputs, table, result, model.spec)
    return result


def answers(result: Result, lines: int | None = None) -> list[tuple[str, str, bool]]:
    """A line's answer, exactly: floats by their text, NaN included."""
    rows = zip(result.score.tolist(), result.threshold.tolist(), result.alert.tolist(), strict=True)
    return [(repr(score), repr(threshold), alert) for score, threshold, alert in rows][:lines]


def test_the_first_full_window_is_the_first_answer(model: OnnxModel) -> None:
    result = score(table_of(), model)
    assert np.flatnonzero(~np.isnan(result.score)).tolist() == list(range(TRAINED_LENGTH - 1, 300))


def test_a_fault_is_an_alert_that_ends(model: OnnxModel) -> None:
    result = score(table_of(), model)
    new, end = result.events[0], result.events[-1]
    assert (new.type, end.type, new.id) == ("new", "end", end.id)
    assert new.alert.channels[0].name == "flow"
    assert set(np.flatnonzero(result.alert)) >= set(range(210, 240))
    assert not result.alert[:200].any()


def test_alert_is_on_from_the_line_that_raised_it_to_the_one_before_it_cleared(model: OnnxModel) -> None:
    table = table_of()
    result = score(table, model)
    expected = np.zeros(len(table), bool)
    for one in (event.alert for event in result.events if event.type == "end"):
        assert one.raised_ns is not None
        assert one.cleared_ns is not None
        expected[np.searchsorted(table.t_ns, one.raised_ns) : np.searchsorted(table.t_ns, one.cleared_ns)] = True
    assert result.alert.tolist() == expected.tolist()
    assert expected.any()


@pytest.mark.parametrize("spoil", [rough, astray])
@pytest.mark.parametrize("seed", [None, 1, 2, 3])
@pytest.mark.parametrize("length", [1, 40, 62, 120, 150, 174, 205, 230, 240])
def test_the_first_lines_of_a_file_have_the_answers_of_the_first_lines(
    model: OnnxModel, spoil: Callable[[Table, int], Table], seed: int | None, length: int
) -> None:
    table = table_of() if seed is None else spoil(table_of(), seed)
    whole = score(table, model, explained=True)
    part = score(part_of(table, range(length)), model, explained=True)
    assert answers(part) == answers(whole, length)
    assert part.channel_score is not None
    assert whole.channel_score is not None
    np.testing.assert_array_equal(part.channel_score, whole.channel_score[:length])


@pytest.mark.parametrize("seed", [1, 2])
def test_explaining_changes_no_answer(model: OnnxModel, seed: int) -> None:
    table = rough(table_of(), seed)
    assert answers(score(table, model, explained=True)) == answers(score(table, model))


def test_the_parts_of_a_score_add_up_to_it(model: OnnxModel) -> None:
    result = score(table_of(), model, explained=True)
    assert result.channel_score is not None
    known = ~np.isnan(result.score)
    np.testing.assert_allclose(result.channel_score[known].sum(axis=1), result.score[known], rtol=1e-4)
    assert result.reconstruction is not None
    assert np.isfinite(result.reconstruction[known]).all()


def test_what_is_expected_of_healthy_channels_does_not_bend_towards_the_fault(model: OnnxModel) -> None:
    """A step in each channel in turn: in 95 of 100 lines the others are expected within twice their usual error."""
    table = table_of(slice(TRAIN_ROWS, TRAIN_ROWS + 200))
    deviations = pump().values[:TRAIN_ROWS].std(axis=0)
    usual = score(table, model, explained=True)
    error = np.sqrt(np.nanmean((expected(usual) - table.values) ** 2, axis=0))
    within = []
    for channel in range(len(table.names)):
        values = table.values.copy()
        values[120:160, channel] += 8.0 * deviations[channel]
        found = score(replace(table, values=values), model, explained=True)
        beyond = np.flatnonzero(found.score > found.threshold)
        others = np.arange(len(table.names)) != channel
        within.append(np.abs(expected(found) - expected(usual))[beyond][:, others] <= 2.0 * error[others])
    assert sum(map(len, within)) > 300
    assert np.concatenate(within).mean() >= 0.95


def expected(result: Result) -> np.ndarray[Any, Any]:
    assert result.reconstruction is not None
    return result.reconstruction


def test_an_odd_stamp_costs_no_other_line_its_score(model: OnnxModel) -> None:
    table = table_of()
    t_ns = table.t_ns.copy()
    t_ns[100] += 59 * 60 * SECOND
    found, undisturbed = score(replace(table, t_ns=t_ns), model), score(table, model)
    assert np.isfinite(found.score).sum() >= np.isfinite(undisturbed.score).sum() - 1
    assert answers(found)[:100] == answers(undisturbed)[:100]
    assert found.counts["odd_time"] == 1


@pytest.mark.parametrize("length", [100, 101, 102, 103])
def test_a_line_whose_time_later_lines_refute_is_answered_by_what_was_known_then(model: OnnxModel, length: int) -> None:
    table = table_of()
    t_ns = table.t_ns.copy()
    t_ns[100] += 60 * SECOND  # so little that a window would still bridge the gap
    odd = replace(table, t_ns=t_ns)
    whole = score(odd, model)
    assert answers(score(part_of(odd, range(length)), model)) == answers(whole, length)
    assert np.isfinite(whole.score[100])


def test_a_line_that_comes_too_late_takes_no_other_line_s_answer(model: OnnxModel) -> None:
    table = table_of()
    lines = [*range(103), 101, *range(103, 200)]
    late = part_of(table, lines)
    late.values[103] += 1.0
    found, undisturbed = answers(score(late, model)), answers(score(part_of(table, range(200)), model))
    assert found[103][:2] == ("nan", "nan")
    assert found[:103] + found[104:] == undisturbed


def test_columns_in_another_order_and_more_of_them_change_nothing(model: OnnxModel) -> None:
    table = table_of()
    order = np.random.default_rng(0).permutation(len(table.names))
    values = np.hstack([table.values[:, order], np.ones((len(table), 1))])
    other = replace(table, names=(*(table.names[i] for i in order), "extra"), values=values)
    assert answers(score(other, model)) == answers(score(table, model))


def test_a_column_that_the_model_needs_is_named(model: OnnxModel) -> None:
    table = table_of()
    short = replace(table, names=table.names[1:], values=table.values[:, 1:])
    with pytest.raises(BadData, match=rf"^pump.csv: lacks {table.names[0]}, which the model needs; it has ") as caught:
        score(short, model)
    assert "\n" not in str(caught.value)


def test_fewer_lines_than_a_window_have_no_answer_and_no_alert(model: OnnxModel) -> None:
    result = score(table_of(slice(0, TRAINED_LENGTH - 1)), model)
    assert np.isnan(result.score).all()
    assert not result.alert.any()
    assert result.events == []


@pytest.mark.parametrize("batch", [1, 7, 100])
def test_the_daemon_s_way_gives_the_same_scores_and_the_same_events(model: OnnxModel, batch: int) -> None:
    """Readings pushed one by one and stepped in other batches: what `run` does."""
    table = table_of()
    fleet, watch = Fleet("offline"), Watch(model, RULES)
    results: list[Outcome] = []
    for n, (t_ns, row) in enumerate(zip(table.t_ns.tolist(), table.values.tolist(), strict=True)):
        fleet.push(Readings("asset", t_ns, dict(zip(table.names, row, strict=True))), watch)
        if n % batch == 0:
            results += fleet.step()
    fleet.flush()
    results += fleet.step()
    offline = score(table, model)
    found = [r.verdict.score for r in results if isinstance(r, Scored)]
    assert found == offline.score[TRAINED_LENGTH - 1 :].tolist()
    assert [r for r in results if isinstance(r, AlertEvent)] == offline.events


@pytest.mark.parametrize("seed", range(4))
def test_missing_data_raises_no_alert(model: OnnxModel, seed: int) -> None:
    """Dropouts of all kinds in normal rows: single cells, whole rows, channels that die."""
    simulation = pump()
    values = simulation.values[TRAIN_ROWS:].copy()
    rng = np.random.default_rng(seed)
    values[rng.random(values.shape) < 0.1] = math.nan
    values[rng.random(len(values)) < 0.05] = math.nan
    for channel in rng.choice(values.shape[1], 2, replace=False):
        values[rng.integers(100, 400) :, channel] = math.nan
    t_ns = simulation.t_ns[TRAIN_ROWS:]
    table = Table(Path("pump.csv"), [str(t) for t in t_ns], t_ns, simulation.names, values)
    whole = replace(table, values=simulation.values[TRAIN_ROWS:])
    assert score(whole, model).events == []
    assert score(table, model).events == []


@pytest.mark.parametrize("share", [0.05, 0.2])
def test_rows_that_are_missing_whole_raise_no_alert(model: OnnxModel, share: float) -> None:
    """As where a second is left out now and then."""
    table = table_of()
    values = pump().values[TRAIN_ROWS : TRAIN_ROWS + len(table)].copy()
    values[np.random.default_rng(0).random(len(values)) < share] = math.nan
    assert score(replace(table, values=values), model).events == []


# -- files --------------------------------------------------------------------------------------------------


def write(table: Table, path: Path, times: Sequence[str]) -> Path:
    with path.open("w", newline="") as file:
        out = csv.writer(file, delimiter=";")
        out.writerow(["when", *table.names])
        for time, row in zip(times, table.values.tolist(), strict=True):
            out.writerow([time, *("" if math.isnan(value) else repr(value) for value in row)])
    return path


def test_one_line_out_for_each_line_in_with_its_time_as_it_came(model_path: Path, tmp_path: Path) -> None:
    table = rough(table_of(), 1)
    times = [
        str(t) if n % 2 else np.datetime_as_string(np.datetime64(t, "ns"), unit="ms").replace("T", " ")
        for n, t in enumerate(table.t_ns.tolist())
    ]
    data = write(table, tmp_path / "in.csv", times)
    out, events = tmp_path / "out.csv", tmp_path / "events.jsonl"
    result = score_file(model_path, data, Outputs(out, events=events))
    with out.open(newline="") as file:
        header, *lines = list(csv.reader(file))
    assert header == ["timestamp", "score", "threshold", "alert"]
    assert [line[0] for line in lines] == times
    assert {line[3] for line in lines} == {"0", "1"}
    assert [line[1] == "" for line in lines] == np.isnan(result.score).tolist()
    assert answers(score(read_csv(data), OnnxModel.load(model_path))) == answers(result)
    bodies = [orjson.loads(line) for line in events.read_text().splitlines()]
    assert [body["id"] for body in bodies] == [event.id for event in result.events]


def test_explanations_and_the_cleaned_signal_are_written_by_name(model_path: Path, tmp_path: Path) -> None:
    table = table_of(slice(TRAIN_ROWS, TRAIN_ROWS + 30))
    data = write(replace(table, values=table.values[:30]), tmp_path / "in.csv", table.times)
    out, clean = tmp_path / "out.csv", tmp_path / "clean.csv"
    score_file(model_path, data, Outputs(out, explain=True, reconstruction=clean))
    header = out.read_text().splitlines()[0].split(",")
    assert header == ["timestamp", "score", "threshold", "alert", *(f"score_{name}" for name in table.names)]
    cleaned = read_csv(clean)
    assert cleaned.names == table.names
    np.testing.assert_allclose(cleaned.values[TRAINED_LENGTH:, 8], table.values[TRAINED_LENGTH:, 8], rtol=0.3)


def test_a_place_that_cannot_be_written_is_a_sentence_and_leaves_nothing(model_path: Path, tmp_path: Path) -> None:
    table = table_of(slice(0, 30))
    data = write(table, tmp_path / "in.csv", table.times)
    with pytest.raises(BadData, match="cannot be written"):
        score_file(model_path, data, Outputs(tmp_path / "no" / "out.csv"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.csv"]


@pytest.mark.parametrize(
    ("counts", "scored", "sentence"),
    [
        ({"window_incomplete": 9}, 80, ""),
        ({"window_incomplete": 30}, 80, "w.csv: 80 of 100 lines have a score; window_incomplete 30"),
        ({"late": 1, "duplicate": 0}, 80, "w.csv: 80 of 100 lines have a score; late 1"),
        ({}, 0, "w.csv: 0 of 100 lines have a score"),
    ],
)
def test_what_was_not_used_is_reported_but_for_a_few_windows(
    counts: dict[str, int], scored: int, sentence: str
) -> None:
    score = np.where(np.arange(100) < scored, 1.0, np.nan)
    assert Result(score, score, score > 0, [], Counter(counts)).unused(Path("w.csv")) == sentence


@pytest.mark.parametrize(
    ("rows", "step", "note"),
    [
        (slice(0, 12), 1, f"12 of {TRAINED_LENGTH} rows"),
        (slice(0, 120), 6, "readings come every 1 min, the model takes one every 10 s"),
        (slice(0, 120), 1, None),
    ],
)
def test_a_table_without_a_score_says_why(model: OnnxModel, rows: slice, step: int, note: str | None) -> None:
    table = table_of(rows)
    slower = replace(table, t_ns=table.t_ns[0] + (table.t_ns - table.t_ns[0]) * step)
    result = score_table(slower, model, Watch(model, RULES))
    assert (result.scored == 0, result.note) == (note is not None, note)


def test_a_table_without_any_value_says_so(model: OnnxModel) -> None:
    table = table_of(slice(0, 30))
    result = score_table(replace(table, values=table.values * math.nan), model, Watch(model, RULES))
    assert result.unused(Path("w.csv")).startswith("w.csv: 0 of 30 lines have a score; no value comes")


def test_lines_of_another_state_have_no_score_and_no_alert(tmp_path: Path) -> None:
    model = write_model(tmp_path / "m.onnx", when="pressure > 1")
    flow = np.where(np.arange(60) < 30, 5.0, 40.0)
    pressure = np.where((np.arange(60) >= 40) & (np.arange(60) < 50), 0.5, 2.5)
    t_ns = (1_790_000_000 + np.arange(60, dtype=np.int64)) * SECOND
    table = Table(Path("t.csv"), [""] * 60, t_ns, ("flow", "pressure"), np.stack([flow, pressure], axis=1))
    found = score_table(table, model, Watch(model, AlertRules(interval_ns=7 * 86_400 * SECOND)))
    assert np.flatnonzero(np.isnan(found.score)).tolist() == [0, 1, 2, *range(40, 53)]
    assert np.flatnonzero(found.alert).tolist() == [*range(30, 40), *range(53, 60)]


def test_a_suppressed_alert_is_none_in_any_line_be_there_one_a_slot_or_several(tmp_path: Path) -> None:
    model = write_model(tmp_path / "m.onnx")
    muted = AlertRules(interval_ns=7 * 86_400 * SECOND, channels={"flow": ChannelRule(mute=True)})
    for apart_ns in (SECOND, SECOND // 4):
        t_ns = 1_790_000_000 * SECOND + np.arange(80, dtype=np.int64) * apart_ns
        values = np.stack([np.where(np.arange(80) < 60, 5.0, 40.0), np.full(80, 2.5)], axis=1)
        table = Table(Path("t.csv"), [""] * 80, t_ns, ("flow", "pressure"), values)
        found = score_table(table, model, Watch(model, muted))
        assert np.nanmax(found.score / found.threshold) > 1.0
        assert (np.flatnonzero(found.alert).tolist(), found.events) == ([], [])
