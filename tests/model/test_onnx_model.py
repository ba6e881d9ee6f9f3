"""The model file: what is read, and that nothing altered, cut off or made for something else is."""

import json
import math
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from edge_ae.core.model_spec import Channel, Kind, Modes
from edge_ae.errors import BadModel, ModelFails
from edge_ae.model.onnx_model import KEYS, MAX_FILE_BYTES, NO_DIGEST, PREFIX, OnnxModel, digest
from tests.fuzz import models
from tests.models import CHANNELS, LENGTH, hand_made, spec_of, write_model

SPOILT = 600  # `make fuzz` takes 10,000


@pytest.fixture(scope="session")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return hand_made(tmp_path_factory)


@pytest.fixture
def copy(tmp_path: Path) -> Callable[[bytes], Path]:
    """A file of these bytes, to be refused."""

    def write(data: bytes) -> Path:
        (tmp_path / "m.onnx").write_bytes(data)
        return tmp_path / "m.onnx"

    return write


def refusal(path: Path) -> str:
    with pytest.raises(BadModel) as caught:
        OnnxModel.load(path)
    sentence = str(caught.value)
    assert sentence.startswith(f"{path}: ")
    assert "\n" not in sentence
    assert len(sentence) < 500
    return sentence.removeprefix(f"{path}: ")


def sealed(data: bytes, **changes: str | None) -> bytes:
    """The file with metadata changed (None: taken out) and a digest that is right again."""
    proto = onnx.load_model_from_string(data)
    values = {prop.key.removeprefix(PREFIX): prop.value for prop in proto.metadata_props}
    values = {key: value for key, value in (values | changes).items() if value is not None}
    return seal(proto, values)


def seal(proto: onnx.ModelProto, values: dict[str, str]) -> bytes:
    del proto.metadata_props[:]
    if "digest" in values:
        values = values | {"digest": NO_DIGEST}
    onnx.helper.set_model_props(proto, {PREFIX + key: value for key, value in values.items()})
    whole: bytes = proto.SerializeToString()
    return whole.replace(NO_DIGEST.encode(), digest(whole, NO_DIGEST).encode(), 1)


def meta_of(path: Path) -> dict[str, Any]:
    return {prop.key.removeprefix(PREFIX): prop.value for prop in onnx.load(path).metadata_props}


def test_a_model_file_says_what_it_is(path: Path) -> None:
    model = OnnxModel.load(path)
    assert model.spec == spec_of(sha256=model.spec.sha256)
    assert len(model.spec.sha256) == 64
    assert model.report == {"candidates": []}


def test_a_channel_of_the_usual_kind_has_no_key_that_version_0_2_refuses(path: Path) -> None:
    keys = {key for channel in json.loads(meta_of(path)["channels"]) for key in channel}
    assert keys.isdisjoint({"kind", "turn", "error_values", "deviation", "season"})


def test_what_a_tail_of_an_earlier_version_lacks_is_none(path: Path, copy: Callable[[bytes], Path]) -> None:
    tail = OnnxModel.load(copy(sealed(path.read_bytes(), tail=json.dumps(TAIL)))).spec.tail
    assert (tail.on_delay, tail.gross) == (0, math.inf)
    newer = json.dumps(TAIL | {"on_delay": 1, "gross": 9.0})
    tail = OnnxModel.load(copy(sealed(path.read_bytes(), tail=newer))).spec.tail
    assert (tail.on_delay, tail.gross) == (1, 9.0)


def test_kinds_turns_and_error_values_are_kept(tmp_path: Path) -> None:
    channels = (
        Channel("energy", "kWh", 0.0, 5.0, kind=Kind.COUNTER),
        Channel("dir", "deg", 0.0, 359.0, kind=Kind.ANGLE, turn=360.0, error_values=(-999.0, 32767.0)),
    )
    assert write_model(tmp_path / "m.onnx", channels=channels).spec.channels == channels


def test_what_the_time_of_day_does_to_a_channel_is_kept_with_the_zone_whose_clock_it_goes_by(
    path: Path, tmp_path: Path
) -> None:
    channels = (
        Channel("flow", low=0.0, high=1.0, season=tuple(map(float, range(12)))),
        Channel("level", low=0.0, high=1.0, season=tuple(map(float, range(25)))),
        Channel("valve", low=0.0, high=1.0),
    )
    spec = write_model(tmp_path / "m.onnx", channels=channels, zone="Europe/Berlin").spec
    assert (spec.channels, spec.zone) == (channels, "Europe/Berlin")
    assert "zone" not in meta_of(path)
    assert OnnxModel.load(path).spec.zone == "UTC"


def test_every_output_has_its_shape_for_every_batch(path: Path) -> None:
    model = OnnxModel.load(path)
    for batch in (1, 2, 65):
        outputs = model.run(np.zeros((batch, LENGTH, 2), np.float32))
        assert {name: part.shape for name, part in outputs.items()} == {
            "score": (batch,),
            "channel_score": (batch, 2),
            "reconstruction": (batch, LENGTH, 2),
            "latent": (batch, 2),
        }


def test_a_lone_window_has_its_own_score_whoever_asks_beside_it(path: Path) -> None:
    """Exactly: it goes through memory that stays, and as it would in a batch."""
    model = OnnxModel.load(path)
    windows = np.random.default_rng(3).uniform(-20, 20, (200, LENGTH, 2)).astype(np.float32)
    expected = model.score(windows)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda index: model.score(windows[index : index + 1]), range(len(windows))))
    np.testing.assert_array_equal(np.concatenate(found), expected)


def test_a_lone_window_of_another_shape_is_refused(path: Path) -> None:
    with pytest.raises(ModelFails, match="reshape"):
        OnnxModel.load(path).score(np.zeros((1, LENGTH, 1), np.float32))


def test_missing_values_are_taken_and_every_score_is_a_number(path: Path) -> None:
    windows = np.full((3, LENGTH, 2), np.nan, np.float32)
    windows[1] = 1e30
    windows[2, :, 0] = -1e30
    assert np.isfinite(OnnxModel.load(path).score(windows)).all()


def test_the_explanation_is_that_of_the_score(path: Path) -> None:
    model = OnnxModel.load(path)
    windows = np.random.default_rng(0).uniform(0, 5, (7, LENGTH, 2)).astype(np.float32)
    explained = model.explain(windows)
    np.testing.assert_allclose([e.channel_score.sum() for e in explained], model.score(windows), rtol=1e-5)


def test_a_file_may_bring_its_operating_modes_or_be_of_a_time_before_them(
    path: Path, copy: Callable[[bytes], Path]
) -> None:
    assert OnnxModel.load(path).spec.modes is None
    spec = OnnxModel.load(copy(sealed(path.read_bytes(), modes=json.dumps(MODES)))).spec
    assert spec.modes == Modes((1.0, 2.0), ((0.0, 0.5), (3.0, 4.0)), (0.5, 1.0))


def test_a_file_may_bring_the_deviations_of_its_channels_or_be_of_a_time_before_them(
    path: Path, copy: Callable[[bytes], Path], tmp_path: Path
) -> None:
    assert [channel.deviation for channel in OnnxModel.load(path).spec.channels] == [0.0, 0.0]
    newer = copy(sealed(path.read_bytes(), deviations="[0.25, 0]"))
    assert [channel.deviation for channel in OnnxModel.load(newer).spec.channels] == [0.25, 0.0]
    channels = (Channel("flow", "", 0.0, 1.0, deviation=0.5), Channel("pressure", "", 0.0, 1.0))
    assert write_model(tmp_path / "again.onnx", channels=channels).spec.channels == channels
    keys = {key for channel in json.loads(meta_of(tmp_path / "again.onnx")["channels"]) for key in channel}
    assert "deviation" not in keys


# -- altered and cut off ------------------------------------------------------------------------------------


@pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "signed"])
def test_files_altered_or_cut_off_are_refused_before_the_runtime_sees_them(signed: bool) -> None:
    assert models.run(SPOILT, seed=1, signed=signed).total() == SPOILT


def test_a_file_cut_at_its_edges_is_refused(path: Path, copy: Callable[[bytes], Path]) -> None:
    data = path.read_bytes()
    for length in (0, 1, len(data) - 1):
        refusal(copy(data[:length]))


def test_what_is_no_model_is_refused(tmp_path: Path, copy: Callable[[bytes], Path]) -> None:
    assert "cannot be read: No such file" in refusal(tmp_path / "nothing.onnx")
    assert "is a folder in which no model is in use" in refusal(tmp_path)
    for data in (b"", b"\x00" * 1000, b"time,flow\n1,2\n", b"\x80\x04pickle"):
        refusal(copy(data))


def test_a_file_too_large_is_refused_unread(tmp_path: Path) -> None:
    huge = tmp_path / "huge.onnx"
    with huge.open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)
    assert "larger than 64 MiB" in refusal(huge)


def test_another_program_s_model_is_refused(tmp_path: Path) -> None:
    value = onnx.helper.make_tensor_value_info
    node = onnx.helper.make_node("Identity", ["x"], ["y"])
    x, y = (value(name, onnx.TensorProto.FLOAT, [1]) for name in "xy")
    graph = onnx.helper.make_graph([node], "other", [x], [y])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "other.onnx")
    assert refusal(tmp_path / "other.onnx").startswith("not a whole model of edge-ae")


# -- sealed again after it was altered: what it says must make sense ----------------------------------------


def test_sealing_alone_changes_nothing(path: Path, copy: Callable[[bytes], Path]) -> None:
    assert OnnxModel.load(copy(sealed(path.read_bytes()))).spec.names == ("flow", "pressure")


@pytest.mark.parametrize("key", [key for key in KEYS if key != "digest"])
def test_a_missing_key_is_named(path: Path, copy: Callable[[bytes], Path], key: str) -> None:
    assert refusal(copy(sealed(path.read_bytes(), **{key: None}))).endswith(f"lacks the metadata {PREFIX}{key}")


def test_a_file_without_its_seal_is_refused(path: Path, copy: Callable[[bytes], Path]) -> None:
    assert "has no edge_ae.digest" in refusal(copy(sealed(path.read_bytes(), digest=None)))


def test_metadata_that_is_not_text_is_refused(path: Path, copy: Callable[[bytes], Path]) -> None:
    data = sealed(path.read_bytes()).replace(b"m3/h", b"\xff3/h")
    seal_of = meta_of(path)["digest"]
    sentence = refusal(copy(data.replace(seal_of.encode(), digest(data, seal_of).encode())))
    assert sentence.startswith("its metadata is not text")


def test_metadata_changed_without_sealing_is_refused(path: Path, copy: Callable[[bytes], Path]) -> None:
    data = path.read_bytes()
    assert data.count(b"m3/h") == 1
    assert "was altered" in refusal(copy(data.replace(b"m3/h", b"l/mn")))


CHANNEL = {"name": "flow", "unit": ""}
MODES = {"spread": [1.0, 2.0], "centres": [[0.0, 0.5], [3.0, 4.0]], "radii": [0.5, 1.0]}
TAIL = {"level": 1.0, "scale": 0.1, "shape": 0.0, "rate": 0.01, "typical": 0.2}


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("schema_version", "2", "has schema version 2"),
        ("schema_version", "", "has schema version"),
        ("channels", "[", "is not JSON"),
        ("channels", "{}", ""),
        ("channels", "[1, 2]", ""),
        ("channels", json.dumps([CHANNEL, CHANNEL]), "named twice"),
        ("channels", json.dumps([CHANNEL]), "window should be"),
        ("channels", json.dumps([{"unit": "bar"}, CHANNEL]), ""),
        ("channels", json.dumps([CHANNEL | {"colour": "red"}, CHANNEL]), ""),
        ("channels", json.dumps([CHANNEL | {"kind": "tide"}, CHANNEL | {"name": "p"}]), "of an unknown kind"),
        ("channels", json.dumps([CHANNEL | {"kind": "angle"}, CHANNEL | {"name": "p"}]), "an angle has no full turn"),
        ("channels", json.dumps([CHANNEL | {"error_values": ["x"]}, CHANNEL | {"name": "p"}]), ""),
        ("channels", json.dumps([CHANNEL | {"season": [1.0]}, CHANNEL | {"name": "p"}]), "the season of a channel"),
        ("channels", json.dumps([CHANNEL | {"season": [float("nan")] * 12}, CHANNEL | {"name": "p"}]), "the season of"),
        (
            "zone",
            "Europe/Nowhere",
            "it goes by the clock of 'Europe/Nowhere', which this machine does not know: install tzdata",
        ),
        ("zone", "../../etc/passwd", "which this machine does not know"),
        ("zone", "", "which this machine does not know"),
        ("sample_period_ns", "0", "must be positive"),
        ("sample_period_ns", "-5", "must be positive"),
        ("sample_period_ns", "1.5", ""),
        ("sample_period_ns", "soon", ""),
        ("hop", "0", "must be positive"),
        ("hop", "", ""),
        ("hold_rows", "many", ""),
        ("tail", "null", ""),
        ("tail", "[]", ""),
        ("tail", json.dumps(TAIL | {"level": None}), ""),
        ("tail", json.dumps(TAIL | {"level": float("nan")}), "sensible numbers"),
        ("tail", json.dumps(TAIL | {"rate": 0.0}), "sensible numbers"),
        ("tail", json.dumps(TAIL | {"scale": -1.0}), "sensible numbers"),
        ("tail", json.dumps(TAIL | {"on_delay": float("inf")}), "metadata cannot be used"),
        ("tail", json.dumps(TAIL | {"on_delay": -1}), "sensible numbers"),
        ("tail", json.dumps(TAIL | {"on_delay": 10**9}), "sensible numbers"),
        ("golden", "{}", "golden"),
        ("golden", "7", "golden"),
        ("golden", json.dumps({"windows": "AAAA", "scores": [1]}), "golden"),
        ("golden", json.dumps({"windows": "", "scores": []}), "golden"),
        ("golden", json.dumps({"windows": "A", "scores": ["x"]}), "golden"),
        ("report", "{", "is not JSON"),
        ("modes", "{", "is not JSON"),
        ("deviations", "[1.0]", "zip"),
        ("deviations", "[1.0, -1.0]", "the deviations are not sensible numbers"),
        ("deviations", "[1.0, NaN]", "the deviations are not sensible numbers"),
        ("deviations", '[1.0, "x"]', "could not convert"),
        ("deviations", "7", "cannot be used"),
        ("modes", "[]", ""),
        ("modes", json.dumps(MODES | {"radii": [1.0]}), "sensible numbers"),
        ("modes", json.dumps(MODES | {"radii": [1.0, 0.0]}), "sensible numbers"),
        ("modes", json.dumps(MODES | {"spread": [1.0, float("inf")]}), "sensible numbers"),
        ("modes", json.dumps(MODES | {"centres": [], "radii": []}), "sensible numbers"),
        ("modes", json.dumps(MODES | {"centres": [[1.0], [2.0, 3.0]]}), "sensible numbers"),
        ("modes", json.dumps({"spread": [1.0], "centres": [[1.0]], "radii": [1.0]}), "latent should be"),
    ],
)
def test_metadata_without_sense_is_refused_in_one_sentence(
    path: Path, copy: Callable[[bytes], Path], key: str, value: str, sentence: str
) -> None:
    assert sentence in refusal(copy(sealed(path.read_bytes(), **{key: value})))


@pytest.mark.parametrize("key", ["channels", "tail", "golden", "report"])
def test_random_json_in_the_metadata_is_refused_or_harmless(
    path: Path, copy: Callable[[bytes], Path], key: str
) -> None:
    data, text, rng = path.read_bytes(), meta_of(path)[key], random.Random(key)
    for _ in range(60):
        at = rng.randrange(len(text))
        changed = text[:at] + rng.choice(('"', "[", "}", "0", "-", "null", "1e999", "")) + text[at + 1 :]
        try:
            OnnxModel.load(copy(sealed(data, **{key: changed})))
        except BadModel as error:
            assert "\n" not in str(error)  # noqa: PT017  some changes are harmless: a name is a name


def test_golden_vectors_that_score_otherwise_are_refused(path: Path, copy: Callable[[bytes], Path]) -> None:
    golden = json.loads(meta_of(path)["golden"])
    golden["scores"][0] *= 1.01
    sentence = refusal(copy(sealed(path.read_bytes(), golden=json.dumps(golden))))
    assert "the runtime computes wrongly here" in sentence


def test_a_graph_of_another_shape_is_refused(path: Path, copy: Callable[[bytes], Path]) -> None:
    proto = onnx.load(path)
    proto.graph.output[0].name, proto.graph.output[1].name = "score2", "channel_score2"
    values = meta_of(path)
    refusal(copy(seal(proto, values)))


def test_a_channel_keeps_its_range_and_resolution(path: Path) -> None:
    assert OnnxModel.load(path).spec.channels == CHANNELS
    assert Channel("a").resolution == 0.0


def test_the_state_that_a_model_is_for_travels_in_its_file(tmp_path: Path) -> None:
    model = write_model(tmp_path / "m.onnx", when="pressure > 1")
    assert (model.spec.when, write_model(tmp_path / "n.onnx").spec.when) == ("pressure > 1", "")
    assert b"edge_ae.when" not in (tmp_path / "n.onnx").read_bytes()


@pytest.mark.parametrize("when", ["speed > 1", "pressure >"])
def test_a_model_for_a_state_that_its_channels_cannot_tell_is_refused(tmp_path: Path, when: str) -> None:
    with pytest.raises(BadModel, match="it is for a state that its channels cannot tell"):
        write_model(tmp_path / "m.onnx", when=when)


def test_what_the_runtime_cannot_compute_is_a_fault_of_the_model(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = OnnxModel.load(hand_made(tmp_path_factory))

    class Session:
        def run(self, *_: Any) -> None:
            raise RuntimeError("Non-zero status code returned while running Gather node")

    monkeypatch.setattr(model, "_session", Session())
    with pytest.raises(ModelFails, match=f"model {model.spec.sha256[:12]}: the runtime cannot compute it: Non-zero"):
        model.score(np.zeros((2, model.spec.length, len(model.spec.channels)), np.float32))
