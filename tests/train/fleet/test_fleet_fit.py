"""`fleet fit` as a person meets it: models of many assets, the same bytes whatever ran them, and a row for each that failed."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edge_ae_train.cli import main
from edge_ae_train.data.prepare import RowOptions
from edge_ae_train.data.segments import Segment
from edge_ae_train.fleet import classes, fitting
from edge_ae_train.fleet.fitting import (
    LEAST_RUN,
    MOST_CLASS_LINES,
    ReadAsset,
    alike,
    fit_job,
    in_time,
    share_of,
    spread,
)
from edge_ae_train.fleet.jobs import DONE, FAILED, FleetJob, JobRow
from edge_ae_train.fleet.sources import AssetSource, find
from edge_ae_train.fleet.work import FIT, FitOptions

from edge_ae.core.timestamps import SECOND
from edge_ae.errors import BadData
from edge_ae.model.onnx_model import OnnxModel
from edge_ae.store.recording.options import AS_IT_IS
from edge_ae.store.recording_csv import Table, write_csv
from tests.models import pump

QUICK = ("--family", "pca", "--length", "16")


def record(path: Path, first: int = 0, rows: int = 400, names: int = 3) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    simulated = pump(first + rows)
    times = [str(t // SECOND) for t in simulated.t_ns[first:].tolist()]
    write_csv(path, times, simulated.names[:names], simulated.values[first:, :names])


@dataclass(frozen=True)
class Fitted:
    data: Path
    out: Path
    code: int
    rows: dict[str, Any]


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Fitted:
    """Two makes of pumps, and three that cannot be fitted, by processes."""
    base = tmp_path_factory.mktemp("fleet")
    data, out = base / "data", base / "models"
    for name, first in (("a1", 0), ("a2", 100), ("b1", 200)):
        record(data / f"{name}.csv", first)
    record(data / "odd.csv", names=2)
    (data / "empty.csv").write_text("time,flow\n")
    (data / "corrupt.parquet").write_bytes(b"PAR1 and no more")
    named = base / "classes.csv"
    named.write_text("asset,class\na1,alpha\na2,alpha\nodd,alpha\nb1,beta\nempty,beta\ngone,beta\n")
    report = base / "table.json"
    options = ("--by", str(named), "--out", str(out), "--json", str(report), "--workers", "2")
    code = main(["fleet", "fit", "--data", str(data), *options, *QUICK])
    return Fitted(data, out, code, {row["key"]: row for row in json.loads(report.read_text())})


def test_class_has_one_model_and_what_failed_is_a_row(fitted: Fitted) -> None:
    assert fitted.code == 1
    states = {key: row["state"] for key, row in fitted.rows.items()}
    failed = dict.fromkeys(("odd", "empty", "corrupt"), "failed")
    assert states == {"alpha": "done", "beta": "done", **failed}
    assert fitted.rows["alpha"]["facts"]["assets"] == ["a1", "a2"]
    assert "is unlike its class: lacks" in fitted.rows["odd"]["reason"]
    assert "has a header but no lines of values" in fitted.rows["empty"]["reason"]
    assert "names no class for it" in fitted.rows["corrupt"]["reason"]
    assert (fitted.out / "classes.csv").read_text() == "asset,class\na1,alpha\na2,alpha\nb1,beta\n"
    assert OnnxModel.load(fitted.out / "alpha.onnx").spec.name == "alpha"


def test_model_is_the_same_to_the_bit_whatever_ran_its_job(fitted: Fitted) -> None:
    (source,) = find([str(fitted.data / "b1.csv")], None, AS_IT_IS, fitted.out)
    product = fit_job(FleetJob("beta", FIT, (source,), FitOptions(rows=RowOptions(length=16), family="pca")))
    assert product.files["beta.onnx"] == (fitted.out / "beta.onnx").read_bytes()


def test_assets_beyond_those_a_class_is_trained_on_are_read_and_share_its_model(
    fitted: Fitted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fitting, "MOST_CLASS_ASSETS", 1)
    by_name = {source.asset: source for source in find([str(fitted.data)], None, AS_IT_IS, fitted.out)}
    sources = tuple(by_name[name] for name in ("b1", "a1", "empty"))
    product = fit_job(FleetJob("beta", FIT, sources, FitOptions(rows=RowOptions(length=16), family="pca")))
    assert product.files["beta.onnx"] == (fitted.out / "beta.onnx").read_bytes()
    assert product.facts["assets"] == ["b1", "a1"]
    assert "no lines of values" in product.facts["left_out"]["empty"]


def test_time_of_a_model_is_that_of_its_newest_line(fitted: Fitted) -> None:
    newest = int((fitted.data / "b1.csv").read_text().splitlines()[-1].split(",")[0])
    trained_at = OnnxModel.load(fitted.out / "beta.onnx").spec.trained_at
    assert np.datetime64(trained_at.removesuffix("Z"), "s").astype(int) == newest


def test_models_of_one_state_say_so_and_are_made_anew_for_another(tmp_path: Path) -> None:
    record(tmp_path / "data" / "a1.csv")
    words = ["fleet", "fit", "--data", str(tmp_path / "data"), "--out", str(tmp_path / "models"), *QUICK]
    name = pump(1).names[0]
    for when in (f"{name} > -1000", f"{name} > -999"):
        assert main([*words, "--when", when]) == 0
        assert OnnxModel.load(tmp_path / "models" / "a1.onnx").spec.when == when


def test_what_is_done_is_left_as_it_is_by_the_next_run(fitted: Fitted, capsys: pytest.CaptureFixture[str]) -> None:
    times = {path: path.stat().st_mtime_ns for path in fitted.out.glob("*.onnx")}
    named = str(fitted.data.parent / "classes.csv")
    words = ["fleet", "fit", "--data", str(fitted.data), "--by", named, "--out", str(fitted.out), *QUICK]
    assert main(words) == 1
    assert {path: path.stat().st_mtime_ns for path in fitted.out.glob("*.onnx")} == times
    assert "2 done, 3 failed" in capsys.readouterr().out


def test_table_that_cannot_be_written_is_said_before_the_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record(tmp_path / "p1.csv", rows=20)
    words = [
        "fleet",
        "fit",
        "--data",
        str(tmp_path),
        "--out",
        str(tmp_path / "m"),
        "--json",
        str(tmp_path / "no" / "t"),
    ]
    assert main(words) == 1
    assert "no/t: cannot be written" in capsys.readouterr().err
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("asset,class\na1\n", r"line 2: should be one asset, a comma, and its class"),
        ("asset,class\na1,x\na1,y\n", r"line 3: 'a1' has the class 'x' already"),
        ("name,make\na1,x\n", r"should begin with the line asset,class"),
        ("asset,class\nother,x\n", r"names none of the assets, such as 'a1'"),
        (None, r"cannot be read \(No such file or directory\)"),
    ],
)
def test_file_of_classes_that_says_nothing_clear_is_refused(text: str | None, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "classes.csv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(BadData, match=sentence):
        classes.of_file(path, [AssetSource("a1", ())])


def read_asset(name: str, names: tuple[str, ...] = ("a", "b"), period_s: int = 1, lines: int = 4) -> ReadAsset:
    t_ns = np.arange(lines, dtype=np.int64) * period_s * SECOND
    table = Table(Path(name), [""] * lines, t_ns, names, np.zeros((lines, len(names))))
    return ReadAsset(name, table, period_s * SECOND)


def test_assets_unlike_most_of_their_class_are_left_out_and_it_is_said_how() -> None:
    same = [read_asset("p1"), read_asset("p2", ("b", "a"))]
    others = [read_asset("p3", ("a", "c")), read_asset("p4", period_s=10)]
    members, faults = alike([*others, *same])
    assert [one.asset for one in members] == ["p1", "p2"]
    assert faults == {
        "p3": "is unlike its class: lacks b and has c besides; give it a class of its own",
        "p4": "is unlike its class: comes every 10 s, the others every 1 s; give it a class of its own",
    }


def test_long_recording_gives_a_class_runs_from_all_its_time() -> None:
    lines = spread(read_asset("p", lines=100_000).table, 8_000).t_ns // SECOND
    assert len(lines) == 8_000
    assert (lines[0], lines[-1]) == (0, 99_999)
    assert (np.diff(lines) > 1).sum() == 7


@pytest.mark.parametrize(("assets", "trained_on"), [(2, 2), (300, 300), (400, 400), (401, 201), (10_000, 400)])
def test_class_of_any_size_is_trained_on_runs_that_hold_windows(assets: int, trained_on: int) -> None:
    shares = [share_of(place, assets) for place in range(assets)]
    used = [share for share in shares if share > 0]
    assert len(used) == trained_on
    assert sum(used) <= MOST_CLASS_LINES
    lines = spread(read_asset("p", lines=50_000).table, used[0], 0.5).t_ns // SECOND
    runs = np.split(lines, np.flatnonzero(np.diff(lines) > 1) + 1)
    assert min(map(len, runs)) >= LEAST_RUN


def test_runs_of_large_classes_lie_at_different_times_and_an_asset_beyond_them_gives_none() -> None:
    table = read_asset("p", lines=50_000).table
    firsts = [int(spread(table, 1000, at).t_ns[0] // SECOND) for at in (0.0, 0.5, 0.9)]
    assert firsts == [0, 24_500, 44_100]
    assert len(spread(table, 0)) == 0


def test_rows_of_a_class_come_in_order_of_time() -> None:
    rows = np.zeros((100, 1), np.float32)
    parts = in_time([Segment(rows, 0, "a"), Segment(rows, 10, "b")])
    assert sum(map(len, parts)) == 200
    starts = [part.start_slot for part in parts]
    assert starts == sorted(starts) or max(b - a for a, b in zip(starts[1:], starts, strict=False)) <= 11
    assert {part.asset for part in parts[-2:]} == {"a", "b"}


def test_asset_that_is_called_as_its_class_has_a_row_where_the_class_is_trained_without_it() -> None:
    rows = [JobRow("pumps", DONE, facts={"left_out": {"pumps": "is empty"}})]
    assert [(row.key, row.state, row.reason) for row in classes.left_out(rows)] == [("pumps", FAILED, "is empty")]
