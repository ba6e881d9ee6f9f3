"""Models that come over MQTT: in pieces, interrupted, spoilt, unsigned, too large, two at once; the old one runs on."""

import errno
import hashlib
import shutil
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from edge_ae.core.timestamps import SECOND
from edge_ae.model import incoming
from edge_ae.model.incoming import FOLDER, PATIENCE_NS, PIECE_BYTES, Announced, Incoming
from edge_ae.model.registry import Registry
from edge_ae.model.signature import verifier
from tests.daemon.rollout_box import CALM, RolloutBox, models_alike
from tests.models import CHANNELS, write_model

PIECE = 500


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return models_alike(tmp_path_factory)


@pytest.fixture
def box(tmp_path: Path, files: list[Path]) -> RolloutBox:
    return RolloutBox(tmp_path, files).feed(*[CALM] * 10)


class Sender:
    """Sends a file as `edge-ae model send` does, piece by piece; `answer` is the last one."""

    def __init__(self, box: RolloutBox, path: Path, **about: Any) -> None:
        self.box, self.data = box, path.read_bytes()
        self.about = {"sha256": hashlib.sha256(self.data).hexdigest(), "bytes": len(self.data), **about}
        self.answer: dict[str, Any] = {}

    def begin(self) -> "Sender":
        self.answer = self.box.ask("install", **self.about)
        return self

    def send(self, pieces: int = 10_000) -> "Sender":
        """So many pieces at most, from where the node says."""
        for _ in range(pieces):
            if self.answer.get("installed", True):
                break
            have = self.answer["have"]
            piece = b64encode(self.data[have : have + PIECE]).decode()
            self.answer = self.box.ask("install", **self.about, offset=have, data=piece)
        return self

    @property
    def error(self) -> str:
        return str(self.answer.get("error", ""))


def untouched(box: RolloutBox) -> bool:
    """The old model runs on, and nothing is left of the other."""
    box.feed(*[CALM] * 3)
    return (
        box.running == box.shas[0]
        and box.slots() == list(range(box.slots()[0], box.row - 1))
        and [one.sha256 for one in box.registry.models()] == box.shas[:1]
        and not (box.registry.folder / FOLDER).exists()
    )


def test_a_model_comes_in_pieces_and_waits_for_promote(box: RolloutBox) -> None:
    sender = Sender(box, box.files[1]).begin().send()
    assert (sender.answer["installed"], sender.answer["current"]) == (True, False)
    assert box.registry.path_of(box.shas[1]).read_bytes() == sender.data
    assert box.ask("promote", model=box.shas[1])["running"] == box.shas[1]


def test_what_is_interrupted_goes_on_where_it_was_after_a_kill_too(box: RolloutBox) -> None:
    Sender(box, box.files[1]).begin().send(3)
    box.kill()
    again = Sender(box, box.files[1]).begin()
    assert again.answer["have"] == 3 * PIECE
    assert again.send().answer["installed"]


def test_a_piece_that_comes_twice_changes_nothing_and_one_that_is_missing_is_said(box: RolloutBox) -> None:
    sender = Sender(box, box.files[1]).begin().send(2)
    piece = b64encode(sender.data[:PIECE]).decode()
    assert box.ask("install", **sender.about, offset=0, data=piece)["have"] == 2 * PIECE
    refused = box.ask("install", **sender.about, offset=3 * PIECE, data=piece)
    assert refused["error"].startswith(f"the bytes from 1,500 on do not fit: 1,000 of {len(sender.data):,} are there")
    assert sender.send().answer["installed"]


def test_two_senders_of_the_same_model_help_each_other(box: RolloutBox) -> None:
    one, other = Sender(box, box.files[1]).begin(), Sender(box, box.files[1]).begin()
    while not (one.answer["installed"] and other.answer["installed"]):
        one.send(1)
        other.send(1)
    assert len(box.registry.models()) == 2


def test_another_model_waits_until_the_first_is_there_or_has_stopped_coming(
    box: RolloutBox, monkeypatch: pytest.MonkeyPatch
) -> None:
    Sender(box, box.files[1]).begin().send(1)
    refused = Sender(box, box.files[2]).begin()
    assert refused.error.startswith(f"another model, {box.shas[1][:12]}, is coming: 500 of")
    monkeypatch.setattr(incoming, "PATIENCE_NS", 0)
    assert Sender(box, box.files[2]).begin().send().answer["installed"]


def test_one_that_is_there_is_not_sent_again(box: RolloutBox) -> None:
    assert Sender(box, box.files[0]).begin().answer["installed"]


def test_a_model_that_was_spoilt_on_its_way_is_refused(box: RolloutBox) -> None:
    sender = Sender(box, box.files[1])
    sender.data = sender.data[:500] + b"?" + sender.data[501:]
    assert "was spoilt on its way; send it again" in sender.begin().send().error
    assert untouched(box)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"channels": CHANNELS[:1]}, "lacks pressure, unlike the model in use"),
        ({"period_ns": 2 * SECOND}, "has another sample period, unlike the model in use"),
    ],
)
def test_a_model_of_other_readings_is_refused(
    box: RolloutBox, tmp_path: Path, changes: dict[str, Any], error: str
) -> None:
    other = tmp_path / "other.onnx"
    write_model(other, **changes)
    sender = Sender(box, other).begin().send()
    assert error in sender.error
    assert str(box.registry.folder / FOLDER) not in sender.error
    assert untouched(box)


def test_what_is_no_model_is_refused(box: RolloutBox, tmp_path: Path) -> None:
    other = tmp_path / "other.onnx"
    other.write_bytes(b"#!/bin/sh\n" * 200)
    assert "not a whole model of edge-ae" in Sender(box, other).begin().send().error
    assert untouched(box)


@pytest.mark.parametrize(
    ("about", "error"),
    [
        ({"bytes": 64 * 2**20 + 1}, "a model has 67,108,864 bytes at most, and one at least, not 67,108,865"),
        ({"bytes": 0}, "a model has 67,108,864 bytes at most"),
        ({"bytes": True}, "bytes must be the size of the file"),
        ({"sha256": "../../etc/passwd"}, "sha256 must be the 64 digits of the file's SHA-256"),
        ({"signature": "ab"}, "signature must be the 64 bytes of the file's .sig in hexadecimal"),
        ({"folder": "/etc"}, "folder names none of the folders of models: "),
        ({"mode": 7}, "install does not know mode"),
        ({"offset": -1, "data": "aaaa"}, "offset must be the number of the first byte of data"),
        ({"offset": 0, "data": "?"}, "data must be up to 65,536 bytes of the file in base64"),
        ({"offset": 0, "data": b64encode(bytes(PIECE_BYTES + 1)).decode()}, "data must be up to 65,536 bytes"),
        ({"offset": 0, "data": "a" * 200_000}, "a command has 131072 bytes at most"),
    ],
)
def test_what_cannot_be_taken_is_answered_with_a_sentence(box: RolloutBox, about: dict[str, Any], error: str) -> None:
    assert error in Sender(box, box.files[1], **about).begin().error
    shutil.rmtree(box.registry.folder / FOLDER, ignore_errors=True)  # an announcement that was right stays
    assert untouched(box)


@pytest.mark.parametrize(
    ("policy", "error"),
    [("never", 'no model is installed over MQTT here: models.install is "never"'), ("signed", "set model_key")],
)
def test_without_leave_nothing_is_installed(tmp_path: Path, files: list[Path], policy: str, error: str) -> None:
    box = RolloutBox(tmp_path, files, install=policy).feed(*[CALM] * 10)
    assert error in Sender(box, files[1]).begin().error
    assert untouched(box)


@pytest.fixture
def sign(box: RolloutBox, tmp_path: Path) -> Callable[[bytes], str]:
    """The box takes models that this signs, and no others."""
    private = Ed25519PrivateKey.generate()
    key = tmp_path / "key.pem"
    key.write_bytes(private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    box.folder.verify = verifier(key)
    return lambda data: private.sign(data).hex()


def test_a_signed_model_is_taken_and_its_signature_lies_beside_it(
    box: RolloutBox, sign: Callable[[bytes], str]
) -> None:
    data = box.files[1].read_bytes()
    assert Sender(box, box.files[1], signature=sign(data)).begin().send().answer["installed"]
    beside = box.registry.path_of(box.shas[1]).with_name("model.onnx.sig")
    assert beside.read_bytes().hex() == sign(data)


def test_a_model_without_signature_or_with_a_wrong_one_is_refused(
    box: RolloutBox, sign: Callable[[bytes], str]
) -> None:
    assert "it is not signed, and model_key asks for it" in Sender(box, box.files[1]).begin().error
    wrong = Sender(box, box.files[1], signature=sign(b"something else")).begin().send()
    assert f"model {box.shas[1][:12]}: was not signed by the owner of" in wrong.error
    assert untouched(box)


def test_a_disk_that_is_full_in_the_middle_gives_the_piece_up(box: RolloutBox, monkeypatch: pytest.MonkeyPatch) -> None:
    sender = Sender(box, box.files[1]).begin().send(2)
    original = Path.open

    def full(path: Path, mode: str = "r", *rest: Any, **options: Any) -> Any:
        if mode == "ab":
            raise OSError(errno.ENOSPC, "No space left on device")
        return original(path, mode, *rest, **options)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", full)
        assert (
            "No space left on device; nothing was installed, and the model in use is what it was"
            in sender.send(1).error
        )
    assert untouched(box)
    assert sender.begin().send().answer["installed"]


def test_a_disk_without_room_refuses_at_the_beginning(box: RolloutBox, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(box.directory)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage)
    assert "1,000 bytes are free" in Sender(box, box.files[1]).begin().error
    assert untouched(box)


def test_a_power_cut_leaves_what_came_or_nothing_that_is_believed(tmp_path: Path, files: list[Path]) -> None:
    registry = Registry(tmp_path / "pump")
    registry.install(files[0])
    data = files[1].read_bytes()
    one = Announced(hashlib.sha256(data).hexdigest(), len(data))
    coming = Incoming(registry, None, lambda: PATIENCE_NS)
    coming.announce(one)
    coming.push(one.sha256, 0, data[:PIECE])
    (registry.folder / FOLDER / "transfer.json").write_bytes(b"")
    assert Incoming(registry, None, lambda: PATIENCE_NS).announce(one) == 0
