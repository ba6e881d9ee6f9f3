"""What a node knows, to Prometheus.

    the loop's thread: happened, tick ─► a frozen page ─► the server's thread: a scrape

The page is made anew once a second and never changed, so that the server's thread touches nothing of the daemon's.
"""

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from edge_ae.bridges.metrics import (
    ASSETS_LABELLED,
    PREFIX,
    AssetNow,
    GrowingTotals,
    NodeNow,
    Reloads,
    samples,
)
from edge_ae.bridges.metrics_server import MetricsServer
from edge_ae.bridges.timed_model import TimedModel
from edge_ae.core.alert_events import AlertEvent, EventType, Happening, Withheld
from edge_ae.core.detector import Detector
from edge_ae.core.events import Scored, Verdict
from edge_ae.core.model_spec import Model
from edge_ae.core.payloads import SEVERITY_LEVELS
from edge_ae.core.suppression import WithheldBy
from edge_ae.core.timestamps import SECOND

if TYPE_CHECKING:
    from prometheus_client.registry import Collector, CollectorRegistry

log = logging.getLogger(__name__)

RETRY_NS = 10 * SECOND
"""A port that is in use is tried again this often."""

INFERENCE_S = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
ALERT_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 10.0, 60.0)
"""Upper bounds of the histograms' buckets."""

Stats = Callable[[], Mapping[str, Any]]


class PrometheusBridge:
    """Serves `host`:`port`. Where that cannot be had, it is logged once and tried again, and the watch goes on.

    `page`: what a scrape shows; None before the first second. `server`: None until the port could be had.
    """

    filters: Sequence[tuple[str, int]] = ()

    def __init__(self, host: str, port: int) -> None:
        """Raises ImportError where the package prometheus_client is not installed."""
        import prometheus_client

        client: Any = prometheus_client  # it leaves parts of itself untyped
        client.disable_created_metrics()
        self.page: NodeNow | None = None
        self.server: MetricsServer | None = None
        self._host, self._port = host, port
        self._retry_ns: int | None = None
        self._windows, self._withheld = 0, 0
        self._suppressed = {word.value: 0 for word in WithheldBy if word is not WithheldBy.FLOOD}
        self._alerts = {word: 0 for word in SEVERITY_LEVELS if word is not None}
        self._dropped, self._link_faults = GrowingTotals(), GrowingTotals()
        self._reloads = Reloads(time.time())
        self._verdicts: dict[str, Verdict] = {}
        registry = client.CollectorRegistry()
        registry.register(_collector(self))
        client.ProcessCollector(registry=registry)
        self._inference, self._to_alert = _histograms(registry)
        self._app = client.make_wsgi_app(registry)

    def timed(self, model: Model) -> Model:
        """The same model, whose calls are counted into the histogram of inference."""
        return TimedModel(model, self._inference.observe)

    def alerted(self, seconds: float) -> None:
        """An alert came of a message that had arrived so long before."""
        self._to_alert.observe(seconds)

    # -- what the daemon says --------------------------------------------------------------------------------

    def happened(self, happenings: Sequence[Happening]) -> None:
        """Count what came of a step."""
        for one in happenings:
            if isinstance(one, Scored):
                self._windows += 1
                self._verdicts[one.asset] = one.verdict
            elif isinstance(one, AlertEvent):
                self._raised(one)
            elif isinstance(one, Withheld):
                self._withhold(one)

    def _withhold(self, withheld: Withheld) -> None:
        """What a flood's summary stands for is an alert all the same; what the owner's rules withhold is none."""
        new = withheld.event.type is EventType.NEW
        if withheld.reason is WithheldBy.FLOOD:
            self._withheld += new
            self._raised(withheld.event)
        else:
            self._suppressed[withheld.reason.value] += new

    def _raised(self, event: AlertEvent) -> None:
        if event.type is EventType.NEW and event.alert.severity is not None:
            self._alerts[event.alert.severity] += 1

    def tick(self, detectors: Mapping[str, Detector], stats: Stats, now_ns: int) -> None:
        """Make the page anew; `now_ns`: monotonic."""
        now = stats()
        self._dropped.follow(now["dropped"])
        self._link_faults.follow(now["link"])
        self._reloads.follow(now["reloads"], now["reload_failures"], time.time())
        names = list(detectors)[:ASSETS_LABELLED]
        self.page = NodeNow(
            stats=now,
            assets={name: self._now(detectors[name], now["asset"].get(name)) for name in names},
            windows=self._windows,
            withheld=self._withheld,
            alerts=dict(self._alerts),
            suppressed=dict(self._suppressed),
            dropped=dict(self._dropped.totals),
            link_faults=dict(self._link_faults.totals),
            settings_good=self._reloads.successful,
            settings_at_s=self._reloads.at_s,
        )
        if self.server is None and (self._retry_ns is None or now_ns >= self._retry_ns):
            self._serve(now_ns)

    def _now(self, detector: Detector, listed: Mapping[str, Any] | None) -> AssetNow:
        described = None if detector.alert.episode is None else detector.alert_now()  # it takes its time
        return AssetNow(
            detector.spec,
            detector.alert,
            None if described is None else described.severity,
            detector.health_now(),
            detector.quality,
            detector.threshold,
            self._verdicts.get(detector.asset),
            detector.last_t_ns,
            None if listed is None else listed["budget_spent"],
        )

    def withdrawn(self, asset: str) -> None:
        """Nothing of it is on the next page."""
        self._verdicts.pop(asset, None)

    def close(self) -> None:
        """Free the port."""
        if self.server is not None:
            self.server.close()

    # -- what the broker would be asked for ------------------------------------------------------------------

    def retained(self, _assets: Iterable[str]) -> frozenset[str]:
        """It keeps nothing there."""
        return frozenset()

    def connected(self, _detectors: Mapping[str, Detector]) -> None:
        """Nothing has to be made true there."""

    def received(self, _topic: str, _payload: bytes, _retained: bool) -> None:
        """Nothing is subscribed to."""

    # -- the server ----------------------------------------------------------------------------------------

    def _serve(self, now_ns: int) -> None:
        where = f"{self._host}:{self._port}"
        try:
            self.server = MetricsServer(self._host, self._port, self._app)
        except OSError as fault:
            if self._retry_ns is None:
                why = fault.strerror or str(fault)
                log.error(
                    "metrics: %s cannot be served: %s; it is tried again, or set another metrics.port", where, why
                )
            self._retry_ns = now_ns + RETRY_NS
        else:
            log.info("metrics: served at http://%s/metrics", where)


def _histograms(registry: "CollectorRegistry") -> tuple[Any, Any]:
    from prometheus_client import Histogram

    inference, to_alert = "Time of one call of a model.", "From a message's arrival to the alert that came of it."
    return (
        Histogram(f"{PREFIX}inference_duration_seconds", inference, registry=registry, buckets=INFERENCE_S),
        Histogram(f"{PREFIX}ingest_to_alert_seconds", to_alert, registry=registry, buckets=ALERT_S),
    )


def _collector(bridge: PrometheusBridge) -> "Collector":
    """What gives the registry the bridge's page, as it is at a scrape."""
    from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily

    class Scrape:
        def collect(self) -> Iterator[Any]:
            page = bridge.page
            for one in () if page is None else samples(page):
                family = CounterMetricFamily if one.metric.counts else GaugeMetricFamily
                found = family(PREFIX + one.metric.name, one.metric.text, labels=one.metric.labels)
                for labels, value in one.values:
                    found.add_metric(labels, value)
                yield found

    return Scrape()
