"""Commands to the node about its models, to a real daemon on a real broker."""

from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen
from typing import Any

import pytest
from edge_ae_train.signing import keygen, sign

from edge_ae.cli.main import main
from edge_ae.model import incoming
from edge_ae.model.registry import Registry
from edge_ae.mqtt.dialogue import NodeDialogue
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
    assert (told["folder"], told["running"]) == (str(site.folder), site.shas[1])
    assert (told["current"], told["previous"]) == (site.shas[1], site.shas[0])
    assert [one["sha256"] for one in told["installed"]] == site.shas[::-1]


@pytest.mark.parametrize(
    ("topic", "payload", "error"),
    [
        (
            "cmd/modles",
            b"",
            "'modles' is no command of a node; there are fetch, install, models, promote, rollback, shadow",
        ),
        ("cmd/models", b'{"folder": 1}', "models does not know folder; it takes none"),
        ("cmd/models", b"[", 'a command is a JSON object, such as {"duration_s": 3600}'),
    ],
)
def test_what_is_no_command_of_the_node_is_answered_with_a_sentence(
    site: Site, listener: Subscriber, topic: str, payload: bytes, error: str
) -> None:
    site.start()
    assert listener.ask(f"edge-ae/n1/{topic}", payload) == {"ok": False, "error": error}


def trained_again(tmp_path: Path) -> tuple[Path, str]:
    """A model that the node does not have."""
    path = tmp_path / "again.onnx"
    return path, write_model(path, trained_at="2026-05-05T00:00:00Z").spec.sha256


def send(broker: Broker, path: Path, *options: str) -> int:
    where = ["--node", "n1", "--host", "127.0.0.1", "--port", str(broker.port)]
    return main(["model", "send", str(path), *where, *options])


def test_a_model_is_sent_signed_goes_on_after_a_kill_and_is_put_to_use(
    site: Site, broker: Broker, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    public = keygen(tmp_path / "model.key")
    for file in (site.registry.path_of(site.shas[0]), (again := trained_again(tmp_path))[0]):
        sign(file, tmp_path / "model.key")
    site.config.write_text(f'model_key = "{public}"\n{site.config.read_text()}')
    site.start().kill()
    monkeypatch.setattr(incoming, "PIECE_BYTES", 1000)
    process = site.start()
    killed: list[int] = []
    ask = NodeDialogue.ask

    def kill_once(self: NodeDialogue, command: str, fields: Any) -> dict[str, Any]:
        if fields.get("offset") == 1000 and not killed:
            killed.append(process.pid)
            process.kill()
            site.start()
        return ask(self, command, fields)

    monkeypatch.setattr(NodeDialogue, "ask", kill_once)
    assert send(broker, again[0], "--promote") == 0
    digits = again[1][:12]
    assert capsys.readouterr().out.endswith(f"installed on n1: {digits}\nin use on n1: {digits}\n")
    assert (site.registry.links()[:2], len(killed)) == ((again[1], site.shas[0]), 1)


def test_a_model_that_is_refused_is_a_sentence_and_status_1(
    site: Site, broker: Broker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site.start()
    assert send(broker, trained_again(tmp_path)[0]) == 1
    assert capsys.readouterr().err.startswith("edge-ae: edge-ae/n1: only signed models are installed over MQTT")


def test_a_node_that_does_not_answer_is_said_so(
    broker: Broker, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(NodeDialogue.__init__, "__defaults__", (0.5,))
    write_model(tmp_path / "pump.onnx")
    assert send(broker, tmp_path / "pump.onnx") == 1
    assert "edge-ae/n1: has not answered for 0.5 s; is the node's name right" in capsys.readouterr().err
