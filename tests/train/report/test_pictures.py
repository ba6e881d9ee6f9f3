"""What stands in a picture: plain numbers, names as they are, times in the zone that was asked for, nothing over a curve."""

from collections.abc import Callable
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from edge_ae_train.report import pictures
from edge_ae_train.report.moments import moment
from matplotlib.figure import Figure
from matplotlib.text import Text

SECOND = 10**9
BERLIN = ZoneInfo("Europe/Berlin")
NIGHT_NS = 1_774_744_200 * SECOND  # 00:30 UTC, half an hour before clocks go forward in Berlin
ROWS = 400
T_NS = NIGHT_NS + np.arange(ROWS, dtype=np.int64) * 20 * SECOND
MARKS = pictures.Marks([(int(T_NS[100]), int(T_NS[150]))], [(int(T_NS[90]), int(T_NS[120]))])
NAMES = ["p [Pa]", "a name so long that it would reach from one side of the whole picture to the other one, and on"]

Drawn = Callable[[Callable[[], bytes]], Figure]


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Drawn:
    def draw(picture: Callable[[], bytes]) -> Figure:
        figures: list[Figure] = []
        png = pictures._png

        def kept(figure: Figure) -> bytes:
            figures.append(figure)
            return png(figure)

        monkeypatch.setattr(pictures, "_png", kept)
        picture()
        return figures[0]

    return draw


def score() -> bytes:
    values = np.full(ROWS, 1.0)
    values[100:150] = 30.0
    return pictures.score_picture(T_NS, values, np.full(ROWS, 1.5), MARKS, BERLIN)


def steady_score() -> bytes:
    """On a logarithmic axis of less than a decade."""
    values = np.full(ROWS, 1e-9)
    values[1] = 0.9
    return pictures.score_picture(T_NS, np.where(values > 0.5, 0.9, 0.04), np.full(ROWS, 0.5), MARKS, BERLIN)


def signals() -> bytes:
    values = np.column_stack([101_325 + np.sin(np.arange(ROWS)), 1e-9 * np.arange(ROWS)])
    return pictures.signals_picture(T_NS, NAMES, values, values, MARKS, BERLIN)


def parts() -> bytes:
    return pictures.contribution_picture(T_NS, NAMES, np.ones((ROWS, 2)), MARKS, BERLIN)


def places() -> bytes:
    points = 1e9 + np.random.default_rng(0).normal(size=(ROWS, 2))
    return pictures.latent_picture(points, np.zeros(ROWS, np.int64), np.arange(ROWS) < 9, np.ones(1), 0.5)


def shares() -> bytes:
    return pictures.found_picture(["cva", NAMES[1]], ["spike", "step"], np.array([[0.25, 0.5], [1.0, np.nan]]))


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text)]


@pytest.mark.parametrize("picture", [score, steady_score, signals, parts, places, shares])
def test_no_number_is_a_formula_or_a_part_of_one(drawn: Drawn, picture: Callable[[], bytes]) -> None:
    figure = drawn(picture)
    assert not [text for text in texts(figure) if "$" in text or "math" in text]
    offsets = [axes.yaxis.get_offset_text().get_text() for axes in figure.axes]
    assert set(offsets) == {""}


@pytest.mark.parametrize("picture", [score, signals, places])
def test_a_legend_covers_nothing(drawn: Drawn, picture: Callable[[], bytes]) -> None:
    figure = drawn(picture)
    (legend,) = figure.legends
    place = legend.get_window_extent()
    taken = [box for axes in figure.axes if (box := axes.get_tightbbox()) is not None]
    assert not [box for box in taken if box.overlaps(place)]
    assert [axes.get_legend() for axes in figure.axes] == [None] * len(figure.axes)


@pytest.mark.parametrize("picture", [score, signals, parts])
def test_times_are_those_of_the_zone_which_is_named(drawn: Drawn, picture: Callable[[], bytes]) -> None:
    found = texts(drawn(picture))
    assert "Europe/Berlin" in found
    assert "03:30" in found  # 01:30 UTC
    assert "02:30" not in found  # which the clocks pass over


def test_a_long_name_leaves_room_for_the_picture(drawn: Drawn) -> None:
    figure = drawn(parts)
    assert any(text.startswith("a name so long") and text.endswith("and on") for text in texts(figure))
    assert figure.axes[0].get_position().width > 0.6


def test_who_found_which_faults_is_a_number_in_each_cell_and_none_where_nobody_looked(drawn: Drawn) -> None:
    assert [text for text in texts(drawn(shares)) if text.endswith("%")] == ["25%", "50%", "100%"]


def test_a_name_in_signs_that_no_font_has_raises_no_warning(recwarn: pytest.WarningsRecorder) -> None:
    values = np.ones((ROWS, 1))
    pictures.signals_picture(T_NS, ["\U000e0fff"], values, values, MARKS)
    assert list(recwarn) == []


def test_moments_are_by_the_clock_of_the_zone() -> None:
    assert moment(NIGHT_NS) == "2026-03-29 00:30:00"
    assert moment(NIGHT_NS + 1800 * SECOND, BERLIN) == "2026-03-29 03:00:00"
