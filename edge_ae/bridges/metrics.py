"""What a node shows to Prometheus: a frozen page of plain values, and the samples that are made of it.

Names follow the field: base units, `_total` behind what only grows, ratios from 0 to 1, no label that a message could make up.
What is true of an asset is on the page only while it is true: a score goes when its sensors fall silent.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from edge_ae import __version__
from edge_ae.core.alert_state import AlertState, Shelving
from edge_ae.core.events import Verdict
from edge_ae.core.health_events import AssetHealth, Watching
from edge_ae.core.liveness import CLOCK_JUMP
from edge_ae.core.model_spec import ModelSpec
from edge_ae.core.payloads import SEVERITY_LEVELS
from edge_ae.core.timestamps import SECOND

PREFIX = "edge_ae_"

ASSETS_LABELLED = 1_000
"""Assets beyond these have no series of their own; `edge_ae_assets` counts them all."""

Labels = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Metric:
    """`name`: without the prefix, and of a counter without `_total`. `counts`: it only grows."""

    name: str
    text: str
    labels: Labels = ()
    counts: bool = False


@dataclass(frozen=True, slots=True)
class Samples:
    """A metric's values by their labels, which are in the order of the metric's."""

    metric: Metric
    values: tuple[tuple[Labels, float], ...]


@dataclass(frozen=True, slots=True)
class AssetNow:
    """An asset in one second, as frozen values. `verdict`: of its newest window; None: it has not had one yet.

    `last_t_ns`: event time of the newest row that was scored. `budget_spent`: alerts of the last budget interval; None where
    the stats do not list the asset.
    """

    spec: ModelSpec
    state: AlertState
    severity: str | None
    health: AssetHealth
    quality: float
    threshold: float
    verdict: Verdict | None
    last_t_ns: int | None
    budget_spent: int | None

    @property
    def active(self) -> bool:
        """Whether it has an alert, as the alert's own payload says."""
        return self.state.raised and self.state.in_service

    @property
    def severity_level(self) -> int:
        """0 without an alert."""
        return SEVERITY_LEVELS[self.severity if self.state.suppression is None else None]

    @property
    def acknowledged(self) -> bool:
        """Whether somebody has seen its alert."""
        return self.state.episode is not None and self.state.episode.acked

    @property
    def warming_up(self) -> bool:
        """Whether its first window, since the start or a long gap, is on its way."""
        return self.health.watching is Watching.WARM_UP

    @property
    def score(self) -> float | None:
        """The newest, while there are new ones."""
        return self.verdict.score if self.verdict is not None and self.health.watched else None

    @property
    def last_reading_s(self) -> float | None:
        """`last_t_ns` in seconds."""
        return None if self.last_t_ns is None else self.last_t_ns / SECOND


@dataclass(frozen=True, slots=True)
class NodeNow:
    """A node in one second. `stats`: the body of its topic. `alerts`, `suppressed`, `dropped`, `link_faults`: by their severity or
    reason.
    """

    stats: Mapping[str, Any]
    assets: Mapping[str, AssetNow]
    windows: int
    withheld: int
    alerts: Mapping[str, int]
    suppressed: Mapping[str, int]
    dropped: Mapping[str, int]
    link_faults: Mapping[str, int]
    settings_good: bool
    settings_at_s: float


ASSET = ("asset",)
OF_NODE: tuple[tuple[Metric, Callable[[Mapping[str, Any]], float | None]], ...] = (
    (Metric("messages_received", "Messages that came.", counts=True), lambda s: s["received"]),
    (Metric("readings", "Messages whose readings were used.", counts=True), lambda s: s["used"]),
    (Metric("commands", "Commands that were carried out.", counts=True), lambda s: s["commands"]),
    (Metric("outbox_dropped", "Alerts that were dropped, for too many waited.", counts=True), lambda s: s["outbox_dropped"]),
    (Metric("checkpoint_failures", "Commits that failed.", counts=True), lambda s: s["checkpoint_failures"]),
    (Metric("queue_length", "Messages that came and wait to be used."), lambda s: s["inbox"]),
    (Metric("mqtt_connected", "1 while there is a broker."), lambda s: s["connected"]),
    (Metric("outbox_messages", "Alerts that wait for the broker."), lambda s: s["outbox"]),
    (Metric("state_writable", "0 while the disk fails, and the watch goes on in memory."), lambda s: s["fault"] is None),
    (Metric("checkpoint_age_seconds", "Time since the last commit."), lambda s: s["checkpoint_age_s"]),
    (Metric("assets", "Assets that are watched."), lambda s: s["assets"]),
)  # fmt: skip
OF_ASSET: tuple[tuple[Metric, Callable[[AssetNow], float | None]], ...] = (
    (Metric("score", "Distance from normal of the newest window.", ASSET), lambda a: a.score),
    (Metric("threshold", "The boundary of normal, in the unit of the score.", ASSET), lambda a: a.threshold),
    (Metric("alert_active", "1 while the asset has an alert.", ASSET), lambda a: a.active),
    (Metric("alert_severity", "0 without an alert; 1 low, 2 medium, 3 high.", ASSET), lambda a: a.severity_level),
    (Metric("alert_acknowledged", "1 while the asset has an alert that somebody has seen.", ASSET), lambda a: a.acknowledged),
    (Metric("alert_suppressed", "1 while the owner's rules keep an alert from being announced.", ASSET), lambda a: a.state.suppression is not None),
    (Metric("alert_shelved", "1 while people have silenced the asset.", ASSET), lambda a: a.state.shelving is not Shelving.UNSHELVED),
    (Metric("in_service", "0 while the asset is out of service.", ASSET), lambda a: a.state.in_service),
    (Metric("watched", "1 while the asset is scored.", ASSET), lambda a: a.health.watched),
    (Metric("warming_up", "1 until the asset's first window, since the start or a long gap, is full.", ASSET), lambda a: a.warming_up),
    (Metric("sensor_faults", "Sensors at fault.", ASSET), lambda a: len(a.health.channels)),
    (Metric("clock_jump", "1 while the asset's event times are ahead of our clock, or went back.", ASSET), lambda a: a.health.fault == CLOCK_JUMP),
    (Metric("quality_ratio", "The part of the sensors that work.", ASSET), lambda a: a.quality),
    (Metric("budget_used_ratio", "Alerts of the last budget interval, of those that the budget accepts in it.", ASSET), lambda a: a.budget_spent),
    (Metric("last_reading_timestamp_seconds", "Event time of the newest row that was scored.", ASSET), lambda a: a.last_reading_s),
)  # fmt: skip
BUILD_INFO = Metric("build_info", "1; the version is its label.", ("version",))
MODEL_INFO = Metric("model_info", "1; an asset's model is in its labels.", ("asset", "model", "sha256", "family"))
WINDOWS = Metric("windows_scored", "Windows that were scored.", counts=True)
WITHHELD = Metric("alerts_withheld", "New alerts that became part of a flood's summary.", counts=True)
ALERTS = Metric("alerts", "New alerts, by their severity when they were raised.", ("severity",), counts=True)
SUPPRESSED = Metric(
    "alerts_suppressed", "New alerts that the owner's rules withheld, by which of them.", ("reason",), counts=True
)
DROPPED = Metric("readings_dropped", "What was not used, by reason.", ("reason",), counts=True)
NOTIFICATIONS = Metric(
    "notifications", "Messages to people: sent, attempts that failed, dropped.", ("service", "outcome"), counts=True
)
NOTIFICATIONS_PENDING = Metric("notifications_pending", "Messages to people that wait.", ("service",))
LINK_FAULTS = Metric("link_faults", "What did not arrive, was not sent, or was refused.", ("reason",), counts=True)
RELOADED = Metric("config_last_reload_successful", "0 after settings that could not be taken up.")
RELOADED_AT = Metric("config_last_reload_success_timestamp_seconds", "When settings were last taken up.")


class GrowingTotals:
    """Totals of a source that may begin again at less, as it does where an asset goes: they never shrink."""

    def __init__(self) -> None:
        self.totals: Counter[str] = Counter()
        self._last: Mapping[str, int] = {}

    def follow(self, now: Mapping[str, int]) -> None:
        """Add what the source has grown by since the last call."""
        for name, count in now.items():
            self.totals[name] += max(count - self._last.get(name, 0), 0)
        self._last = dict(now)


class Reloads:
    """Whether the settings were taken up when they were last read, and when they last were."""

    def __init__(self, now_s: float) -> None:
        self.successful, self.at_s = True, now_s
        self._before = (0, 0)

    def follow(self, reloads: int, failures: int, now_s: float) -> None:
        """The counts of the node's stats."""
        taken_up, failed = reloads > self._before[0], failures > self._before[1]
        if taken_up:
            self.at_s = now_s
        if taken_up or failed:
            self.successful = not failed
        self._before = (reloads, failures)


def samples(now: NodeNow) -> Iterator[Samples]:
    """All that is shown."""
    yield Samples(BUILD_INFO, (((__version__,), 1.0),))
    for metric, of_node in OF_NODE:
        yield _single(metric, of_node(now.stats))
    yield _single(WINDOWS, now.windows)
    yield _single(WITHHELD, now.withheld)
    yield _by_name(ALERTS, now.alerts)
    yield _by_name(SUPPRESSED, now.suppressed)
    yield _by_name(DROPPED, now.dropped)
    yield _by_name(LINK_FAULTS, now.link_faults)
    yield from _notifications(now.stats["notify"])
    yield _single(RELOADED, now.settings_good)
    yield _single(RELOADED_AT, now.settings_at_s)
    for metric, of_asset in OF_ASSET:
        values = ((name, of_asset(asset)) for name, asset in now.assets.items())
        yield Samples(metric, tuple(((name,), float(value)) for name, value in values if value is not None))
    specs = ((name, asset.spec) for name, asset in now.assets.items())
    yield Samples(MODEL_INFO, tuple(((name, s.name, s.sha256, s.family), 1.0) for name, s in specs))


def _notifications(by_service: Mapping[str, Mapping[str, int]]) -> Iterator[Samples]:
    """What waits is no counter."""
    pending = {service: counts["pending"] for service, counts in by_service.items()}
    outcomes = (
        ((service, name), float(count))
        for service, counts in by_service.items()
        for name, count in counts.items()
        if name != "pending"
    )
    yield Samples(NOTIFICATIONS, tuple(outcomes))
    yield _by_name(NOTIFICATIONS_PENDING, pending)


def _single(metric: Metric, value: float | None) -> Samples:
    return Samples(metric, () if value is None else (((), float(value)),))


def _by_name(metric: Metric, counts: Mapping[str, int]) -> Samples:
    return Samples(metric, tuple(((name,), float(count)) for name, count in counts.items()))
