"""How the daemon is doing: the JSON of the `stats` topic, and the line of `systemctl status`. Reads, changes nothing."""

import os
import time
from collections import Counter
from importlib.metadata import version
from typing import Any

from edge_ae.core.detector import Detector
from edge_ae.core.payloads import significant
from edge_ae.core.timestamps import SECOND, rfc3339

WEEK_NS = 7 * 86_400 * SECOND
ASSETS_LISTED = 200  # beyond this `stats` would outgrow a broker's packet limit
VERSION = version("edge-ae")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def node_stats(daemon: Any) -> dict[str, Any]:
    """Counters count since the start of the process, those of assets since they were first seen."""
    now_ns = time.monotonic_ns()
    detectors = daemon.fleet.detectors
    checkpoint, outbox = daemon.checkpoint, daemon.outbox
    return {
        "schema": 1,
        "ts": rfc3339(time.time_ns()),
        "version": VERSION,
        "uptime_s": (now_ns - daemon.started_ns) // SECOND,
        "rss_bytes": rss_bytes(),
        "received": daemon.counts["received"],
        "used": daemon.intake.used,
        "refused": daemon.intake.refused.total(),
        "other_topics": daemon.counts["other_topics"],
        "repeated": daemon.ledger.seen.repeated,
        "dropped": dict(dropped(daemon)),
        "events": daemon.teller.counts["events"],
        "scores": daemon.teller.counts["scores"],
        "withheld_in_flood": daemon.teller.flood.withheld,
        "commands": daemon.counts["commands"],
        "reloads": daemon.counts["reloads"],
        "reload_failures": daemon.counts["reload_failures"],
        "connected": daemon.link.connected,
        "unacknowledged": daemon.ledger.seen.owed,
        "acknowledged_unsaved": daemon.ledger.counts["acknowledged_unsaved"],
        "outbox": len(outbox),
        "outbox_dropped": outbox.counts["dropped"],
        "checkpoint_age_s": (now_ns - daemon.ledger.saved_ns) // SECOND if daemon.ledger.durable else None,
        "checkpoints": checkpoint.counts["written"],
        "checkpoint_bytes": checkpoint.bytes_written,
        "checkpoint_failures": checkpoint.counts["write_failures"],
        "checkpoints_damaged": checkpoint.counts["damaged"],
        "fault": daemon.ledger.fault,
        "link": dict(daemon.link.counts),
        "assets": len(detectors),
        "asset": {name: _asset(daemon, detectors[name]) for name in list(detectors)[:ASSETS_LISTED]},
    }


def dropped(daemon: Any) -> Counter[str]:
    """What was not used, by reason: payloads, values, readings."""
    total = Counter(daemon.intake.refused)
    total.update(daemon.fleet.counts)
    for feed in daemon.intake.feeds:
        total.update(feed.decoder.counts)
    for detector in daemon.fleet.detectors.values():
        total.update(detector.counts)
    return +total


def status_line(daemon: Any) -> str:
    """One line for a person; a fault comes first."""
    fault = daemon.ledger.fault
    active = sum(detector.alert.active for detector in daemon.fleet.detectors.values())
    broker = "connected" if daemon.link.connected else "no broker"
    parts = [broker, f"{len(daemon.fleet.detectors)} assets", f"{active} alerts", f"{len(daemon.outbox)} in the outbox"]
    return "; ".join([fault, *parts] if fault is not None else parts)


def rss_bytes() -> int:
    with open("/proc/self/statm", "rb") as file:  # noqa: PTH123  # a kernel's file, not a path
        return int(file.read().split()[1]) * PAGE_BYTES


def _asset(daemon: Any, detector: Detector) -> dict[str, Any]:
    spec, watch = detector.spec, daemon.intake.watch_of(detector.asset)
    interval_ns = watch.rules.interval_ns
    # New alerts in the last budget interval of event time, in which one is accepted.
    since_ns = (detector.last_t_ns or 0) - interval_ns
    spent = sum(t_ns > since_ns for t_ns in daemon.teller.spent.get(detector.asset, ()))
    return {
        "model": spec.name,
        "model_sha256": spec.sha256,
        "family": spec.family,
        "provider": getattr(watch.model, "provider", None),
        "last_reading": None if detector.last_t_ns is None else rfc3339(detector.last_t_ns),
        "threshold": detector.threshold,
        "alert": str(detector.alert.phase),
        "budget_per_week": significant(WEEK_NS / interval_ns),
        "budget_interval_s": interval_ns // SECOND,
        "budget_spent": spent,
    }
