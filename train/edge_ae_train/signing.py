"""Keys and signatures for model files: made on the workstation, checked on the device by `edge_ae.model.signature`.

model.key   private, PEM, its owner's alone: who has it decides what devices run
model.pub   public, PEM: goes to the devices, where the setting model_key names it
"""

import os
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from edge_ae.errors import BadConfig
from edge_ae.model.onnx_model import OnnxModel
from edge_ae.model.signature import signature_path


def keygen(out: Path) -> Path:
    """Writes a private key to `out` and its public half beside it, whose path is returned. Never over a file that is there."""
    public = out.with_suffix(".pub")
    if public == out:
        raise BadConfig(
            f"{out}: is what the public key will be called; name the private one otherwise, such as model.key"
        )
    for path in (out, public):
        if path.exists():
            raise BadConfig(f"{path}: is there already, and a key that is lost is lost for good; name another file")
    key = Ed25519PrivateKey.generate()
    with os.fdopen(os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return public


def sign(model: Path, key: Path) -> Path:
    """Writes the signature of a model file that loads, and returns its path. Raises BadModel or BadConfig."""
    private = _private_key(key)
    OnnxModel.load(model)
    out = signature_path(model)
    out.write_bytes(private.sign(model.read_bytes()))
    return out


def _private_key(path: Path) -> Ed25519PrivateKey:
    try:
        key = load_pem_private_key(path.read_bytes(), None)
    except OSError as error:
        raise BadConfig(f"{path}: cannot be read: {error.strerror}; edge-ae-train keygen makes a key") from None
    except (ValueError, TypeError, UnsupportedAlgorithm):  # TypeError: it has a passphrase
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise BadConfig(f"{path}: holds no private ed25519 key without a passphrase; edge-ae-train keygen makes one")
    return key
