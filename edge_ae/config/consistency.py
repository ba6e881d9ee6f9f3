"""What each setting allows and all of them together do not, as sentences for the person who wrote them."""

from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

from edge_ae.config.settings import Settings, StreamSettings
from edge_ae.core.topics import filters_overlap, topic_filter

RECIPIENTS = 16
"""Of messages to people; each gets all of them."""


def contradictions(settings: Settings) -> Iterator[str]:
    """Settings that cannot go together, a sentence each."""
    mqtt = settings.mqtt
    if (mqtt.cert is None) != (mqtt.key is None):
        yield "mqtt.cert, mqtt.key: one without the other; a client's certificate needs both"
    if not mqtt.tls and (mqtt.ca, mqtt.cert, mqtt.key) != (None, None, None):
        yield "mqtt.tls: is off, but there are certificates; add tls = true"
    if settings.password is not None and mqtt.username is None:
        yield "mqtt.username: is missing, but there is a password; add username"
    yield from _notify_contradictions(settings)
    sparkplug = settings.sparkplug
    if sparkplug.output and sparkplug.group_id is None:
        yield 'sparkplug.group_id: is missing; add the group that the edge node is to be in, such as group_id = "plant-1"'
    yield from _learning_contradictions(settings)
    own = f"{mqtt.base}/{settings.node}/x/score"
    as_edge_node = f"spBv1.0/{sparkplug.group_id}/DDATA/{settings.edge_node}/x"
    owners: dict[str, Path | None] = {}
    for number, stream in enumerate(settings.streams, start=1):
        where = f"streams[{number}]"
        if filters_overlap(topic_filter(stream.topic), own):
            yield f"{where}.topic: takes in edge-ae's own messages below {mqtt.base}/; name the sensors' topics more closely"
        if sparkplug.output and filters_overlap(topic_filter(stream.topic), as_edge_node):
            yield f"{where}.topic: takes in what edge-ae sends as the edge node {settings.edge_node}; name the sensors' topics more closely"
        if "{channel}" in stream.topic and stream.format == "influx":
            yield f"{where}.topic: names {{channel}}, but Influx lines name their fields; use + in its place"
        if stream.time_zone is not None and stream.time is None:
            yield f"{where}.time_zone: says nothing without time, the path of the time in the payload; add time"
        fault = settings.stream(stream).fault
        if fault is not None:
            yield f"{where}.{fault}"
        if stream.strict and stream.words:
            yield f"{where}.words: are not used with strict, by which only numbers are numbers; leave out one of the two"
        asset = settings.asset_of(stream)
        if asset is not None and owners.setdefault(asset, stream.model) != stream.model:
            yield f"{where}.asset: {asset!r} is already watched with another model; give this stream an asset of its own"


def _notify_contradictions(settings: Settings) -> Iterator[str]:
    if settings.notify.quiet_hours is not None and settings.notify.time_zone is None:
        yield 'notify.time_zone: is missing, and says when quiet_hours are; add time_zone = "Europe/Berlin"'
    if len(settings.notify_urls) > RECIPIENTS:
        yield f"notify.urls: are {len(settings.notify_urls)}, and may be {RECIPIENTS}; let one of them be a group or a mailing list"


def _learning_contradictions(settings: Settings) -> Iterator[str]:
    if not settings.learns:
        return
    if settings.model_key is not None:
        yield 'model_key: asks for models that were signed, and those of model = "auto" are made here; leave out one of the two'
    if settings.state.checkpoint_s == 0:
        yield 'state.checkpoint_s: is 0, and what is learned by model = "auto" would be forgotten; leave it out'
    learn = settings.learn
    if learn.again_s < learn.first_s:
        yield "learn.again_s: is less than learn.first_s, and the second model comes behind the first; make it longer"


def missing_to_watch(settings: Settings) -> list[str]:
    """What `run` needs and `record` does without."""
    if not settings.streams:
        return ["streams: there are none; add a [[streams]] with the topic to watch and the model to watch it with"]
    if settings.records_only:
        return [
            "streams: none has a model, so that there is nothing to watch yet; edge-ae record keeps readings without one, and "
            'edge-ae-train fit makes the file to add as model = "pump.onnx"'
        ]
    return [
        f'streams[{number}].model: is missing; add model = "pump.onnx", a file that edge-ae-train fit has made, or model = "auto"'
        for number, stream in enumerate(settings.streams, start=1)
        if stream.model is None
    ]


def contested(settings: Settings) -> list[str]:
    """Streams that bring the same assets and name different models: only the model of the one that comes first is used."""
    return [
        f"streams[{one}].topic, streams[{other}].topic: both bring the readings of the same assets, but they name different "
        "models, of which only one is used; name the topics more closely, or give one of the streams an asset of its own"
        for (one, first), (other, second) in _sharing(settings)
        if first.model != second.model
    ]


def recorded_twice(settings: Settings) -> list[str]:
    """Streams that make rows of the same asset of one message, which `record` keeps all."""
    return [
        f"streams[{one}].topic, streams[{other}].topic: both bring the readings of the same assets, which are recorded twice; "
        "name the topics more closely"
        for (one, _), (other, _) in _sharing(settings)
    ]


def _sharing(settings: Settings) -> Iterator[tuple[tuple[int, StreamSettings], tuple[int, StreamSettings]]]:
    """The pairs of streams, each with its number, that bring the same assets."""
    for one, other in combinations(enumerate(settings.streams, start=1), 2):
        if _share_assets(settings, one[1], other[1]):
            yield one, other


def _share_assets(settings: Settings, first: StreamSettings, second: StreamSettings) -> bool:
    """Whether a message can be of the same asset for both."""
    names = settings.asset_of(first), settings.asset_of(second)
    if None not in names:
        return False  # the same fixed name is a contradiction of its own
    if not all("{asset}" in stream.topic or settings.asset_of(stream) for stream in (first, second)):
        return filters_overlap(topic_filter(first.topic), topic_filter(second.topic))  # payloads name their assets
    levels = [stream.topic.split("/").index("{asset}") for stream in (first, second) if "{asset}" in stream.topic]
    name = names[0] or names[1] or "+"
    filters = [topic_filter(stream.topic.replace("{asset}", name)) for stream in (first, second)]
    return levels.count(levels[0]) == len(levels) and filters_overlap(*filters)
