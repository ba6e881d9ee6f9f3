"""Messages to people, up to real services on this machine."""

import io
import threading
from collections.abc import Iterator
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from edge_ae.bridges.notify import NotifyBridge, NotifyOptions, Recipient
from edge_ae.bridges.notify_curves import POINT_NS, POINTS, Hours, LastHour
from edge_ae.core.alert_events import AlertEvent, EventType, FloodSummary, Happening, Withheld
from edge_ae.core.detector import Detector, Watch
from edge_ae.core.events import Readings, Scored, Share
from edge_ae.core.notice_text import WORD_JOINER, Wording
from edge_ae.core.notices import SendRules
from edge_ae.core.payloads import alert_payload
from edge_ae.core.rules import AlertRules
from edge_ae.core.timestamps import HOUR, MINUTE, SECOND
from edge_ae.store.node_store import AlertRecord, NodeStore
from edge_ae.store.notice_file import NoticeFile
from tests.bridges.services import HttpService, http_service, mail_service
from tests.conftest import wait_for
from tests.models import FakeModel, alert_of

pytest.importorskip("apprise", reason="apprise is not installed: pip install apprise")

T0 = 1_790_000_000 * SECOND
RULES = SendRules(max_per_hour=100)


@pytest.fixture
def http() -> Iterator[HttpService]:
    with http_service() as service:
        yield service


def event(kind: EventType, name: str = "a1", **facts: Any) -> AlertEvent:
    told: dict[str, Any] = {
        "id": name, "type": kind, "seq": 1, "severity": "medium", "score": 2.5, "threshold": 1.0, "ratio": 2.5,
        "onset_ns": T0, "raised_ns": T0, "peak_ns": T0, "duration_ns": MINUTE, "reason": "flow 9 m3/h, expected 5 (high, 90 %)",
        "channels": (Share("flow", "m3/h", 0.9, 9.0, 5.0),), "cleared_ns": T0 + MINUTE if kind is EventType.END else None,
    }  # fmt: skip
    alert = alert_of(**(told | facts))
    return AlertEvent(alert.asset, kind, name, 1, alert)


class Plant:
    """A store, and the bridge as the daemon uses it; `happen` keeps and says what happened."""

    def __init__(self, folder: Path, *urls: str, **options: Any) -> None:
        self.store = NodeStore(None)
        self.store.load()
        self.path = folder / "notices.json"
        self.recipients = [Recipient(f"notify.urls[{n}]", url) for n, url in enumerate(urls, start=1)]
        facts: dict[str, Any] = {"node": "pi", "wording": Wording(), "rules": RULES, "timeout_s": 1.0}
        self.options = NotifyOptions(**(facts | options))
        self.now_ns = T0
        self.detectors: dict[str, Detector] = {}
        self.begin()

    def begin(self) -> None:
        self.bridge = NotifyBridge(
            self.recipients, self.options, self.store, NoticeFile(self.path), lambda: self.now_ns
        )
        self.bridge.tick(self.detectors, dict, 0)

    def record(self, one: AlertEvent, announced: bool = True) -> None:
        alert = one.alert
        assert alert.raised_ns is not None
        payload = orjson.dumps(alert_payload(alert))
        self.store.record(
            AlertRecord(one.id, one.asset, alert.raised_ns, alert.cleared_ns, 2.5, announced, T0, payload)
        )

    def happen(self, *happenings: Happening) -> None:
        for one in happenings:
            if isinstance(one, AlertEvent):
                self.record(one)
        self.bridge.happened(happenings)
        self.tick()

    def tick(self) -> None:
        self.bridge.tick(self.detectors, dict, 0)

    def counts(self, service: str = "json") -> dict[str, int]:
        self.tick()
        return self.bridge.counts()[service]

    def settled(self, **counts: int) -> bool:
        """Wait until the counters are as said."""
        return bool(wait_for(lambda: counts.items() <= self.counts().items() or None, f"{counts}, not {self.counts()}"))


@pytest.fixture
def plants(tmp_path: Path) -> Iterator[Any]:
    made: list[Plant] = []

    def make(*urls: str, **options: Any) -> Plant:
        made.append(Plant(tmp_path, *urls, **options))
        return made[-1]

    yield make
    for plant in made:
        plant.bridge.close()


# -- alerts ----------------------------------------------------------------------------------------------------


def test_a_message_comes_when_an_alert_begins_and_one_when_it_ends(http: HttpService, plants: Any) -> None:
    plant = plants(http.url("/a"))
    plant.happen(event(EventType.NEW), event(EventType.UPDATE), event(EventType.END))
    plant.settled(sent=2, pending=0)
    titles = [text.splitlines()[0] for text in http.texts("/a")]
    assert titles == ["pump: alert, medium", "pump: alert is over"]
    assert "flow 9 m3/h, expected 5" in http.texts("/a")[0]


def test_what_is_withheld_sends_nothing_and_a_flood_one_message_at_each_end(http: HttpService, plants: Any) -> None:
    plant = plants(http.url("/a"))
    flood = [FloodSummary("pi", kind, "f", n, 10, MINUTE, T0, T0, 3, ("x",)) for n, kind in enumerate(EventType)]
    plant.happen(Withheld(event(EventType.NEW, "a2")), *flood)
    plant.settled(sent=2, pending=0)
    assert [text.splitlines()[0] for text in http.texts("/a")] == ["pi: flood of alerts", "pi: flood of alerts is over"]


def test_a_service_that_fails_holds_back_no_other_and_doubles_none(http: HttpService, plants: Any) -> None:
    http.answers["/no"] = 500
    plant = plants(http.url("/no"), http.url("/a"))
    plant.happen(event(EventType.NEW))
    plant.settled(sent=1, failed=1, pending=1)
    http.answers["/no"] = 200
    plant.now_ns += MINUTE
    plant.settled(sent=2, pending=0)
    assert (len(http.got["/a"]), len(http.got["/no"]), http.asked.count("/no")) == (1, 1, 2)


def test_who_failed_last_time_is_asked_last(http: HttpService, plants: Any) -> None:
    http.answers["/no"] = 500
    plant = plants(http.url("/no"), http.url("/a"))
    plant.happen(event(EventType.NEW))
    plant.settled(sent=1, failed=1)
    http.asked.clear()
    plant.now_ns += MINUTE
    plant.happen(event(EventType.NEW, "a2"))
    plant.settled(sent=2, failed=2)
    assert http.asked == ["/a", "/no"]


def test_a_service_that_never_answers_costs_a_counter_and_no_time(http: HttpService, plants: Any) -> None:
    http.answers["/hang"] = None
    plant = plants(http.url("/hang"))
    plant.happen(event(EventType.NEW))
    wait_for(lambda: http.asked == ["/hang"], "the service's being asked")
    plant.happen(event(EventType.NEW, "a2"))
    assert plant.counts() == {"sent": 0, "failed": 0, "dropped": 0, "pending": 2}
    plant.settled(failed=1)


def test_no_part_of_an_url_is_in_the_log_or_the_file(
    http: HttpService, plants: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(0)
    http.answers["/hunter2"] = 500
    plant = plants(http.url("/hunter2"), "json://ann:hunter2@127.0.0.1:1/", "hunter2", "foo://hunter2")
    plant.happen(event(EventType.NEW))
    plant.settled(failed=2)
    wait_for(lambda: plant.counts("foo")["failed"] == 1 and plant.counts("unknown")["failed"] == 1, "the others")
    assert "notify.urls[1] (json): a message is not sent: the service answers 500 Internal Server Error" in caplog.text
    assert "hunter2" not in caplog.text + plant.path.read_text() + repr(plant.recipients) + str(plant.bridge.counts())


def test_a_mail_takes_the_picture_and_hostile_names_stay_text(plants: Any) -> None:
    hostile = event(EventType.NEW, asset="pump\r\nBcc: x@example.com", reason="<b>flow</b>\n\n--boundary")
    with mail_service() as (port, mails):
        plant = plants(f"mailto://127.0.0.1:{port}?from=a@example.com&to=b@example.com")
        plant.detectors[hostile.asset] = detector(20)
        plant.happen(hostile)
        wait_for(lambda: plant.counts("mailto")["sent"] == 1, "the mail")
    mail = message_from_bytes(mails[0], policy=default)
    assert (mail["To"], mail["Bcc"]) == ("b@example.com", None)
    assert mail["Subject"] == f"pump\\r\\nBcc: x@{WORD_JOINER}example.com: alert, medium"
    kinds = [part.get_content_type() for part in mail.walk()]
    assert kinds == ["multipart/mixed", "text/plain", "image/png"]
    assert "<b>flow</b>\\n\\n--boundary" in str(mail)


# -- over a restart --------------------------------------------------------------------------------------------


def test_at_the_first_start_old_alerts_are_not_sent_nor_their_end(http: HttpService, plants: Any) -> None:
    plant = plants(http.url("/a"))
    plant.path.unlink()
    plant.record(event(EventType.NEW, "old"))
    plant.begin()
    plant.happen(event(EventType.END, "old"), event(EventType.NEW, "new"))
    plant.settled(sent=1, pending=0)
    assert len(http.got["/a"]) == 1


def test_what_a_kill_left_between_the_history_and_the_file_is_sent(http: HttpService, plants: Any) -> None:
    """Both steps of an alert that the bridge was never told of, and the end of one whose asset is gone."""
    plant = plants(http.url("/a"))
    plant.happen(event(EventType.NEW, "open"))
    plant.settled(sent=1, pending=0)
    for kind in (EventType.NEW, EventType.END):
        plant.record(event(kind, "missed"))
    plant.record(event(EventType.NEW, "withheld"), announced=False)
    plant.record(event(EventType.END, "open"))
    plant.begin()
    plant.settled(sent=3, pending=0)
    plant.begin()
    plant.tick()
    assert len(http.got["/a"]) == 4


def test_an_alert_that_ends_with_its_asset_is_over_for_people_too(http: HttpService, plants: Any) -> None:
    plant = plants(http.url("/a"))
    plant.happen(event(EventType.NEW))
    plant.record(event(EventType.END))
    plant.bridge.tick({}, dict, 31 * SECOND)
    plant.settled(sent=2, pending=0)


def test_what_failed_is_sent_by_the_next_run_to_who_has_not_got_it(http: HttpService, plants: Any) -> None:
    http.answers["/no"] = 500
    plant = plants(http.url("/no"), http.url("/a"))
    plant.happen(event(EventType.NEW))
    plant.settled(sent=1, failed=1)
    plant.bridge.close()
    http.answers["/no"] = 200
    plant.now_ns += MINUTE
    plant.begin()
    plant.settled(sent=1, pending=0)
    assert (len(http.got["/a"]), len(http.got["/no"])) == (1, 1)


def test_a_disk_that_fails_is_said_once_and_messages_go_on(
    http: HttpService, plants: Any, caplog: pytest.LogCaptureFixture
) -> None:
    plant = plants(http.url("/a"))
    plant.path = plant.path.parent / "gone" / "notices.json"
    plant.begin()
    plant.happen(event(EventType.NEW))
    plant.settled(sent=1, pending=0)
    assert caplog.text.count("cannot be written") == 1


def test_an_alert_whose_record_cannot_be_read_is_left_out_with_a_line(
    http: HttpService, plants: Any, caplog: pytest.LogCaptureFixture
) -> None:
    plant = plants(http.url("/a"))
    plant.store.record(AlertRecord("odd", "pump", T0, None, 2.5, True, T0, b'{"asset": "pump"}'))
    plant.begin()
    assert "nothing is sent of alert odd" in caplog.text
    assert plant.counts()["pending"] == 0


def test_stopping_waits_a_little_for_a_message_that_is_under_way(http: HttpService, plants: Any) -> None:
    gate = threading.Event()
    http.answers["/a"] = gate
    plant = plants(http.url("/a"))
    plant.happen(event(EventType.NEW))
    wait_for(lambda: http.asked, "the service's being asked")
    stopping = threading.Thread(target=plant.bridge.close)
    stopping.start()
    gate.set()
    stopping.join()
    plant.begin()
    assert plant.counts()["pending"] == 0
    assert len(http.got["/a"]) == 1


def test_stopping_ends_a_message_that_hangs_and_the_next_run_sends_it(
    http: HttpService, plants: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("edge_ae.bridges.notify.CLOSE_S", 0.0)
    before = set(threading.enumerate())
    http.answers["/a"] = None
    plant = plants(http.url("/a"), timeout_s=60.0)
    plant.happen(event(EventType.NEW))
    wait_for(lambda: http.asked, "the service's being asked")
    plant.bridge.close()
    assert "notify" not in {thread.name for thread in set(threading.enumerate()) - before}
    assert caplog.text == ""
    http.answers["/a"] = 200
    plant.now_ns += MINUTE
    plant.begin()
    plant.settled(sent=1, pending=0)


# -- the picture -----------------------------------------------------------------------------------------------


def detector(minutes: int, first_s: int = 0) -> Detector:
    """One that has seen so many minutes, a row a second, of which the last is abnormal."""
    one = Detector("pi", "pump", Watch(FakeModel(length=64), AlertRules(interval_ns=7 * 24 * HOUR)))
    feed(one, range(first_s, 60 * minutes))
    return one


def feed(one: Detector, seconds: range) -> list[Scored]:
    scored = []
    for second in seconds:
        for window in one.push(Readings("pump", T0 + second * SECOND, {"flow": float(second % 10), "pressure": 2.0})):
            results = one.judge(window, 0.5, None)
            scored += [each for each in results if isinstance(each, Scored)]
    return scored


def test_a_message_has_a_picture_of_the_last_hour(http: HttpService, plants: Any) -> None:
    image = pytest.importorskip("PIL.Image", reason="pillow is not installed: pip install pillow")
    plant = plants(http.url("/a"))
    plant.detectors["pump"] = detector(5)
    plant.tick()
    plant.happen(event(EventType.NEW))
    plant.settled(sent=1)
    (picture,) = http.pictures("/a")
    drawn = image.open(io.BytesIO(picture)).convert("RGB")
    assert drawn.size == (720, 2 * 190 + 40)
    assert drawn.getpixel((1, 1)) == (255, 255, 255)
    assert len(picture) < 20_000


@pytest.mark.parametrize("pictures", [False, True])
def test_no_picture_where_none_is_asked_for_or_the_service_refuses_it_twice(
    pictures: bool, http: HttpService, plants: Any
) -> None:
    http.answers["/a"] = 413
    plant = plants(http.url("/a"), pictures=pictures)
    plant.detectors["pump"] = detector(5)
    plant.happen(event(EventType.NEW))
    for failed in (1, 2):
        plant.settled(failed=failed)
        plant.now_ns += 5 * MINUTE
    http.answers["/a"] = 200
    plant.settled(sent=1)
    assert http.pictures("/a") == []


def test_the_hour_has_a_point_each_quarter_of_a_minute_with_the_largest_ratio() -> None:
    ring = LastHour(1)
    for point in range(POINTS + 10):
        ring.put_row(T0 + point * POINT_NS, np.array([point], np.float32))
        for ratio in (0.1, point / 100, 0.2):
            ring.put_ratio(T0 + point * POINT_NS, ratio)
    curves = ring.curves([(0, "flow", "m3/h", 5.0)])
    assert curves is not None
    assert len(curves.t_s) == POINTS
    assert curves.ratio[-1] == pytest.approx((POINTS + 9) / 100)
    assert curves.channels == (("flow", "m3/h", tuple(float(n) for n in range(10, POINTS + 10)), 5.0),)


def test_a_gap_is_a_gap_and_what_is_an_hour_old_is_gone() -> None:
    ring = LastHour(1)
    ring.put_ratio(T0, 1.0)
    ring.put_ratio(T0 + 3 * POINT_NS, 2.0)
    curves = ring.curves([])
    assert curves is not None
    assert curves.ratio == (1.0, None, None, 2.0)
    ring.put_ratio(T0 + 2 * HOUR, 3.0)
    assert ring.curves([]) is None


def test_rows_between_two_looks_are_taken_from_the_window_one_a_point() -> None:
    hours, one = Hours(), detector(5)
    hours.follow(one)
    for result in feed(one, range(300, 345)):
        hours.scored(result)
    curves = hours.curves(one, {"channels": [{"name": "flow", "unit": "m3/h", "expected": 1.0}, {"name": "gone"}]})
    assert curves is not None
    ((_, _, flow, _),) = curves.channels
    assert [value for value in flow if value is None] == []
    assert flow[-1] == 3.0  # The newest row is open still.


def test_what_is_kept_of_all_assets_is_bounded() -> None:
    hours = Hours(most_bytes=LastHour(2).nbytes)
    first, other = detector(2), Detector("pi", "other", Watch(FakeModel(), AlertRules(interval_ns=HOUR)))
    feed(other, range(60))
    hours.follow(first)
    hours.follow(other)
    assert hours.left_out == {"other"}
    hours.forget("pump")
    hours.forget("other")
    hours.follow(other)
    assert hours.left_out == set()
