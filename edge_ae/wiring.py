"""Settings -> the parts of the shell, wired together. The parts do not know each other; this module knows them."""

import fcntl
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from edge_ae.config.consistency import contested, missing_to_watch, recorded_twice
from edge_ae.config.loading import load
from edge_ae.config.rule_notes import ModelState, rule_notes, state_faults
from edge_ae.config.settings import Alerts, Learn, Section, Settings, StreamSettings
from edge_ae.core.formats.decoder import Decoder
from edge_ae.core.timestamps import MS, seconds_ns
from edge_ae.errors import BadConfig
from edge_ae.model import signature
from edge_ae.mqtt.connection import Filters
from edge_ae.mqtt.link import Link
from edge_ae.mqtt.options import Broker, LinkOptions, Will

if TYPE_CHECKING:
    from edge_ae.bridges.homeassistant import HomeAssistant
    from edge_ae.bridges.notify import NotifyBridge, NotifyOptions, Recipient
    from edge_ae.bridges.prometheus import PrometheusBridge
    from edge_ae.bridges.sparkplug import SparkplugEdgeNode
    from edge_ae.bridges.thin_edge import ThinEdge
    from edge_ae.core.model_spec import Model, ModelSpec
    from edge_ae.daemon.ingest import Feed, Watches
    from edge_ae.daemon.loop import Daemon
    from edge_ae.daemon.record_loop import RecordLoop
    from edge_ae.model.followed_folder import FollowedFolder
    from edge_ae.store.node_store import NodeStore
    from edge_ae.store.recorder import Recorder

RELOADED = {
    *("streams", "model_key", "limits.payload_bytes"),
    *(f"alerts.{name}" for name in Alerts.model_fields if not name.startswith("flood")),
    *(f"learn.{name}" for name in Learn.model_fields),
}

RUN_NS = 100 * MS  # no daemon is up again sooner: two runs in a row never count from the same number
HOST_COMMANDS = 100  # of hosts of Sparkplug, that wait to be read

log = logging.getLogger("edge_ae")


def daemon(settings: Settings, config: Path) -> "Daemon":
    """The daemon, ready to run; `config` is read again on a reload. Raises BadConfig and BadModel."""
    from edge_ae.daemon.fetch_command import FetchCommand
    from edge_ae.daemon.loop import Daemon
    from edge_ae.daemon.options import DaemonOptions
    from edge_ae.store import version_0_1
    from edge_ae.store.columnar.recorder import ColumnRecorder
    from edge_ae.store.node_store import FILE, NodeStore

    limits, record = settings.limits, settings.record
    metrics = _metrics(settings)
    timed = _as_it_is if metrics is None else metrics.timed
    streams = feeds(settings, timed)
    durable = settings.state.checkpoint_s > 0
    _make(settings.state_dir, 0o700)
    if durable:
        _claim("state_dir", settings.state_dir)
    recordings = settings.recordings
    if recordings is not None and recordings != settings.state_dir:
        _make(recordings, 0o777)
        _claim("record.dir", recordings)
    store = NodeStore(settings.state_dir / FILE if durable else None, limits.outbox_messages, limits.outbox_mb * 2**20)
    if durable:
        version_0_1.take_up(store, settings.state_dir)
    link = Link(link_options(settings), limits.inbox_messages)
    notify = _notify(settings, store)
    sparkplug = _sparkplug(settings)
    recorder = None if recordings is None else ColumnRecorder(recordings, record.max_mb * 2**20, record.flush_s)
    return Daemon(
        DaemonOptions(
            node=settings.node,
            base=settings.mqtt.base,
            checkpoint_s=settings.state.checkpoint_s,
            receive_maximum=settings.mqtt.receive_maximum,
            score_interval_s=settings.publish.score_interval_s,
            denoised=settings.publish.denoised,
            stats_interval_s=settings.publish.stats_interval_s,
            resend_s=settings.state.resend_s,
            flood_limit=settings.alerts.flood_limit,
            flood_window_s=settings.alerts.flood_window_s,
            max_assets=limits.assets,
            shadow_s=settings.models.shadow_s,
            promotes=settings.models.promote,
            install=settings.models.install,
        ),
        streams,
        link,
        store,
        reload=lambda: _reload(settings, config, timed),
        recorder=recorder,
        node_commands=FetchCommand(recordings).table,
        bridges=[
            bridge
            for bridge in (metrics, _home_assistant(settings, link), _thin_edge(settings, link), notify, sparkplug)
            if bridge is not None
        ],
        alerted=None if metrics is None else metrics.alerted,
        reports={
            **({} if notify is None else {"notify": notify.counts}),
            **({} if sparkplug is None else {"sparkplug": sparkplug.report}),
            **({} if recorder is None else {"recorder": recorder.report}),
        },
    )


def _home_assistant(settings: Settings, link: Link) -> "HomeAssistant | None":
    if not settings.homeassistant.discovery:
        return None
    from edge_ae.bridges.homeassistant import HomeAssistant

    prefix = f"{settings.mqtt.base}/{settings.node}"
    interval_s = settings.publish.score_interval_s
    return HomeAssistant(settings.node, prefix, settings.homeassistant.prefix, interval_s, link.publish)


def _thin_edge(settings: Settings, link: Link) -> "ThinEdge | None":
    if not settings.thin_edge.alarms:
        return None
    from edge_ae.bridges.thin_edge import ThinEdge

    return ThinEdge(link.publish)


def _sparkplug(settings: Settings) -> "SparkplugEdgeNode | None":
    """With a connection of its own, for a connection has one will, and the one of an edge node is its death."""
    group = settings.sparkplug.group_id
    if not settings.sparkplug.output or group is None:
        return None
    from edge_ae.bridges.sparkplug import SparkplugEdgeNode
    from edge_ae.bridges.sparkplug_metrics import EdgeIdentity

    identity = EdgeIdentity(group, settings.edge_node, time.time_ns() // RUN_NS)

    def will(connection: int) -> Will:
        return Will(identity.topic("NDEATH"), identity.death(connection, time.time_ns() // MS))

    own = link_options(settings, role="sparkplug")
    options = replace(own, receive_maximum=HOST_COMMANDS, clean=True, will=will, label="Sparkplug: ")
    return SparkplugEdgeNode(identity, settings.publish.score_interval_s, Link(options, HOST_COMMANDS))


def _metrics(settings: Settings) -> "PrometheusBridge | None":
    """Where the library is missing, there are no metrics, and the watch is not lost for that."""
    if settings.metrics.port is None:
        return None
    if find_spec("prometheus_client") is None:
        log.error("metrics.port is set, but there are no metrics: pip install prometheus-client")
        return None
    from edge_ae.bridges.prometheus import PrometheusBridge

    return PrometheusBridge(settings.metrics.host, settings.metrics.port)


def _notify(settings: Settings, store: "NodeStore") -> "NotifyBridge | None":
    """Where nobody is notified, what was kept for it goes: whoever is notified one day is not sent what is old by then."""
    from edge_ae.store.node_store import NOTICES_FILE

    path = settings.state_dir / NOTICES_FILE if store.durable else None
    if not settings.notify_urls:
        if path is not None:
            with suppress(OSError):
                path.unlink(missing_ok=True)
        return None
    if find_spec("apprise") is None:
        log.error("notify.urls are set, but nobody is notified: pip install 'apprise>=1.9' pillow")
        return None
    from edge_ae.bridges.notify import NotifyBridge
    from edge_ae.store.notice_file import NoticeFile

    return NotifyBridge(_recipients(settings), _notify_options(settings), store, NoticeFile(path))


def _recipients(settings: Settings) -> "list[Recipient]":
    from edge_ae.bridges.notify import Recipient

    return [Recipient(one.where, one.url.get_secret_value()) for one in settings.notify_urls]


def _notify_options(settings: Settings) -> "NotifyOptions":
    from edge_ae.bridges.notify import NotifyOptions
    from edge_ae.core.notice_text import Wording
    from edge_ae.core.notices import SendRules
    from edge_ae.core.quiet_hours import QuietHours

    notify = settings.notify
    zone = UTC if notify.time_zone is None else ZoneInfo(notify.time_zone)
    quiet = None if notify.quiet_hours is None else QuietHours.of(notify.quiet_hours, zone)
    return NotifyOptions(
        node=settings.node,
        wording=Wording(zone, notify.page_url),
        rules=SendRules(notify.max_per_hour, quiet, notify.quiet_passes_high),
        min_severity=notify.min_severity,
        pictures=notify.pictures,
        timeout_s=notify.timeout_s,
        zone=notify.time_zone,
    )


def notify_faults(settings: Settings) -> list[str]:
    """What keeps messages from people, a sentence each; the secret part of no URL is in any of them."""
    from edge_ae.bridges import notify_services

    if find_spec("apprise") is None:
        return [f"notify.urls: {notify_services.MISSING}"]
    faults = [(one.where, notify_services.fault_of(one.url.get_secret_value())) for one in settings.notify_urls]
    missing = ["notify.pictures: messages have no picture: pip install pillow"]
    no_pictures = missing if settings.notify.pictures and find_spec("PIL") is None else []
    return [*(f"{where}: {fault}" for where, fault in faults if fault is not None), *no_pictures]


def send_test_messages(settings: Settings) -> "Iterator[tuple[str, str | None]]":
    """Sends a message to each recipient: who it is, and why it did not arrive; None: the service has confirmed it."""
    from edge_ae.bridges.notify_process import Job, Sending

    title, text = (
        f"{settings.node}: test",
        "This message was sent by edge-ae notify --test. Alerts will come the same way.",
    )
    for one in _recipients(settings):
        job = Job(one.url, settings.notify.timeout_s, title, text)
        yield f"{one.where} ({one.service})", Sending(job).outcome().fault


def _as_it_is(model: "Model") -> "Model":
    return model


def feeds(settings: Settings, timed: "Callable[[Model], Model]" = _as_it_is) -> "list[Feed]":
    """The streams with their models; a model file that serves several is loaded once. `timed`: what is done to each."""
    from edge_ae.daemon.ingest import Feed
    from edge_ae.model.followed_folder import followed
    from edge_ae.model.onnx_model import OnnxModel
    from edge_ae.model.registry import Registry

    missing = missing_to_watch(settings)
    if missing:
        raise BadConfig("\n".join(missing))
    for warning in contested(settings):
        log.warning("%s", warning)
    paths = [stream.model_file for stream in settings.streams if stream.model_file is not None]
    verify = None if settings.model_key is None else signature.verifier(settings.model_key)

    def ready(path: Path) -> "Model":
        return timed(OnnxModel.load(path, verify))

    every = list(dict.fromkeys(paths))
    folders = {path: followed(Registry(path), ready, verify) for path in every if path.is_dir()}
    models = {path: folders[path].current if path in folders else ready(path) for path in every}
    states = {path: ModelState(model.spec.names, model.spec.when) for path, model in models.items()}
    if faults := state_faults(settings, states):
        raise BadConfig("\n".join(faults))
    for note in rule_notes(settings, states):
        log.warning("%s", note)
    feeds = []
    for stream in settings.streams:
        model = None if stream.model_file is None else models[stream.model_file]
        decoder = Decoder(settings.stream(stream), None if model is None else model.spec.names)
        folder = None if stream.model_file is None else folders.get(stream.model_file)
        feeds.append(Feed(decoder, _watches(settings, stream, model, folder, timed), stream.qos))
    return feeds


def _watches(
    settings: Settings,
    stream: StreamSettings,
    model: "Model | None",
    folder: "FollowedFolder | None",
    timed: "Callable[[Model], Model]",
) -> "Watches":
    """How the assets of a stream are watched. `model` None: those that are made here are. `folder`: that the model is from."""
    from edge_ae.core.detector import Watch
    from edge_ae.daemon.folder_watches import FolderWatches
    from edge_ae.daemon.ingest import SameWatch
    from edge_ae.daemon.learning import LearnedWatches
    from edge_ae.model.learned_models import LearnedModels

    rules = settings.alerts.rules_of(stream)

    def watched(model: "Model") -> Watch:
        return Watch(model, rules, lateness_ns(stream, model.spec))

    if folder is not None:
        return FolderWatches(folder, watched)
    if model is not None:
        return SameWatch(watched(model))
    return LearnedWatches(
        LearnedModels(settings.learned_models(stream), rules.when, timed), settings.learn.goals, watched
    )


def _reload(running: Settings, config: Path, timed: "Callable[[Model], Model]") -> "list[Feed]":
    settings = load(config)
    taken_up = feeds(settings, timed)
    waiting = waiting_for_restart(running, settings)
    if waiting:
        log.warning("changed in the settings, but taken up only by a restart: %s", ", ".join(waiting))
    return taken_up


def waiting_for_restart(running: Settings, settings: Settings) -> list[str]:
    """The settings that differ and that a reload, which makes new feeds, cannot take up."""
    before, after = _flat(running), _flat(settings)
    return [name for name in after if after[name] != before[name] and name not in RELOADED]


def _flat(settings: Settings) -> dict[str, object]:
    flat: dict[str, object] = {"the MQTT password": settings.password, "whom to notify": settings.notify_urls}
    flat |= {"whether rows are recorded": settings.recordings is not None}
    for name, value in settings:
        flat |= {f"{name}.{key}": each for key, each in value} if isinstance(value, Section) else {name: value}
    return flat


def lateness_ns(stream: StreamSettings, spec: "ModelSpec") -> int:
    """Where the channels of a row come in several messages, a row waits for a sample period where nothing else is set."""
    if stream.lateness_s is not None:
        return seconds_ns(stream.lateness_s)
    in_several = "{channel}" in stream.topic + stream.value or stream.format == "sparkplug"
    return spec.period_ns if in_several else 0


@dataclass(frozen=True, slots=True)
class RecordParts:
    """What `record` is made of: `link` is not started yet, and brings `filters`."""

    link: Link
    filters: Filters
    recorder: "Recorder"
    loop: "RecordLoop"


def recording(settings: Settings, directory: Path, max_mb: int) -> RecordParts:
    """What records all numbers of all streams below `directory`; no model is needed. Raises BadConfig."""
    from edge_ae.daemon.record_loop import RecordLoop
    from edge_ae.store.recorder import Recorder

    if not settings.streams:
        raise BadConfig("streams: there are none; add a [[streams]] with the topic to record")
    for warning in recorded_twice(settings):
        log.warning("%s", warning)
    decoders = [Decoder(settings.stream(stream), None) for stream in settings.streams]
    options, limits = link_options(settings, role="recorder"), settings.limits
    _make(directory, 0o777)
    _claim("the folder of recordings", directory)
    if not os.access(directory, os.W_OK | os.X_OK):
        raise BadConfig(
            f"{directory}: cannot be written; give it to the user that runs edge-ae, or name another folder"
        )
    recorder, link = Recorder(directory, max_mb * 2**20), Link(options, limits.inbox_messages)
    limit, publish = max(options.receive_maximum // 2, 1), partial(link.publish, json=False)
    loop = RecordLoop(link, decoders, recorder, limit, limits.assets, publish=publish)
    filters = [(decoder.filter, stream.qos) for decoder, stream in zip(decoders, settings.streams, strict=True)]
    return RecordParts(link, filters, recorder, loop)


def link_options(settings: Settings, role: str = "status") -> LinkOptions:
    """`role`: the topic below the node that says `online`; another than the daemon's has a session of its own."""
    mqtt = settings.mqtt
    return LinkOptions(
        broker=broker_of(settings),
        client_id=settings.client_id if role == "status" else f"{settings.client_id}-{role}",
        status_topic=f"{mqtt.base}/{settings.node}/{role}",
        session_expiry_s=mqtt.session_expiry_s,
        keepalive_s=mqtt.keepalive_s,
        receive_maximum=mqtt.receive_maximum,
    )


def broker_of(settings: Settings) -> Broker:
    mqtt = settings.mqtt
    ca, cert, key = (None if path is None else str(path) for path in (mqtt.ca, mqtt.cert, mqtt.key))
    password = None if settings.password is None else settings.password.get_secret_value()
    return Broker(mqtt.host, mqtt.tcp_port, mqtt.tls, ca, cert, key, mqtt.username, password, mqtt.protocol)


def _make(directory: Path, mode: int) -> None:
    """Where this fails, whoever writes there will say so, and the watch goes on in memory."""
    try:
        directory.mkdir(mode=mode, parents=True, exist_ok=True)
    except OSError as error:
        log.error("%s: cannot be made: %s", directory, error.strerror)


def claim_folder(what: str, directory: Path) -> None:
    """A folder for this process alone, made where it is missing. Raises BadConfig."""
    _make(directory, 0o777)
    _claim(what, directory)


def _claim(what: str, directory: Path) -> None:
    """Raises BadConfig where another process keeps its state, or its recordings, there: each would set the other's aside.

    The lock is that of a descriptor which is never closed, and ends with the process, however that ends.
    """
    try:
        fcntl.flock(os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise BadConfig(f"{what}: {directory} is in use by another edge-ae; stop that one, or name another") from None
    except OSError as error:
        log.debug("%s: cannot be locked: %s", directory, error.strerror)
