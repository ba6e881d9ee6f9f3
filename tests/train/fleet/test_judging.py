"""Judged by the daemon's own pipeline, and what other rules would have done by its own boundary and alert life."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edge_ae_train.cli import main
from edge_ae_train.fleet.jobs import FleetJob, performed
from edge_ae_train.fleet.judging import alerts_under
from edge_ae_train.fleet.ledger import rows_of
from edge_ae_train.fleet.models import ModelFile, model_folder
from edge_ae_train.fleet.sources import find
from edge_ae_train.fleet.work import JUDGE, JudgeOptions

from edge_ae.core.detector import Watch
from edge_ae.core.events import slot_of
from edge_ae.core.rules import AlertRules, budget_ns
from edge_ae.core.timestamps import SECOND
from edge_ae.errors import BadData
from edge_ae.model.onnx_model import OnnxModel
from edge_ae.offline import score_table
from edge_ae.store.recording.options import AS_IT_IS, ReadOptions
from edge_ae.store.recording_csv import read_csv
from tests.train.conftest import FAULT, FAULT_END, ROWS, Small

HOURLY = AlertRules(interval_ns=3600 * SECOND)
LABELLED = ReadOptions(label="anomaly")


def judged(small: Small, data: Path, columns: ReadOptions = AS_IT_IS, *, what_if: bool = False) -> dict[str, Any]:
    (source,) = find([str(data)], None, AS_IT_IS, data.parent)
    model = ModelFile("small", str(small.model), "0" * 64)
    asked = JudgeOptions(model, HOURLY, columns, what_if)
    product = performed(FleetJob(source.asset, JUDGE, (source,), asked))
    return {"reason": product.reason, **product.facts}


def test_labelled_recording_gives_events_delay_and_alerts_against_the_budget(small: Small) -> None:
    found = judged(small, small.faulty, LABELLED)
    assert (found["events"], found["events_found"]) == (1, 1)
    assert 0 <= found["median_delay_s"] < FAULT_END - FAULT
    assert found["budget_per_week"] == 168.0
    assert found["allowed"] == pytest.approx(found["weeks"] * 168)
    assert found["newest_alerts"][0]["ratio"] > 1.0
    assert sum(found["by_month"].values()) == found["alerts"]
    assert not found["active"]
    json.dumps(found, allow_nan=False)


@pytest.mark.parametrize("budget", ["1/month", "1/hour"])
@pytest.mark.parametrize("on_delay_s", [0, 10])
def test_supposed_alerts_are_those_of_the_daemon(budget: str, on_delay_s: int, small: Small) -> None:
    rules = AlertRules(budget_ns(budget), on_delay_s * SECOND)
    model, table = OnnxModel.load(small.model), read_csv(small.faulty, LABELLED)
    other = score_table(table, model, Watch(model, HOURLY))
    scored = np.isfinite(other.score)
    supposed = alerts_under(rules, model.spec, slot_of(table.t_ns, model.spec.period_ns)[scored], other.score[scored])
    daemon = score_table(table, model, Watch(model, rules)).alert[scored]
    assert (supposed == daemon).all()
    assert supposed.any()


def test_other_rules_say_what_they_would_have_raised_and_found(small: Small) -> None:
    others = {one["rule"]: one for one in judged(small, small.faulty, LABELLED, what_if=True)["what_if"]}
    assert others["budget 1/day"]["events_found"] == 1
    assert others["on-delay 3600 s"] == {"rule": "on-delay 3600 s", "alerts": 0, "events_found": 0, "false_alerts": 0}


def test_recording_that_does_not_fit_its_model_is_said(small: Small, tmp_path: Path) -> None:
    lines = small.normal.read_text().splitlines()
    (tmp_path / "short.csv").write_text("\n".join(lines[:9]) + "\n")
    (tmp_path / "slow.csv").write_text("\n".join(lines[:1] + lines[1::30]) + "\n")
    (tmp_path / "other.csv").write_text("\n".join(lines).replace("flow", "level") + "\n")
    assert "do not fill one window of 16 rows" in judged(small, tmp_path / "short.csv")["reason"]
    assert "every 30 s" in judged(small, tmp_path / "slow.csv")["reason"]
    assert "lack flow, which the model watches" in judged(small, tmp_path / "other.csv")["reason"]


def test_one_model_is_that_of_all_assets_and_a_folder_says_whose_is_whose(small: Small, tmp_path: Path) -> None:
    (tmp_path / "make.onnx").write_bytes(small.model.read_bytes())
    (tmp_path / "classes.csv").write_text("asset,class\np1,make\np2,gone\n")
    folder = model_folder(tmp_path)
    assert [folder.model_of(asset) and folder.model_of(asset).key for asset in ("p1", "p2", "p3", "make")] == [  # type: ignore[union-attr]
        "make",
        None,
        None,
        "make",
    ]
    alone = model_folder(small.model).model_of("any")
    assert alone is not None
    assert alone.key == "small"
    with pytest.raises(BadData, match="is not there"):
        model_folder(tmp_path / "nowhere")


@pytest.fixture(scope="module")
def fleet(small: Small, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four machines with one model; one has a fault, one lies elsewhere, one cannot be read."""
    base = tmp_path_factory.mktemp("fleet")
    (base / "data").mkdir()
    for name, path in (("p1", small.normal), ("p2", small.normal), ("sick", small.faulty)):
        lines = path.read_text().replace(",anomaly", ",label").splitlines()
        rows = [line if name == "sick" or number == 0 else f"{line},0" for number, line in enumerate(lines)]
        rows[0] = "timestamp,flow,speed,label"
        (base / "data" / f"{name}.csv").write_text("\n".join(rows) + "\n")
    (base / "data" / "broken.csv").write_text("nothing\n")
    return base


def test_backtest_and_report_put_the_sick_machine_first(
    fleet: Path, small: Small, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ["--models", str(small.model), "--data", str(fleet / "data"), "--label", "label", "--budget", "1/hour"]
    assert main(["fleet", "backtest", *common, "--out", str(fleet / "bt"), "--workers", "1"]) == 1
    assert {row.key: row.is_done for row in rows_of(fleet / "bt")} == {
        "broken": False,
        "p1": True,
        "p2": True,
        "sick": True,
    }
    words = [
        "fleet",
        "report",
        "--judged",
        str(fleet / "bt"),
        "--out",
        str(fleet / "report"),
        "--singles",
        "1",
        *common,
    ]
    capsys.readouterr()
    assert main(words) == 0
    assert capsys.readouterr().out == f"open {fleet / 'report' / 'report.html'}\n"
    facts = json.loads((fleet / "report" / "report.json").read_text())
    assert facts["machines"][0]["asset"] == "sick"
    assert facts["failed"][0]["asset"] == "broken"
    page = (fleet / "report" / "report.html").read_text()
    assert '<a href="singles/sick.html">sick</a>' in page
    assert "<title>" in (fleet / "report" / "singles" / "sick.html").read_text()
    assert "[sick](singles/sick.html)" in (fleet / "report" / "report.md").read_text()


def test_table_of_the_report_is_read_as_parquet(fleet: Path, small: Small) -> None:
    import pyarrow.parquet as pq

    common = ["--models", str(small.model), "--data", str(fleet / "data"), "--label", "label"]
    main(["fleet", "evaluate", *common, "--out", str(fleet / "ev"), "--workers", "1"])
    main(["fleet", "report", "--judged", str(fleet / "ev"), "--out", str(fleet / "plain")])
    table = pq.read_table(fleet / "plain" / "report.parquet").to_pylist()
    assert table == json.loads((fleet / "plain" / "report.json").read_text())["machines"]
    assert [one["rank"] for one in table] == [1, 2, 3]


def test_report_of_what_is_no_evaluation_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "fleet.json").write_text('[{"key": "p", "state": "done"}]')
    assert main(["fleet", "report", "--judged", str(tmp_path), "--out", str(tmp_path / "r")]) == 1
    assert "is not what fleet evaluate or fleet backtest writes" in capsys.readouterr().err


def test_compare_and_retrain_hold_each_asset_s_models_against_each_other(small: Small, tmp_path: Path) -> None:
    """The same model on both sides is no worse; after retraining, the folder has a model that loads, whichever won."""
    assert ROWS == 1200
    data, models = tmp_path / "data", tmp_path / "models"
    data.mkdir()
    models.mkdir()
    (data / "p1.csv").write_bytes(small.normal.read_bytes())
    (models / "p1.onnx").write_bytes(small.model.read_bytes())
    common = ["--models", str(models), "--data", str(data), "--workers", "1"]
    compared = ["fleet", "compare", *common, "--other", str(small.model), "--out", str(tmp_path / "compared")]
    assert main(compared) == 0
    (row,) = rows_of(tmp_path / "compared")
    assert row.facts["replaced"]
    assert row.facts["current"] == row.facts["candidate"]
    out = tmp_path / "models-2"
    assert main(["fleet", "retrain", *common, "--family", "pca", "--length", "16", "--out", str(out)]) == 0
    (row,) = rows_of(out)
    kept = (out / "p1.onnx").read_bytes() == small.model.read_bytes()
    assert kept != row.facts["replaced"]
    assert OnnxModel.load(out / "p1.onnx").spec.names == ("flow", "speed")
    assert model_folder(out).model_of("p1") is not None


def test_models_in_use_are_not_retrained_in_their_place(
    small: Small, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["fleet", "retrain", "--models", str(tmp_path), "--data", str(small.normal), "--out", str(tmp_path)]
    assert main(words) == 1
    assert "is the folder of the models in use" in capsys.readouterr().err


def test_rules_without_delays_have_the_detector_s(small: Small) -> None:
    spec = OnnxModel.load(small.model).spec
    slots = np.arange(100, dtype=np.int64)
    scores = np.where(slots // 2 == 25, 1e6, 0.0)
    hop_ns = spec.hop * spec.period_ns
    asked = replace(HOURLY, on_delay_ns=hop_ns, off_delay_ns=10 * hop_ns)
    assert not alerts_under(HOURLY, spec, slots, np.where(slots == 50, 1e6, 0.0)).any()
    assert (alerts_under(HOURLY, spec, slots, scores) == alerts_under(asked, spec, slots, scores)).all()
    assert alerts_under(HOURLY, spec, slots, scores).any()


def test_table_is_not_written_over_a_recording(
    small: Small, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recording = tmp_path / "small.csv"
    recording.write_bytes(small.normal.read_bytes())
    words = ["fleet", "evaluate", "--models", str(small.model), "--data", str(recording), "--out", str(tmp_path / "e")]
    assert main([*words, "--json", str(recording)]) == 1
    assert "is called as a recording or a model is; name a file that ends in .json" in capsys.readouterr().err
    assert recording.read_bytes() == small.normal.read_bytes()
