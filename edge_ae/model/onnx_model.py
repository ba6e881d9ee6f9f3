"""Load and verify a model file; score batches of windows. Knows the file and onnxruntime, nothing of streams.

One `.onnx` holds all that turns readings into a verdict: scaling, network, score, tail. `load` believes none of it before it
has checked the digest, the metadata, the graph's shapes, and the golden vectors, on this very machine.

    input   window          float32 [batch, length, channel]   physical units, NaN = missing
            explain         bool []   optional: false where the score alone is asked for; not in files of an earlier version
    output  score           float32 [batch]
            channel_score   float32 [batch, channel]
            reconstruction  float32 [batch, length, channel]   physical units
            latent          float32 [batch, latent]
            magnitude       float32 [batch, channel]   normal deviations; not in files of an earlier version
"""

import hashlib
import json
import math
import re
from base64 import b64decode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import Any
from zoneinfo import ZoneInfoNotFoundError

import numpy as np
import onnxruntime as ort

from edge_ae.core.expression import Expression
from edge_ae.core.model_spec import Channel, Explanation, Floats, Kind, ModelSpec, Modes, Tail
from edge_ae.core.season import DAY_WAVES, WEEK_WAVES, zone_of
from edge_ae.errors import BadModel, ModelFails
from edge_ae.model.signature import Verify

SCHEMA_VERSION = 1
PREFIX = "edge_ae."
KEYS = (
    "schema_version",
    "name",
    "channels",
    "sample_period_ns",
    "hop",
    "hold_rows",
    "family",
    "tail",
    "golden",
    "trained_at",
    "train_data_sha256",
    "report",
    "digest",
)
OPTIONAL = ("modes", "deviations", "when", "zone")  # which files of an earlier version lack
OUTPUTS = ("score", "channel_score", "reconstruction", "latent")
TAIL = ("level", "scale", "shape", "rate")
MAGNITUDE = "magnitude"  # an output which files of an earlier version lack
# An input that need not be given, and which those lack, too: whether more than the score is computed.
EXPLAIN = "explain"
CURRENT, MODEL = "current", "model.onnx"  # of a folder of models: the link to the one in use, and what each is called
GOLDEN_TOLERANCE = 1e-4  # relative: another processor's rounding, and no more
MAX_FILE_BYTES = 64 * 1024 * 1024
NO_DIGEST = "0" * 64
SEAL = re.compile(rb"edge_ae\.digest\x12\x40([0-9a-f]{64})")  # key and value as protobuf writes them: 64 bytes of text


class OnnxModel:
    """A verified model file with one onnxruntime session: one thread, no spinning."""

    def __init__(self, spec: ModelSpec, session: ort.InferenceSession, report: Mapping[str, Any]) -> None:
        self.spec = spec
        self.report = report
        self.provider: str = session.get_providers()[0]
        self._session = session
        there = any(output.name == MAGNITUDE for output in session.get_outputs())
        self._outputs = (*OUTPUTS, MAGNITUDE) if there else OUTPUTS
        options = {option.name for option in session.get_overridable_initializers()}
        self._score_alone = {EXPLAIN: np.array(False)} if EXPLAIN in options else {}
        self._lone = _LoneWindow(session, (spec.length, len(spec.channels)), self._score_alone)

    @classmethod
    def load(cls, path: Path | str, verify: Verify | None = None) -> "OnnxModel":
        """Read, check and try out a model file, or the one in use of a folder of models. Raises BadModel with one sentence,
        as `verify` does for one not signed."""
        path = in_use(Path(path))
        data = read_file(path)
        if verify is not None:
            verify(data, path)
        _check_digest(data, path)
        session = _session(data, path)
        meta = _metadata(session, path)
        spec = _spec(session, meta, hashlib.sha256(data).hexdigest(), path)
        model = cls(spec, session, _json(meta, "report", path))
        model._check_golden(_json(meta, "golden", path), path)
        return model

    def score(self, windows: Floats) -> Floats:
        """Scores [batch] of windows [batch, length, channel]."""
        scores: Floats = self._computed(lambda: self._scores(windows))
        return scores

    def _scores(self, windows: Floats) -> Floats:
        if len(windows) == 1:
            return self._lone.score(windows)
        (scores,) = self._session.run(["score"], {"window": windows, **self._score_alone})
        return np.asarray(scores, np.float32)

    def explain(self, windows: Floats) -> Sequence[Explanation]:
        """What each window's score is made of."""
        parts = self._run(self._outputs[1:], windows)
        return [Explanation(*part) for part in zip(*parts, strict=True)]

    def run(self, windows: Floats) -> dict[str, Floats]:
        """Every output by name."""
        return dict(zip(self._outputs, self._run(self._outputs, windows), strict=True))

    def _run(self, names: Sequence[str], windows: Floats) -> list[Floats]:
        """A lone window goes twice, see `_LoneWindow`."""
        alone = len(windows) == 1
        twice = np.repeat(windows, 2, axis=0) if alone else windows
        outputs = self._computed(lambda: self._session.run(list(names), {"window": twice}))
        return [part[:1] for part in outputs] if alone else outputs

    def _computed(self, compute: Callable[[], Any]) -> Any:
        try:
            return compute()
        except Exception as error:  # onnxruntime raises a dozen classes, all of them its own
            raise ModelFails(self.spec.sha256, f"the runtime cannot compute it: {error}") from error

    def _check_golden(self, golden: Any, path: Path) -> None:
        shape = (-1, self.spec.length, len(self.spec.channels))
        try:
            windows = np.frombuffer(b64decode(golden["windows"]), "<f4").reshape(shape)
            expected = np.asarray(golden["scores"], np.float64)
        except (KeyError, TypeError, ValueError) as error:
            raise BadModel(f"{path}: the golden vectors cannot be read; export the model again") from error
        scores = self.score(windows)
        if len(expected) == 0 or not np.allclose(scores, expected, rtol=GOLDEN_TOLERANCE, atol=GOLDEN_TOLERANCE):
            raise BadModel(
                f"{path}: on this machine the golden vectors score {scores.tolist()} instead of {expected.tolist()}; "
                "the runtime computes wrongly here, try another version of onnxruntime"
            )


class _LoneWindow:
    """Scores a window by itself in memory that stays with the session: to hand it in and out each time is an eighth of the cost.

    It goes twice: a product with one row takes another kernel, which rounds otherwise than a batch.
    """

    def __init__(self, session: ort.InferenceSession, shape: tuple[int, int], options: Mapping[str, Any]) -> None:
        self._windows, self._scores = np.zeros((2, *shape), np.float32), np.zeros(2, np.float32)
        self._session, self._binding, self._lock = session, session.io_binding(), Lock()
        self._binding.bind_cpu_input("window", self._windows)
        for name, value in options.items():
            self._binding.bind_ortvalue_input(name, ort.OrtValue.ortvalue_from_numpy(value))
        self._binding.bind_output("score", "cpu", 0, np.float32, [2], self._scores.ctypes.data)

    def score(self, windows: Floats) -> Floats:
        """[1] of windows [1, length, channel]."""
        with self._lock:
            self._windows[:] = windows.reshape(self._windows[0].shape)
            self._session.run_with_iobinding(self._binding)
            return self._scores[:1].copy()


def in_use(path: Path) -> Path:
    """The file itself; of a folder of models the one that its link names now, whatever it names a moment later. Raises
    BadModel for a folder without one."""
    if not path.is_dir():
        return path
    found = (path / CURRENT).resolve() / MODEL
    if not found.is_file():
        raise BadModel(
            f"{path}: is a folder in which no model is in use; edge-ae model install FILE --in {path} puts one there"
        )
    return found


def read_file(path: Path) -> bytes:
    """Raises BadModel where it cannot be read, or is too large for a model."""
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise BadModel(f"{path}: larger than {MAX_FILE_BYTES // 2**20} MiB, so it is no model of edge-ae")
        return path.read_bytes()
    except OSError as error:
        raise BadModel(
            f"{path}: cannot be read: {error.strerror}; put the model file there, or correct the path"
        ) from error


def _session(data: bytes, path: Path) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    options.log_severity_level = 4
    wanted = ("TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider")
    providers = [name for name in wanted if name in ort.get_available_providers()]
    try:
        return ort.InferenceSession(data, options, providers=providers)
    except Exception as error:  # onnxruntime raises a dozen classes for a broken file, all of them its own
        raise BadModel(f"{path}: is not an ONNX model that can be loaded; copy the file again") from error


def _metadata(session: ort.InferenceSession, path: Path) -> dict[str, str]:
    try:
        found = session.get_modelmeta().custom_metadata_map
    except UnicodeDecodeError as error:
        raise BadModel(f"{path}: its metadata is not text; export the model again") from error
    missing = [PREFIX + key for key in KEYS if PREFIX + key not in found]
    if missing:
        raise BadModel(f"{path}: not a model of edge-ae, it lacks the metadata {', '.join(missing)}")
    version = found[PREFIX + "schema_version"]
    if version != str(SCHEMA_VERSION):
        raise BadModel(
            f"{path}: has schema version {version}, this program reads {SCHEMA_VERSION}; export it again or update"
        )
    return {key: found[PREFIX + key] for key in (*KEYS, *OPTIONAL) if PREFIX + key in found}


def digest(data: bytes, written: str) -> str:
    """SHA-256 of a model file in which the digest itself, `written`, is read as zeros."""
    return hashlib.sha256(data.replace(written.encode(), NO_DIGEST.encode(), 1)).hexdigest()


def _check_digest(data: bytes, path: Path) -> None:
    """Before anything else: what was altered never reaches the runtime's parser, which is no judge of hostile bytes."""
    seal = SEAL.search(data)
    if seal is None:
        raise BadModel(f"{path}: not a whole model of edge-ae, it has no {PREFIX}digest; copy the original again")
    written = seal[1].decode()
    if digest(data, written) != written:
        raise BadModel(f"{path}: was altered after it was exported; copy the original again")


def _json(meta: Mapping[str, str], key: str, path: Path) -> Any:
    try:
        return json.loads(meta[key])
    except ValueError as error:
        raise BadModel(f"{path}: metadata {PREFIX}{key} is not JSON; export the model again") from error


def _spec(session: ort.InferenceSession, meta: Mapping[str, str], sha256: str, path: Path) -> ModelSpec:
    try:
        tail = _json(meta, "tail", path)
        spec = ModelSpec(
            name=meta["name"],
            sha256=sha256,
            family=meta["family"],
            channels=_channels(
                _json(meta, "channels", path), _json(meta, "deviations", path) if "deviations" in meta else None
            ),
            period_ns=int(meta["sample_period_ns"]),
            length=int(session.get_inputs()[0].shape[1]),
            hop=int(meta["hop"]),
            tail=_tail(tail),
            typical=float(tail["typical"]),
            trained_at=meta["trained_at"],
            hold_rows=int(meta["hold_rows"]),
            modes=_modes(_json(meta, "modes", path)) if "modes" in meta else None,
            when=meta.get("when", ""),
            zone=meta.get("zone", "UTC"),
        )
    except (KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
        raise BadModel(f"{path}: its metadata cannot be used ({error}); export the model again") from error
    _check_sense(spec, path)
    _check_shapes(session, spec, path)
    return spec


def _channels(found: Sequence[Any], deviations: Sequence[Any] | None) -> tuple[Channel, ...]:
    """`deviations`: None in a file of an earlier version."""
    channels = (_channel(**channel) for channel in found)
    errors = [0.0] * len(found) if deviations is None else deviations
    return tuple(replace(channel, deviation=float(error)) for channel, error in zip(channels, errors, strict=True))


def _channel(
    error_values: Sequence[float] = (), values: Sequence[float] = (), season: Sequence[float] = (), **facts: Any
) -> Channel:
    errors, few, waves = (tuple(map(float, numbers)) for numbers in (error_values, values, season))
    return Channel(**facts, error_values=errors, values=few, season=waves)


def _modes(found: Mapping[str, Any]) -> Modes:
    centres = tuple(tuple(map(float, centre)) for centre in found["centres"])
    return Modes(tuple(map(float, found["spread"])), centres, tuple(map(float, found["radii"])))


def _sensible(modes: Modes | None) -> bool:
    """As many radii as centres, each centre with all axes, and nothing to divide by that is not above 0."""
    if modes is None:
        return True
    axes, divisors = len(modes.spread), (*modes.spread, *modes.radii)
    whole = len(modes.radii) == len(modes.centres) > 0 and all(len(centre) == axes for centre in modes.centres)
    finite = all(math.isfinite(value) for part in (divisors, *modes.centres) for value in part)
    return whole and finite and min(divisors) > 0


def _can_tell(spec: ModelSpec) -> bool:
    """Whether its channels say if an asset is in the state in which it was trained."""
    try:
        return not spec.when or Expression.of(spec.when).unknown(spec.names) is None
    except ValueError:
        return False


def _has_course(channel: Channel) -> bool:
    """Whether its season, if it has one, is a weight of each wave."""
    return len(channel.season) in (0, DAY_WAVES, WEEK_WAVES) and all(map(math.isfinite, channel.season))


def _knows_zone(name: str) -> bool:
    try:
        return zone_of(name) is not None
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False


def _has_turn(channel: Channel) -> bool:
    return channel.kind != Kind.ANGLE or 0 < channel.turn < math.inf


def _tail(facts: Mapping[str, Any]) -> Tail:
    """What it gained in version 0.3 may be missing."""
    known = {key: float(facts[key]) for key in TAIL}
    return Tail(**known, gross=float(facts.get("gross", math.inf)), on_delay=int(facts.get("on_delay", 0)))


def _check_sense(spec: ModelSpec, path: Path) -> None:
    tail = (spec.tail.level, spec.tail.scale, spec.tail.shape, spec.tail.rate, spec.typical)
    facts = {
        "channels are named twice": len(set(spec.names)) == len(spec.names) > 0,
        "period, length and hop must be positive": min(spec.period_ns, spec.length, spec.hop) > 0,
        "a channel is of an unknown kind; update this program": all(c.kind in set(Kind) for c in spec.channels),
        "an angle has no full turn": all(_has_turn(c) for c in spec.channels),
        "the season of a channel is not made of sensible numbers": all(map(_has_course, spec.channels)),
        f"it goes by the clock of {spec.zone[:100]!r}, which this machine does not know: install tzdata, or": _knows_zone(
            spec.zone
        ),
        "the deviations are not sensible numbers": all(0.0 <= c.deviation < math.inf for c in spec.channels),
        "the tail is not made of sensible numbers": all(map(math.isfinite, tail))
        and min(tail[1], tail[3], spec.tail.gross) > 0
        and 0 <= spec.tail.on_delay <= spec.length,
        "the modes are not made of sensible numbers": _sensible(spec.modes),
        f"it is for a state that its channels cannot tell, {spec.when[:100]!r}": _can_tell(spec),
    }
    for problem, fine in facts.items():
        if not fine:
            raise BadModel(f"{path}: {problem}; export the model again")


def _check_shapes(session: ort.InferenceSession, spec: ModelSpec, path: Path) -> None:
    channels = len(spec.channels)
    expected: dict[str, list[int | None]] = {
        "window": [None, spec.length, channels],
        "score": [None],
        "channel_score": [None, channels],
        "reconstruction": [None, spec.length, channels],
        "latent": [None, None if spec.modes is None else len(spec.modes.spread)],
    }
    found = {node.name: node for node in (*session.get_inputs(), *session.get_outputs())}
    if MAGNITUDE in found:
        expected[MAGNITUDE] = [None, channels]
    for name, shape in expected.items():
        node = found.get(name)
        if node is None or node.type != "tensor(float)" or not _fits(node.shape, shape):
            what = "nothing" if node is None else f"{node.type} {node.shape}"
            raise BadModel(f"{path}: {name} should be float32 {shape} (None: any), the graph has {what}")


def _fits(shape: Sequence[Any], expected: Sequence[int | None]) -> bool:
    return len(shape) == len(expected) and all(
        want is None or have == want for have, want in zip(shape, expected, strict=True)
    )
