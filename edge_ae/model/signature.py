"""Who made a model file: an ed25519 signature of its bytes, in `pump.onnx.sig` beside `pump.onnx`.

Keys are PEM and a signature is its 64 bytes, as openssl makes and reads them (pkeyutl -rawin). Checking needs the package
`cryptography`, the extra [signed], which is loaded only where a key is configured. Knows nothing of what is signed.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from edge_ae.errors import BadConfig, BadModel
from edge_ae.store.atomic import reason_of

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

SUFFIX = ".sig"
BYTES = 64

Verify = Callable[[bytes, Path], None]  # a file's bytes, and where they are from; raises BadModel


def signature_path(path: Path) -> Path:
    """Where the signature of a model file is."""
    return path.with_name(path.name + SUFFIX)


def verifier(key: Path) -> Verify:
    """What raises BadModel for bytes of a file that the owner of `key` has not signed. Raises BadConfig for no such key."""
    public = public_key(key)
    from cryptography.exceptions import InvalidSignature

    def verify(data: bytes, path: Path) -> None:
        try:
            public.verify(_signature(path), data)
        except InvalidSignature:
            raise BadModel(
                f"{path}: was not signed by the owner of {key}, or was altered since; "
                f"copy model and {SUFFIX} file again, or sign it: edge-ae-train sign"
            ) from None

    return verify


def public_key(path: Path) -> "Ed25519PublicKey":
    """Reads a PEM file. Raises BadConfig with one sentence."""
    try:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        from cryptography.hazmat.primitives.serialization import load_pem_public_key
    except ImportError:
        raise BadConfig(
            "model_key: is set, but the package that checks signatures is not installed; "
            "pip install cryptography, or take the setting out"
        ) from None
    try:
        key = load_pem_public_key(path.read_bytes())
    except OSError as error:
        raise BadConfig(f"model_key: {path} cannot be read: {reason_of(error)}; correct the path") from None
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise BadConfig(f"model_key: {path} holds no public ed25519 key; edge-ae-train keygen makes one")
    return key


def _signature(path: Path) -> bytes:
    beside = signature_path(path)
    try:
        signature = beside.read_bytes()
    except FileNotFoundError:
        raise BadModel(
            f"{path}: is not signed, and model_key asks for it; put {beside.name} beside it: edge-ae-train sign makes it"
        ) from None
    except OSError as error:
        raise BadModel(f"{beside}: cannot be read: {reason_of(error)}") from None
    if len(signature) != BYTES:
        raise BadModel(f"{beside}: is no signature, which has {BYTES} bytes; copy the original again")
    return signature
