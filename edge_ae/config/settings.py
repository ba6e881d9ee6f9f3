"""Settings: the only reader of TOML, environment and credentials. Gives frozen values, or says all that is wrong at once.

    defaults  <  settings file (TOML)  <  EDGE_AE_... (EDGE_AE_MQTT__HOST is host in [mqtt])

The password is no setting: it comes from `password_file`, or from systemd's credential `mqtt-password`. Paths in the file
are relative to the file.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from copy import deepcopy
from itertools import combinations
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PrivateAttr, SecretStr, ValidationError
from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsConfigDict, SettingsError

from edge_ae.config import sources
from edge_ae.config.messages import meant, sentences
from edge_ae.core.alert import AlertRules, budget_ns
from edge_ae.core.formats.decoder import ASSET_NAME, Stream
from edge_ae.core.timestamps import seconds_ns
from edge_ae.core.topics import filters_overlap, topic_fault, topic_filter
from edge_ae.errors import BadConfig

PREFIX = "EDGE_AE_"


def _budget(text: str) -> str:
    budget_ns(text)
    return text


def _name(text: str) -> str:
    if ASSET_NAME.fullmatch(text) is None:
        raise ValueError("should be 1 to 64 letters, digits or _-.:@()= and begin with a letter or digit")
    return text


def _topic(text: str) -> str:
    fault = topic_fault(text)
    if fault is not None:
        raise ValueError(f'{fault}; write it like "plant/{{asset}}/telemetry"')
    return text


def _base(text: str) -> str:
    if topic_fault(text) is not None or set("+#{$") & set(text) or not all(text.split("/")):
        raise ValueError('should be a topic without wildcards, such as "edge-ae"')
    return text


def _time_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        if not available_timezones():
            raise ValueError("is unknown, for this machine knows no time zones: install its package tzdata") from None
        raise ValueError('is no time zone that this machine knows; write it like "Europe/Berlin"') from None
    return name


Name = Annotated[str, AfterValidator(_name)]
Seconds = Annotated[float, Field(ge=0, le=10 * 365 * 86_400)]


class Section(BaseModel):
    """A table of the settings file."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Mqtt(Section):
    """How to reach the broker.

    Unset, `port` is 1883, and 8883 with tls; `ca` is the system's certificate authorities; `client_id` is edge-ae-<node>.
    """

    host: str = Field(default="localhost", min_length=1)
    port: int | None = Field(default=None, ge=1, le=65535, examples=[1883])
    tls: bool = False
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    username: str | None = None
    password_file: Path | None = None
    client_id: str | None = Field(default=None, min_length=1, max_length=128, examples=["edge-ae-pi-7"])
    base: Annotated[str, AfterValidator(_base)] = "edge-ae"
    protocol: Literal["auto", "5", "3.1.1"] = "auto"
    session_expiry_s: int = Field(default=86_400, ge=0, le=2**32 - 2)
    keepalive_s: int = Field(default=30, ge=5, le=65535)
    receive_maximum: int = Field(default=2_000, ge=1, le=65535)

    @property
    def tcp_port(self) -> int:
        """The port that is connected to."""
        return self.port if self.port is not None else 8883 if self.tls else 1883


class StreamSettings(Section):
    """One [[streams]]: a topic, what its payloads look like, and the model that watches them.

    `time_zone`: of times that name no offset; unset: UTC. Unset, `asset` is the model's file name, or the node's, and
    `lateness_s` is one sample period where channels come one by one, else 0.
    """

    topic: Annotated[str, AfterValidator(_topic)] = Field(examples=["plant/{asset}/telemetry"])
    format: Literal["json", "number", "influx"] = "json"
    time: str | None = Field(default=None, min_length=1, examples=["ts"])
    time_zone: Annotated[str, AfterValidator(_time_zone)] | None = Field(default=None, examples=["Europe/Berlin"])
    model: Path | None = None
    channels: dict[str, str] = Field(default={}, examples=[{"Pressure": "data.pressure"}])
    value: str = Field(default="value", min_length=1)
    asset: Name | None = Field(default=None, examples=["pump-1"])
    lateness_s: Seconds | None = None
    qos: Literal[0, 1] = 1
    max_future_s: Seconds = 86_400.0


class Alerts(Section):
    """The life of an alert, in the words of OPC UA Part 9."""

    budget: Annotated[str, AfterValidator(_budget)] = "1/week"
    on_delay_s: Seconds = 0.0
    off_delay_s: Seconds | None = None  # None: ten hops of the model
    deadband: float = Field(default=0.2, ge=0, lt=1)
    re_alarm_s: Seconds = 0.0  # 0: never
    max_shelve_s: Seconds = 8 * 3600.0
    flood_limit: int = Field(default=10, ge=1)
    flood_window_s: Seconds = 600.0

    @property
    def rules(self) -> AlertRules:
        """The same, as the core takes it."""
        return AlertRules(
            interval_ns=budget_ns(self.budget),
            on_delay_ns=seconds_ns(self.on_delay_s),
            off_delay_ns=None if self.off_delay_s is None else seconds_ns(self.off_delay_s),
            deadband=self.deadband,
            re_alarm_ns=seconds_ns(self.re_alarm_s),
            max_shelve_ns=seconds_ns(self.max_shelve_s),
        )


class Publish(Section):
    """What is published beside alerts, and how often."""

    score_interval_s: Seconds = 1.0  # at most one score an asset in this time
    stats_interval_s: float = Field(default=60.0, ge=1, le=86_400)
    denoised: bool = False  # with each score, the newest row as the model restores it


class State(Section):
    """What survives a restart. A longer `checkpoint_s` spares the SD card; 0: none at all, input is lost in a crash."""

    checkpoint_s: Seconds = 60.0
    resend_s: Seconds = 3600.0  # a broker that lost its memory gets the alerts of so long again, up to the newest


class Limits(Section):
    """What a node takes at most."""

    payload_bytes: int = Field(default=256 * 1024, ge=16, le=256 * 1024 * 1024)
    assets: int = Field(default=1_000, ge=1, le=100_000)
    inbox_messages: int = Field(default=10_000, ge=100, le=10_000_000)
    outbox_messages: int = Field(default=10_000, ge=10, le=10_000_000)
    outbox_mb: int = Field(default=64, ge=1, le=100_000)


class Record(Section):
    """Rows kept for retraining; `dir` unset: none are."""

    dir: Path | None = None
    max_mb: int = Field(default=1_000, ge=1, le=10_000_000)


class Settings(Section):
    """All settings of a node. `model_key` unset: whoever may write the model files is trusted."""

    node: Name
    state_dir: Path = Field(examples=["/var/lib/edge-ae"])
    model_key: Path | None = None
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    mqtt: Mqtt = Mqtt()
    streams: tuple[StreamSettings, ...] = ()
    alerts: Alerts = Alerts()
    publish: Publish = Publish()
    state: State = State()
    limits: Limits = Limits()
    record: Record = Record()
    _password: SecretStr | None = PrivateAttr(None)

    @property
    def password(self) -> SecretStr | None:
        """The broker's, from its file or credential."""
        return self._password

    @property
    def client_id(self) -> str:
        """As set, else made of the node's name."""
        return self.mqtt.client_id or f"edge-ae-{self.node}"

    def asset_of(self, stream: StreamSettings) -> str | None:
        """The asset of a stream whose topic names none: as set, else called like the model's file, else like the node."""
        if "{asset}" in stream.topic:
            return None
        stem = "" if stream.model is None else stream.model.stem
        return stream.asset or (stem if ASSET_NAME.fullmatch(stem) else self.node)

    def stream(self, stream: StreamSettings) -> Stream:
        """What the decoder needs of a stream."""
        return Stream(
            topic=stream.topic,
            format=stream.format,
            time=stream.time,
            channels=stream.channels,
            value=stream.value,
            asset=self.asset_of(stream),
            max_bytes=self.limits.payload_bytes,
            max_future_ns=seconds_ns(stream.max_future_s),
            time_zone=None if stream.time_zone is None else ZoneInfo(stream.time_zone),
        )


class _Environment(BaseSettings, Settings):
    """The same fields, as pydantic-settings finds them in environment variables."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_nested_delimiter="__")


class Inspection(NamedTuple):
    """The settings as far as they can be had, everything that is wrong, and the tables that were not understood whole."""

    settings: Settings | None
    problems: list[str]
    doubtful: frozenset[str] = frozenset()


def load(path: Path | str | None, env: Mapping[str, str] | None = None) -> Settings:
    """Settings from a file (or none) and the environment. Raises BadConfig with one line for each problem."""
    settings, problems, _ = inspect(path, env)
    if settings is None or problems:
        raise BadConfig("\n".join(problems))
    return settings


def inspect(path: Path | str | None, env: Mapping[str, str] | None = None) -> Inspection:
    """Read everything, and stop at nothing: what is wrong is left out, so that the rest can be looked at, too."""
    env = os.environ if env is None else env
    try:
        raw = {} if path is None else sources.toml(Path(path))
        raw = sources.merged(raw, _from_environment(env))
    except BadConfig as problem:
        return Inspection(None, [str(problem)])
    raw = sources.merged(sources.machine(env), raw)
    problems = [] if path is None else [*sources.resolve(raw, Path(path).absolute().parent)]
    problems += [*_unknown_variables(env), *sources.missing_files(raw)]
    password, fault = sources.password(raw, env)
    problems += [] if fault is None else [fault]
    found = _validated(raw)
    if found.settings is None:
        return found._replace(problems=[*found.problems, *problems])
    found.settings._password = password
    return found._replace(problems=[*found.problems, *problems, *_contradictions(found.settings)])


def _validated(raw: dict[str, Any]) -> Inspection:
    """The settings without what cannot be used, and a sentence for each such place."""
    try:
        return Inspection(Settings.model_validate(raw), [])
    except ValidationError as error:
        problems = [*sentences(error, Settings)]
        places = [fault["loc"] for fault in error.errors(include_url=False)]
    doubtful = frozenset(str(place[0]) for place in places)
    try:
        return Inspection(Settings.model_validate(_without(raw, places)), problems, doubtful)
    except ValidationError:
        return Inspection(None, problems, doubtful)


def _without(raw: dict[str, Any], places: Sequence[Sequence[str | int]]) -> dict[str, Any]:
    """A copy that lacks these places; a stream that has no topic without them goes as a whole."""
    kept = deepcopy(raw)
    streams = {
        place[1] for place in places if place[0] == "streams" and place[2:3] in ((), ("topic",)) and len(place) > 1
    }
    for *above, last in places:
        table: Any = kept
        with suppress(LookupError, TypeError):  # a place within a key or within a value that is no table
            for part in above:
                table = table[part]
            if isinstance(table, dict):
                table.pop(last, None)
    if streams:
        kept["streams"] = [stream for number, stream in enumerate(kept["streams"]) if number not in streams]
    return kept


def missing_to_watch(settings: Settings) -> list[str]:
    """What `run` needs and `record` does without."""
    if not settings.streams:
        return ["streams: there are none; add a [[streams]] with the topic to watch and the model to watch it with"]
    return [
        f'streams[{number}].model: is missing; add model = "pump.onnx", a file that edge-ae-train fit has made'
        for number, stream in enumerate(settings.streams, start=1)
        if stream.model is None
    ]


def contested(settings: Settings) -> list[str]:
    """Streams that bring the same assets and name different models: only the model of the one that comes first is used."""
    pairs = combinations(enumerate(settings.streams, start=1), 2)
    return [
        f"streams[{one}].topic, streams[{other}].topic: both bring the readings of the same assets, but they name different "
        "models, of which only one is used; name the topics more closely, or give one of the streams an asset of its own"
        for (one, first), (other, second) in pairs
        if first.model != second.model and _share_assets(settings, first, second)
    ]


def _share_assets(settings: Settings, first: StreamSettings, second: StreamSettings) -> bool:
    """Whether a message can be of the same asset for both."""
    names = settings.asset_of(first), settings.asset_of(second)
    if None not in names:
        return False  # the same fixed name is a contradiction of its own
    levels = [stream.topic.split("/").index("{asset}") for stream in (first, second) if "{asset}" in stream.topic]
    name = names[0] or names[1] or "+"
    filters = [topic_filter(stream.topic.replace("{asset}", name)) for stream in (first, second)]
    return levels.count(levels[0]) == len(levels) and filters_overlap(*filters)


def _from_environment(env: Mapping[str, str]) -> dict[str, Any]:
    source = EnvSettingsSource(_Environment)
    source.env_vars = {name.lower(): value for name, value in env.items() if value != ""}
    try:
        return source()
    except SettingsError as error:
        raise BadConfig(f"{PREFIX}...: {error}; lists and tables are written as JSON there") from None


def _unknown_variables(env: Mapping[str, str]) -> Iterator[str]:
    known = [PREFIX + name.upper() for name in Settings.model_fields]
    for name in sorted(env):
        if name.startswith(PREFIX) and name.partition("__")[0] not in known:
            yield f"{name}: is no setting{meant(name, known)}; unset it"


# -- problems --------------------------------------------------------------------------------------------------


def _contradictions(settings: Settings) -> Iterator[str]:
    """What each setting allows and all of them together do not."""
    mqtt = settings.mqtt
    if (mqtt.cert is None) != (mqtt.key is None):
        yield "mqtt.cert, mqtt.key: one without the other; a client's certificate needs both"
    if not mqtt.tls and (mqtt.ca, mqtt.cert, mqtt.key) != (None, None, None):
        yield "mqtt.tls: is off, but there are certificates; add tls = true"
    if settings.password is not None and mqtt.username is None:
        yield "mqtt.username: is missing, but there is a password; add username"
    own = f"{mqtt.base}/{settings.node}/x/score"
    owners: dict[str, Path | None] = {}
    for number, stream in enumerate(settings.streams, start=1):
        where = f"streams[{number}]"
        if filters_overlap(topic_filter(stream.topic), own):
            yield f"{where}.topic: takes in edge-ae's own messages below {mqtt.base}/; name the sensors' topics more closely"
        if "{channel}" in stream.topic and stream.format == "influx":
            yield f"{where}.topic: names {{channel}}, but Influx lines name their fields; use + in its place"
        if stream.time_zone is not None and stream.time is None:
            yield f"{where}.time_zone: says nothing without time, the path of the time in the payload; add time"
        asset = settings.asset_of(stream)
        if asset is not None and owners.setdefault(asset, stream.model) != stream.model:
            yield f"{where}.asset: {asset!r} is already watched with another model; give this stream an asset of its own"
