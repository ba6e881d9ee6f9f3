"""Each message of the page on payloads, through a broker: the recorder keeps what the page says, the daemon is told the same."""

from pathlib import Path

from edge_ae.store.recording_csv import read_csv
from tests.cli.test_record import ended, nothing_outlives_a_test_that_fails, recording, stored
from tests.conftest import Broker, Subscriber, wait_for
from tests.core.formats.test_recipes import RECIPES, given

__all__ = ["nothing_outlives_a_test_that_fails"]


def streams() -> str:
    """The streams of all recipes, each below a topic of its own: some take in the messages of others."""
    text = ""
    for number, (_, toml, _) in enumerate(RECIPES.values()):
        text += "[[streams]]\n" + toml.replace('topic = "', f'topic = "r{number}/')
    return text


def test_recorder_keeps_of_every_shape_what_the_page_says(tmp_path: Path, broker: Broker, listener: Subscriber) -> None:
    config, log, out = tmp_path / "edge-ae.toml", tmp_path / "record.log", tmp_path / "rec"
    head = f'node = "n1"\nstate_dir = "state"\n[mqtt]\nhost = "127.0.0.1"\nport = {broker.port}\n'
    config.write_text(head + streams())
    process = recording(log, listener, "--config", config, "--out", out)
    for number, (messages, _, _) in enumerate(RECIPES.values()):
        for message in messages:
            topic, _, payload = message.partition(" ")
            listener.publish(f"r{number}/{topic}", payload)
    wait_for(lambda: b"battery.volts" in stored(out), "the channel of the last recipe")
    assert ended(process) == 0
    shown = {
        (asset, name, value)
        for _, _, gives in RECIPES.values()
        for asset, values in given(gives)
        for name, value in values.items()
    }
    assert shown - set(kept(out)) == set()
    assert "payload not used" not in log.read_text()


def kept(out: Path) -> list[tuple[str, str, float]]:
    found: list[tuple[str, str, float]] = []
    for path in out.glob("*/*.csv.gz"):
        table = read_csv(path)
        found += [
            (path.parent.name, name, float(row[column]))
            for row in table.values
            for column, name in enumerate(table.names)
        ]
    return found
