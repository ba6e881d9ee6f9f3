"""Keys and signatures: what is signed here is what the device takes, and openssl agrees."""

import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from edge_ae_train.cli import main
from edge_ae_train.signing import keygen, sign

from edge_ae.errors import BadConfig, BadModel
from edge_ae.model.onnx_model import OnnxModel
from edge_ae.model.signature import verifier
from tests.models import hand_made


@pytest.fixture
def model(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path / "pump.onnx"
    path.write_bytes(hand_made(tmp_path_factory).read_bytes())
    return path


def test_what_is_signed_is_what_the_device_takes(tmp_path: Path, model: Path) -> None:
    public = keygen(tmp_path / "model.key")
    assert sign(model, tmp_path / "model.key") == tmp_path / "pump.onnx.sig"
    assert OnnxModel.load(model, verifier(public)).spec.name == "pump"
    with pytest.raises(BadModel):
        OnnxModel.load(model, verifier(keygen(tmp_path / "other.key")))


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_openssl_agrees_with_the_signature(tmp_path: Path, model: Path) -> None:
    public = keygen(tmp_path / "model.key")
    signature = sign(model, tmp_path / "model.key")
    verify = ["openssl", "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", str(public)]
    verify += ["-in", str(model), "-sigfile", str(signature)]
    assert subprocess.run(verify, capture_output=True).returncode == 0


def test_private_key_is_its_owners_alone(tmp_path: Path) -> None:
    keygen(tmp_path / "model.key")
    assert stat.S_IMODE((tmp_path / "model.key").stat().st_mode) == 0o600


@pytest.mark.parametrize("there", ["model.key", "model.pub"])
def test_key_that_is_there_is_never_written_over(tmp_path: Path, there: str) -> None:
    (tmp_path / there).write_text("precious")
    with pytest.raises(BadConfig, match="is there already"):
        keygen(tmp_path / "model.key")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["precious"]


def test_what_does_not_load_is_not_signed(tmp_path: Path, model: Path) -> None:
    keygen(tmp_path / "model.key")
    model.write_bytes(model.read_bytes()[:-1])
    with pytest.raises(BadModel):
        sign(model, tmp_path / "model.key")
    assert not (tmp_path / "pump.onnx.sig").exists()


@pytest.mark.parametrize("data", [None, b"", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_what_is_no_private_key_is_refused_in_one_sentence(tmp_path: Path, model: Path, data: bytes | None) -> None:
    key = tmp_path / "model.key"
    if data is not None:
        key.write_bytes(data)
    with pytest.raises(BadConfig, match="edge-ae-train keygen makes"):
        sign(model, key)


def test_public_half_signs_nothing(tmp_path: Path, model: Path) -> None:
    with pytest.raises(BadConfig, match="no private ed25519 key"):
        sign(model, keygen(tmp_path / "model.key"))


def test_commands_make_a_key_and_a_signature(tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key = tmp_path / "model.key"
    assert main(["keygen", "--out", str(key)]) == 0
    assert main(["sign", "--model", str(model), "--key", str(key)]) == 0
    assert str(tmp_path / "pump.onnx.sig") in capsys.readouterr().out
    assert main(["keygen", "--out", str(key)]) == 1
    assert "is there already" in capsys.readouterr().err


def test_public_key_never_takes_the_private_ones_place(tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match="is what the public key will be called"):
        keygen(tmp_path / "model.pub")
    assert not list(tmp_path.iterdir())
