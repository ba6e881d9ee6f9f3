"""A turbine with a direction, a meter and a sensor of error words: fitted, scored, judged, trained anew, and made up."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edge_ae_train import fit, networks, retrain
from edge_ae_train.cli import main
from edge_ae_train.models.trainer import Recipe

from edge_ae.core.description import reason
from edge_ae.core.detector import Detector, Watch
from edge_ae.core.events import Readings, Window
from edge_ae.core.model_spec import Kind
from edge_ae.core.rules import AlertRules
from edge_ae.core.timestamps import HOUR, MINUTE
from edge_ae.model.onnx_model import OnnxModel
from edge_ae.offline import Result, score_table
from edge_ae.store.recording_csv import Table, read_csv, write_csv

TRAIN, REST = 2000, 1500
NAMES = ("wind_dir", "speed", "power", "energy_kwh", "bearing_temp")
WEEKLY = AlertRules(interval_ns=7 * 24 * HOUR)


def turbine(first: int, end: int) -> Table:
    """Rows a minute apart: the wind goes round and round through north, the meter rises with the power for ever."""
    rng, rows = np.random.default_rng(11), TRAIN + REST
    direction = np.mod(340 + np.cumsum(rng.normal(0, 4.0, rows)), 360.0)
    speed = np.zeros(rows)
    for row in range(1, rows):
        speed[row] = 0.97 * speed[row - 1] + rng.normal(0, 0.25)
    speed += 8.0
    power = 40.0 * speed + rng.normal(0, 4.0, rows)
    energy = 104_320 + np.cumsum(power) / 60.0
    temp = 30 + 0.05 * power + rng.normal(0, 0.3, rows)
    temp[rng.choice(rows, 12, replace=False)] = 85.0
    values = np.column_stack([direction, speed, power, energy, temp]).round(3)[first:end]
    t_ns = 1_767_225_600 * 10**9 + MINUTE * np.arange(first, end)
    return Table(Path("turbine.csv"), [str(t) for t in t_ns], t_ns, NAMES, values)


def written(table: Table, path: Path) -> Path:
    write_csv(path, table.times, table.names, table.values)
    return path


@dataclass(frozen=True)
class Trained:
    path: Path
    model: OnnxModel
    printed: str


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("turbine")
    data, out = written(turbine(0, TRAIN), folder / "train.csv"), folder / "m.onnx"
    capture = pytest.MonkeyPatch()
    printed: list[str] = []
    with capture.context() as patch:
        patch.setattr(fit, "_families", lambda asked: (asked,))
        patch.setattr("builtins.print", lambda *parts, **_: printed.extend(map(str, parts)))
        arguments = ["--family", "pca", "--length", "16", "--units", "energy_kwh=kWh,wind_dir=deg"]
        assert main(["fit", "--data", str(data), "--out", str(out), *arguments]) == 0
    return Trained(out, OnnxModel.load(out), "\n".join(printed))


def scored(trained: Trained, table: Table) -> Result:
    return score_table(table, trained.model, Watch(trained.model, WEEKLY))


@pytest.mark.parametrize("batch", [1, 2, 7])
def test_score_with_angles_does_not_depend_on_who_shares_the_batch(trained: Trained, batch: int) -> None:
    values = turbine(0, 200).values.astype(np.float32)
    values[::9, 0] = np.nan
    some = np.lib.stride_tricks.sliding_window_view(values, 16, axis=0).transpose(0, 2, 1)[:50]
    apart = [trained.model.score(some[a : a + batch]) for a in range(0, len(some), batch)]
    np.testing.assert_array_equal(np.concatenate(apart), trained.model.score(some))


def test_fit_says_what_each_channel_is_and_why(trained: Trained) -> None:
    words = [line.split() for line in trained.printed.splitlines()]
    kinds = {
        line[0]: line[-1] for line in ([w for w in line if w in set(Kind) or w in NAMES] for line in words) if line[1:]
    }
    assert kinds == dict(zip(NAMES, ("angle", "analog", "analog", "counter", "analog"), strict=True))
    assert "never falls in 2,000 lines, rises by" in trained.printed
    assert "times between 0 and 360" in trained.printed
    assert "channel 'bearing_temp': " in trained.printed
    assert "values that no sensor measured, such as 85, are taken for missing" in trained.printed


def test_model_file_keeps_kinds_turns_and_error_values(trained: Trained) -> None:
    facts = [(c.kind, c.turn, c.error_values, c.signal_unit) for c in trained.model.spec.channels]
    assert facts == [
        ("angle", 360.0, (), "deg"),
        ("analog", 0.0, (), ""),
        ("analog", 0.0, (), ""),
        ("counter", 0.0, (), "kWh/h"),
        ("analog", 0.0, (85.0,), ""),
    ]
    meter = trained.model.spec.channels[3]
    assert 100.0 < meter.low < meter.high < 700.0


def test_what_goes_on_as_before_raises_no_lasting_alert(trained: Trained) -> None:
    """The meter is far beyond its readings in training, the wind passes north, and the sensor sends its error word."""
    result = scored(trained, turbine(TRAIN, TRAIN + REST))
    assert result.alert.mean() < 0.02
    assert float(np.nanmedian(result.score[-500:])) < 1.5 * float(np.nanmedian(result.score[:500]))
    assert result.counts["error_value"] > 0


def test_new_meter_and_a_sensor_that_starts_raise_none(trained: Trained) -> None:
    table = turbine(TRAIN, TRAIN + 600)
    values = table.values.copy()
    values[300:, 3] -= values[300, 3] - 12.0
    values[::50, 4] = 85.0
    assert not scored(trained, replace(table, values=values)).alert.any()


def slowed(values: np.ndarray) -> None:
    """The meter counts a third of what it should."""
    values[300:, 3] = values[300, 3] + 0.3 * (values[300:, 3] - values[300, 3])


def spinning(values: np.ndarray) -> None:
    """The vane has come loose."""
    values[300:, 0] = np.mod(13.0 * np.arange(len(values) - 300), 360.0)


def faulty(change: Callable[[np.ndarray], None]) -> Table:
    table = turbine(TRAIN, TRAIN + 600)
    values = table.values.copy()
    change(values)
    return replace(table, values=values)


@pytest.mark.parametrize("change", [slowed, spinning])
def test_fault_of_a_counter_and_of_an_angle_is_found(trained: Trained, change: Callable[[np.ndarray], None]) -> None:
    assert scored(trained, faulty(change)).alert[300:].any()


def test_evidence_of_an_angle_goes_the_short_way_round(trained: Trained) -> None:
    (alert, *_) = [event.alert for event in scored(trained, faulty(spinning)).events]
    share = next(share for share in alert.channels if share.name == "wind_dir")
    assert abs(share.deviation) <= 180.0
    assert share.direction == ("high" if share.deviation > 0.0 else "low")
    assert 0.0 <= share.expected <= 360.0
    north = replace(share, observed=1.3, expected=358.0, share=1.0)
    assert reason([north]) == "wind_dir 1.3 deg, expected 358 (high, 100 % of the deviation)"


def windows_of(detector: Detector, table: Table) -> list[Window]:
    return [
        window
        for t_ns, values in zip(table.t_ns.tolist(), table.values.tolist(), strict=True)
        for window in detector.push(Readings("t", t_ns, dict(zip(NAMES, values, strict=True))))
    ]


def test_restart_and_a_look_ahead_do_not_show_in_the_rates(trained: Trained) -> None:
    table, watch = turbine(0, 120), Watch(trained.model, WEEKLY)
    first, rest = (
        replace(table, t_ns=table.t_ns[part], values=table.values[part]) for part in (slice(70), slice(70, 120))
    )
    whole, before, after = (Detector("n", "t", watch) for _ in range(3))
    expected = windows_of(whole, table)
    found = windows_of(before, first)
    before.fork().flush()
    after.restore(json.loads(json.dumps(before.snapshot())))
    found += windows_of(after, rest)
    assert [one.values.tobytes() for one in found] == [one.values.tobytes() for one in expected]


def test_retrain_keeps_the_kinds(trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit, "_families", lambda asked: (asked,))
    monkeypatch.setattr(retrain, "REPEATS", 1)
    data, out = written(turbine(0, TRAIN + REST), tmp_path / "all.csv"), tmp_path / "m2.onnx"
    arguments = [
        "retrain",
        "--current",
        trained.path,
        "--data",
        data,
        "--out",
        out,
        "--family",
        "pca",
        "--json",
        tmp_path / "j",
    ]
    code = main(list(map(str, arguments)))
    compared = json.loads((tmp_path / "j").read_text())
    assert compared["current"]["false_alerts"] <= 1
    assert compared["candidate"]["false_alerts"] <= 1
    assert compared["current"]["injected_found"]["all"] > 0.5
    assert code == 0, compared["worse"]
    facts: Any = [(c.name, c.kind, c.turn, c.unit, c.error_values) for c in OnnxModel.load(out).spec.channels]
    assert facts == [(c.name, c.kind, c.turn, c.unit, c.error_values) for c in trained.model.spec.channels]


def test_evaluation_and_report_know_the_kinds(trained: Trained, tmp_path: Path) -> None:
    data = written(turbine(TRAIN, TRAIN + 500), tmp_path / "r.csv")
    assert (
        main(["evaluate", "--model", str(trained.path), "--data", str(data), "--json", str(tmp_path / "e.json")]) == 0
    )
    assert main(["report", "--model", str(trained.path), "--data", str(data), "--out", str(tmp_path / "r")]) == 0
    page = (tmp_path / "r" / "report.md").read_text()
    rows = {
        cells[1]: cells[2:4]
        for line in page.replace("\\", "").splitlines()
        if len(cells := [cell.strip() for cell in line.split("|")]) > 6
    }
    assert (rows["energy_kwh"], rows["wind_dir"]) == (["kWh/h", "counter"], ["deg", "angle"])


def test_made_up_rows_have_angles_within_their_turn_and_a_meter_that_rises(tmp_path: Path) -> None:
    data, out, made = written(turbine(0, 800), tmp_path / "t.csv"), tmp_path / "v.onnx", tmp_path / "made.csv"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fit, "_families", lambda asked: (asked,))
        patch.setattr(networks, "Recipe", lambda: Recipe(steps=20))
        patch.setattr(networks, "LEAST_STEPS", 20)
        assert main(["fit", "--data", str(data), "--out", str(out), "--family", "vae", "--length", "16"]) == 0
    assert main(["generate", "--model", str(out), "--rows", "300", "--out", str(made)]) == 0
    values = read_csv(made).values
    assert 0.0 <= values[:, 0].min() <= values[:, 0].max() <= 360.0
    assert (np.diff(values[:, 3]) >= 0.0).all()
    rates = np.diff(values[:, 3]) * 60.0
    assert 100.0 < float(np.median(rates)) < 700.0
