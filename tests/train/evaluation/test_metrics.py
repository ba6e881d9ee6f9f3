"""Metrics, against values worked by hand and against the slow, direct way of the papers."""

import math

import numpy as np
import pytest
from edge_ae_train.data.segments import episodes
from edge_ae_train.evaluation import metrics
from edge_ae_train.evaluation.metrics import Counts, Events
from numpy.typing import NDArray


def flags(text: str) -> NDArray[np.bool_]:
    return np.array([mark == "#" for mark in text])


def some_series(seed: int) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    rng = np.random.default_rng(seed)
    label = np.zeros(200, dtype=np.bool_)
    for first in rng.integers(0, 200, 4):
        label[first : first + rng.integers(1, 25)] = True
    score = rng.normal(size=200) + 1.5 * label
    if seed % 2:
        score = np.round(score, 1)  # with ties
    return score.astype(np.float64), label


def test_episodes_are_the_runs_with_their_ends() -> None:
    assert episodes(flags("##..#.###")).tolist() == [[0, 2], [4, 5], [6, 9]]
    assert episodes(flags("...")).tolist() == []
    assert episodes(flags("")).tolist() == []


def test_counts_and_their_rates() -> None:
    counts = metrics.count(flags("##...#####"), flags("..##.###.."))
    assert counts == Counts(tp=3, fp=4, fn=2, tn=1)
    assert (counts.precision, counts.recall, counts.f1) == (3 / 7, 3 / 5, 6 / 12)
    assert (counts.false_alarm_rate, counts.missed_rate) == (4 / 5, 2 / 5)
    assert counts + counts == Counts(6, 8, 4, 2)


def test_rate_without_a_case_is_nan() -> None:
    assert math.isnan(Counts(fp=1, tn=1).recall)
    assert math.isnan(Counts(tp=1, fn=1).false_alarm_rate)


def test_sweep_by_hand() -> None:
    score, label = np.array([0.9, 0.8, 0.7, 0.6]), flags("#.#.")
    assert metrics.average_precision(score, label) == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)
    assert metrics.best_f1(score, label) == pytest.approx(4 / 5)  # alarm on the first three rows


def test_ties_are_alarmed_together() -> None:
    assert metrics.average_precision(np.ones(4), flags("#...")) == 0.25
    assert metrics.best_f1(np.ones(4), flags("#...")) == 2 / 5


def test_without_labels_there_is_no_quality() -> None:
    score, none = np.arange(5.0), np.zeros(5, dtype=np.bool_)
    for metric in (metrics.average_precision, metrics.best_f1, metrics.vus_pr):
        assert math.isnan(metric(score, none))
    assert math.isnan(metrics.affiliation(none, none).recall)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("max_buffer", [0, 1, 7])
def test_vus_pr_is_the_direct_computation(seed: int, max_buffer: int) -> None:
    score, label = some_series(seed)
    direct = np.mean([slow_range_ap(score, label, width) for width in range(max_buffer + 1)])
    assert metrics.vus_pr(score, label, max_buffer) == pytest.approx(direct, abs=1e-12)


def slow_range_ap(score: NDArray[np.float64], label: NDArray[np.bool_], width: int) -> float:
    """Each row, each boundary, as the definition reads."""
    half, rows, events = width // 2, len(label), episodes(label).tolist()
    weight = label.astype(float)
    for row in range(rows):
        for first, end in events:
            away = max(first - row, row - (end - 1))
            if 1 <= away <= half:
                weight[row] += math.sqrt(1 - away / width)
    weight = np.minimum(weight, 1.0)
    zone = np.zeros(rows + 1, dtype=np.bool_)
    for first, end in events:
        zone[max(first - half, 0) : min(end + half, rows)] = True
    touching = episodes(zone[:rows])
    boundaries = np.sort(score)[::-1][np.linspace(0, rows - 1, 250).astype(int)]
    area, recall_before = 0.0, 0.0
    for boundary in boundaries:
        alarm = score >= boundary
        hit = (weight * alarm).sum()
        buffer_hit = (weight * alarm * ~label).sum()
        found = np.mean([alarm[first:end].any() for first, end in touching])
        recall = min(hit / (label.sum() + buffer_hit / 2), 1.0) * found
        area += (recall - recall_before) * hit / alarm.sum()
        recall_before = recall
    return area


def test_perfect_score_has_a_full_vus_pr_without_buffer() -> None:
    label = flags("...##....#..")
    assert metrics.vus_pr(label.astype(float), label, 0) == pytest.approx(1.0)


def test_affiliation_by_hand() -> None:
    # one event [4, 6) in the zone [0, 10); one alarm row [7, 8), between 1 and 2 rows away, 1.5 on average:
    # nearer to the event is 2 + 1.5 + 1.5 of the 10 rows, so half of the zone lies farther
    result = metrics.affiliation(flags(".......#.."), flags("....##...."))
    assert result.precision == pytest.approx(0.5)
    # instants of the event are 1 to 3 away, 2 on average; within that on both sides: 4 of 10
    assert result.recall == pytest.approx(0.6)
    assert result.f1 == pytest.approx(2 * 0.5 * 0.6 / 1.1)


def test_affiliation_is_one_when_exact_and_counts_a_missed_event() -> None:
    label = flags("..##......##..")
    assert metrics.affiliation(label, label) == metrics.Affiliation(1.0, 1.0)
    half = metrics.affiliation(flags("..##.........."), label)
    assert (half.precision, half.recall) == (1.0, 0.5)
    none = metrics.affiliation(flags("." * 14), label)
    assert math.isnan(none.precision)
    assert (none.recall, none.f1) == (0.0, 0.0)


@pytest.mark.parametrize("seed", range(4))
def test_affiliation_is_the_integral_of_its_definition(seed: int) -> None:
    score, label = some_series(seed)
    alarm = score > 1.0
    fast = metrics.affiliation(alarm, label)
    assert (fast.precision, fast.recall) == pytest.approx(slow_affiliation(alarm, label), abs=2e-3)


def slow_affiliation(alarm: NDArray[np.bool_], label: NDArray[np.bool_]) -> tuple[float, float]:
    """Chance of lying farther, counted over a fine grid of instants."""
    fine = 20
    instants = (np.arange(len(label) * fine) + 0.5) / fine
    events = episodes(label)
    center_of = np.array([[max(a - t, t - b, 0.0) for a, b in events] for t in instants])
    zone_of = center_of.argmin(axis=1)
    precisions, recalls = [], []
    for zone, (first, end) in enumerate(events):
        there = instants[zone_of == zone]
        away = np.array([max(first - t, t - end, 0.0) for t in there])
        alarmed = np.repeat(alarm, fine)[zone_of == zone]
        if alarmed.any():
            precisions.append(np.mean([1.0 if d == 0 else (away >= d).mean() for d in away[alarmed]]))
        chances = []
        for t in there[(there > first) & (there < end)]:
            nearest = np.abs(there[alarmed] - t).min() if alarmed.any() else np.inf
            chances.append((np.abs(there - t) >= nearest).mean())
        recalls.append(np.mean(chances) if alarmed.any() else 0.0)
    return float(np.mean(precisions)), float(np.mean(recalls))


def test_events_found_with_their_delay_and_alerts_that_touch_none() -> None:
    label = flags("..####....##..##")
    alarm = flags(".###.#.##...####")
    assert metrics.match_events(alarm, label) == Events(
        events=3, found=2, delays_rows=(0, 0), alerts=4, false_alerts=1, normal_rows=8
    )
    assert metrics.match_events(flags("....#####......."), label).delays_rows == (2,)


def test_events_of_several_series_add_up() -> None:
    one = Events(2, 1, (3,), 2, 1, 500)
    both = one + Events(1, 1, (5,), 4, 3, 500)
    assert both == Events(3, 2, (3, 5), 6, 4, 1000)
    assert (both.recall, both.median_delay_rows, both.false_alerts_per(1000)) == (2 / 3, 4.0, 4.0)
    assert math.isnan(Events().median_delay_rows)
