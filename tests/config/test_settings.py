"""Settings: defaults, file and environment in that order; and every problem at once, with its fix."""

from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_ae import wiring
from edge_ae.config.consistency import contested, missing_to_watch
from edge_ae.config.loading import inspect, load
from edge_ae.config.rule_notes import ModelState, rule_notes, state_faults
from edge_ae.config.settings import Settings
from edge_ae.core.rules import AlertRules, ChannelRule, MinDeviation, budget_ns
from edge_ae.core.timestamps import SECOND
from edge_ae.errors import BadConfig
from tests.models import spec_of

HOME = {"HOME": "/home/op"}
STREAM = '[[streams]]\ntopic = "plant/{asset}/telemetry"\nmodel = "pump.onnx"\n'
HOUR = 3600 * SECOND


def written(directory: Path, text: str) -> Path:
    path = directory / "edge-ae.toml"
    path.write_text(text)
    return path


def problems(directory: Path, text: str, env: dict[str, str] | None = None) -> list[str]:
    return inspect(written(directory, text), HOME | (env or {}))[1]


def test_nothing_set_is_a_working_default() -> None:
    found = load(None, HOME)
    assert found.mqtt.host == "localhost"
    assert found.mqtt.tcp_port == 1883
    assert found.state_dir == Path("/home/op/.local/state/edge-ae")
    assert found.client_id == f"edge-ae-{found.node}"
    assert found.alerts.rules == AlertRules(interval_ns=168 * HOUR, unwatched_ns=None)


def test_environment_goes_before_file_and_file_before_default(tmp_path: Path) -> None:
    path = written(tmp_path, 'node = "n1"\n[mqtt]\nhost = "file"\nport = 1\nkeepalive_s = 20\n')
    env = {
        "EDGE_AE_MQTT__HOST": "variable",
        "EDGE_AE_MQTT__PORT": "2",
        "EDGE_AE_NODE": "",
        "EDGE_AE_STREAMS": '[{"topic": "t/{asset}"}]',
    }
    found = load(path, HOME | env)
    assert (found.node, found.mqtt.host, found.mqtt.port, found.mqtt.keepalive_s) == ("n1", "variable", 2, 20)
    assert [stream.topic for stream in found.streams] == ["t/{asset}"]


def test_state_directory_of_systemd_is_taken() -> None:
    assert load(None, HOME | {"STATE_DIRECTORY": "/var/lib/edge-ae:/var/lib/other"}).state_dir == Path(
        "/var/lib/edge-ae"
    )


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch) -> None:
    """As for DynamicUser without libnss-systemd: no HOME, and a user that is in no passwd file."""

    def unknown(_uid: int) -> None:
        raise KeyError

    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr("pwd.getpwuid", unknown)


@pytest.mark.usefixtures("homeless")
def test_without_a_home_the_state_directory_of_systemd_is_enough(tmp_path: Path) -> None:
    found = load(written(tmp_path, STREAM), {"STATE_DIRECTORY": "/var/lib/edge-ae"})
    assert found.state_dir == Path("/var/lib/edge-ae")


@pytest.mark.usefixtures("homeless")
def test_without_a_home_what_lacks_is_reported(tmp_path: Path) -> None:
    path = written(tmp_path, 'model_key = "~/key.pub"\n' + STREAM)
    assert inspect(path, {}).problems == [
        'state_dir: is missing; add state_dir = "/var/lib/edge-ae"',
        "model_key: '~/key.pub' is below a home that there is not; write the path in full",
        "model_key: there is no file ~/key.pub; put it there or correct the path",
    ]


def streams(*each: tuple[str, str]) -> str:
    return "".join(f'[[streams]]\ntopic = "{topic}"\nmodel = "{model}"\n' for topic, model in each)


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("plant/{asset}/t", "plant/{asset}/t", True),
        ("plant/{asset}/t", "plant/{asset}/+", True),
        ("plant/{asset}/t", "plant/{asset}/#", True),
        ("plant/{asset}/{channel}", "+/{asset}/t", True),
        ("plant/{asset}/t", "plant/{asset}/u", False),
        ("plant/{asset}/t", "{asset}/p1/t", False),
        ("plant/{asset}/t", 'plant/p1/t"\nasset = "p1', True),
        ("plant/{asset}/t", 'plant/+/t"\nasset = "p1', True),
        ("plant/{asset}/t", 'plant/p1/t"\nasset = "p1-detail', False),
        ("plant/p1/t", "plant/p1/#", False),
        ('gateway"\nvalue = "{asset}.{channel}', 'gateway"\nvalue = "d.{asset}.{channel}', True),
        ('gateway"\nvalue = "{asset}.{channel}', "plant/{asset}/t", False),
        ("$SYS/{asset}", "+/{asset}", False),
    ],
)
def test_streams_that_bring_the_same_assets_for_different_models_are_reported(
    tmp_path: Path, first: str, second: str, same: bool
) -> None:
    for pair in ((first, second), (second, first)):
        found = load(written(tmp_path, streams((pair[0], "a.onnx"), (pair[1], "b.onnx"))), HOME)
        warnings = contested(found)
        assert [line.partition(":")[0] for line in warnings] == ["streams[1].topic, streams[2].topic"] * same
        assert contested(load(written(tmp_path, streams((pair[0], "a.onnx"), (pair[1], "a.onnx"))), HOME)) == []


def test_settings_with_faults_are_had_as_far_as_they_are_understood(tmp_path: Path) -> None:
    text = """
        node = "n1"
        foo = 1
        [mqtt]
        host = "broker"
        port = 99999
        [[streams]]
        topic = "a/#/b"
        qos = 7
        [[streams]]
        topic = "plant/{asset}/t"
        channels = { Flow = 1 }
    """
    found, sentences, doubtful = inspect(written(tmp_path, text), HOME)
    assert found is not None
    assert (found.node, found.mqtt.host, found.mqtt.tcp_port) == ("n1", "broker", 1883)
    assert [(stream.topic, stream.channels) for stream in found.streams] == [("plant/{asset}/t", {})]
    assert doubtful == {"foo", "mqtt", "streams"}
    assert len(sentences) == 5


def test_paths_are_seen_from_the_file(tmp_path: Path) -> None:
    found = load(written(tmp_path, 'state_dir = "state"\n[record]\ndir = "/r"\n' + STREAM), HOME)
    assert (found.state_dir, found.record.dir, found.streams[0].model) == (
        tmp_path / "state",
        Path("/r"),
        tmp_path / "pump.onnx",
    )


def test_every_problem_is_reported_at_once_with_its_fix(tmp_path: Path) -> None:
    text = """
        node = "pi/7"
        foo = 1
        [mqtt]
        prot = 5
        port = 99999
        ca = "ca.pem"
        [[streams]]
        topic = "a/#/b"
        format = "xml"
        [[streams]]
        lateness_s = -1
        [alerts]
        budget = "1/fortnight"
        deadband = 1.5
        [state]
        checkpoint_s = nan
    """
    assert problems(tmp_path, text, {"EDGE_AE_NODD": "x", "EDGE_AE_MQTT__KEEPALIVE_S": "1"}) == [
        "node: 'pi/7' should be 1 to 64 letters, digits or _-.:@()= and begin with a letter or digit",
        "mqtt.port: '99999' should be less than or equal to 65535; for example port = 1883",
        "mqtt.keepalive_s: '1' should be greater than or equal to 5; for example keepalive_s = 30",
        "mqtt.prot: is no setting (did you mean port?); remove it",
        "streams[1].topic: 'a/#/b' has a # that is not its whole last level; write it like \"plant/{asset}/telemetry\"",
        "streams[1].format: 'xml' should be 'json', 'number', 'influx' or 'sparkplug'; for example format = \"json\"",
        'streams[2].topic: is missing; add topic = "plant/{asset}/telemetry"',
        "streams[2].lateness_s: '-1' should be greater than or equal to 0",
        "alerts.budget: '1/fortnight' should be a number of alerts per hour, day, week, month or year, such as \"1/week\"",
        "alerts.deadband: '1.5' should be less than 1; for example deadband = 0.2",
        "state.checkpoint_s: 'nan' should be a finite number; for example checkpoint_s = 180.0",
        "foo: is no setting; remove it",
        "EDGE_AE_NODD: is no setting (did you mean EDGE_AE_NODE?); unset it",
        f"mqtt.ca: there is no file {tmp_path}/ca.pem; put it there or correct the path",
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('[mqtt]\nkey = "edge-ae.toml"\ntls = true\n', "mqtt.cert, mqtt.key: one without the other"),
        ('[mqtt]\nca = "edge-ae.toml"\n', "mqtt.tls: is off, but there are certificates; add tls = true"),
        (
            '[mqtt]\npassword_file = "edge-ae.toml"\n',
            "mqtt.username: is missing, but there is a password; add username",
        ),
        ('[mqtt]\npassword_file = "none"\n', "mqtt.password_file: .*none cannot be read: No such file"),
        ('[[streams]]\ntopic = "#"\nasset = "x"\n', r"streams\[1\].topic: takes in edge-ae's own messages"),
        (
            '[[streams]]\ntopic = "t/{asset}"\nvalue = "{asset}.{channel}"\n',
            r"streams\[1\].value: names \{asset\}, which the topic",
        ),
        (
            '[[streams]]\ntopic = "t"\nvalue = "d[k={channel}].v"\ntime = "e[].t"\n',
            r"streams\[1\].value: does not go through what time",
        ),
        ('[[streams]]\ntopic = "t"\ntime = "d[].t"\n', r"streams\[1\].time: leads to many places; set value"),
        ('[[streams]]\ntopic = "t"\nvalue = "{chanel}.v"\n', r"streams\[1\].value: .* has braces other than"),
        (
            '[[streams]]\ntopic = "t"\nstrict = true\nwords = { auto = 1 }\n',
            r"streams\[1\].words: are not used with strict",
        ),
        ('[[streams]]\ntopic = "t/{channel}"\nformat = "influx"\n', r"streams\[1\].topic: names \{channel\}"),
        ('[[streams]]\ntopic = "a"\ntime_zone = "CET"\n', r"streams\[1\].time_zone: says nothing without time"),
        (f"{STREAM}asset = 5\n", r"streams\[1\].asset: '5' .*should be a valid string"),
        (
            '[[streams]]\ntopic = "a"\nasset = "x"\nmodel = "1"\n[[streams]]\ntopic = "b"\nasset = "x"\nmodel = "2"\n',
            r"streams\[2\].asset: 'x' is already watched with another model",
        ),
        ("a = 1\nb = x", "is not TOML: .*line 2.*; strings stand in quotes"),
        ('node = "a"\nnode = "b"\n', "is not TOML: .*.*; a setting or a table stands there twice"),
        ("[mqtt]\n[mqtt]", "is not TOML: .*line 2.*; a setting or a table stands there twice"),
    ],
)
def test_what_cannot_go_together_is_reported(tmp_path: Path, text: str, problem: str) -> None:
    assert len(problems(tmp_path, text)) == 1
    with pytest.raises(BadConfig, match=problem):
        load(tmp_path / "edge-ae.toml", HOME)


def test_a_file_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(
        BadConfig, match=r"^.*/none.toml: cannot be read: No such file or directory; name the settings file"
    ):
        load(tmp_path / "none.toml", HOME)


def test_a_variable_that_is_no_json_is_one_sentence() -> None:
    with pytest.raises(BadConfig, match=r'^EDGE_AE_...: .*"streams".* written as JSON there$'):
        load(None, HOME | {"EDGE_AE_STREAMS": "[{"})


def test_the_password_comes_from_a_file_and_is_never_shown(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("hunter2\n")
    found = load(written(tmp_path, '[mqtt]\nusername = "u"\npassword_file = "secret"\n'), HOME)
    assert found.password is not None
    assert found.password.get_secret_value() == "hunter2"
    assert "hunter2" not in repr(found) + str(found) + found.model_dump_json()


def test_the_password_may_be_a_credential_of_systemd(tmp_path: Path) -> None:
    (tmp_path / "mqtt-password").write_text("hunter2")
    found = load(None, HOME | {"CREDENTIALS_DIRECTORY": str(tmp_path), "EDGE_AE_MQTT__USERNAME": "u"})
    assert found.password is not None
    assert found.password.get_secret_value() == "hunter2"
    assert load(None, HOME | {"CREDENTIALS_DIRECTORY": "/nonexistent"}).password is None


@pytest.mark.parametrize("zone", ["Europe/Berlni", "", "Europe", "../passwd"])
def test_an_unknown_time_zone_is_one_sentence(tmp_path: Path, zone: str) -> None:
    (line,) = problems(tmp_path, f'[[streams]]\ntopic = "a"\ntime = "ts"\ntime_zone = "{zone}"')
    assert line == (
        f'streams[1].time_zone: {zone!r} is no time zone that this machine knows; write it like "Europe/Berlin"'
    )


def test_a_machine_without_time_zones_lacks_a_package_that_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_zone(name: str) -> ZoneInfo:
        raise ZoneInfoNotFoundError(name)

    monkeypatch.setattr("edge_ae.config.fields.ZoneInfo", no_zone)
    monkeypatch.setattr("edge_ae.config.fields.available_timezones", set)
    (line,) = problems(tmp_path, '[[streams]]\ntopic = "a"\ntime = "ts"\ntime_zone = "Europe/Berlin"')
    assert "install its package tzdata" in line


def test_the_time_zone_of_a_stream_reaches_the_decoder(tmp_path: Path) -> None:
    text = '[[streams]]\ntopic = "a"\ntime = "ts"\ntime_zone = "Europe/Berlin"'
    found = load(written(tmp_path, text), HOME)
    assert found.stream(found.streams[0]).time_zone == ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("text", "hours"),
    [("1/week", 168.0), ("2 per day", 12.0), ("0.5/Day", 48.0), (" 1 / month ", 730.485), ("3/hour", 1 / 3)],
)
def test_a_budget_is_a_mean_time_between_alerts(text: str, hours: float) -> None:
    assert budget_ns(text) == round(hours * HOUR)


EXTREMES = ("0.0001/month", "99999999999999999/hour", "9" * 400 + "/day", "0." + "0" * 320 + "1/day")


@pytest.mark.parametrize(
    "text", ["", "0/day", "-1/day", "1", "1/decade", "week", "nan/day", "1/day/day", "1e9/day", *EXTREMES]
)
def test_what_is_no_budget_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="such as"):
        budget_ns(text)


def test_an_asset_without_a_name_is_called_like_its_model_or_its_node(tmp_path: Path) -> None:
    text = 'node = "n"\n[[streams]]\ntopic = "a"\nmodel = "press.onnx"\n[[streams]]\ntopic = "b"\n[[streams]]\ntopic = "{asset}"\n'
    found = load(written(tmp_path, text), HOME)
    assert [found.stream(stream).asset for stream in found.streams] == ["press", "n", None]


def test_to_watch_there_must_be_streams_with_models(tmp_path: Path) -> None:
    assert len(missing_to_watch(load(None, HOME))) == 1
    found = load(written(tmp_path, f'{STREAM}[[streams]]\ntopic = "x/{{asset}}"\n'), HOME)
    assert [line.partition(":")[0] for line in missing_to_watch(found)] == ["streams[2].model"]


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load(None, HOME).node = "x"


@settings(max_examples=150, deadline=None)
@given(
    st.text(max_size=80),
    st.dictionaries(
        st.sampled_from(["EDGE_AE_NODE", "EDGE_AE_STREAMS", "EDGE_AE_MQTT", "EDGE_AE_ALERTS__BUDGET", "EDGE_AE_X"]),
        st.text(max_size=20),
    ),
)
def test_any_text_is_settings_or_sentences(
    tmp_path_factory: pytest.TempPathFactory, text: str, env: dict[str, str]
) -> None:
    path = tmp_path_factory.mktemp("any") / "edge-ae.toml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    found, sentences, _ = inspect(path, HOME | env)
    assert isinstance(found, Settings) or sentences
    assert all("\n" not in line for line in sentences)


@pytest.mark.parametrize(
    ("stream", "lateness_ns"),
    [
        ('topic = "plant/{asset}/t"', 0),
        ('topic = "plant/{asset}/{channel}"', SECOND // 10),
        ('topic = "plant/{asset}/t"\nvalue = "d[tag={channel}].v"', SECOND // 10),
        ('topic = "plant/{asset}/t"\nvalue = "d[tag={channel}].v"\nlateness_s = 0', 0),
        ('topic = "plant/{asset}/t"\nvalue = "readings[]"', 0),
    ],
)
def test_row_waits_for_a_sample_period_where_its_channels_may_come_one_by_one(
    tmp_path: Path, stream: str, lateness_ns: int
) -> None:
    found = load(written(tmp_path, f"[[streams]]\n{stream}\n"), HOME)
    assert wiring.lateness_ns(found.streams[0], spec_of(period_ns=SECOND // 10)) == lateness_ns


@pytest.mark.parametrize("group", ["a/b", "+", "a#", "", "x" * 129])
def test_group_of_sparkplug_is_one_level_of_a_topic(tmp_path: Path, group: str) -> None:
    (found,) = problems(tmp_path, f'[sparkplug]\noutput = true\ngroup_id = "{group}"\n')
    assert "sparkplug.group_id: " in found


def test_edge_node_without_a_group_or_that_hears_itself_is_a_problem(tmp_path: Path) -> None:
    assert problems(tmp_path, "[sparkplug]\noutput = true\n") == [
        'sparkplug.group_id: is missing; add the group that the edge node is to be in, such as group_id = "plant-1"'
    ]
    stream = '[[streams]]\ntopic = "spBv1.0/{}/+/{{asset}}/#"\nformat = "sparkplug"\nmodel = "p.onnx"\n'
    own = 'node = "n1"\n[sparkplug]\noutput = true\ngroup_id = "plant"\n'
    (found,) = problems(tmp_path, own + stream.format("plant"))
    assert found.startswith("streams[1].topic: takes in what edge-ae sends as the edge node n1; ")
    assert problems(tmp_path, own + stream.format("other")) == []


def test_edge_node_is_called_as_the_node_unless_it_has_a_name(tmp_path: Path) -> None:
    own = 'node = "n1"\n[sparkplug]\n'
    assert load(written(tmp_path, own), HOME).edge_node == "n1"
    assert load(written(tmp_path, own + 'edge_node = "line 3"\n'), HOME).edge_node == "line 3"


def test_rules_are_read_and_those_of_a_stream_go_before_those_of_all(tmp_path: Path) -> None:
    text = """
        [[streams]]
        topic = "plant/{asset}/t"
        rules = { Temp = { mute = false, min_deviation = "5%" } }
        [alerts]
        cooldown_s = 60
        maintenance = [{ days = ["sat"], hours = "22:00-04:00", time_zone = "Europe/Berlin" }]
        [alerts.channels]
        Temp = { mute = true, direction = "high" }
        Flow = { min_deviation = 0.5 }
    """
    (tmp_path / "s.toml").write_text(text)
    found = load(tmp_path / "s.toml", {"HOME": "/root"})
    rules = found.alerts.rules_of(found.streams[0])
    assert rules.channels == {
        "Temp": ChannelRule(False, "high", MinDeviation(0.05, is_part=True)),
        "Flow": ChannelRule(min_deviation=MinDeviation(0.5)),
    }
    assert rules.cooldown_ns == 60 * SECOND
    assert [one.text for one in rules.maintenance] == ["maintenance window sat 22:00-04:00"]


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ('channels = { Temp = { direction = "up" } }', "alerts.channels.Temp.direction: 'up' should be 'high', 'low' or 'both'"),
        ('channels = { Temp = { mutes = true } }', "alerts.channels.Temp.mutes: is no setting (did you mean mute?)"),
        ('channels = { Temp = { min_deviation = "5 K" } }', "alerts.channels.Temp.min_deviation: '5 K' should be a number in the channel's unit"),
        ('channels = { Temp = { min_deviation = -1 } }', "alerts.channels.Temp.min_deviation: '-1' should be a number in the channel's unit"),
        ('maintenance = [{ days = ["someday"] }]', "alerts.maintenance[1].days: 'someday' is no weekday; they are mon, tue"),
        ('maintenance = [{ hours = "6-8" }]', "alerts.maintenance[1].hours: '6-8' should be two times of day"),
    ],
)  # fmt: skip
def test_a_rule_that_cannot_be_is_one_sentence(line: str, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text(f"[alerts]\n{line}\n")
    with pytest.raises(BadConfig) as found:
        load(tmp_path / "s.toml", {"HOME": "/root"})
    assert str(found.value).startswith(sentence)


def test_rules_beside_their_models_are_refused_ignored_or_worth_a_sentence(tmp_path: Path) -> None:
    text = """
        [[streams]]
        topic = "a/{asset}"
        model = "pump.onnx"
        when = "speed > 100"
        rules = { Tmep = { mute = true } }
        [[streams]]
        topic = "b/{asset}"
        model = "fan.onnx"
        [alerts]
        when = "Temp > 5"
        channels = { Temp = { mute = true }, Nowhere = { mute = true } }
    """
    for name in ("pump.onnx", "fan.onnx"):
        (tmp_path / name).touch()
    (tmp_path / "s.toml").write_text(text)
    found = load(tmp_path / "s.toml", {"HOME": "/root"})
    pump, fan = (tmp_path / name for name in ("pump.onnx", "fan.onnx"))
    models = {pump: ModelState(("speed", "Temp"), "speed > 50"), fan: ModelState(("flow",), "")}
    assert state_faults(found, models) == [f"alerts.when: 'Temp' is no channel of the model; there are flow ({fan})"]
    assert rule_notes(found, models) == [
        "alerts.channels.Nowhere: no model has this channel, and the rule is ignored; there are speed, Temp, flow",
        "streams[1].rules.Tmep: its model has no such channel, and the rule is ignored; there are speed, Temp",
        "streams[1]: is watched where speed > 100, but its model was trained where speed > 50; what it never saw is abnormal to it",
        "streams[2]: is watched where Temp > 5, but its model was trained in any state; what it never saw is abnormal to it",
    ]


def test_a_state_that_cannot_be_understood_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text("[alerts]\nwhen = 'speed >'\n")
    with pytest.raises(
        BadConfig, match=r"alerts.when: 'speed >' at its end, character 8: a channel or a number is expected"
    ):
        load(tmp_path / "s.toml", {"HOME": "/root"})
