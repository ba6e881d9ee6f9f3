"""Models signed with the owner's key: what is not, or is no more, never reaches the runtime."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge_ae import wiring
from edge_ae.cli import check
from edge_ae.config.loading import load
from edge_ae.errors import BadConfig, BadModel
from edge_ae.model import signature
from edge_ae.model.onnx_model import OnnxModel
from tests.models import hand_made

PEM = serialization.Encoding.PEM
PUBLIC = serialization.PublicFormat.SubjectPublicKeyInfo
OURS, THEIRS = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "model.pub"
    path.write_bytes(OURS.public_key().public_bytes(PEM, PUBLIC))
    return path


@pytest.fixture
def model(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of ours, signed."""
    path = tmp_path / "pump.onnx"
    path.write_bytes(hand_made(tmp_path_factory).read_bytes())
    sign(path, OURS)
    return path


def sign(path: Path, key: Ed25519PrivateKey) -> None:
    signature.signature_path(path).write_bytes(key.sign(path.read_bytes()))


def test_signed_model_is_loaded(model: Path, key: Path) -> None:
    assert OnnxModel.load(model, signature.verifier(key)).spec.name == "pump"


def unsign(model: Path) -> None:
    signature.signature_path(model).unlink()


def alter(model: Path) -> None:
    """One bit of it; the digest inside would tell as well, but comes after the signature."""
    data = bytearray(model.read_bytes())
    data[len(data) // 2] ^= 1
    model.write_bytes(data)


def sign_with_another_key(model: Path) -> None:
    sign(model, THEIRS)


def cut_signature(model: Path) -> None:
    beside = signature.signature_path(model)
    beside.write_bytes(beside.read_bytes()[:-1])


def take_signature_of_another_file(model: Path) -> None:
    signature.signature_path(model).write_bytes(OURS.sign(b"another model"))


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (unsign, "is not signed, and model_key asks for it"),
        (alter, "was not signed by the owner of"),
        (sign_with_another_key, "was not signed by the owner of"),
        (take_signature_of_another_file, "was not signed by the owner of"),
        (cut_signature, "is no signature, which has 64 bytes"),
    ],
)
def test_model_that_is_not_ours_is_refused_before_the_runtime_sees_it(
    model: Path, key: Path, spoil: Callable[[Path], None], sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(model)
    monkeypatch.setattr("edge_ae.model.onnx_model._session", lambda *_: pytest.fail("the runtime was given the file"))
    with pytest.raises(BadModel, match=sentence) as refused:
        OnnxModel.load(model, signature.verifier(key))
    assert "\n" not in str(refused.value)


def test_without_a_key_a_model_needs_no_signature(model: Path) -> None:
    unsign(model)
    assert OnnxModel.load(model).spec.name == "pump"


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (None, "cannot be read"),
        (b"", "holds no public ed25519 key"),
        (b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "holds no public ed25519 key"),
        (generate_private_key(SECP256R1()).public_key().public_bytes(PEM, PUBLIC), "holds no public ed25519 key"),
    ],
)
def test_what_is_no_key_is_refused_in_one_sentence(tmp_path: Path, data: bytes | None, sentence: str) -> None:
    path = tmp_path / "model.pub"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(BadConfig, match=sentence) as refused:
        signature.verifier(path)
    assert "\n" not in str(refused.value)


def test_without_the_package_a_configured_key_refuses_to_run(key: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "cryptography"]:
        monkeypatch.setitem(sys.modules, name, None)  # as where it is not installed
    with pytest.raises(BadConfig, match="is not installed; pip install cryptography"):
        signature.verifier(key)


def settings_file(model: Path, key: Path | None) -> Path:
    config = model.with_name("edge-ae.toml")
    trust = "" if key is None else f'model_key = "{key.name}"\n'
    config.write_text(f'node = "n1"\n{trust}[[streams]]\ntopic = "plant/{{asset}}"\nmodel = "pump.onnx"\n')
    return config


def test_daemon_with_a_key_takes_signed_models_alone(model: Path, key: Path) -> None:
    config = settings_file(model, key)
    assert len(wiring.feeds(load(config))) == 1
    unsign(model)
    with pytest.raises(BadModel, match="is not signed"):
        wiring.feeds(load(config))
    assert len(wiring.feeds(load(settings_file(model, None)))) == 1


def test_check_reports_a_model_that_is_not_signed(model: Path, key: Path) -> None:
    assert isinstance(check.model_facts(model, key), check.ModelFacts)
    unsign(model)
    assert "is not signed" in str(check.model_facts(model, key))


def test_a_key_that_is_not_there_is_a_problem_of_the_settings(model: Path, key: Path) -> None:
    key.unlink()
    with pytest.raises(BadConfig, match="model_key: there is no file"):
        load(settings_file(model, key))


def test_run_ends_with_one_sentence_for_an_unsigned_model(model: Path, key: Path) -> None:
    unsign(model)
    command = [sys.executable, "-m", "edge_ae", "run", "--config", str(settings_file(model, key))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert "is not signed" in done.stderr
