"""`edge-ae label` and `edge-ae lessons` to a real daemon on a real broker: taught, listed, taken back."""

from pathlib import Path

import pytest

from edge_ae.cli.main import main
from tests.conftest import Broker, Node, Subscriber, wait_for
from tests.daemon.node_process import PERIOD_NS

SETTINGS = """
node = "n1"
state_dir = "{state}"
[mqtt]
host = "127.0.0.1"
port = {port}
"""
T0_MS, PERIOD_MS = 1_790_000_000_000, PERIOD_NS // 10**6


@pytest.fixture
def config(node: Node, broker: Broker, tmp_path: Path) -> str:
    """Of a daemon that runs, and has had an alert."""
    path = tmp_path / "edge-ae.toml"
    path.write_text(SETTINGS.format(state=node.directory / "state", port=broker.port))
    node.start().ready()
    return str(path)


def excursion(listener: Subscriber, first: int) -> None:
    """Ten rows far out, between calm ones."""
    values = [1.0] * 20 + [30.0] * 10 + [1.0] * 40
    rows = [{"ts": T0_MS + PERIOD_MS * (first + n), "a": value, "b": 0.0} for n, value in enumerate(values)]
    listener.publish_all("plant/p1/telemetry", rows)


def label(config: str, *words: str) -> int:
    return main(["label", "--config", config, "--asset", "p1", *words])


def test_what_is_taught_on_the_command_line_is_in_force_listed_and_taken_back(
    config: str, listener: Subscriber, capsys: pytest.CaptureFixture[str]
) -> None:
    excursion(listener, 0)
    wait_for(lambda: [body["type"] for body in listener.bodies("/p1/event")] == ["new", "end"], "the alert")
    identity = listener.bodies("/p1/event")[0]["id"]
    assert label(config, "--alert", "newest", "false") == 0
    assert capsys.readouterr().out.startswith("kept for the next training; what looks like it is withheld; ")
    excursion(listener, 100)
    wait_for(lambda: listener.last("/p1/health")["lessons"][0]["count"] == 1, "an alert that is withheld")
    assert len(listener.on("/p1/event")) == 2
    assert main(["lessons", "--config", config]) == 0
    line = capsys.readouterr().out
    assert line.startswith(f"p1  {identity}  false alarm, withheld  of 2026-09-21, ")
    assert main(["lessons", "--config", config, "--asset", "p2"]) == 0
    assert capsys.readouterr().out == "nothing has been taught\n"
    assert main(["lessons", "--config", config, "--remove", identity]) == 0
    assert capsys.readouterr().out == f"p1: the lesson {identity} is taken back\n"
    assert label(config, "--alert", identity, "true", "--name", "closing valve") == 0
    assert "similar to closing valve" in capsys.readouterr().out
    excursion(listener, 200)
    wait_for(lambda: len(listener.on("/p1/event")) == 4, "the third alert")
    assert listener.bodies("/p1/event")[2]["similar_to"] == "closing valve"


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--alert", "nobody", "false"], "no alert 'nobody' of p1 is remembered"),
        (["--alert", "newest", "true", "--name", "x" * 81], "name must be a text of 80 characters at most"),
        (["--alert", "newest", "false", "--until", "soon"], "until: "),
    ],
)
def test_what_the_daemon_refuses_is_one_sentence(
    config: str, listener: Subscriber, capsys: pytest.CaptureFixture[str], words: list[str], why: str
) -> None:
    excursion(listener, 0)
    wait_for(lambda: listener.on("/p1/event"), "the alert")
    assert label(config, *words) == 1
    told = capsys.readouterr().err
    assert told.startswith("edge-ae: edge-ae/n1/p1: ")
    assert why in told
    assert told.count("\n") == 1


def test_a_lesson_that_there_is_not_and_an_asset_of_no_name_are_refused(
    config: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["lessons", "--config", config, "--remove", "nobody"]) == 1
    assert capsys.readouterr().err == "edge-ae: --remove nobody: there is no such lesson; there are none\n"
    assert main(["label", "--config", config, "--asset", "a/b", "--alert", "newest", "true"]) == 1
    assert "--asset 'a/b': is no name of an asset" in capsys.readouterr().err


def test_without_a_state_the_list_says_where_it_looked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "edge-ae.toml"
    path.write_text('node = "n"\nstate_dir = "state"\n')
    assert main(["lessons", "--config", str(path)]) == 1
    assert f"{tmp_path}/state/edge-ae.db: the lessons in it cannot be read" in capsys.readouterr().err
