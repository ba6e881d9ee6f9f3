"""Commands to the node about its models, to a real daemon on a real broker."""

from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen

import pytest

from edge_ae.model.registry import Registry
from tests.cli.processes import started
from tests.conftest import Broker, Subscriber, wait_for
from tests.models import write_model

SETTINGS = """
node = "n1"
state_dir = "{state}"
[mqtt]
host = "127.0.0.1"
port = {port}
[[streams]]
topic = "plant/{{asset}}/t"
time = "ts"
model = "{folder}"
"""


@dataclass(frozen=True, slots=True)
class Site:
    """A node with a folder of models, in which the first of `files` is in use; `shas` are theirs."""

    folder: Path
    files: list[Path]
    shas: list[str]
    config: Path
    log: Path

    @property
    def registry(self) -> Registry:
        return Registry(self.folder)

    def start(self) -> "Popen[bytes]":
        process = started(self.log, "run", "--config", self.config)
        wait_for(lambda: "ready: " in self.log.read_text(), "the daemon")
        return process


@pytest.fixture
def site(tmp_path: Path, broker: Broker) -> Site:
    files = [tmp_path / f"{number}.onnx" for number in range(2)]
    shas = [write_model(file, trained_at=f"2026-01-0{n}T00:00:00Z").spec.sha256 for n, file in enumerate(files, 1)]
    config, folder = tmp_path / "edge-ae.toml", tmp_path / "models" / "pump"
    config.write_text(SETTINGS.format(state=tmp_path / "state", port=broker.port, folder=folder))
    Registry(folder).install(files[0])
    return Site(folder, files, shas, config, tmp_path / "run.log")


def test_models_tells_what_is_installed_in_use_and_before(site: Site, listener: Subscriber) -> None:
    second, _ = site.registry.install(site.files[1])
    site.registry.promote(second.sha256)
    site.start()
    (told,) = listener.ask("edge-ae/n1/cmd/models", b"")["folders"]
    assert (told["folder"], told["running"]) == (str(site.folder), [site.shas[1]])
    assert (told["current"], told["previous"]) == (site.shas[1], site.shas[0])
    assert [one["sha256"] for one in told["installed"]] == site.shas[::-1]


@pytest.mark.parametrize(
    ("topic", "payload", "error"),
    [
        ("cmd/modles", b"", "'modles' is no command of a node; there are models"),
        ("cmd/models", b'{"folder": 1}', "models does not know folder; it takes none"),
        ("cmd/models", b"[", 'a command is a JSON object, such as {"duration_s": 3600}'),
    ],
)
def test_what_is_no_command_of_the_node_is_answered_with_a_sentence(
    site: Site, listener: Subscriber, topic: str, payload: bytes, error: str
) -> None:
    site.start()
    assert listener.ask(f"edge-ae/n1/{topic}", payload) == {"ok": False, "error": error}
