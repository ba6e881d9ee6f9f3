"""The page for Prometheus, made of plain values: what is on it, what goes from it, and what it costs nobody."""

import socket
import subprocess
import urllib.request
from collections.abc import Iterator, Sequence
from shutil import which
from typing import Any

import pytest

from edge_ae.bridges import metrics_server
from edge_ae.bridges.metrics import OF_ASSET, OF_NODE, PREFIX, GrowingTotals, Reloads
from edge_ae.bridges.prometheus import RETRY_NS, PrometheusBridge
from edge_ae.core.alert_events import AlertEvent, Outcome, Withheld
from edge_ae.core.detector import Watch
from edge_ae.core.events import Readings
from edge_ae.core.fleet import Fleet
from edge_ae.core.rules import AlertRules
from edge_ae.core.suppression import Silence
from edge_ae.core.timestamps import SECOND
from tests.conftest import free_port
from tests.models import LENGTH, FakeModel

pytest.importorskip("prometheus_client", reason="prometheus-client is not installed: pip install prometheus-client")

CALM, FAULT = 0.25, 3.0
STATS: dict[str, Any] = {
    "received": 20, "used": 18, "commands": 1, "outbox_dropped": 0, "checkpoint_failures": 0, "inbox": 3,
    "connected": True, "outbox": 2, "fault": None, "checkpoint_age_s": 7, "assets": 1, "dropped": {"late": 2},
    "link": {"inbox_full": 1}, "reloads": 0, "reload_failures": 0, "asset": {"pump": {"budget_spent": 1}},
    "notify": {"ntfys": {"sent": 3, "failed": 2, "dropped": 1, "pending": 4}},
}  # fmt: skip


class Watched:
    """A fleet of pumps behind a bridge, as the daemon would have it."""

    def __init__(self, bridge: PrometheusBridge) -> None:
        self.bridge, self.fleet = bridge, Fleet("node")
        self._watch = Watch(bridge.timed(FakeModel()), AlertRules(interval_ns=100 * SECOND))

    def push(self, *flows: float, asset: str = "pump", start_s: int = 0) -> list[Outcome]:
        results = []
        for t, flow in enumerate(flows):
            values = {"flow": flow, "pressure": 1.0}
            self.fleet.push(Readings(asset, (start_s + t) * SECOND, values), self._watch)
            results += self.fleet.step()
        self.bridge.happened(results)
        return results

    def tick(self, now_ns: int = 0, **stats: Any) -> dict[str, float]:
        """The page after a tick: `name{label="value"}` -> value."""
        self.bridge.tick(self.fleet.detectors, lambda: STATS | stats, now_ns)
        return scraped(self.bridge)


def scraped(bridge: PrometheusBridge) -> dict[str, float]:
    lines = [line for line in page(bridge).splitlines() if not line.startswith("#")]
    return {name.removeprefix(PREFIX): float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def page(bridge: PrometheusBridge) -> str:
    assert bridge.server is not None
    with urllib.request.urlopen(f"http://127.0.0.1:{bridge.server.port}/metrics", timeout=10) as answer:
        return str(answer.read().decode())


@pytest.fixture
def watched() -> Iterator[Watched]:
    bridge = PrometheusBridge("127.0.0.1", free_port())
    yield Watched(bridge)
    bridge.close()


def of(shown: dict[str, float], asset: str) -> dict[str, float]:
    """The series of an asset that have no other label."""
    ending = f'{{asset="{asset}"}}'
    return {name.removesuffix(ending): value for name, value in shown.items() if name.endswith(ending)}


def test_an_asset_has_every_series_from_its_first_second_but_those_of_a_score(watched: Watched) -> None:
    watched.push(CALM, CALM)
    assert of(watched.tick(), "pump") == {
        "threshold": 1.0, "alert_active": 0.0, "alert_severity": 0.0, "alert_acknowledged": 0.0, "alert_shelved": 0.0, "alert_suppressed": 0.0,
        "in_service": 1.0, "watched": 0.0, "warming_up": 1.0, "sensor_faults": 0.0, "clock_jump": 0.0, "quality_ratio": 1.0,
        "budget_used_ratio": 1.0,
    }  # fmt: skip


def test_an_alert_is_1_and_its_score_above_the_threshold_until_it_has_ended(watched: Watched) -> None:
    watched.push(*[CALM] * LENGTH, FAULT, FAULT)
    shown = of(watched.tick(), "pump")
    assert (shown["alert_active"], shown["alert_severity"], shown["score"], shown["warming_up"]) == (
        1.0,
        2.0,
        FAULT,
        0.0,
    )
    assert shown["last_reading_timestamp_seconds"] == LENGTH
    watched.push(*[CALM] * 30, start_s=LENGTH + 2)
    after = watched.tick()
    shown = of(after, "pump")
    assert (shown["alert_active"], shown["alert_severity"], shown["score"]) == (0.0, 0.0, CALM)
    assert [after[f'alerts_total{{severity="{word}"}}'] for word in ("low", "medium", "high")] == [0.0, 1.0, 0.0]


def test_a_score_goes_when_the_sensors_fall_silent(watched: Watched) -> None:
    watched.push(*[CALM] * LENGTH, FAULT)
    assert of(watched.tick(), "pump")["score"] == CALM
    for now_s in range(60):
        watched.fleet.tick(now_s * SECOND)
    shown = of(watched.tick(), "pump")
    assert ("score" in shown, "threshold" in shown, shown["watched"]) == (False, True, 0.0)


def test_all_series_of_an_asset_go_with_it(watched: Watched) -> None:
    for asset in ("pump", "fan"):
        watched.push(*[CALM] * LENGTH, asset=asset)
    assert of(watched.tick(), "fan")
    del watched.fleet.detectors["fan"]
    watched.bridge.withdrawn("fan")
    assert [name for name in watched.tick() if "fan" in name] == []


def test_what_the_node_counts_is_on_the_page(watched: Watched) -> None:
    watched.push(*[CALM] * (LENGTH + 3))
    shown = watched.tick()
    assert {name: shown[name] for name in ("messages_received_total", "readings_total", "queue_length", "outbox_messages")} == {
        "messages_received_total": 20.0, "readings_total": 18.0, "queue_length": 3.0, "outbox_messages": 2.0,
    }  # fmt: skip
    assert (shown["mqtt_connected"], shown["state_writable"], shown["checkpoint_age_seconds"]) == (1.0, 1.0, 7.0)
    assert shown['readings_dropped_total{reason="late"}'] == 2.0
    assert shown['link_faults_total{reason="inbox_full"}'] == 1.0
    assert shown['notifications_total{outcome="failed",service="ntfys"}'] == 2.0
    assert shown['notifications_pending{service="ntfys"}'] == 4.0
    assert shown["windows_scored_total"] == shown["inference_duration_seconds_count"] == 3.0
    assert [shown[name] for name in shown if name.startswith("model_info{")] == [1.0]


def test_a_node_that_keeps_no_state_has_no_age_of_a_commit(watched: Watched) -> None:
    assert "checkpoint_age_seconds" not in watched.tick(checkpoint_age_s=None)


def test_an_alert_of_a_flood_is_counted_and_so_is_its_being_withheld(watched: Watched) -> None:
    results = watched.push(*[CALM] * LENGTH, FAULT, FAULT)
    (new,) = (one for one in results if isinstance(one, AlertEvent))
    watched.bridge.happened([Withheld(new)])
    shown = watched.tick()
    assert (shown['alerts_total{severity="medium"}'], shown["alerts_withheld_total"]) == (2.0, 1.0)


def test_a_suppressed_alert_is_none_and_is_counted_by_what_suppressed_it(watched: Watched) -> None:
    watched.push(*[CALM] * LENGTH)
    watched.fleet.detectors["pump"].add_silence(Silence(0, 2**62))
    watched.push(FAULT, FAULT, start_s=LENGTH)
    shown = watched.tick()
    pump = of(shown, "pump")
    assert (pump["alert_suppressed"], pump["alert_active"], pump["alert_severity"]) == (1.0, 0.0, 0.0)
    assert [shown[f'alerts_suppressed_total{{reason="{word}"}}'] for word in ("silence", "rule")] == [1.0, 0.0]
    assert (shown['alerts_total{severity="medium"}'], shown["alerts_withheld_total"]) == (0.0, 0.0)


def test_time_from_arrival_to_alert_is_on_the_page(watched: Watched) -> None:
    watched.bridge.alerted(0.02)
    shown = watched.tick()
    within = [shown[f'ingest_to_alert_seconds_bucket{{le="{bound}"}}'] for bound in (0.01, 0.025)]
    assert (shown["ingest_to_alert_seconds_count"], within) == (1.0, [0.0, 1.0])


def test_totals_go_on_where_their_source_begins_again() -> None:
    totals = GrowingTotals()
    for count in (5, 7, 1, 4):
        totals.follow({"late": count})
    assert totals.totals == {"late": 10}


@pytest.mark.parametrize(
    ("counts", "successful", "at_s"),
    [([(0, 0)], True, 1.0), ([(1, 0)], True, 2.0), ([(0, 1)], False, 1.0), ([(0, 1), (1, 1)], True, 3.0)],
)
def test_a_reload_that_failed_shows_until_one_succeeds(
    counts: Sequence[tuple[int, int]], successful: bool, at_s: float
) -> None:
    reloads = Reloads(1.0)
    for now_s, (taken_up, failed) in enumerate(counts, 2):
        reloads.follow(taken_up, failed, float(now_s))
    assert (reloads.successful, reloads.at_s) == (successful, at_s)


def test_a_port_in_use_is_said_once_tried_again_and_had_when_it_is_free(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    first = Watched(PrometheusBridge("127.0.0.1", free_port()))
    first.tick()
    assert first.bridge.server is not None
    port = first.bridge.server.port
    second = PrometheusBridge("127.0.0.1", port)
    for now_ns in (0, RETRY_NS // 2, RETRY_NS, 2 * RETRY_NS):
        second.tick({}, lambda: STATS, now_ns)
    assert second.server is None
    first.bridge.close()
    second.tick({}, lambda: STATS, 3 * RETRY_NS)
    assert scraped(second)["assets"] == 1.0
    second.close()
    assert [record.message for record in caplog.records if record.name.startswith("edge_ae")] == [
        f"metrics: served at http://127.0.0.1:{port}/metrics",
        f"metrics: 127.0.0.1:{port} cannot be served: Address already in use; it is tried again, or set another metrics.port",
        f"metrics: served at http://127.0.0.1:{port}/metrics",
    ]


def test_the_page_is_the_one_of_the_last_tick_and_no_scrape_changes_it(watched: Watched) -> None:
    watched.push(*[CALM] * LENGTH)
    before = watched.tick()
    watched.push(FAULT, FAULT, start_s=LENGTH)
    after = scraped(watched.bridge)
    ours = {name for name in before if not name.startswith(("process_", "inference_"))}
    assert {name: after[name] for name in ours} == {name: before[name] for name in ours}


def test_a_client_that_says_nothing_or_nonsense_is_let_go_and_the_next_is_served(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics_server._QuietHandler, "timeout", 0.1)
    watched.tick()
    assert watched.bridge.server is not None
    address = ("127.0.0.1", watched.bridge.server.port)
    with socket.create_connection(address), socket.create_connection(address) as nonsense:
        nonsense.sendall(b"\x00\xff" * 1000 + b"\r\n\r\n")
        assert scraped(watched.bridge)["assets"] == 1.0


PROMTOOL = which("promtool")


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed: apt install prometheus")
def test_promtool_has_no_complaint_of_the_page(watched: Watched) -> None:
    watched.push(*[CALM] * LENGTH, FAULT, FAULT)
    watched.tick()
    done = subprocess.run(["promtool", "check", "metrics"], input=page(watched.bridge), capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_every_metric_has_a_name_of_its_own() -> None:
    names = [metric.name for metric, _ in (*OF_NODE, *OF_ASSET)]
    assert len(names) == len(set(names))
