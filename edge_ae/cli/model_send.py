"""`edge-ae model send`: a model file over MQTT into a folder of models of a node, in pieces; it goes on where it was interrupted."""

import hashlib
from argparse import ArgumentParser, Namespace
from base64 import b64encode
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_ae.cli.options import broker, broker_options, topic_base

if TYPE_CHECKING:
    from edge_ae.mqtt.dialogue import NodeDialogue


def add_options(parser: ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="ONNX", help="the model file; its signature goes with it")
    parser.add_argument("--node", required=True, metavar="NAME", help="the node that it is for")
    parser.add_argument(
        "--to", metavar="FOLDER", help="which of its folders of models: path or last part (default: its only one)"
    )
    parser.add_argument("--shadow", action="store_true", help="run it beside the model in use when it is there")
    parser.add_argument("--promote", action="store_true", help="put it to use when it is there")
    parser.add_argument("--base", type=topic_base, help="first level of the topics (default: the settings')")
    broker_options(parser)


def execute(options: Namespace) -> int:
    from edge_ae.config.loading import load
    from edge_ae.model.onnx_model import read_file
    from edge_ae.mqtt.dialogue import NodeDialogue

    data = read_file(options.file)
    base = options.base or load(options.config).mqtt.base
    node = NodeDialogue(broker(options), f"{base}/{options.node}")
    try:
        return _send(node, options, data)
    finally:
        node.close()


def _send(node: "NodeDialogue", options: Namespace, data: bytes) -> int:
    from edge_ae.cli.progress import progress_line

    to = {} if options.to is None else {"folder": options.to}
    about = {**to, "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data), **_signature(options.file)}
    with progress_line() as line:
        answer = node.ask("install", about)
        while not answer["installed"]:
            have = answer["have"]
            line.at(f"{options.file.name} to {options.node}: {have:,} of {len(data):,} bytes", have / len(data))
            answer = node.ask("install", {**about, **_piece(data, have)})
    print(f"installed on {options.node}: {about['sha256'][:12]}")
    if options.promote or options.shadow:
        _take_up(node, options, {**to, "model": about["sha256"]})
    return 0


def _take_up(node: "NodeDialogue", options: Namespace, which: dict[str, Any]) -> None:
    answer = node.ask("promote" if options.promote else "shadow", which)
    in_use = answer["running"] == which["model"]
    print(f"{'in use' if in_use else 'runs beside the model in use'} on {options.node}: {which['model'][:12]}")


def _signature(path: Path) -> dict[str, str]:
    """That of the file, where there is one beside it."""
    from edge_ae.model.signature import signature_path

    beside = signature_path(path)
    return {"signature": beside.read_bytes().hex()} if beside.exists() else {}


def _piece(data: bytes, offset: int) -> dict[str, Any]:
    from edge_ae.model.incoming import PIECE_BYTES

    return {"offset": offset, "data": b64encode(data[offset : offset + PIECE_BYTES]).decode()}
