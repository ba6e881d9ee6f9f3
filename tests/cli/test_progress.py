"""Progress of long work: how far, how long still, and where; on a terminal in its place, elsewhere a line now and then."""

import pytest

from edge_ae.cli import progress
from edge_ae.cli.progress import ProgressLine, progress_line
from tests.conftest import wait_for


def line_after(seconds: float, stage: str, share: float) -> str:
    times = iter([0.0, seconds])
    line = ProgressLine(terminal=False, clock=lambda: next(times))
    line.at(stage, share)
    return line.text()


@pytest.mark.parametrize(
    ("seconds", "share", "text"),
    [
        (60.0, 0.0, "reading"),
        (60.0, 0.5, "50 %, about 60 s left: reading"),
        (60.0, 0.999, "99 %, about 10 s left: reading"),
        (60.0, 0.2, "20 %, about 4 min left: reading"),
        (600.0, 0.04, "4 %, about 4.0 h left: reading"),
        (600.0, 0.02, "2 %: reading"),  # too little to foretell the rest by
        (1.0, 0.5, "50 %: reading"),
        (60.0, 1.0, "100 %, about 10 s left: reading"),
    ],
)
def test_the_line_says_what_part_is_done_and_how_long_the_rest_takes(seconds: float, share: float, text: str) -> None:
    assert line_after(seconds, "reading", share) == text


def test_short_work_says_nothing_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_line() as line:
        line.at("reading", 0.5)
    assert capsys.readouterr() == ("", "")


def test_long_work_says_a_line_now_and_then_on_stderr_alone(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "PIPE_S", 0.01)
    said: list[str] = []

    def training_said() -> bool:
        found = capsys.readouterr()
        assert found.out == ""
        said.extend(found.err.splitlines())
        return "50 %: training" in said

    with progress_line() as line:
        line.at("reading", 0.25)
        wait_for(lambda: "25 %: reading\n" in capsys.readouterr().err)
        line.at("training", 0.5)
        wait_for(training_said)
    assert set(said) <= {"25 %: reading", "50 %: training"}


def test_work_without_an_end_says_nothing_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    line = ProgressLine(terminal=False)
    line.at("7 readings", endless=True)
    line.draw()
    assert capsys.readouterr().err == ""


def test_on_a_terminal_one_line_is_redrawn_and_nothing_of_it_stays(capsys: pytest.CaptureFixture[str]) -> None:
    line = ProgressLine(terminal=True)
    line.at("a stage " * 100, 0.5)
    line.draw()
    line.note("odd")
    line.end()
    drawn, *rest = capsys.readouterr().err.split("\x1b[K")
    assert drawn.startswith("\r50 %: a stage")
    assert len(drawn) <= 81
    assert rest == ["\r", "odd\n\r", ""]


def test_the_time_left_is_no_longer_drawn_when_the_work_fails() -> None:
    with pytest.raises(KeyError), progress_line() as line:
        raise KeyError(line)
