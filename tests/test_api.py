"""`import edge_ae`: the same answers as the command line and the daemon's core, whatever way the readings come in."""

import csv
import doctest
import math
import pickle
import tomllib
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

import edge_ae
from edge_ae import _api
from edge_ae.cli.main import main
from edge_ae.core.events import slot_of
from edge_ae.core.payloads import alert_payload
from edge_ae.core.timestamps import SECOND
from edge_ae.store.recording_csv import read_csv, write_csv
from tests.models import TRAIN_ROWS, hand_made, pump, trained

ROOT = Path(__file__).parents[1]
T0 = 1_790_000_000
NORMAL = {"flow": 5.0, "pressure": 2.5}


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> edge_ae.OnnxModel:
    return edge_ae.load_model(hand_made(tmp_path_factory))


@pytest.fixture(scope="session")
def pump_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory)


@pytest.fixture(scope="session")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """300 rows that trained nothing: missing cells, two rows of one slot, and a fault near the end."""
    simulation = pump()
    lines = slice(TRAIN_ROWS, TRAIN_ROWS + 300)
    t_ns, values = simulation.t_ns[lines].copy(), simulation.values[lines].copy()
    values[200:240, 2] += 60.0
    values[50:55, 1] = np.nan
    t_ns[120] = t_ns[119] + SECOND
    path = tmp_path_factory.mktemp("api") / "week.csv"
    write_csv(path, map(str, t_ns.tolist()), simulation.names, values)
    return path


@pytest.fixture
def folder_with_model(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Where the examples find their pump.onnx."""
    (tmp_path / "pump.onnx").write_bytes(hand_made(tmp_path_factory).read_bytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def columns_of(path: Path) -> dict[str, Any]:
    table = read_csv(path)
    return {"time": table.t_ns, **dict(zip(table.names, table.values.T, strict=True))}


# -- the same answer ---------------------------------------------------------------------------------------------


def test_score_of_a_table_is_that_of_the_command_line(pump_model: Path, recording: Path, tmp_path: Path) -> None:
    out, alerts = tmp_path / "scores.csv", tmp_path / "alerts.jsonl"
    data = ["--model", str(pump_model), "--data", str(recording), "--out", str(out), "--events", str(alerts)]
    assert main(["score", *data, "--node", "n1", "--asset", "pump-1", "--budget", "1/day"]) == 0
    found = edge_ae.score(
        edge_ae.load_model(pump_model), columns_of(recording), budget="1/day", node="n1", asset="pump-1"
    )
    with out.open() as file:
        written = [(line["score"], line["threshold"], line["alert"]) for line in csv.DictReader(file)]
    texts = [[f"{v:.7g}" if v == v else "" for v in part.tolist()] for part in (found.score, found.threshold)]
    assert written == list(zip(*texts, found.alert.astype(int).astype(str), strict=True))
    assert [orjson.loads(line) for line in alerts.read_bytes().splitlines()] == [
        alert_payload(e.alert) for e in found.events
    ]
    assert found.alert.any()
    assert not found.alert.all()


def test_readings_pushed_one_by_one_have_the_scores_and_alerts_of_the_table(pump_model: Path, recording: Path) -> None:
    model, table = edge_ae.load_model(pump_model), columns_of(recording)
    found = edge_ae.score(model, table, node="n1", asset="pump-1")
    detector = edge_ae.Detector(model, node="n1", asset="pump-1")
    events: list[Any] = []
    for line, t_ns in enumerate(table["time"].tolist()):
        events += detector.push(t_ns, {name: table[name][line] for name in model.spec.names})
    events += detector.flush()
    assert tuple(e for e in events if isinstance(e, edge_ae.AlertEvent)) == found.events
    verdicts = {e.t_ns: e.verdict for e in events if isinstance(e, edge_ae.Scored)}
    period_ns = model.spec.period_ns
    slots = slot_of(table["time"], period_ns) * period_ns
    last_of_slot = np.append(np.diff(slots) > 0, True)
    pushed = [verdicts[t].score if t in verdicts else math.nan for t in slots[last_of_slot].tolist()]
    np.testing.assert_array_equal(pushed, found.score[last_of_slot])
    assert detector.counts == found.counts


# -- what goes in ------------------------------------------------------------------------------------------------

MOMENT = datetime(2026, 9, 21, 14, 13, 20, 250_000, tzinfo=UTC)
MOMENT_NS = 1_790_000_000_250_000_000


@pytest.mark.parametrize(
    "time",
    [
        MOMENT_NS,
        1_790_000_000.25,
        1_790_000_000_250,
        "2026-09-21T14:13:20.25",
        "2026-09-21T16:13:20.25+02:00",
        MOMENT,
        MOMENT.astimezone(timezone(timedelta(hours=-5))),
        np.int64(MOMENT_NS),
        np.float64(1_790_000_000.25),
        np.datetime64("2026-09-21T14:13:20.25"),
    ],
    ids=repr,
)
def test_a_moment_may_be_written_in_each_of_these_ways(time: Any) -> None:
    assert _api._time_ns(time) == MOMENT_NS


@pytest.mark.parametrize(
    "time",
    [
        datetime(2026, 9, 21),
        "yesterday",
        math.nan,
        True,
        None,
        np.datetime64("NaT"),
        np.datetime64("3000-01-01"),
        np.bool_(True),
        [1],
        10**30,
    ],
    ids=repr,
)
def test_what_is_no_time_is_refused_and_changes_nothing(model: edge_ae.OnnxModel, time: Any) -> None:
    detector = edge_ae.Detector(model)
    with pytest.raises(ValueError, match="time"):
        detector.push(time, NORMAL)
    assert detector.flush() == []


@pytest.mark.parametrize("kind", ["datetime64", "epoch seconds", "text", "structured"])
def test_table_takes_its_times_in_several_ways(model: edge_ae.OnnxModel, kind: str) -> None:
    seconds = T0 + np.arange(20)
    times: dict[str, Any] = {
        "datetime64": seconds.astype("datetime64[s]"),
        "text": [str(moment) for moment in seconds.astype("datetime64[s]")],
    }
    table: Any = {"time": times.get(kind, seconds)} | {name: np.full(20, v) for name, v in NORMAL.items()}
    if kind == "structured":
        table = np.array(
            list(zip(*table.values(), strict=True)), dtype=[("time", "i8"), ("flow", "f8"), ("pressure", "f8")]
        )
    plain = {"time": seconds * SECOND} | {name: np.full(20, v) for name, v in NORMAL.items()}
    np.testing.assert_array_equal(edge_ae.score(model, table).score, edge_ae.score(model, plain).score)


def test_channels_are_found_by_name_and_others_are_ignored(model: edge_ae.OnnxModel) -> None:
    def ratios(values: dict[str, float]) -> list[float]:
        detector = edge_ae.Detector(model)
        events = [e for s in range(8) for e in detector.push(T0 + s, values)]
        return [e.verdict.ratio for e in events if isinstance(e, edge_ae.Scored)]

    assert len(ratios(NORMAL)) == 4
    assert ratios({"pressure": 2.5, "humidity": 99.0, "flow": 5.0}) == ratios(NORMAL)


@pytest.mark.parametrize("values", [{}, {"flux": 5.0}])
def test_readings_without_any_channel_of_the_model_are_refused(
    model: edge_ae.OnnxModel, values: dict[str, float]
) -> None:
    with pytest.raises(ValueError, match="the model needs flow, pressure"):
        edge_ae.Detector(model).push(T0, values)


def test_value_that_is_none_is_missing(model: edge_ae.OnnxModel) -> None:
    detectors = [edge_ae.Detector(model), edge_ae.Detector(model)]
    for second in range(8):
        answers = [
            one.push(T0 + second, NORMAL | {"flow": flow})
            for one, flow in zip(detectors, (None, math.nan), strict=True)
        ]
        assert answers[0] == answers[1]


@pytest.mark.parametrize("value", ["many", 10**400, {}, 1j])
def test_value_that_is_no_number_is_refused_by_its_name(model: edge_ae.OnnxModel, value: Any) -> None:
    with pytest.raises(ValueError, match="flow"):
        edge_ae.Detector(model).push(T0, NORMAL | {"flow": value})
    with pytest.raises(ValueError, match="flow"):
        edge_ae.score(model, {"time": [T0], "flow": np.array([value], object), "pressure": [2.5]})


def test_table_whose_times_are_no_column_is_refused(model: edge_ae.OnnxModel) -> None:
    with pytest.raises(edge_ae.BadData, match="one value a row"):
        edge_ae.score(model, {"time": T0, "flow": np.ones(5), "pressure": np.ones(5)})


def test_late_reading_is_counted_and_changes_nothing(model: edge_ae.OnnxModel) -> None:
    detector = edge_ae.Detector(model)
    for second in range(5):
        detector.push(T0 + second, NORMAL)
    assert detector.push(T0 + 1, {"flow": 900.0}) == []
    assert detector.counts == {"late": 1}


@pytest.mark.parametrize("missing", ["time", "pressure"])
def test_table_without_a_column_is_refused_by_its_name(model: edge_ae.OnnxModel, missing: str) -> None:
    whole = {"time": T0 + np.arange(5), "flow": np.ones(5), "pressure": np.ones(5)}
    with pytest.raises(edge_ae.BadData, match=missing):
        edge_ae.score(model, {name: column for name, column in whole.items() if name != missing})


def test_columns_of_different_length_are_refused(model: edge_ae.OnnxModel) -> None:
    with pytest.raises(edge_ae.BadData, match="flow"):
        edge_ae.score(model, {"time": T0 + np.arange(5), "flow": np.ones(4), "pressure": np.ones(5)})


def test_table_without_rows_has_no_scores(model: edge_ae.OnnxModel) -> None:
    found = edge_ae.score(model, {"time": np.array([], "i8"), "flow": np.array([]), "pressure": np.array([])})
    assert (len(found.score), len(found.alert), found.events, found.counts) == (0, 0, (), {})


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("budget", "often"),
        ("budget", "0/week"),
        ("deadband", 1.0),
        ("deadband", math.nan),
        ("on_delay_s", -1.0),
        ("off_delay_s", math.inf),
        ("lateness_s", 1e12),
    ],
)
def test_setting_that_cannot_be_is_refused_by_its_name(model: edge_ae.OnnxModel, setting: str, value: Any) -> None:
    with pytest.raises(ValueError, match=setting):
        edge_ae.Detector(model, **{setting: value})


def test_file_that_is_no_model_is_refused_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "pump.onnx").write_bytes(b"no model")
    with pytest.raises(edge_ae.BadModel, match=r"pump\.onnx: not a whole model"):
        edge_ae.load_model(tmp_path / "pump.onnx")


# -- the surface -------------------------------------------------------------------------------------------------


def test_every_public_name_is_there_and_no_other_is_offered() -> None:
    assert dir(edge_ae) == sorted(edge_ae.__all__)
    assert [name for name in edge_ae.__all__ if not hasattr(edge_ae, name)] == []
    with pytest.raises(AttributeError, match="has no attribute 'Fleet'"):
        edge_ae.Fleet  # noqa: B018


def test_what_comes_out_is_frozen_and_can_be_sent_to_another_process(model: edge_ae.OnnxModel) -> None:
    table = {"time": T0 + np.arange(20), "flow": np.full(20, 50.0), "pressure": np.full(20, 2.5)}
    found = edge_ae.score(model, table)
    with pytest.raises(AttributeError):
        found.score = np.zeros(20)  # type: ignore[misc]
    assert pickle.loads(pickle.dumps(found.events)) == found.events


@pytest.mark.parametrize("module", [edge_ae, _api], ids=lambda module: module.__name__)
@pytest.mark.usefixtures("folder_with_model")
def test_examples_in_the_docstrings_do_what_they_show(module: Any) -> None:
    result = doctest.testmod(module)
    assert result.failed == 0
    assert result.attempted > 0


def test_py_typed_marks_the_package_for_type_checkers() -> None:
    assert (Path(edge_ae.__file__).parent / "py.typed").exists()


def test_both_distributions_have_the_version_of_the_package() -> None:
    device, trainer = (tomllib.loads((ROOT / path).read_text()) for path in ("pyproject.toml", "train/pyproject.toml"))
    assert device["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "edge_ae.__version__"}
    assert trainer["project"]["version"] == edge_ae.__version__
