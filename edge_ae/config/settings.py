"""Settings: the only reader of TOML, environment and credentials. Gives frozen values, or says all that is wrong at once.

    defaults  <  settings file (TOML)  <  EDGE_AE_... (EDGE_AE_MQTT__HOST is host in [mqtt])

The password is no setting: it comes from `password_file`, or from systemd's credential `mqtt-password`. Paths in the file
are relative to the file.
"""

import os
import platform
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PrivateAttr, SecretStr, ValidationError
from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsConfigDict, SettingsError

from edge_ae.config.messages import meant, sentences
from edge_ae.core.alert import AlertRules, budget_ns
from edge_ae.core.formats.decoder import ASSET_NAME, Stream
from edge_ae.core.timestamps import SECOND
from edge_ae.core.topics import topic_fault, topic_filter
from edge_ae.errors import BadConfig

PREFIX = "EDGE_AE_"
CREDENTIAL = "mqtt-password"
FILES = ("ca", "cert", "key", "password_file")  # of [mqtt]: read or handed on as they are


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


Name = Annotated[str, AfterValidator(_name)]
Seconds = Annotated[float, Field(ge=0, le=10 * 365 * 86_400)]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Mqtt(Section):
    """How to reach the broker."""

    host: str = Field(default="localhost", min_length=1)
    port: int | None = Field(default=None, ge=1, le=65535, examples=[1883])  # None: 1883, and 8883 with tls
    tls: bool = False
    ca: Path | None = None  # None: the system's certificate authorities
    cert: Path | None = None
    key: Path | None = None
    username: str | None = None
    password_file: Path | None = None
    client_id: str | None = Field(
        default=None, min_length=1, max_length=128, examples=["edge-ae-pi-7"]
    )  # None: edge-ae-<node>
    base: Annotated[str, AfterValidator(_base)] = "edge-ae"
    protocol: Literal["auto", "5", "3.1.1"] = "auto"
    session_expiry_s: int = Field(default=86_400, ge=0, le=2**32 - 2)
    keepalive_s: int = Field(default=30, ge=5, le=65535)
    receive_maximum: int = Field(default=2_000, ge=1, le=65535)

    @property
    def tcp_port(self) -> int:
        return self.port if self.port is not None else 8883 if self.tls else 1883


class StreamSettings(Section):
    """One [[streams]]: a topic, what its payloads look like, and the model that watches what they say."""

    topic: Annotated[str, AfterValidator(_topic)] = Field(examples=["plant/{asset}/telemetry"])
    format: Literal["json", "number", "influx"] = "json"
    time: str | None = Field(default=None, min_length=1, examples=["ts"])
    model: Path | None = None
    channels: dict[str, str] = Field(default={}, examples=[{"Pressure": "data.pressure"}])
    value: str = Field(default="value", min_length=1)
    asset: Name | None = Field(default=None, examples=["pump-1"])  # None: the model's file name, or the node's
    lateness_s: Seconds | None = None  # None: one sample period where channels come one by one, else 0
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
        return AlertRules(
            interval_ns=budget_ns(self.budget),
            on_delay_ns=ns(self.on_delay_s),
            off_delay_ns=None if self.off_delay_s is None else ns(self.off_delay_s),
            deadband=self.deadband,
            re_alarm_ns=ns(self.re_alarm_s),
            max_shelve_ns=ns(self.max_shelve_s),
        )


class Publish(Section):
    score_interval_s: Seconds = 1.0  # at most one score an asset in this time
    stats_interval_s: float = Field(default=60.0, ge=1, le=86_400)
    denoised: bool = False  # with each score, the newest row as the model restores it


class State(Section):
    """What survives a restart. A longer `checkpoint_s` spares the SD card; 0: none at all, input is lost in a crash."""

    checkpoint_s: Seconds = 60.0
    resend_s: Seconds = 3600.0  # a broker that lost its memory gets the alerts of so long again, up to the newest


class Limits(Section):
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
    node: Name
    state_dir: Path
    model_key: Path | None = None  # None: whoever may write the model files is trusted
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
        return self._password

    @property
    def client_id(self) -> str:
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
            max_future_ns=ns(stream.max_future_s),
        )


class _Environment(BaseSettings, Settings):
    """The same fields, as pydantic-settings finds them in environment variables."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_nested_delimiter="__")


def ns(seconds: float) -> int:
    return round(seconds * SECOND)


def load(path: Path | str | None, env: Mapping[str, str] | None = None) -> Settings:
    """Settings from a file (or none) and the environment. Raises BadConfig with one line for each problem."""
    settings, problems = inspect(path, env)
    if settings is None or problems:
        raise BadConfig("\n".join(problems))
    return settings


def inspect(path: Path | str | None, env: Mapping[str, str] | None = None) -> tuple[Settings | None, list[str]]:
    """The settings as far as they can be had, and everything that is wrong with them."""
    env = os.environ if env is None else env
    try:
        raw = {} if path is None else _toml(Path(path))
        raw = _merged(raw, _from_environment(env))
    except BadConfig as problem:
        return None, [str(problem)]
    raw = _merged(_machine(env), raw)
    if path is not None:
        _resolve(raw, Path(path).absolute().parent)
    problems = [*_unknown_variables(env), *_missing_files(raw)]
    password, fault = _password(raw, env)
    problems += [] if fault is None else [fault]
    try:
        settings = Settings.model_validate(raw)
    except ValidationError as error:
        return None, [*sentences(error, Settings), *problems]
    settings._password = password
    return settings, [*problems, *_contradictions(settings)]


def missing_to_watch(settings: Settings) -> list[str]:
    """What `run` needs and `record` does without."""
    if not settings.streams:
        return ["streams: there are none; add a [[streams]] with the topic to watch and the model to watch it with"]
    return [
        f'streams[{number}].model: is missing; add model = "pump.onnx", a file that edge-ae-train fit has made'
        for number, stream in enumerate(settings.streams, start=1)
        if stream.model is None
    ]


# -- sources ---------------------------------------------------------------------------------------------------


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadConfig(f"{path}: cannot be read: {error.strerror}; name the settings file with --config") from None
    except UnicodeDecodeError:
        raise BadConfig(f"{path}: is not UTF-8 text; save it as UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise BadConfig(f"{path}: is not TOML: {error}; strings stand in quotes, tables in [brackets]") from None


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


def _machine(env: Mapping[str, str]) -> dict[str, Any]:
    """What the machine itself says: its name, and where its services keep their state."""
    host = platform.node().partition(".")[0]
    state = env.get("STATE_DIRECTORY", "").partition(":")[0]
    home = env.get("XDG_STATE_HOME") or str(Path(env.get("HOME") or "~").expanduser() / ".local" / "state")
    return {"node": host or "edge-ae", "state_dir": state or str(Path(home) / "edge-ae")}


def _merged(low: Mapping[str, Any], high: Mapping[str, Any]) -> dict[str, Any]:
    both = dict(low)
    for key, value in high.items():
        below = both.get(key)
        both[key] = _merged(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return both


def _resolve(raw: dict[str, Any], base: Path) -> None:
    """Makes the paths absolute, seen from the folder of the settings file."""
    tables: list[tuple[Any, Sequence[str]]] = [
        (raw, ("state_dir", "model_key")),
        (raw.get("mqtt"), FILES),
        (raw.get("record"), ("dir",)),
    ]
    streams = raw.get("streams")
    tables += [(stream, ("model",)) for stream in streams] if isinstance(streams, list) else []
    for table, keys in tables:
        for key in keys if isinstance(table, dict) else ():
            if isinstance(table.get(key), str) and table[key] != "":
                table[key] = str(base / Path(table[key]).expanduser())


def _table(raw: Mapping[str, Any], name: str) -> dict[str, Any]:
    table = raw.get(name)
    return table if isinstance(table, dict) else {}


def _missing_files(raw: Mapping[str, Any]) -> Iterator[str]:
    mqtt = _table(raw, "mqtt")
    named = {f"mqtt.{key}": mqtt.get(key) for key in FILES[:3]} | {"model_key": raw.get("model_key")}
    for setting, path in named.items():
        if isinstance(path, str) and not Path(path).is_file():
            yield f"{setting}: there is no file {path}; put it there or correct the path"


def _password(raw: Mapping[str, Any], env: Mapping[str, str]) -> tuple[SecretStr | None, str | None]:
    named = _table(raw, "mqtt").get("password_file")
    credential = Path(env.get("CREDENTIALS_DIRECTORY") or "/nonexistent") / CREDENTIAL
    if not isinstance(named, str) and not credential.is_file():
        return None, None
    path = Path(named) if isinstance(named, str) else credential
    try:
        return SecretStr(path.read_text(encoding="utf-8").rstrip("\r\n")), None
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        return (
            None,
            f"mqtt.password_file: {path} cannot be read: {why}; make it readable for the user that runs edge-ae",
        )


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
        if _overlaps(topic_filter(stream.topic), own):
            yield f"{where}.topic: takes in edge-ae's own messages below {mqtt.base}/; name the sensors' topics more closely"
        if "{channel}" in stream.topic and stream.format == "influx":
            yield f"{where}.topic: names {{channel}}, but Influx lines name their fields; use + in its place"
        asset = settings.asset_of(stream)
        if asset is not None and owners.setdefault(asset, stream.model) != stream.model:
            yield f"{where}.asset: {asset!r} is already watched with another model; give this stream an asset of its own"


def _overlaps(pattern: str, topic: str) -> bool:
    levels, parts = pattern.split("/"), topic.split("/")
    for level, part in zip(levels, parts, strict=False):
        if level == "#":
            return not part.startswith("$")
        if level not in ("+", part):
            return False
    return len(levels) == len(parts)
