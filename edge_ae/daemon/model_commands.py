"""Commands to the node about its models, each in a folder that the settings name: what is there, one that comes, which is in use.

They change a folder as `edge-ae model` does, by its links, and have them followed at once. A folder that the settings do not name cannot
be reached.
"""

import time
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal

from edge_ae.core.commands import fields_of
from edge_ae.core.timestamps import SECOND, rfc3339
from edge_ae.daemon.node_commands import NodeCommand, NodeCommands
from edge_ae.daemon.rollout import ModelRollout
from edge_ae.errors import BadModel, BadPayload
from edge_ae.model.followed_folder import FollowedFolder
from edge_ae.model.incoming import PIECE_BYTES, Incoming, announced
from edge_ae.model.registry import Installed

INSTALL_BYTES = 2 * PIECE_BYTES
"""Of such a message: base64 takes a third more."""

KEYS: Mapping[str, tuple[str, ...]] = {
    "models": (),
    "install": ("folder", "sha256", "bytes", "signature", "offset", "data"),
    "shadow": ("folder", "model"),
    "promote": ("folder", "model"),
    "rollback": ("folder",),
}
"""What the payload of each command may have."""

Fields = Mapping[str, Any]


class ModelCommands:
    """`install`: which models may come over MQTT. `table`: the commands by name."""

    def __init__(self, rollout: ModelRollout, install: Literal["signed", "any", "never"]) -> None:
        self._rollout = rollout
        self._install_policy = install
        self.table: NodeCommands = {
            "models": NodeCommand(self._models),
            "install": NodeCommand(self._install),
            "shadow": NodeCommand(self._shadow, once=True),
            "promote": NodeCommand(self._promote, once=True),
            "rollback": NodeCommand(self._rollback, once=True),
        }

    # -- what there is -----------------------------------------------------------------------------------------

    def _models(self, payload: bytes, _now_ns: int) -> Fields:
        fields_of("models", payload, KEYS["models"])
        with _refused():
            return {"folders": [self._described(folder) for folder in self._rollout.folders()]}

    def _described(self, folder: FollowedFolder) -> dict[str, Any]:
        current, previous, shadow = folder.registry.links()
        return {
            "folder": folder.name,
            "running": folder.running,
            "current": current,
            "previous": previous,
            "shadow": shadow,
            "beside": self._beside(folder),
            "note": folder.note,
            "installed": [{"sha256": one.sha256, "ts": rfc3339(one.installed_ns)} for one in folder.registry.models()],
        }

    def _beside(self, folder: FollowedFolder) -> dict[str, Any] | None:
        """What has come of the model that runs beside the one in use."""
        if folder.beside is None:
            return None
        found = self._rollout.compared(self._rollout.assets_of(folder))
        return {
            "sha256": folder.beside_sha256,
            "role": str(folder.role),
            "judged_s": found.judged_ns // SECOND,
            "assets": found.assets,
            "alerts": found.other,
            "alerts_in_use": found.current,
            "more": found.more,
            "fewer": found.fewer,
            "text": found.text("beside", "in use"),
        }

    # -- which is in use ---------------------------------------------------------------------------------------

    def _shadow(self, payload: bytes, now_ns: int) -> Fields:
        return self._change("shadow", payload, now_ns, _put_beside)

    def _promote(self, payload: bytes, now_ns: int) -> Fields:
        return self._change("promote", payload, now_ns, _put_to_use)

    def _rollback(self, payload: bytes, now_ns: int) -> Fields:
        return self._change("rollback", payload, now_ns, _go_back)

    def _change(
        self, name: str, payload: bytes, now_ns: int, change: Callable[[FollowedFolder, Fields], None]
    ) -> Fields:
        """Change the links, and follow them."""
        fields = fields_of(name, payload, KEYS[name])
        folder = self._folder(fields)
        with _refused():
            folder.note = None
            folder.refused.clear()
            change(folder, fields)
            self._rollout.look(now_ns)
            if folder.refused:
                raise BadModel(next(iter(folder.refused.values())))
            return self._described(folder)

    def _folder(self, fields: Fields) -> FollowedFolder:
        """The one that is named, by its path or its last part; the only one need not be."""
        folders, wanted = self._rollout.folders(), fields.get("folder")
        found = [one for one in folders if wanted in (None, one.name, one.registry.folder.name)]
        if len(found) == 1:
            return found[0]
        known = ", ".join(one.name for one in folders) or "none: streams.model is to name a folder of models"
        problem = "names none of the folders of models" if not found else "has to say which folder of models"
        raise BadPayload("bad_command", f"folder {problem}: {known}")

    # -- one that comes ----------------------------------------------------------------------------------------

    def _install(self, payload: bytes, _now_ns: int) -> Fields:
        fields = fields_of("install", payload, KEYS["install"], INSTALL_BYTES)
        folder = self._folder(fields)
        self._require_leave(folder)
        with _refused():
            one = announced(fields.get("sha256"), fields.get("bytes"), fields.get("signature"))
            if any(known.sha256 == one.sha256 for known in folder.registry.models()):
                return {"sha256": one.sha256, "have": one.size, "installed": True}
            incoming = Incoming(folder.registry, folder.verify, time.time_ns)
            have = incoming.announce(one)
            if "data" in fields:
                have = incoming.push(one.sha256, _offset(fields), _data(fields))
            if have < one.size:
                return {"sha256": one.sha256, "have": have, "installed": False}
            model, dropped = incoming.install()
            return {"have": have, "installed": True, **_installed(model, dropped)}

    def _require_leave(self, folder: FollowedFolder) -> None:
        if self._install_policy == "never":
            raise BadPayload("bad_command", 'no model is installed over MQTT here: models.install is "never"')
        if self._install_policy == "signed" and folder.verify is None:
            raise BadPayload(
                "bad_command",
                "only signed models are installed over MQTT, and no key is set to check them by: set model_key, "
                'or models.install = "any" to take what whoever may write this topic sends',
            )


def _put_beside(folder: FollowedFolder, fields: Fields) -> None:
    if fields.get("model") is None:
        folder.registry.end_shadow()
    else:
        folder.registry.shadow(_digits(fields), folder.verify)


def _put_to_use(folder: FollowedFolder, fields: Fields) -> None:
    folder.registry.promote(_digits(fields), folder.verify)


def _go_back(folder: FollowedFolder, _fields: Fields) -> None:
    folder.registry.rollback(folder.verify)


def _digits(fields: Fields) -> str:
    digits = fields.get("model")
    if not isinstance(digits, str) or len(digits) > 64:
        raise BadPayload("bad_command", "model must be the first digits of its SHA-256, four or more")
    return digits


def _offset(fields: Fields) -> int:
    offset = fields.get("offset")
    if not isinstance(offset, int) or isinstance(offset, bool) or offset < 0:
        raise BadPayload("bad_command", "offset must be the number of the first byte of data")
    return offset


def _data(fields: Fields) -> bytes:
    data = fields.get("data")
    try:
        piece = b64decode(data, validate=True) if isinstance(data, str) else b""
    except ValueError:
        piece = b""
    if not 0 < len(piece) <= PIECE_BYTES:
        raise BadPayload("bad_command", f"data must be up to {PIECE_BYTES:,} bytes of the file in base64")
    return piece


def _installed(model: Installed, dropped: list[Installed]) -> Fields:
    return {"sha256": model.sha256, "current": model.is_current, "removed": [one.sha256 for one in dropped]}


@contextmanager
def _refused() -> Iterator[None]:
    """What is wrong with a model is the answer."""
    try:
        yield
    except BadModel as fault:
        raise BadPayload("bad_command", str(fault)) from None
