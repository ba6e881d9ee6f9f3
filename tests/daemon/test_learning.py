"""Assets whose models are made here: they are known, recorded and shown before there is a model, and watched once there is one."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from edge_ae.core.detector import Watch
from edge_ae.core.events import Readings
from edge_ae.core.fleet import Fleet
from edge_ae.core.formats.decoder import Decoder, Stream
from edge_ae.core.learned_time import HOUR_NS, Goals, LearnedTime
from edge_ae.core.model_spec import Model
from edge_ae.core.timestamps import SECOND
from edge_ae.daemon.ingest import Feed, Ingest
from edge_ae.daemon.learning import LearnedWatches
from edge_ae.daemon.loop import Daemon
from edge_ae.model.followed_folder import FollowedFolder
from edge_ae.model.registry import Registry
from edge_ae.mqtt.link import Message
from tests.daemon.node_process import PeakModel, watch
from tests.fuzz.daemon import T0_NS, Deaf
from tests.fuzz.daemon import daemon as any_daemon

GOALS = Goals(24 * HOUR_NS, 168 * HOUR_NS, 168 * HOUR_NS)
OWN = "edge-ae/n1/"
PERIOD_MS = 100


@dataclass
class Made:
    """The models that were made so far, by asset."""

    models: dict[str, FollowedFolder] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    news: bool = False

    @property
    def folders(self) -> list[FollowedFolder]:
        return list(self.models.values())

    def folder_of(self, asset: str) -> FollowedFolder | None:
        return self.models.get(asset)

    def note_of(self, asset: str) -> str | None:
        return self.notes.get(asset)

    def look(self) -> bool:
        news, self.news = self.news, False
        return news

    def add(self, asset: str, model: Model) -> None:
        self.models[asset], self.news = followed(model), True


def followed(model: Model) -> FollowedFolder:
    """A folder with this model in use, which nobody changes."""
    return FollowedFolder(Registry(Path("nowhere")), model, lambda _path: model)


def feed_of(made: Made) -> Feed:
    decoder = Decoder(Stream("plant/{asset}/telemetry", time="ts"), None)
    return Feed(decoder, LearnedWatches(made, GOALS, lambda model: Watch(model, watch().rules)))


def payload(number: int, value: float = 1.0) -> bytes:
    return json.dumps({"ts": T0_NS // 10**6 + PERIOD_MS * number, "a": value, "b": 0.5}).encode()


def message(number: int, asset: str = "p1", value: float = 1.0) -> Message:
    return Message(T0_NS, f"plant/{asset}/telemetry", payload(number, value), 1, 1, False, 1)


# -- how far it is ---------------------------------------------------------------------------------------------


def test_time_counts_what_readings_cover_and_no_gap_longer_than_an_hour() -> None:
    learned = LearnedTime()
    for t_h in (0.0, 0.5, 1.5, 3.0, 2.0, 3.25):
        learned.push(round(t_h * HOUR_NS))
    assert learned.learned_ns == 1.75 * HOUR_NS
    again = LearnedTime()
    again.restore(json.loads(json.dumps(learned.snapshot())))
    assert again.snapshot() == learned.snapshot()


@pytest.mark.parametrize(
    ("hours", "has_model", "text"),
    [
        (3.9, False, "learned from 3 of 168 hours; first model at 24 h"),
        (31, True, "learned from 31 of 168 hours; next model at 168 h"),
        (200, True, "learned from 200 hours; a new model is tried every 168 h"),
        (200, False, "learned from 200 hours; first model at 24 h"),
    ],
)
def test_progress_is_a_sentence(hours: float, has_model: bool, text: str) -> None:
    assert GOALS.text(round(hours * HOUR_NS), has_model=has_model) == text


def test_short_goals_are_counted_in_seconds() -> None:
    goals = Goals(60 * SECOND, 600 * SECOND, 600 * SECOND)
    assert goals.text(45 * SECOND, has_model=False) == "learned from 45 of 600 seconds; first model at 60 s"


# -- assets without a model ------------------------------------------------------------------------------------


class Rows:
    fault = None

    def __init__(self) -> None:
        self.pushed: list[Any] = []

    def push(self, asset: str, t_ns: int, values: Any) -> None:
        self.pushed.append((asset, t_ns, dict(values)))

    def mark(self, asset: str, from_ns: int, until_ns: int, why: str) -> None:
        pass

    def tick(self) -> None:
        pass

    def close(self) -> None:
        pass


def test_asset_without_a_model_is_recorded_and_shown_and_not_scored() -> None:
    recorder = Rows()
    tried = Ingest([feed_of(Made(notes={"p1": "the recording stands still"}))], Fleet("n1"), OWN, recorder)
    for number in range(20):
        assert tried.take(message(number)) == ("p1",)
    health = tried.health_of("p1")
    assert (tried.waiting, tried.fleet.detectors, tried.fleet.due) == (["p1"], {}, 0)
    assert (str(health.watching), health.watched) == ("learning", False)
    assert health.reason == "learned from 0 of 168 hours; first model at 24 h; the recording stands still"
    assert len(recorder.pushed) == 20
    assert recorder.pushed[0] == ("p1", T0_NS, {"a": 1.0, "b": 0.5})


def test_assets_that_find_no_room_are_counted_with_or_without_a_model() -> None:
    made = Made({"p1": followed(PeakModel())})
    tried = Ingest([feed_of(made)], Fleet("n1", 2), OWN, Rows())
    for asset in ("p1", "p2", "p3", "p2"):
        tried.take(message(0, asset))
    assert (sorted(tried.assets), tried.waiting) == (["p1", "p2"], ["p2"])
    assert tried.fleet.counts == {"too_many_assets": 1}
    assert tried.touched == {"p1", "p2"}


def test_a_watched_asset_says_how_far_its_learning_is() -> None:
    tried = Ingest([feed_of(Made({"p1": followed(PeakModel())}))], Fleet("n1"), OWN)
    for number in range(8):
        tried.take(message(number))
    health = tried.health_of("p1")
    assert health.learning is not None
    assert (str(health.watching), health.learning.hours) == ("watched", 0)
    assert health.learning.text == "learned from 0 of 168 hours; next model at 168 h"


# -- the first model -------------------------------------------------------------------------------------------


def daemon(directory: Path, made: Made) -> tuple[Daemon, Deaf]:
    directory.mkdir(exist_ok=True)
    tried, link = any_daemon(directory, 1000)
    tried.ingest.adopt([feed_of(made)], tried.fleet, {}, {})
    tried.checkpoints.load()
    return tried, link


def run(tried: Daemon, link: Deaf, numbers: range, value: float = 1.0) -> None:
    link.put([("plant/p1/telemetry", payload(number, value)) for number in numbers])
    wanted = tried.counts["received"] + len(numbers)
    while tried.counts["received"] < wanted:
        tried.turn()


def test_a_model_that_was_made_is_taken_up_at_once_and_finds_its_first_window_whole(tmp_path: Path) -> None:
    made = Made()
    tried, link = daemon(tmp_path, made)
    run(tried, link, range(10))
    assert tried.ingest.waiting == ["p1"]
    made.add("p1", PeakModel())
    tried._look_at_models(1)
    detector = tried.fleet.detectors["p1"]
    assert (tried.ingest.waiting, detector.t_ns) == ([], T0_NS + 8 * PERIOD_MS * 10**6)
    run(tried, link, range(10, 12), value=50.0)
    assert detector.alert.raised


def test_a_new_model_of_a_watched_asset_keeps_its_alert(tmp_path: Path) -> None:
    made = Made({"p1": followed(PeakModel())})
    tried, link = daemon(tmp_path, made)
    run(tried, link, range(10))
    run(tried, link, range(10, 20), value=50.0)
    before = tried.fleet.detectors["p1"].alert
    assert before.raised
    made.add("p1", PeakModel("1" * 64))
    tried._look_at_models(1)
    after = tried.fleet.detectors["p1"]
    assert (after.spec.sha256, after.alert.episode) == ("1" * 64, before.episode)


def test_what_was_learned_survives_a_restart_of_those_with_a_model_and_of_those_without(tmp_path: Path) -> None:
    tried, link = daemon(tmp_path, Made())
    run(tried, link, range(100))
    assert tried.checkpoints.write(1)
    times = tried.ingest.learners.times["p1"].snapshot()
    tried.store.close()
    waiting, _ = daemon(tmp_path, Made())
    assert waiting.ingest.waiting == ["p1"]
    assert waiting.ingest.learners.times["p1"].snapshot() == times
    waiting.store.close()
    watched, link = daemon(tmp_path, Made({"p1": followed(PeakModel())}))
    assert (watched.ingest.waiting, list(watched.fleet.detectors)) == ([], ["p1"])
    assert watched.ingest.learners.times["p1"].snapshot() == times
    run(watched, link, range(100, 110))
    assert watched.fleet.detectors["p1"].t_ns > T0_NS


def test_an_asset_of_an_earlier_run_begins_to_learn_from_nothing(tmp_path: Path) -> None:
    tried, link = any_daemon(tmp_path, 1000)
    tried.checkpoints.load()
    run(tried, link, range(10))
    assert tried.checkpoints.write(1)
    tried.store.close()
    learns, _ = daemon(tmp_path, Made())
    assert learns.ingest.waiting == ["p1"]
    assert learns.ingest.learners.times["p1"].snapshot() == [0, None]


def test_readings_are_kept_for_the_first_window_of_few_assets_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_ae.daemon.learning.RECENT_ASSETS", 1)
    monkeypatch.setattr("edge_ae.daemon.learning.RECENT", 3)
    tried = Ingest([feed_of(Made())], Fleet("n1"), OWN)
    for number in range(5):
        for asset in ("p1", "p2"):
            tried.take(message(number, asset))
    recent = tried.learners.take_recent("p1")
    assert [one.t_ns for one in recent] == [T0_NS + PERIOD_MS * 10**6 * number for number in (2, 3, 4)]
    assert isinstance(recent[0], Readings)
    assert tried.learners.take_recent("p2") == []
