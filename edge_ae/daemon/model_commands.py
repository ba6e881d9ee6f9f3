"""Commands to the node about its models: which are installed in the folders that the settings name, and which is in use."""

from collections.abc import Mapping
from typing import Any

from edge_ae.core.commands import fields_of
from edge_ae.core.timestamps import rfc3339
from edge_ae.daemon.ingest import Ingest
from edge_ae.daemon.model_source import ModelSource
from edge_ae.daemon.node_commands import NodeCommand, NodeCommands
from edge_ae.errors import BadModel, BadPayload

KEYS: Mapping[str, tuple[str, ...]] = {"models": ()}
"""What the payload of each command may have."""


class ModelCommands:
    """Of the folders that the feeds of `ingest` have their models from. `table`: the commands by name."""

    def __init__(self, ingest: Ingest) -> None:
        self._ingest = ingest
        self.table: NodeCommands = {"models": NodeCommand(self._models)}

    def _models(self, payload: bytes, _now_ns: int) -> Mapping[str, Any]:
        fields_of("models", payload, KEYS["models"])
        try:
            return {"folders": [self._described(folder) for folder in self._folders()]}
        except BadModel as fault:
            raise BadPayload("bad_command", str(fault)) from None

    def _folders(self) -> list[ModelSource]:
        """Each once, in the order of the settings."""
        found = [feed.models for feed in self._ingest.feeds if feed.models is not None]
        return list({folder.registry.folder: folder for folder in found}.values())

    def _described(self, folder: ModelSource) -> dict[str, Any]:
        models = folder.registry.models()
        watches = [feed.watches.watch_of("") for feed in self._ingest.feeds if feed.models == folder]
        running = {watch.model.spec.sha256 for watch in watches if watch is not None}
        return {
            "folder": str(folder.registry.folder),
            "running": sorted(running),
            "current": next((one.sha256 for one in models if one.is_current), None),
            "previous": next((one.sha256 for one in models if one.is_previous), None),
            "installed": [{"sha256": one.sha256, "ts": rfc3339(one.installed_ns)} for one in models],
        }
