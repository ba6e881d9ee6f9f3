"""The bench itself, in small: every figure is measured on real parts, and nothing that is sent goes missing."""

from pathlib import Path

import pytest

from tests.bench import bench
from tests.bench.bench import Figure, Sizes
from tests.bench.plant import Plant
from tests.conftest import MOSQUITTO
from tests.models import pump, trained

SMALL = Sizes(rounds=1, flood=300, memory=2_500, day_rows=60, light_s=1.0, rows=200)


@pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed")
def test_every_figure_is_measured_and_no_message_is_lost(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    simulation = pump()
    period_ns = int(simulation.t_ns[1] - simulation.t_ns[0])
    plant = Plant(simulation.names, simulation.values, period_ns, trained(tmp_path_factory))
    found = bench.figures(tmp_path, plant, plant, SMALL, lambda _text: None)
    measured = [figure.what for figure in found]
    for what in ("QoS 0", "QoS 1", "durable", "p99", "start", "memory", "growth", "processor", "disk", "edge-ae score"):
        assert any(what in name for name in measured), what


def test_an_aim_that_is_missed_shows_in_the_table() -> None:
    found = [Figure("a", "1", "", "<= 2", holds=True), Figure("b", "3", "", "<= 2", holds=False), Figure("c", "3")]
    assert [line.split()[-1] for line in bench.table(found).splitlines()[1:]] == ["yes", "NO", "3"]
