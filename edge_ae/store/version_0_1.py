"""The files in which version 0.1 kept its state -> what the database keeps. Read once, at the first start, and renamed.

checkpoint.0, checkpoint.1   edge-ae checkpoint 1 <generation> <sha256 of the rest>\\n<zlib of JSON>
outbox.log                   lines "<crc32> <JSON>", of events and of what was acknowledged
feedback.jsonl               one object a line
"""

import contextlib
import hashlib
import logging
import zlib
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from struct import iter_unpack, pack
from typing import Any

import orjson

from edge_ae.core.deduplication import CHECKSUM_BITS, ENTRY
from edge_ae.core.timestamps import parse_time_ns
from edge_ae.errors import BadState
from edge_ae.store.node_store import UNFIT, AlertRecord, AssetState, Changes, Feedback, NodeStore, unpack
from edge_ae.store.outbox import Key, OutgoingMessage

log = logging.getLogger(__name__)

CHECKPOINTS = ("checkpoint.0", "checkpoint.1")
OUTBOX, FEEDBACK = "outbox.log", "feedback.jsonl"
FILES = (*CHECKPOINTS, OUTBOX, FEEDBACK)
TAKEN_UP = ".0.1"
"""What is added to the name of a file that has been taken up."""

EVENT = [str, int, int, int, str, str]


def take_up(store: NodeStore, directory: Path) -> None:
    """Bring what version 0.1 left in `directory` into a store that is still empty, and rename the files."""
    try:
        found = {name: (directory / name).read_bytes() for name in FILES if (directory / name).exists()}
    except OSError as error:
        log.error("state: %s of version 0.1 cannot be read (%s) and is left as it is", error.filename, error.strerror)
        return
    if not found:
        return
    if store.load() is not None:
        log.warning("state: %s of version 0.1 lie beside a newer state and are not used; remove them", ", ".join(found))
    elif store.loaded:
        _take_up(store, directory, found)


def _take_up(store: NodeStore, directory: Path, found: Mapping[str, bytes]) -> None:
    messages, acknowledged = _outbox(found.get(OUTBOX, b""))
    store.outbox.append(messages)
    store.outbox.acknowledge(acknowledged)
    for record in _alerts(messages):
        store.record(record)
    if not store.commit(replace(_changes(found), feedback=tuple(_feedback(found.get(FEEDBACK, b""))))):
        return
    for name in found:
        with contextlib.suppress(OSError):
            (directory / name).replace(directory / (name + TAKEN_UP))
    log.info("state: taken up from version 0.1: %s", ", ".join(found))


def _changes(found: Mapping[str, bytes]) -> Changes:
    state = _newest(found)
    try:
        assets = {name: AssetState(state["origins"][name], one) for name, one in state["fleet"].items()}
        node = {
            "name": state["node"],
            "input": {"known": _known(state["seen"]["known"]), "duplicates": state["seen"]["repeated"]},
            "flood": state["teller"]["flood"],
            "subscribed": sorted(set(state["origins"].values())),
        }
    except UNFIT as fault:
        if state:
            log.error("state: the checkpoint of version 0.1 cannot be taken up (%r): the watch begins anew", fault)
        return Changes()
    return Changes(assets, node=node)


def _known(text: str) -> str:
    """Input that may come again, oldest first there and newest first here, with longer checksums there."""
    entries = list(iter_unpack("<HI", b64decode(text)))
    return b64encode(
        b"".join(pack(ENTRY, mid, checksum & CHECKSUM_BITS) for mid, checksum in reversed(entries))
    ).decode()


def _newest(found: Mapping[str, bytes]) -> Mapping[str, Any]:
    """The newest checkpoint that is sound; empty where there is none."""
    sound: dict[int, Mapping[str, Any]] = {}
    for name in CHECKPOINTS:
        try:
            if name in found:
                generation, state = decode(found[name])
                sound[generation] = state
        except BadState as fault:
            log.warning("state: %s of version 0.1 cannot be read (%s)", name, fault)
    return sound[max(sound)] if sound else {}


def decode(data: bytes) -> tuple[int, dict[str, Any]]:
    """Generation and state of a checkpoint. Raises BadState with one clause."""
    header, _, body = data.partition(b"\n")
    words = header.split(b" ")
    if words[:3] != [b"edge-ae", b"checkpoint", b"1"] or len(words) != 5 or not words[3].isdigit():
        raise BadState("it is no checkpoint")
    if hashlib.sha256(words[3] + b" " + body).hexdigest().encode() != words[4]:
        raise BadState("its checksum does not fit")
    try:
        state = unpack(body)
    except (zlib.error, ValueError):
        raise BadState("it cannot be unpacked") from None
    if not isinstance(state, dict):
        raise BadState("it holds no state")
    return int(words[3]), state


def _outbox(data: bytes) -> tuple[list[OutgoingMessage], list[Key]]:
    """The events, and the keys of those that were acknowledged."""
    messages: dict[Key, OutgoingMessage] = {}
    acknowledged: dict[Key, None] = {}
    for record in _records(data):
        with contextlib.suppress(*UNFIT):
            if "event" in record:
                message = _message(record["event"])
                messages[message.key] = message
            else:
                identity, seq = record["done"]
                acknowledged[str(identity), int(seq)] = None
    return list(messages.values()), list(acknowledged)


def _records(data: bytes) -> Iterator[Mapping[str, Any]]:
    for line in data.splitlines():
        with contextlib.suppress(ValueError):
            if int(line[:8], 16) == zlib.crc32(line[9:]):
                yield orjson.loads(line[9:])


def _message(fields: list[Any]) -> OutgoingMessage:
    if [type(field) for field in fields] != EVENT:
        raise TypeError("no event")
    identity, seq, t_ns, at_ns, topic, payload = fields
    return OutgoingMessage(identity, seq, t_ns, at_ns, topic, payload.encode())


def _alerts(messages: Iterable[OutgoingMessage]) -> Iterator[AlertRecord]:
    """Each alert as it was published last."""
    last = {message.id: message for message in messages if message.topic.endswith("/event")}
    for message in last.values():
        with contextlib.suppress(*UNFIT):
            body = orjson.loads(message.payload)
            cleared = body["ts_cleared"]
            yield AlertRecord(
                id=message.id,
                asset=body["asset"],
                raised_ns=parse_time_ns(body["ts_raised"]),
                cleared_ns=None if cleared is None else parse_time_ns(cleared),
                peak_ratio=float(body["ratio"]),
                announced=True,
                t_ns=message.t_ns,
                payload=message.payload,
            )


def _feedback(data: bytes) -> Iterator[Feedback]:
    for line in data.splitlines():
        with contextlib.suppress(*UNFIT):
            body = orjson.loads(line)
            yield Feedback(parse_time_ns(body["at"]), body["asset"], body["id"], body["label"], body["note"])
