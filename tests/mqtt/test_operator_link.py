"""An operator's commands: what the broker refuses is answered, too."""

import json
from pathlib import Path

import pytest

from edge_ae.mqtt.operator_link import OperatorLink
from edge_ae.mqtt.options import Broker as Address
from tests.conftest import MOSQUITTO, Broker, wait_for


@pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed: apt-get install mosquitto")
def test_a_command_that_the_brokers_acl_refuses_is_answered_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "acl").write_text("topic read #\ntopic readwrite reply/#\ntopic write edge-ae/pi/fan/cmd/#\n")
    (tmp_path / "acl").chmod(0o600)
    broker = Broker(tmp_path, f"acl_file {tmp_path}/acl\n").start()
    answers: list[tuple[str, bytes]] = []
    link = OperatorLink(
        Address(host="127.0.0.1", port=broker.port), ["edge-ae/#"], lambda *message: answers.append(message)
    )
    try:
        wait_for(lambda: link.connected, "the connection")
        assert link.command("edge-ae/pi/fan/cmd/ack", b"{}") == 1
        assert link.command("edge-ae/pi/pump/cmd/ack", b"{}") == 2
        wait_for(lambda: any(topic.startswith("reply/") for topic, _ in answers), "an answer")
    finally:
        link.close()
        broker.close()
    (topic, payload), *more = [answer for answer in answers if answer[0].startswith("reply/")]
    assert (topic, more) == (f"{link.replies}/2", [])
    assert json.loads(payload) == {
        "ok": False,
        "error": "the broker refused the command: Not authorized; allow this user to write it in the broker's ACL",
    }
