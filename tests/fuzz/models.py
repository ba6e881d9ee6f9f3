"""Model files altered or cut off in every way: each is refused in one sentence, and the runtime never sees it.

python -m tests.fuzz.models --files 20000 --seed 1
"""

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from unittest.mock import patch

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge_ae.errors import BadModel
from edge_ae.model import signature
from edge_ae.model.onnx_model import SEAL, OnnxModel, digest
from tests.models import write_model

LONGEST_SENTENCE = 500

Spoil = Callable[[random.Random, bytes], bytes]


def bit_flipped(dice: random.Random, data: bytes) -> bytes:
    at = dice.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << dice.randrange(8)]) + data[at + 1 :]


def cut_off(dice: random.Random, data: bytes) -> bytes:
    return data[: dice.randrange(len(data))]


def beginning_lost(dice: random.Random, data: bytes) -> bytes:
    return data[dice.randrange(1, len(data)) :]


def part_lost(dice: random.Random, data: bytes) -> bytes:
    first, last = _span(dice, data)
    return data[:first] + data[last:]


def part_zeroed(dice: random.Random, data: bytes) -> bytes:
    """As a card does that died while it wrote."""
    first, last = _span(dice, data)
    return data[:first] + bytes(last - first) + data[last:]


def part_doubled(dice: random.Random, data: bytes) -> bytes:
    first, last = _span(dice, data)
    return data[:last] + data[first:]


def noise_inserted(dice: random.Random, data: bytes) -> bytes:
    at = dice.randrange(len(data))
    return data[:at] + dice.randbytes(dice.randrange(1, 30)) + data[at:]


def noise_appended(dice: random.Random, data: bytes) -> bytes:
    return data + dice.randbytes(dice.randrange(1, 30))


def digest_altered(dice: random.Random, data: bytes) -> bytes:
    written = SEAL.search(data)
    assert written is not None
    return data.replace(written[1], dice.randbytes(32).hex().encode(), 1)


ALTERED: tuple[Spoil, ...] = (
    bit_flipped,
    cut_off,
    beginning_lost,
    part_lost,
    part_zeroed,
    part_doubled,
    noise_inserted,
    noise_appended,
    digest_altered,
)


def sealed_again(dice: random.Random, data: bytes) -> bytes:
    """A bit flipped by somebody who knows how the digest is made: only a signature tells."""
    flipped = bit_flipped(dice, data)
    written = SEAL.search(flipped)
    if written is None:
        return flipped
    return flipped.replace(written[1], digest(flipped, written[1].decode()).encode(), 1)


def _span(dice: random.Random, data: bytes) -> tuple[int, int]:
    first, last = sorted(dice.sample(range(len(data) + 1), 2))
    return first, last


def run(files: int, seed: int, *, signed: bool) -> Counter[str]:
    """So many files, refused, by what was done to them. Raises AssertionError at one that is not.

    `signed`: a key is configured, and the signature of the whole file lies beside.
    """
    dice, refused = random.Random(seed), Counter[str]()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pump.onnx"
        write_model(path)
        whole = path.read_bytes()
        verify = _sign(path) if signed else None
        assert OnnxModel.load(path, verify).spec.name == "pump"
        with patch(
            "edge_ae.model.onnx_model._session", side_effect=AssertionError("the runtime was given an altered file")
        ):
            for name, data in islice(_spoilt(dice, whole, signed=signed), files):
                path.write_bytes(data)
                sentence = _refusal(path, verify)
                assert sentence.startswith(f"{path}: "), (name, sentence)
                assert "\n" not in sentence, name
                assert len(sentence) < LONGEST_SENTENCE, (name, sentence)
                refused[name] += 1
    return refused


def _refusal(path: Path, verify: signature.Verify | None) -> str:
    """Empty: there was none."""
    try:
        OnnxModel.load(path, verify)
    except BadModel as error:
        return str(error)
    return ""


def _sign(path: Path) -> signature.Verify:
    key = Ed25519PrivateKey.generate()
    signature.signature_path(path).write_bytes(key.sign(path.read_bytes()))
    pem = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    public = path.with_name("model.pub")
    public.write_bytes(key.public_key().public_bytes(*pem))
    return signature.verifier(public)


def _spoilt(dice: random.Random, whole: bytes, *, signed: bool) -> Iterator[tuple[str, bytes]]:
    """(what was done, the file), without end."""
    spoils = (*ALTERED, sealed_again) if signed else ALTERED
    while True:
        for spoil in spoils:
            data = spoil(dice, whole)
            if data != whole:
                yield spoil.__name__, data


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="tests.fuzz.models", description="Model files altered or cut off.")
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(argv)
    began = time.monotonic()
    for kind in ("unsigned", "signed"):
        counts = run(options.files, options.seed, signed=kind == "signed")
        for name, count in counts.items():
            print(f"{name.replace('_', ' '):24} {count:10,}")
        print(f"{kind} model files: {counts.total():,} altered or cut off, {counts.total():,} refused in one sentence")
    print(f"no crash, {time.monotonic() - began:.0f} s, seed {options.seed}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
