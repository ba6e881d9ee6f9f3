"""The report: stands alone, says what there is to say, and escapes what it was given."""

import json
import re
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from edge_ae_train.progress import Reporter
from edge_ae_train.report import page, pictures
from edge_ae_train.report.model_card import model_section
from edge_ae_train.report.page import Chapter, Grid, Picture
from edge_ae_train.report.report import report
from edge_ae_train.scoring.modes import find_modes, mode_map
from matplotlib.figure import Figure

from edge_ae.core.model_spec import Similar
from edge_ae.core.rules import AlertRules, budget_ns
from edge_ae.errors import BadData
from edge_ae.model.onnx_model import OnnxModel
from edge_ae.store.recording.options import ReadOptions
from tests.train.conftest import Small

RULES = AlertRules(interval_ns=3600 * 10**9)
PNG = b"\x89PNG"


def test_report_of_a_recording_stands_alone_and_says_why(small: Small, tmp_path: Path) -> None:
    written = report(small.model, [small.faulty], tmp_path, RULES, ReadOptions(label="anomaly"))
    text = written.read_text()
    assert written == tmp_path / "report.html"
    assert set(re.findall(r'src="([^,"]{0,22})', text)) == {"data:image/png;base64"}
    assert not re.search(r'(href|src)="(http|//)', text)
    for words in ("In short", "Recording faulty", "Map of behaviour", "The model", "lost correlation", "1 of 1"):
        assert words in text
    facts = json.loads((tmp_path / "report.json").read_text())
    (alert, *_) = facts["alerts"]["faulty"]
    assert alert["top_channel"] in ("flow", "speed")  # two that have parted: which of them went cannot be told
    assert alert["reason"] in text
    assert facts["evaluation"]["total"]["events_found"] == 1


def test_the_page_says_first_what_to_look_at(small: Small, tmp_path: Path) -> None:
    report(small.model, [small.normal, small.faulty], tmp_path, RULES, ReadOptions(ignore=["anomaly"]))
    first = (tmp_path / "report.md").read_text().split("\n\n")[2]
    alerts = json.loads((tmp_path / "report.json").read_text())["alerts"]["faulty"]
    worst = max(alerts, key=lambda alert: alert["ratio"])
    when = worst["ts_raised"][:19].replace("T", " ")
    assert first.startswith(f"Look first at “Recording faulty”: its alert of {when} went to {worst['ratio']:.3g} times")


def test_without_an_alert_the_page_says_which_recording_came_nearest_to_one(small: Small, tmp_path: Path) -> None:
    rare = AlertRules(interval_ns=30 * 24 * 3600 * 10**9)
    text = report(small.model, [small.normal], tmp_path, rare).read_text()
    assert "Look first at “Recording normal”: no alert, and its score came nearest to the boundary" in text


def test_times_of_the_page_are_in_the_zone_that_was_asked_for(small: Small, tmp_path: Path) -> None:
    tokyo = ZoneInfo("Asia/Tokyo")
    text = report(small.model, [small.faulty], tmp_path, RULES, zone=tokyo).read_text()
    (alert, *_) = json.loads((tmp_path / "report.json").read_text())["alerts"]["faulty"]
    raised = datetime.fromisoformat(alert["ts_raised"]).astimezone(tokyo)
    assert "(Asia/Tokyo, as all times here)" in text
    assert f"<td>{raised:%Y-%m-%d %H:%M:%S}</td>" in text


def test_markdown_shows_the_pictures_beside_it(small: Small, tmp_path: Path) -> None:
    report(small.model, [small.normal], tmp_path, RULES)
    shown = re.findall(r"!\[.*\]\((.*)\)", (tmp_path / "report.md").read_text())
    assert shown
    assert {tmp_path / name for name in shown} == set((tmp_path / "pictures").iterdir())
    assert all((tmp_path / name).read_bytes().startswith(PNG) for name in shown)


def test_report_without_data_is_of_the_model(small: Small, tmp_path: Path) -> None:
    text = report(small.model, [], tmp_path, RULES).read_text()
    assert "small: what it learned" in text
    assert "In short" not in text
    assert "m3/h" in text
    assert json.loads((tmp_path / "report.json").read_text())["evaluation"] is None


def test_place_that_cannot_be_written_is_one_sentence(small: Small, tmp_path: Path) -> None:
    """And before the work: nothing is notes of progress."""
    (tmp_path / "file").touch()
    notes: list[str] = []
    with pytest.raises(BadData, match="the report cannot be written"):
        report(
            small.model,
            [small.normal],
            tmp_path / "file",
            RULES,
            reporter=Reporter(lambda text, _share: notes.append(text)),
        )
    assert notes == []


def test_names_cannot_break_out_of_the_page() -> None:
    evil = '<script>alert("x")</script>|`*'
    sections = [Chapter(evil, (evil, Grid((evil,), [(evil,)]), Picture("p.png", PNG)))]
    assert "<script" not in page.as_html(evil, sections)
    assert page.as_html(evil, sections).count("&lt;script&gt;") == 7
    markdown = page.as_markdown(evil, sections)
    assert re.search(r"(?<!\\)<script", markdown) is None
    assert r"\|" in markdown


def test_long_series_is_drawn_as_if_every_point_were() -> None:
    t_ns = np.arange(1_000_000, dtype=np.int64)
    values = np.zeros(1_000_000)
    values[123_456] = 7.0
    when, curve = pictures._thinned(t_ns, values)
    assert len(when) == len(curve) <= pictures.MOST_POINTS + 2
    assert curve.max() == 7.0


def test_scores_of_every_fourth_row_make_a_line() -> None:
    axes = Figure().subplots()
    score = np.full(40, np.nan)
    score[::4] = np.arange(10)
    pictures._line(axes, np.arange(40) * 10**9, score)
    assert np.asarray(axes.lines[0].get_ydata()).tolist() == list(range(10))


def test_no_line_is_drawn_across_a_gap() -> None:
    t_ns = np.array([0, 1, 2, 3, 1000, 1001], dtype=np.int64)
    assert np.isnan(pictures._with_gaps(t_ns, np.ones(6))).tolist() == [False] * 4 + [True, False]


@pytest.mark.parametrize("rows", [2, 3, 700])
def test_every_picture_can_be_drawn_of_little_and_of_nothing(rows: int) -> None:
    t_ns = np.arange(rows, dtype=np.int64) * 10**9
    nothing = np.full((rows, 1), np.nan)
    marks = pictures.Marks(alerts=[(0, 10**9)], labels=[(0, 10**9)])
    assert pictures.score_picture(t_ns, nothing[:, 0], np.ones(rows), marks).startswith(PNG)
    assert pictures.signals_picture(t_ns, ["a"], np.zeros((rows, 1)), nothing, marks).startswith(PNG)
    assert pictures.contribution_picture(t_ns, ["a"], nothing, marks).startswith(PNG)


@pytest.mark.parametrize("name", ["DB1$_$x", "a$b\\foo$", "100 % {x}", "_x"])
def test_name_of_a_channel_is_no_formula(name: str) -> None:
    t_ns, values = np.arange(9, dtype=np.int64) * 10**9, np.ones((9, 1))
    assert pictures.signals_picture(t_ns, [name], values, values, pictures.Marks()).startswith(PNG)
    assert pictures.contribution_picture(t_ns, [name], values, pictures.Marks()).startswith(PNG)


def test_modes_are_the_clouds_of_normal_windows_and_alerts_draw_none() -> None:
    rng = np.random.default_rng(0)
    clouds = [rng.normal(place, 0.1, size=(count, 3)) for place, count in ((0, 60), (5, 40), (50, 30))]
    latent = np.concatenate(clouds).astype(np.float32)
    normal = np.arange(130) < 100
    found = mode_map(latent, normal)
    assert found.shares.tolist() == [0.6, 0.4]
    assert found.mode.tolist() == [0] * 60 + [1] * 70
    assert found.points.shape == (130, 2)
    assert found.explained > 0.9
    np.testing.assert_allclose(found.points[:100], mode_map(latent[:100], normal[:100]).points)


def test_modes_of_the_model_are_those_of_the_map_and_of_its_alerts(small: Small, tmp_path: Path) -> None:
    modes = OnnxModel.load(small.model).spec.modes
    assert modes is not None
    text = report(small.model, [small.faulty], tmp_path, RULES).read_text()
    (alert, *_) = json.loads((tmp_path / "report.json").read_text())["alerts"]["faulty"]
    assert alert["similar_to"] in [f"mode {number + 1}" for number in range(len(modes.centres))]
    assert f"<td>{alert['similar_to']}, " in text


def test_nearly_all_windows_of_training_lie_within_their_mode() -> None:
    rng = np.random.default_rng(0)
    clouds = [rng.normal(place, width, size=(count, 3)) for place, width, count in ((9, 1.0, 40), (0, 0.1, 60))]
    latent = np.concatenate(clouds).astype(np.float32)
    modes = find_modes(latent)
    places = [modes.similar(place) for place in latent.tolist()]
    assert [place.mode for place in places if place is not None] == ["mode 2"] * 40 + ["mode 1"] * 60
    assert 0.97 <= np.mean([place is not None and place.distance <= 1.0 for place in places]) < 1.0


def test_a_machine_that_stands_still_has_one_mode_with_a_place_to_be_in() -> None:
    modes = find_modes(np.ones((50, 2), np.float32))
    assert len(modes.centres) == 1
    assert min(modes.radii) > 0
    assert modes.similar((1.0, 1.0)) == Similar("mode 1", 0.0)


def test_one_cloud_is_one_mode_even_in_one_dimension() -> None:
    latent = np.random.default_rng(0).normal(size=(200, 1)).astype(np.float32)
    found = mode_map(latent, np.ones(200, dtype=np.bool_))
    assert found.points.shape == (200, 2)
    assert mode_map(np.ones((5, 2), np.float32), np.ones(5, dtype=np.bool_)).shares.tolist() == [1.0]


def test_boundaries_of_the_report_are_those_of_the_budgets_that_the_daemon_takes(small: Small) -> None:
    model = OnnxModel.load(small.model)
    (grid,) = [
        block for block in model_section(model).blocks if isinstance(block, Grid) and block.header[0] == "budget"
    ]
    window_ns = model.spec.hop * model.spec.period_ns
    expected = [(text, f"{model.spec.tail.boundary(window_ns / budget_ns(str(text))):.4g}") for text, _ in grid.rows]
    assert list(grid.rows) == expected
    assert "1 / month" in [text for text, _ in grid.rows]
