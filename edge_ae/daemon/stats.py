"""How the daemon is doing: the JSON of the `stats` topic, and the line of `systemctl status`. Reads, changes nothing."""

import os
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from edge_ae import __version__
from edge_ae.core.detector import Detector
from edge_ae.core.payloads import health_payload, significant
from edge_ae.core.threshold import FAULT_RATIO
from edge_ae.core.timestamps import SECOND, rfc3339
from edge_ae.daemon.checkpoint import Checkpoints
from edge_ae.daemon.ingest import Ingest
from edge_ae.daemon.publisher import Publisher
from edge_ae.mqtt.link import Link
from edge_ae.store.node_store import NodeStore

WEEK_NS = 7 * 86_400 * SECOND
ASSETS_LISTED = 200  # with more, `stats` would outgrow a broker's packet limit
REPORTED = ("notify", "sparkplug", "recorder")  # keys of what counts; empty where it is not there
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


Reports = Mapping[str, Callable[[], Mapping[str, Any]]]


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a daemon that have something to report. `counts`: of the loop itself; `reports`: of others, by the key of
    REPORTED that they go to.
    """

    started_ns: int
    counts: Counter[str]
    link: Link
    store: NodeStore
    checkpoints: Checkpoints
    ingest: Ingest
    publisher: Publisher
    reports: Reports


def node_stats(parts: Parts, now_ns: int) -> dict[str, Any]:
    """Counters count since the start of the process, those of assets since they were first seen. `now_ns`: monotonic."""
    detectors = parts.ingest.fleet.detectors
    checkpoints, database, outbox = parts.checkpoints, parts.store.database, parts.store.outbox
    return {
        "schema": 1,
        "ts": rfc3339(time.time_ns()),
        "version": __version__,
        "uptime_s": (now_ns - parts.started_ns) // SECOND,
        "rss_bytes": rss_bytes(),
        "received": parts.counts["received"],
        "used": parts.ingest.used,
        "refused": parts.ingest.refusals.counts.total(),
        "other_topics": parts.counts["other_topics"],
        "repeated": checkpoints.deduplicator.duplicates,
        "dropped": dict(dropped(parts)),
        **parts.ingest.refusals.shown(),
        "events": parts.publisher.counts["events"],
        "scores": parts.publisher.counts["scores"],
        "withheld_in_flood": parts.publisher.flood.withheld,
        "suppressed": dict(parts.publisher.suppressed),
        **{name: parts.reports[name]() if name in parts.reports else {} for name in REPORTED},
        "commands": parts.counts["commands"],
        "reloads": parts.counts["reloads"],
        "reload_failures": parts.counts["reload_failures"],
        "connected": parts.link.connected,
        "inbox": parts.link.waiting,
        "unacknowledged": checkpoints.deduplicator.unacknowledged,
        "acknowledged_unsaved": checkpoints.counts["acknowledged_unsaved"],
        "outbox": len(outbox),
        "outbox_dropped": outbox.counts["dropped"],
        "checkpoint_age_s": checkpoints.age_s(now_ns) if checkpoints.keeps_state else None,
        "checkpoints": database.counts["commits"],
        "checkpoint_bytes": parts.store.bytes_written,
        "checkpoint_failures": database.counts["write_failures"],
        "checkpoints_damaged": database.counts["damaged"] + outbox.counts["damaged"],
        "fault": parts.store.fault,
        "link": dict(parts.link.counts),
        "assets": len(detectors),
        "asset": {name: _asset(parts, detectors[name]) for name in list(detectors)[:ASSETS_LISTED]},
        "learning": {name: _learning(parts, name) for name in parts.ingest.waiting[:ASSETS_LISTED]},
    }


def dropped(parts: Parts) -> Counter[str]:
    """What was not used, by reason: payloads, values, readings."""
    total = Counter(parts.ingest.refusals.counts)
    total.update(parts.ingest.fleet.counts)
    for feed in parts.ingest.feeds:
        total.update(feed.decoder.counts)
    for detector in parts.ingest.fleet.detectors.values():
        total.update(detector.counts)
    return +total


def status_line(parts: Parts) -> str:
    """One line for a person; a fault comes first."""
    detectors = parts.ingest.fleet.detectors
    active = sum(detector.alert.raised for detector in detectors.values())
    broker = "connected" if parts.link.connected else "no broker"
    facts = [broker, f"{len(detectors)} assets", f"{active} alerts", f"{len(parts.store.outbox)} in the outbox"]
    recorder = parts.ingest.recorder
    faults = [parts.store.fault, None if recorder is None else recorder.fault]
    return "; ".join([*(fault for fault in faults if fault is not None), *facts])


def rss_bytes() -> int:
    """Resident memory of this process."""
    with open("/proc/self/statm", "rb") as file:  # noqa: PTH123  # a kernel's file, not a path
        return int(file.read().split()[1]) * PAGE_BYTES


def _learning(parts: Parts, asset: str) -> str | None:
    """How far an asset is that has no model yet."""
    learning = parts.ingest.health_of(asset).learning
    return None if learning is None else learning.text


def _asset(parts: Parts, detector: Detector) -> dict[str, Any]:
    spec, model = detector.spec, parts.ingest.fleet.model_of(detector)
    interval_ns = detector.interval_ns
    since_ns = detector.t_ns - interval_ns
    health = health_payload(parts.ingest.health_of(detector.asset))
    return {
        "model": spec.name,
        "model_sha256": spec.sha256,
        "family": spec.family,
        "provider": getattr(model, "provider", None),
        "watched": health["watched"],
        "reason": health["reason"],
        "rows": health["rows"],
        "rows_needed": health["rows_needed"],
        "first_score": health["first_score"],
        "pace": health["pace"],
        "learning": health["learning"],
        "last_reading": None if detector.last_t_ns is None else rfc3339(detector.last_t_ns),
        "threshold": detector.threshold,
        "alert": str(detector.alert.phase),
        "suppressed": dict(detector.suppressed),
        "rules_ignored": detector.own_rules.ignored,
        "budget_per_week": significant(WEEK_NS / interval_ns),
        "budget_interval_s": interval_ns // SECOND,
        # Alerts of the last budget interval of event time, in which one is accepted. A fault costs nothing of the budget.
        "budget_spent": parts.store.alerts_since(detector.asset, since_ns, FAULT_RATIO),
    }
