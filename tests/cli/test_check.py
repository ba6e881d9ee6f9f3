"""Check: every problem at once, each with its fix; and a runtime that dies is a sentence."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edge_ae import wiring
from edge_ae.cli import check
from edge_ae.config.installation import earliest_ns
from edge_ae.config.loading import inspect, load
from edge_ae.config.settings import Settings
from edge_ae.core.timestamps import SECOND
from edge_ae.errors import BadConfig
from edge_ae.mqtt import probe
from edge_ae.mqtt.options import Broker as Address
from edge_ae.mqtt.simple_client import close, connect
from tests.conftest import Broker, free_port


def run(config: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edge_ae", "check", "--config", str(config), *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def settings(directory: Path, port: int, more: str = "") -> Path:
    config = directory / "edge-ae.toml"
    config.write_text(
        f'node = "n"\nstate_dir = "state"\n[mqtt]\nhost = "127.0.0.1"\nport = {port}\n'
        f'[[streams]]\ntopic = "plant/{{asset}}/t"\nmodel = "pump.onnx"\n{more}'
    )
    return config


def test_where_all_is_well_it_says_what_it_looked_at(tmp_path: Path, broker: Broker) -> None:
    done = run(settings(tmp_path, broker.port))
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split()[:2] for line in done.stdout.splitlines()] == [
        ["ok", name] for name in ("settings", "model", "stream", "folder", "clock", "broker")
    ]


def test_what_will_be_learned_and_where_it_will_lie_is_said(
    tmp_path: Path, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = settings(tmp_path, broker.port)
    config.write_text(config.read_text().replace("pump.onnx", "auto"))
    models = load(config).learned_models(load(config).streams[0])
    done = run(config)
    assert f"note  learning  streams[1]: first models after 24 h of rows, in {models}\n" in done.stdout
    assert f"ok    folder    {tmp_path / 'state' / 'recordings'}\n" in done.stdout
    assert done.returncode == 0
    monkeypatch.setattr(check, "find_spec", lambda _name: None)
    titles = [title for title, _ in check.checks(config, inspect(config), {})]
    assert f"note  learning  {check.NO_TRAINER}" in titles


def test_metrics_without_their_library_are_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = settings(tmp_path, free_port(), "[metrics]\nport = 9464\n")
    inspection = inspect(config)
    for library, problems in ((None, [check.NO_METRICS]), ("found", [])):
        monkeypatch.setattr(check, "find_spec", lambda _name, library=library: library)
        assert dict(check.checks(config, inspection, check.Found()))["metrics"] == problems


def test_every_problem_is_reported_at_once(tmp_path: Path) -> None:
    (tmp_path / "pump.onnx").write_bytes(b"no model")
    (tmp_path / "state").write_text("a file where a folder should be")
    port = free_port()
    done = run(settings(tmp_path, port, '[alerts]\nflood_window_s = 60\n[[streams]]\ntopic = "x/{asset}"\n'))
    faults = [line for line in done.stdout.splitlines() if line.startswith("FAULT")]
    assert done.returncode == 1
    assert len(faults) == 4
    assert faults[0].startswith("FAULT streams[2].model: is missing; add model")
    assert faults[1].startswith(f"FAULT {tmp_path}/pump.onnx: not a whole model of edge-ae")
    assert f"{tmp_path}/state: cannot be written" in faults[2]
    assert f"broker at 127.0.0.1:{port} cannot be reached" in faults[3]
    assert "Traceback" not in done.stdout + done.stderr


def test_channels_that_the_model_does_not_have_are_reported(tmp_path: Path, broker: Broker) -> None:
    done = run(settings(tmp_path, broker.port, 'channels = { Flow = "f" }\n'))
    assert done.returncode == 1
    assert (
        "FAULT streams[1]: plant/{asset}/t: channels names Flow, which the model does not have; it has flow, pressure"
        in done.stdout
    )


def test_rules_are_held_against_the_models_that_they_are_for(tmp_path: Path, broker: Broker) -> None:
    rules = "[alerts.channels]\nTemp = { mute = true }\n"
    done = run(settings(tmp_path, broker.port, f"[alerts]\nwhen = 'flow > 1'\n{rules}"))
    notes = [line for line in done.stdout.splitlines() if line.startswith("note  rules")]
    assert done.returncode == 0
    assert notes == [
        "note  rules     alerts.channels.Temp: no model has this channel, and the rule is ignored; there are flow, pressure",
        "note  rules     streams[1]: is watched where flow > 1, but its model was trained in any state; what it never saw is "
        "abnormal to it",
    ]
    done = run(settings(tmp_path, broker.port, "[alerts]\nwhen = 'speed > 1'\n"))
    faults = [line for line in done.stdout.splitlines() if line.startswith("FAULT")]
    assert done.returncode == 1
    assert len(faults) == 1
    assert "alerts.when: 'speed' is no channel of the model; there are flow, pressure" in faults[0]


def test_faults_of_the_settings_hide_no_other(tmp_path: Path) -> None:
    (tmp_path / "pump.onnx").write_bytes(b"no model")
    (tmp_path / "state").write_text("a file where a folder should be")
    port = free_port()
    done = run(settings(tmp_path, port, 'format = "xml"\n[alerts]\nbudget = "1/fortnight"\n'))
    faults = [line for line in done.stdout.splitlines() if line.startswith("FAULT")]
    assert len(faults) == 5
    assert faults[0].startswith("FAULT streams[1].format: 'xml' should be")
    assert faults[1].startswith("FAULT alerts.budget: '1/fortnight' should be")
    assert faults[2].startswith(f"FAULT {tmp_path}/pump.onnx: not a whole model")
    assert f"{tmp_path}/state: cannot be written" in faults[3]
    assert f"broker at 127.0.0.1:{port} cannot be reached" in faults[4]


def test_without_a_broker_nobody_is_listened_to_and_the_reason_is_given_once(tmp_path: Path) -> None:
    done = run(settings(tmp_path, free_port()), "--listen", "30")
    assert done.returncode == 1
    assert done.stdout.count("cannot be reached") == 1
    assert done.stdout.endswith("nobody can be listened to without a connection to the broker\n")


def test_a_broker_whose_settings_are_at_fault_is_not_guessed(tmp_path: Path) -> None:
    done = run(settings(tmp_path, 99_999))
    assert [line for line in done.stdout.splitlines() if line.split()[1] in ("broker", "mqtt:")] == []
    assert "FAULT mqtt.port: '99999'" in done.stdout


def test_stream_that_cannot_be_read_as_it_is_set_is_one_fault_and_is_not_listened_to(
    tmp_path: Path, broker: Broker
) -> None:
    done = run(settings(tmp_path, broker.port, 'time = "d[].t"\n'), "--listen", "1")
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.count("leads to many places") == 1
    assert "listening" not in done.stdout


def test_streams_that_fight_for_an_asset_are_reported(tmp_path: Path, broker: Broker) -> None:
    shutil.copy(tmp_path / "pump.onnx", tmp_path / "other.onnx")
    second = '[[streams]]\ntopic = "plant/{asset}/#"\nmodel = "other.onnx"\n'
    done = run(settings(tmp_path, broker.port, second))
    assert done.returncode == 1
    assert "FAULT streams[1].topic, streams[2].topic: both bring the readings of the same assets" in done.stdout


def test_a_user_without_a_home_is_checked_like_any_other(tmp_path: Path, broker: Broker) -> None:
    """As for a service with DynamicUser where libnss-systemd is not installed."""
    become = ["setpriv", "--reuid=61234", "--clear-groups"]
    if os.geteuid() != 0 or subprocess.run([*become, sys.executable, "-c", "import edge_ae"]).returncode != 0:
        pytest.skip("only root can become a user that is in no passwd file, and not where that one may read nothing")
    config, state = tmp_path / "edge-ae.toml", tmp_path / "state"
    config.write_text(f'[mqtt]\nhost = "127.0.0.1"\nport = {broker.port}\n')
    state.mkdir()
    for path in (tmp_path, *list(tmp_path.parents)[:3], state):
        path.chmod(0o777)
    env = {"STATE_DIRECTORY": str(state), "PYTHONPATH": os.pathsep.join(sys.path), "PATH": os.defpath}
    command = [*become, sys.executable, "-m", "edge_ae", "check", "--config", str(config)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)
    assert done.stderr == ""
    assert [line.split()[:2] for line in done.stdout.splitlines()] == [
        ["ok", "settings"],
        ["FAULT", "streams:"],
        ["ok", "folder"],
        ["ok", "clock"],
        ["ok", "broker"],
    ]


def test_settings_without_a_model_are_fine_for_recording_and_nothing_is_said_to_be_watched(
    tmp_path: Path, broker: Broker
) -> None:
    config = settings(tmp_path, broker.port, '[record]\ndir = "kept"\n')
    config.write_text(config.read_text().replace('model = "pump.onnx"', ""))
    done = run(config)
    assert (done.returncode, done.stderr) == (0, "")
    assert "note  streams   no stream has a model: nothing is watched yet, edge-ae record records\n" in done.stdout
    assert [line.split()[:2] for line in done.stdout.splitlines()] == [
        ["ok", "settings"],
        ["note", "streams"],
        ["ok", "stream"],
        ["ok", "folder"],
        ["ok", "clock"],
        ["ok", "broker"],
    ]


def test_settings_that_cannot_be_read_are_reported(tmp_path: Path) -> None:
    done = run(tmp_path / "none.toml")
    assert (done.returncode, done.stdout.count("\n")) == (1, 1)
    assert "none.toml: cannot be read" in done.stdout


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("SIGILL", "instructions that this processor does not have"),
        ("SIGKILL", "too little memory"),
        ("SIGSEGV", "died of SIGSEGV"),
    ],
)
def test_a_runtime_that_dies_is_a_sentence(monkeypatch: pytest.MonkeyPatch, name: str, sentence: str) -> None:
    monkeypatch.setattr(check, "LOAD", f"import os, signal; os.kill(os.getpid(), signal.{name})")
    found = check.model_facts(Path("pump.onnx"))
    assert isinstance(found, str)
    assert sentence in found


def test_a_model_says_what_it_is(tmp_path: Path) -> None:
    assert check.model_facts(tmp_path / "pump.onnx") == check.ModelFacts(
        "pump", ("flow", "pressure"), "CPUExecutionProvider", ("m3/h", "bar"), SECOND
    )


def test_a_folder_is_tried_and_left_as_it_was(tmp_path: Path) -> None:
    assert check.directory(tmp_path / "new" / "er", 1) is None
    assert not (tmp_path / "new").exists()
    (tmp_path / "old").mkdir()
    assert check.directory(tmp_path / "old", 1) is None
    assert list((tmp_path / "old").iterdir()) == []
    assert "and may need 1000000000" in (check.directory(tmp_path, 10**9) or "")


@pytest.mark.parametrize(
    ("env", "has_password", "state_dir", "given"),
    [
        ({}, True, Path.home() / ".local", "STATE_DIRECTORY=/var/lib/edge-ae"),
        ({}, False, Path("/srv"), "EDGE_AE_MQTT__PASSWORD_FILE=/etc/credstore/edge-ae.mqtt-password"),
        ({}, True, Path("/srv"), None),
        ({"STATE_DIRECTORY": "/s"}, True, Path.home() / "s", None),
    ],
)
def test_a_check_by_hand_says_what_it_was_not_given(
    tmp_path: Path, env: dict[str, str], has_password: bool, state_dir: Path, given: str | None
) -> None:
    unit = tmp_path / "edge-ae.service"
    assert check.by_hand(env, has_password=has_password, state_dir=state_dir, units=[tmp_path / "none", unit]) is None
    unit.touch()
    sentence = check.by_hand(env, has_password=has_password, state_dir=state_dir, units=[tmp_path / "none", unit])
    assert (sentence or "").partition("begin the command with sudo ")[2] == (given or "")


def test_a_clock_before_the_program_is_wrong() -> None:
    assert check.clock(time.time()) is None
    assert "the clock says 1970-01-01" in (check.clock(0.0) or "")


def test_a_clock_before_the_program_finds_no_reading_in_the_future() -> None:
    settings = Settings.model_validate({"node": "n1", "state_dir": "/x", "streams": [{"topic": "t/{asset}"}]})
    assert settings.stream(settings.streams[0]).clock_set_ns == earliest_ns()


def test_what_the_acl_forbids_is_reported(tmp_path: Path, broker: Broker) -> None:
    (tmp_path / "acl").write_text("topic read plant/#\n")
    broker.close()
    strict = Broker(tmp_path, f"acl_file {tmp_path}/acl\n").start()
    connection = connect(Address(port=strict.port))
    try:
        found = probe.permissions(connection, ["plant/+"], "edge-ae/n/check")
    finally:
        close(connection)
        strict.close()
    assert found == ["the broker does not let us write edge-ae/n/check: Not authorized; allow it in its ACL"]


ROLE = {"rolename": "r", "acls": [{"acltype": "subscribePattern", "topic": "plant/#", "priority": 0, "allow": True}]}
# Its ACL file lets mosquitto answer each subscription with yes, and then send nothing; its plugin says no.
DYNAMIC = {
    "defaultACLAccess": {
        "publishClientSend": True,
        "publishClientReceive": True,
        "subscribe": False,
        "unsubscribe": True,
    },
    "anonymousGroup": "all",
    "groups": [{"groupname": "all", "roles": [{"rolename": "r"}], "clients": []}],
    "roles": [ROLE],
}


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_subscription_that_the_broker_refuses_is_reported(tmp_path: Path, broker: Broker, protocol: str) -> None:
    plugin = next(Path("/usr/lib").rglob("mosquitto_dynamic_security.so"), None)
    if plugin is None:
        pytest.skip("mosquitto's dynamic security is not installed")
    broker.close()
    (tmp_path / "dynamic.json").write_text(json.dumps(DYNAMIC))
    strict = Broker(tmp_path, f"plugin {plugin}\nplugin_opt_config_file {tmp_path}/dynamic.json\n").start()
    config = settings(tmp_path, strict.port, '[[streams]]\ntopic = "secret/{asset}"\nmodel = "pump.onnx"\n')
    config.write_text(config.read_text().replace("[mqtt]", f'[mqtt]\nprotocol = "{protocol}"'))
    try:
        found = check.check_broker(load(config))
        with pytest.raises(BadConfig, match="we may not read secret/#; allow it in its ACL"):
            connect(Address("127.0.0.1", strict.port, protocol=protocol), ["plant/#", "secret/#"])
    finally:
        strict.close()
    assert [line.partition(":")[0] for line in found] == [
        "the broker does not let us read secret/+",
        "the broker does not let us read edge-ae/n/+/cmd/+",
    ]


def test_the_password_is_nowhere_in_what_is_printed(tmp_path: Path, broker: Broker) -> None:
    (tmp_path / "secret").write_text("hunter2")
    config = settings(tmp_path, broker.port)
    config.write_text(config.read_text().replace("[mqtt]", '[mqtt]\nusername = "u"\npassword_file = "secret"'))
    done = run(config)
    assert "hunter2" not in done.stdout + done.stderr
    assert "ok    clock" in done.stdout
    assert not (tmp_path / "state").exists()


def test_streams_that_fight_for_an_asset_are_warned_of_at_the_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copy(tmp_path / "pump.onnx", tmp_path / "other.onnx")
    second = '[[streams]]\ntopic = "plant/{asset}/#"\nmodel = "other.onnx"\n'
    wiring.feeds(load(settings(tmp_path, 1883, second)))
    assert ["both bring the readings of the same assets" in record.getMessage() for record in caplog.records] == [True]
