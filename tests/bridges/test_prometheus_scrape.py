"""A real Prometheus that scrapes a real daemon through an episode, and what is in deploy for the two."""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import which
from typing import Any

import pytest

from tests.bridges.test_prometheus import STATS, page
from tests.conftest import PATIENCE_S, Broker, Subscriber, free_port, wait_for
from tests.models import hand_made

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
RULES = DEPLOY / "prometheus" / "edge-ae.rules.yml"
BOARD = DEPLOY / "grafana" / "edge-ae.json"
METRIC = re.compile(r"\bedge_ae_\w+")
NEEDS_PROMETHEUS = pytest.mark.skipif(
    which("prometheus") is None, reason="prometheus is missing: apt install prometheus"
)
NEEDS_PROMTOOL = pytest.mark.skipif(which("promtool") is None, reason="promtool is missing: apt install prometheus")
T0_MS = 1_790_000_000_000

pytest.importorskip("prometheus_client", reason="prometheus-client is not installed: pip install prometheus-client")


@contextmanager
def running(command: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, env=os.environ | {"PYTHONPATH": str(ROOT)})
    try:
        yield process
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


class RealPrometheus:
    """Asks a Prometheus that runs."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}/api/v1"

    def get(self, path: str, **query: str) -> Any:
        try:
            with urllib.request.urlopen(f"{self._url}/{path}?{urllib.parse.urlencode(query)}", timeout=10) as answer:
                return json.load(answer)["data"]
        except OSError:  # it is not up yet
            return {}

    def value(self, expression: str) -> float | None:
        """The one value of an expression; None where it has none."""
        found = self.get("query", query=expression).get("result", [])
        return float(found[0]["value"][1]) if found else None

    def firing(self) -> set[str]:
        alerts = self.get("alerts").get("alerts", [])
        return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}


@contextmanager
def scraping(folder: Path, target: int) -> Iterator[RealPrometheus]:
    port, config = free_port(), folder / "prometheus.yml"
    config.write_text(
        f"global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}}\nrule_files: [{RULES}]\n"
        f"scrape_configs: [{{job_name: edge-ae, static_configs: [{{targets: ['127.0.0.1:{target}']}}]}}]\n"
    )
    command = ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder / 'tsdb'}"]
    command += [f"--web.listen-address=127.0.0.1:{port}"]
    with running(command, folder / "prometheus.log"):
        yield RealPrometheus(port)


@contextmanager
def watching(folder: Path, model: Path, broker: int, metrics: int) -> Iterator[subprocess.Popen[bytes]]:
    config = folder / "edge-ae.toml"
    config.write_text(
        f'node = "n1"\nstate_dir = "{folder / "state"}"\n[mqtt]\nhost = "127.0.0.1"\nport = {broker}\n'
        f'[[streams]]\ntopic = "plant/{{asset}}/t"\ntime = "ts"\nmodel = "{model}"\n'
        f"[metrics]\nport = {metrics}\n"
    )
    log = folder / "node.log"
    with running([sys.executable, "-m", "edge_ae", "run", "--config", str(config)], log) as process:
        wait_for(lambda: "ready: " in log.read_text(), "the daemon")
        yield process


def rows(first: int, last: int, flow: float) -> list[dict[str, float]]:
    return [{"ts": T0_MS + 1000 * n, "flow": flow, "pressure": 2.5 + n % 7 / 100} for n in range(first, last)]


@NEEDS_PROMETHEUS
def test_a_real_prometheus_sees_an_alert_begin_and_end_and_its_rules_fire(
    tmp_path: Path, broker: Broker, listener: Subscriber, tmp_path_factory: pytest.TempPathFactory
) -> None:
    target, model = free_port(), hand_made(tmp_path_factory)
    with watching(tmp_path, model, broker.port, target), scraping(tmp_path, target) as prometheus:
        listener.publish_all("plant/p1/t", rows(0, 20, 5.0))
        wait_for(lambda: prometheus.value('edge_ae_alert_active{asset="p1"}') == 0.0, "the asset")
        listener.publish_all("plant/p1/t", rows(20, 30, 50.0))
        wait_for(lambda: prometheus.value("edge_ae_alert_active") == 1.0, "the alert")
        above = prometheus.value("edge_ae_score / edge_ae_threshold")
        assert above is not None
        assert above > 1.0
        wait_for(lambda: "MachineAnomaly" in prometheus.firing(), "the rule")
        listener.publish_all("plant/p1/t", rows(30, 90, 5.0))
        wait_for(lambda: prometheus.value("edge_ae_alert_active") == 0.0, "the alert's end")
        below = prometheus.value("edge_ae_score / edge_ae_threshold")
        assert below is not None
        assert below < 1.0
        assert prometheus.value("sum(edge_ae_alerts_total)") == 1.0
        assert prometheus.value("edge_ae_ingest_to_alert_seconds_count") == 1.0
        assert prometheus.value("edge_ae_readings_total") == 90.0
        assert prometheus.value("up") == prometheus.value("edge_ae_mqtt_connected") == 1.0
        wait_for(lambda: "MachineAnomaly" not in prometheus.firing(), "the rule's end")


def gauge(port: int, name: str) -> float | None:
    """A value on the page itself; None while nothing is served."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            found = re.search(rf"^edge_ae_{name} (.*)$", answer.read().decode(), re.M)
    except OSError:
        return None
    return None if found is None else float(found[1])


def test_settings_that_are_refused_show_until_good_ones_are_taken_up(
    tmp_path: Path, broker: Broker, tmp_path_factory: pytest.TempPathFactory
) -> None:
    port, config = free_port(), tmp_path / "edge-ae.toml"
    with watching(tmp_path, hand_made(tmp_path_factory), broker.port, port) as process:
        wait_for(lambda: gauge(port, "config_last_reload_successful") == 1.0, "the page")
        good, began = config.read_text(), gauge(port, "config_last_reload_success_timestamp_seconds")
        config.write_text("nonsense")
        process.send_signal(signal.SIGHUP)
        wait_for(lambda: gauge(port, "config_last_reload_successful") == 0.0, "the refusal")
        assert gauge(port, "config_last_reload_success_timestamp_seconds") == began
        config.write_text(good)
        process.send_signal(signal.SIGHUP)
        wait_for(lambda: gauge(port, "config_last_reload_successful") == 1.0, "the settings")
        assert gauge(port, "config_last_reload_success_timestamp_seconds") != began


def test_where_no_port_is_set_nothing_of_the_metrics_is_loaded(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    config = tmp_path / "edge-ae.toml"
    stream = f'[[streams]]\ntopic = "plant/{{asset}}/t"\nmodel = "{hand_made(tmp_path_factory)}"\n'
    config.write_text(f'node = "n1"\nstate_dir = "{tmp_path / "state"}"\n{stream}')
    code = (
        "import sys; from pathlib import Path; from edge_ae import wiring; from edge_ae.config.loading import load\n"
        f"path = Path({str(config)!r}); wiring.daemon(load(path), path)\n"
        "print([n for n in sys.modules if n.startswith(('edge_ae.bridges', 'prometheus_client', 'wsgiref'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_a_port_that_is_in_use_costs_the_watch_nothing(
    tmp_path: Path, broker: Broker, listener: Subscriber, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with watching(tmp_path, hand_made(tmp_path_factory), broker.port, broker.port):
        listener.publish_all("plant/p1/t", rows(0, 20, 5.0) + rows(20, 30, 50.0))
        wait_for(lambda: listener.bodies("/p1/event"), "the alert")
        assert (
            f"metrics: 127.0.0.1:{broker.port} cannot be served: Address already in use"
            in (tmp_path / "node.log").read_text()
        )


# -- what is in deploy -----------------------------------------------------------------------------------------


def shown() -> set[str]:
    """The names on the page, with those that a histogram makes of its own."""
    from edge_ae.bridges.prometheus import PrometheusBridge

    bridge = PrometheusBridge("127.0.0.1", free_port())
    bridge.tick({}, lambda: STATS, 0)
    kinds = dict(re.findall(r"^# TYPE (edge_ae_\w+) (\w+)$", page(bridge), re.M))
    bridge.close()
    histograms = [name for name, kind in kinds.items() if kind == "histogram"]
    return {*kinds, *(f"{name}_{part}" for name in histograms for part in ("bucket", "sum", "count"))}


def test_dashboard_and_rules_name_only_metrics_that_exist() -> None:
    board = json.loads(BOARD.read_text())
    expressions = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    expressions += [one["expr"] for one in board["annotations"]["list"]]
    expressions += [one["definition"] for one in board["templating"]["list"] if "definition" in one]
    rules = re.findall(r"^ +expr: (.*)$", RULES.read_text(), re.M)
    named = set(METRIC.findall("\n".join(expressions + rules)))
    assert named - shown() == set()
    assert all(METRIC.search(one) or one.startswith("up{") for one in expressions + rules)


def test_dashboard_has_every_panel_once_and_none_over_another() -> None:
    panels = json.loads(BOARD.read_text())["panels"]
    places = [
        (x, y)
        for at in (panel["gridPos"] for panel in panels)
        for x in range(at["x"], at["x"] + at["w"])
        for y in range(at["y"], at["y"] + at["h"])
    ]
    assert len(places) == len(set(places))
    assert max(x for x, _ in places) < 24
    assert len({panel["id"] for panel in panels}) == len({panel["title"] for panel in panels}) == len(panels)


def test_page_on_prometheus_has_every_metric_with_its_meaning() -> None:
    from edge_ae.bridges.prometheus import PrometheusBridge

    bridge = PrometheusBridge("127.0.0.1", free_port())
    bridge.tick({}, lambda: STATS, 0)
    known = re.findall(r"^# HELP (edge_ae_\w+) (.*)$", page(bridge), re.M)
    bridge.close()
    document = (ROOT / "docs" / "prometheus.md").read_text()
    assert re.findall(r"^\| `(edge_ae_\w+)` \|.*\| (.*) \|$", document, re.M) == known


@NEEDS_PROMTOOL
@pytest.mark.parametrize(
    "command", [["check", "rules", RULES.name], ["test", "rules", "edge-ae.rules.test.yml"]], ids=" ".join
)
def test_promtool_accepts_the_rules_and_their_tests(command: list[str]) -> None:
    done = subprocess.run(["promtool", *command], cwd=RULES.parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_rule_is_tried_by_the_rules_tests() -> None:
    named = set(re.findall(r"- alert: (\w+)", RULES.read_text()))
    tried = set(re.findall(r"alertname: (\w+)", (RULES.parent / "edge-ae.rules.test.yml").read_text()))
    assert named == tried
