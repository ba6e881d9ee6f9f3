"""The bench itself, in small: every figure is measured on real parts, and nothing that is sent goes missing."""

from pathlib import Path

import pytest

from tests.bench import bench, commit, store
from tests.bench.bench import Figure, Plants, Sizes
from tests.bench.parts import ROOT, mosquitto
from tests.bench.plant import Plant
from tests.conftest import MOSQUITTO
from tests.models import pump, trained

SMALL = Sizes(
    rounds=1,
    flood=300,
    memory=2_500,
    day_rows=60,
    light_s=1.0,
    rows=200,
    long_rows=3000,
    device_rows=2000,
    page_s=1.0,
    house=(100, 20, 20.0),
)


@pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed")
def test_every_figure_is_measured_and_no_message_is_lost(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    simulation = pump()
    period_ns = int(simulation.t_ns[1] - simulation.t_ns[0])
    plant = Plant(simulation.names, simulation.values, period_ns, trained(tmp_path_factory))
    found = bench.figures(tmp_path, Plants(plant, plant, plant, plant), SMALL, lambda _text: None)
    measured = [figure.what for figure in found]
    for what in (
        "QoS 0",
        "QoS 1",
        "durable",
        "p99",
        "start",
        "memory",
        "growth",
        "processor",
        "disk",
        "100 assets",
        "discovery",
        "scrape",
        "live page",
        "edge-ae score",
        "recordings at a time",
        "windows of 64 rows",
        "linear fit",
        "without torch",
        "peak memory",
    ):
        assert any(what in name for name in measured), what


@pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed")
def test_what_it_costs_to_keep_state_is_measured(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"WARM_S": 0.2, "FLOOD": 300, "STARTS": 1, "CHECKPOINT_S": 10.0}.items():
        monkeypatch.setattr(store, name, value)
    simulation = pump()
    what = Plant(simulation.names, simulation.values, 10**9, trained(tmp_path_factory))
    load = store.Load("two pumps", assets=2, pumps=1, rate=20.0, faster=20.0)
    with mosquitto(tmp_path, store.DEFAULT.inflight) as port:
        site = store.Site(tmp_path, port, store.DEFAULT, ROOT)
        found = store.cost(site, load, what, seconds=1.5, name="costs")
    assert found.written.disk > 0
    assert found.written.syncs is None or len(found.written.syncs) > 0
    assert len(found.starts) == 2
    assert len(found.cells()) == len(store.HEADER)


def test_time_of_a_commit_is_measured_on_the_real_store(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    simulation = pump()
    what = Plant(simulation.names, simulation.values, 10**9, trained(tmp_path_factory))
    found = commit.commits(tmp_path, what, assets=2, messages=10, count=3)
    assert len(found.commit_ms) == 3
    assert len(found.cells()) == len(commit.HEADER)


def test_an_aim_that_is_missed_shows_in_the_table() -> None:
    found = [Figure("a", "1", "", "<= 2", holds=True), Figure("b", "3", "", "<= 2", holds=False), Figure("c", "3")]
    assert [line.split()[-1] for line in bench.table(found).splitlines()[1:]] == ["yes", "NO", "3"]
