"""The demo judges honestly: what counts as found, as false, and as the right channel."""

import contextlib
import shutil
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

CHECKOUT = Path(__file__).parents[2]
sys.path.insert(0, str(CHECKOUT))
from deploy import demo, demo_stage  # noqa: E402
from deploy.demo_verdict import Asset, Received, Sick, Span, alerting, judge, rates, table  # noqa: E402
from edge_ae.core.timestamps import SECOND, rfc3339  # noqa: E402

HOUR = 3600
LEAK = Span("leak", 2 * HOUR * SECOND, 3 * HOUR * SECOND, ("flow", "pressure"))


def asset(*spans: Span) -> Asset:
    t_ns = np.arange(0, 10 * HOUR * SECOND, 60 * SECOND, dtype=np.int64)
    return Asset("north", Path("m.onnx"), ("flow",), t_ns, np.zeros((len(t_ns), 1)), spans)


def alert(name: str, raised_s: int, cleared_s: int | None, top: str = "flow") -> dict[str, Any]:
    return {
        "id": name,
        "ts_raised": rfc3339(raised_s * SECOND),
        "ts_cleared": None if cleared_s is None else rfc3339(cleared_s * SECOND),
        "top_channel": top,
    }


def received(*alerts: dict[str, Any]) -> Received:
    return Received(alerts={body["id"]: body for body in alerts})


@pytest.mark.parametrize(
    ("cleared_s", "scores_s", "name"),
    [
        (None, [1, 11, 12, 13], "south"),
        (None, [1, 2, 11, 12], None),  # only just raised
        (20, [11, 12, 13], None),  # over
    ],
)
def test_pictures_are_of_an_asset_whose_alert_stands_and_can_be_seen(
    cleared_s: int | None, scores_s: list[int], name: str | None
) -> None:
    south = received(alert("a", 10, cleared_s))
    south.scores = [(t_s * SECOND, 2.0, 1.0) for t_s in scores_s]
    assert alerting({"north": Received(), "south": south}) == name


def test_alert_during_a_fault_finds_it_with_its_delay_and_channel() -> None:
    (finding,), false = judge(asset(LEAK), received(alert("a", 2 * HOUR + 90, 3 * HOUR)))
    assert finding.row == ("north", "leak", "[green]found[/]", "90 s", "flow", "right")
    assert false == 0


def test_channel_that_the_fault_does_not_touch_is_called_wrong() -> None:
    (finding,), _ = judge(asset(LEAK), received(alert("a", 2 * HOUR, None, top="speed")))
    assert finding.row[-1] == "[yellow]wrong[/]"


@pytest.mark.parametrize(
    ("raised_s", "found", "false"),
    [
        (2 * HOUR - 1, False, 1),  # before the fault: luck, and a false alert
        (2 * HOUR, True, 0),
        (3 * HOUR - 1, True, 0),
        (3 * HOUR, False, 0),  # the aftermath: no find, but no false alert
        (3 * HOUR + 1800, False, 1),
    ],
)
def test_time_of_the_alert_decides_what_it_is(raised_s: int, found: bool, false: int) -> None:
    (finding,), count = judge(asset(LEAK), received(alert("a", raised_s, None)))
    assert (finding.alert is not None, count) == (found, false)


def test_sensor_that_health_called_sick_in_its_fault_is_found_without_an_alert() -> None:
    sick = Sick("flow", "flat", "", 2 * HOUR * SECOND + 60 * SECOND)
    (finding,), false = judge(asset(LEAK), Received(sick=[replace(sick, channel="speed"), sick]))
    assert finding.row == ("north", "leak", "[green]sensor flat[/]", "60 s", "flow", "right")
    assert finding.found
    assert false == 0
    (late,), _ = judge(asset(LEAK), Received(sick=[replace(sick, shown_ns=LEAK.end_ns)]))
    assert not late.found


def test_second_alert_in_a_fault_is_not_a_second_find_nor_false() -> None:
    findings, false = judge(asset(LEAK), received(alert("a", 7300, 7400), alert("b", 7500, 7600)))
    assert [finding.alert and finding.alert["id"] for finding in findings] == ["a"]
    assert false == 0


def test_silence_misses_every_fault_and_alerts_nothing_false() -> None:
    (finding,), false = judge(asset(LEAK), received())
    assert finding.row[2] == "[red]missed[/]"
    assert false == 0


def test_row_rates_are_those_of_the_alert_intervals() -> None:
    """Of 60 faulty rows 30 are covered, of 540 normal rows 54 are."""
    found = received(alert("a", 2 * HOUR + 1800, 3 * HOUR), alert("b", 5 * HOUR, 5 * HOUR + 54 * 60))
    assert rates([asset(LEAK)], {"north": found}) == (
        "by rows: F1 0.42, false alarms 10.0% of the normal rows, 50.0% of the faulty rows missed"
    )


def test_alert_after_a_labelled_fault_is_false() -> None:
    labelled = replace(asset(LEAK), aftermath_ns=0)
    assert judge(labelled, received(alert("a", 3 * HOUR - 1, None), alert("b", 3 * HOUR, None)))[1] == 1


def test_budget_for_recordings_is_one_in_the_length_of_the_middle_one() -> None:
    lengths = (HOUR // 8, HOUR // 4, 10 * HOUR)
    stations = [replace(asset(), t_ns=np.array([0, length * SECOND])) for length in lengths]
    assert demo.one_a_recording(stations) == "4.000/hour"


def test_table_shows_a_line_for_each_fault_and_the_false_alerts() -> None:
    findings, false = judge(asset(LEAK, LEAK), received())
    shown = table(findings, {"north": false})
    assert shown.row_count == 2
    assert str(shown.caption).endswith("false alerts: none")
    assert str(table(findings, {"north": 0, "south": 2}).caption).endswith("false alerts: south 2")


def test_labelled_rows_become_spans() -> None:
    t_ns = np.arange(6, dtype=np.int64) * 10
    spans = demo._labelled(t_ns, np.array([True, False, False, True, True, True]))
    assert [(span.start_ns, span.end_ns) for span in spans] == [(0, 10), (30, 51)]
    assert demo._labelled(t_ns, np.zeros(6, bool)) == ()


def test_pump_station_ends_now_and_trains_on_files_without_faults(tmp_path: Path) -> None:
    trainings, assets = demo.pump_station(tmp_path, "cae")
    now_ns = time.time_ns()
    assert [len(training.data) for training in trainings] == [2]
    for station in assets:
        assert now_ns - 60 * SECOND < station.t_ns[-1] < now_ns
        assert len(station.spans) == 4
        assert station.values.shape == (len(station.t_ns), len(station.names))


@pytest.mark.parametrize(
    ("content", "complaint"),
    [(None, "holds no .csv file"), ("time;a\n2020-01-01;1\n", "needs more than 400 rows and a column anomaly")],
)
def test_folder_without_usable_recordings_is_refused(content: str | None, complaint: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "a.csv").write_text(content)
    with pytest.raises(demo_stage.DemoError, match=complaint):
        demo.recordings(tmp_path, tmp_path, "cae")


def test_program_that_dies_is_named_with_its_last_words(tmp_path: Path) -> None:
    dying = [sys.executable, "-c", "print('the disk is full'); raise SystemExit(3)"]
    ended = pytest.raises(demo_stage.DemoError, match="the broker ended by itself: the disk is full")
    with ended, demo_stage.process("the broker", dying, tmp_path / "log") as child:
        child.wait(20)


def test_program_that_dies_while_it_is_waited_for_is_named_too(tmp_path: Path) -> None:
    dying = [sys.executable, "-c", "print('no such model'); raise SystemExit(1)"]
    ended = pytest.raises(demo_stage.DemoError, match="edge-ae ended by itself: no such model")
    with ended, demo_stage.process("edge-ae", dying, tmp_path / "log") as child:
        demo_stage.wait_until(lambda: False, 20, child, "edge-ae does not come online")


def test_program_ends_with_the_block_however_it_is_left(tmp_path: Path) -> None:
    sleeper = demo_stage.process("a sleeper", ["sleep", "60"], tmp_path / "log")
    with contextlib.suppress(KeyboardInterrupt), sleeper as child:
        raise KeyboardInterrupt
    assert child.poll() is not None


@pytest.mark.parametrize("search", ["/usr/sbin:/usr/bin", "/nowhere"])
def test_a_broker_answers_with_and_without_mosquitto(
    search: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there is no mosquitto the embedded one serves."""
    if search == "/nowhere":
        monkeypatch.setattr(shutil, "which", lambda *_args, **_kwargs: None)
    with demo_stage.broker(tmp_path) as (_kind, port):
        plant = demo_stage.Plant(port)
        try:
            sent = plant.send(asset(), 0)
            sent.wait_for_publish(20)
            assert sent.is_published()
        finally:
            plant.stop()
