"""Settings as frozen values: what there is to set, with its default and its bounds. Each is a table of the settings file."""

import hashlib
import re
from dataclasses import dataclass, replace
from datetime import UTC
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, SecretStr

from edge_ae.config.fields import (
    Base,
    Budget,
    Days,
    Duration,
    FieldPath,
    Hours,
    LeastDeviation,
    Name,
    PageUrl,
    Seconds,
    TimeZone,
    Topic,
    TopicLevel,
    WatchedState,
)
from edge_ae.config.installation import earliest_ns
from edge_ae.core.field_paths import places_of
from edge_ae.core.formats.decoder import ASSET_NAME, Stream
from edge_ae.core.learned_time import Goals
from edge_ae.core.rules import NO_RULE, AlertRules, ChannelRule, budget_ns, min_deviation_of
from edge_ae.core.suppression import Maintenance
from edge_ae.core.timestamps import seconds_ns

AUTO = Path("auto")  # in place of a model's file; `sources` makes the path of every file absolute
MODELS, RECORDINGS = "models", "recordings"  # folders below the state's
SLUG_CHARS = 60


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
    base: Base = "edge-ae"
    protocol: Literal["auto", "5", "3.1.1"] = "auto"
    session_expiry_s: int = Field(default=86_400, ge=0, le=2**32 - 2)
    keepalive_s: int = Field(default=30, ge=5, le=65535)
    receive_maximum: int = Field(default=65_535, ge=1, le=65535)

    @property
    def tcp_port(self) -> int:
        """The port that is connected to."""
        return self.port if self.port is not None else 8883 if self.tls else 1883


class ChannelRuleSettings(Section):
    """Which deviations of one channel may raise an alert."""

    mute: bool | None = None
    direction: Literal["high", "low", "both"] | None = Field(default=None, examples=["high"])
    min_deviation: LeastDeviation | None = Field(default=None, examples=["5%"])

    @property
    def rule(self) -> ChannelRule:
        """The same, as the core takes it."""
        least = None if self.min_deviation is None else min_deviation_of(self.min_deviation)
        return ChannelRule(self.mute, self.direction, least)


class MaintenanceSettings(Section):
    """Hours that come again on some days, in which nothing new is announced. Unset, `days` are all, and `hours` the whole day."""

    days: Days = Field(default=(), examples=["sat"])
    hours: Hours | None = Field(default=None, examples=["06:00-08:00"])
    time_zone: TimeZone | None = Field(default=None, examples=["Europe/Berlin"])

    @property
    def window(self) -> Maintenance:
        """The same, as the core takes it."""
        return Maintenance.of(self.days, self.hours, UTC if self.time_zone is None else ZoneInfo(self.time_zone))


class StreamSettings(Section):
    """One [[streams]]: a topic, what its payloads look like, and the model that watches them.

    `time_zone`: of times that name no offset; unset: UTC. Unset, `asset` is the model's file name, or the node's, and
    `lateness_s` is one sample period where channels come one by one, else 0. `model` "auto": models are made here, of what comes.
    """

    topic: Topic = Field(examples=["plant/{asset}/telemetry"])
    format: Literal["json", "number", "influx", "sparkplug"] = "json"
    time: FieldPath | None = Field(default=None, examples=["ts"])
    time_zone: TimeZone | None = Field(default=None, examples=["Europe/Berlin"])
    model: Path | None = None
    channels: dict[str, str] = Field(default={}, examples=[{"Pressure": "data.pressure"}])
    value: FieldPath = "value"
    quality: FieldPath | None = Field(default=None, examples=["quality"])
    strict: bool = False
    words: dict[str, float] = Field(default={}, examples=[{"auto": 1, "manual": 2}])
    asset: Name | None = Field(default=None, examples=["pump-1"])
    lateness_s: Seconds | None = None
    qos: Literal[0, 1] = 1
    max_future_s: Seconds = 86_400.0
    rules: dict[str, ChannelRuleSettings] = {}
    when: WatchedState | None = Field(default=None, examples=["speed > 100"])

    @property
    def learns(self) -> bool:
        """Whether its models are made here, of what comes."""
        return self.model == AUTO

    @property
    def model_file(self) -> Path | None:
        """The file or folder that is named; None: there is none, or models are made here."""
        return None if self.learns else self.model

    @property
    def slug(self) -> str:
        """A folder's name for what is learned of the stream: the topic as far as it goes, and a digest, for topics may read alike."""
        words = re.sub(r"[^A-Za-z0-9]+", "-", self.topic).strip("-")[:SLUG_CHARS]
        digest = hashlib.sha256(repr((self.topic, self.value, self.asset)).encode()).hexdigest()
        return f"{words or 'stream'}-{digest[:8]}"


class Alerts(Section):
    """The life of an alert, in the words of OPC UA Part 9."""

    budget: Budget = "1/week"
    on_delay_s: Seconds | None = Field(default=None, examples=[10.0])  # None: that of the model
    off_delay_s: Seconds | None = None  # None: ten hops of the model
    deadband: float = Field(default=0.2, ge=0, lt=1)
    re_alarm_s: Seconds = 0.0  # 0: never
    unwatched_after_s: Seconds | None = Field(default=None, examples=[3600.0])  # None: an hour of readings; 0: never
    max_shelve_s: Seconds = 8 * 3600.0
    cooldown_s: Seconds = 0.0
    maintenance: tuple[MaintenanceSettings, ...] = ()
    flood_limit: int = Field(default=10, ge=1)
    flood_window_s: Seconds = 600.0
    channels: dict[str, ChannelRuleSettings] = {}
    when: WatchedState | None = Field(default=None, examples=["speed > 100"])

    @property
    def rules(self) -> AlertRules:
        """The same, as the core takes it."""
        return AlertRules(
            interval_ns=budget_ns(self.budget),
            on_delay_ns=None if self.on_delay_s is None else seconds_ns(self.on_delay_s),
            off_delay_ns=None if self.off_delay_s is None else seconds_ns(self.off_delay_s),
            deadband=self.deadband,
            re_alarm_ns=seconds_ns(self.re_alarm_s),
            max_shelve_ns=seconds_ns(self.max_shelve_s),
            unwatched_ns=None if self.unwatched_after_s is None else seconds_ns(self.unwatched_after_s),
            cooldown_ns=seconds_ns(self.cooldown_s),
            channels={name: one.rule for name, one in self.channels.items()},
            maintenance=tuple(one.window for one in self.maintenance),
            when=self.when,
        )

    def rules_of(self, stream: StreamSettings) -> AlertRules:
        """Those of a stream's assets: what it says of a channel comes before what is said of that for all."""
        rules = self.rules
        own = {name: one.rule.over(rules.channels.get(name, NO_RULE)) for name, one in stream.rules.items()}
        when = rules.when if stream.when is None else stream.when
        return replace(rules, channels={**rules.channels, **own}, when=when)


class Publish(Section):
    """What is published beside alerts, and how often."""

    score_interval_s: Seconds = 1.0  # at most one score an asset in this time
    stats_interval_s: float = Field(default=60.0, ge=1, le=86_400)
    denoised: bool = False  # with each score, the newest row as the model restores it


class HomeAssistantSettings(Section):
    """Discovery by Home Assistant; `prefix` is its own `discovery_prefix`."""

    discovery: bool = False
    prefix: Base = "homeassistant"


class ThinEdgeSettings(Section):
    """What is published for thin-edge.io."""

    alarms: bool = False


class SparkplugSettings(Section):
    """The daemon as an edge node of Sparkplug B; `edge_node` unset: called as the node."""

    output: bool = False
    group_id: TopicLevel | None = Field(default=None, examples=["plant-1"])
    edge_node: TopicLevel | None = Field(default=None, examples=["pi-7"])


class State(Section):
    """What survives a restart. A longer `checkpoint_s` spares the SD card; 0: none at all, input is lost in a crash."""

    checkpoint_s: Seconds = 180.0
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
    flush_s: float = Field(default=300.0, ge=1, le=86_400)


class Learn(Section):
    """How models of streams with `model = "auto"` are made, by edge-ae-train learn. Times count rows that were recorded: a gap is none.

    `max_celsius`: hotter than this, a machine waits. `family` auto: the one that finds most of those that can be trained here.
    """

    first_s: Duration = 86_400.0
    again_s: Duration = 604_800.0
    every_s: Duration = 604_800.0
    family: Literal["auto", "cva", "pca", "hybrid", "cae", "ae", "dae", "vae"] = "auto"
    on_battery: bool = False
    max_celsius: float = Field(default=75.0, ge=20, le=150)

    @property
    def goals(self) -> Goals:
        """The same, as the core takes it."""
        return Goals(seconds_ns(self.first_s), seconds_ns(self.again_s), seconds_ns(self.every_s))


class Models(Section):
    """How another model takes the place of the one in use, where `streams.model` is a folder of models.

    `shadow_s`: seconds of windows by which it is judged beside it, and the one before it afterwards; `promote`: it is put to use then,
    where both have raised the same alerts. `install`: over MQTT; "signed" asks for `model_key`.
    """

    shadow_s: Seconds = 86_400.0
    promote: bool = False
    install: Literal["signed", "any", "never"] = "signed"


class Metrics(Section):
    """The page for Prometheus; `port` unset: there is none."""

    port: int | None = Field(default=None, ge=1, le=65535, examples=[9464])
    host: str = Field(default="127.0.0.1", min_length=1)


class NotifySettings(Section):
    """Messages to people, through services that Apprise knows; without `urls` and `urls_file`: none.

    An URL holds a password as a rule: it is shown nowhere. `time_zone`: of `quiet_hours`, and of the times in messages.
    """

    urls: tuple[SecretStr, ...] | None = Field(default=None, examples=["ntfys://ntfy.sh/my-plant"])
    urls_file: Path | None = None
    min_severity: Literal["low", "medium", "high"] = "low"
    quiet_hours: Hours | None = Field(default=None, examples=["22:00-06:00"])
    quiet_passes_high: bool = False
    time_zone: TimeZone | None = Field(default=None, examples=["Europe/Berlin"])
    max_per_hour: int = Field(default=20, ge=1, le=1_000)
    pictures: bool = True
    timeout_s: float = Field(default=10.0, ge=1, le=60)
    page_url: PageUrl | None = Field(default=None, examples=["http://pi-7:8182/asset/{node}/{asset}"])


@dataclass(frozen=True, slots=True)
class NotifyUrl:
    """Whom to notify. `where` it was found, such as "notify.urls[1]"; the URL itself is secret."""

    where: str
    url: SecretStr


class Web(Section):
    """The live page, `edge-ae web`; by any other `host` only with a password, or behind a proxy that asks for one.

    `password_file` holds a hash, as `edge-ae web --set-password` writes it. `names`: host names under which browsers may
    reach the page, beside this machine's own.
    """

    host: str = Field(default="127.0.0.1", min_length=1)
    port: int = Field(default=8182, ge=1, le=65535)
    password_file: Path | None = Field(default=None, examples=["/etc/edge-ae/web-password"])
    behind_proxy: bool = False
    names: tuple[str, ...] = Field(default=(), max_length=100, examples=[["panel.example.org"]])


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
    homeassistant: HomeAssistantSettings = HomeAssistantSettings()
    thin_edge: ThinEdgeSettings = ThinEdgeSettings()
    sparkplug: SparkplugSettings = SparkplugSettings()
    state: State = State()
    limits: Limits = Limits()
    record: Record = Record()
    learn: Learn = Learn()
    models: Models = Models()
    metrics: Metrics = Metrics()
    notify: NotifySettings = NotifySettings()
    web: Web = Web()
    _password: SecretStr | None = PrivateAttr(None)
    _urls_of_file: tuple[NotifyUrl, ...] = PrivateAttr(())

    @property
    def password(self) -> SecretStr | None:
        """The broker's, from its file or credential."""
        return self._password

    @property
    def notify_urls(self) -> tuple[NotifyUrl, ...]:
        """Those of the settings, then those of the file or credential."""
        set_here = enumerate(self.notify.urls or (), start=1)
        return (*(NotifyUrl(f"notify.urls[{number}]", url) for number, url in set_here), *self._urls_of_file)

    @property
    def client_id(self) -> str:
        """As set, else made of the node's name."""
        return self.mqtt.client_id or f"edge-ae-{self.node}"

    @property
    def edge_node(self) -> str:
        """What the daemon is called as an edge node of Sparkplug."""
        return self.sparkplug.edge_node or self.node

    @property
    def learns(self) -> bool:
        """Whether models of any stream are made here."""
        return any(stream.learns for stream in self.streams)

    @property
    def recordings(self) -> Path | None:
        """Where rows are kept for training: as set, else with the state where models are made here; None: none are kept."""
        return self.state_dir / RECORDINGS if self.record.dir is None and self.learns else self.record.dir

    def learned_models(self, stream: StreamSettings) -> Path:
        """Where the models of a stream lie that are made here."""
        return self.state_dir / MODELS / stream.slug

    @property
    def records_only(self) -> bool:
        """Whether there are streams and none has a model: `record` works, and there is nothing for `run` to watch."""
        return bool(self.streams) and all(stream.model is None for stream in self.streams)

    def asset_of(self, stream: StreamSettings) -> str | None:
        """The asset of a stream whose messages name none: as set, else called like the model's file, else like the node."""
        if "{asset}" in stream.topic or "{asset}" in places_of(stream.value):
            return None
        stem = "" if stream.model_file is None else stream.model_file.stem
        return stream.asset or (stem if ASSET_NAME.fullmatch(stem) else self.node)

    def stream(self, stream: StreamSettings) -> Stream:
        """What the decoder needs of a stream."""
        return Stream(
            topic=stream.topic,
            format=stream.format,
            time=stream.time,
            channels=stream.channels,
            value=stream.value,
            quality=stream.quality,
            strict=stream.strict,
            words=stream.words,
            asset=self.asset_of(stream),
            max_bytes=self.limits.payload_bytes,
            max_future_ns=seconds_ns(stream.max_future_s),
            clock_set_ns=earliest_ns(),
            time_zone=None if stream.time_zone is None else ZoneInfo(stream.time_zone),
        )
