"""Classes are proposed by how channels lie, and an asset stays in one only where the shared model serves it as well as its own."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edge_ae_train.data.prepare import RowOptions
from edge_ae_train.fleet import like
from edge_ae_train.fleet.jobs import DONE, FAILED, JobRow
from edge_ae_train.fleet.ledger import ledger
from edge_ae_train.fleet.like import found_classes, grouped, parted, proposed
from edge_ae_train.fleet.sources import AssetSource, find
from edge_ae_train.fleet.work import FitOptions

from edge_ae.errors import BadData
from edge_ae.model.onnx_model import OnnxModel
from edge_ae.store.recording.options import AS_IT_IS
from edge_ae.store.recording_csv import write_csv
from tests.train.fleet.test_ledger import Here

ROWS = 1200


def looked(asset: str, middle: float, channels: str = "ab", period_ns: int = 1) -> JobRow:
    facts = {"channels": list(channels), "period_ns": period_ns, "middle": [middle, 5.0], "spread": [1.0, 1.0]}
    return JobRow(asset, DONE, facts=facts)


def test_assets_with_other_channels_or_period_are_never_in_one_class() -> None:
    rows = [looked("p1", 1.0), looked("p2", 1.0, "ac"), looked("p3", 1.0, period_ns=2), looked("p4", 1.1)]
    assert proposed([*rows, JobRow("p5", FAILED, "is empty")]) == {
        "class-1": ["p1", "p4"],
        "class-2": ["p2"],
        "class-3": ["p3"],
    }


def test_makes_that_lie_apart_are_parted_and_pumps_of_one_make_are_not() -> None:
    rng = np.random.default_rng(0)
    makes = {"north": 10.0, "river": 20.0, "tower": 45.0}
    rows = [looked(f"{make}-{n}", at + rng.normal(scale=0.3)) for make, at in makes.items() for n in range(6)]
    assert sorted(sorted({row.key.split("-")[0] for row in part}) for part in parted(rows)) == [
        ["north"],
        ["river"],
        ["tower"],
    ]
    one_make = [looked(f"p{n}", at) for n, at in enumerate(rng.normal(scale=0.3, size=20))]
    assert [len(part) for part in parted(one_make)] == [20]


def test_thousands_of_assets_are_parted_as_few_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """All distances between ten thousand assets would take gigabytes."""
    monkeypatch.setattr(like, "MOST_GROUPED", 30)
    rng = np.random.default_rng(0)
    makes = {"north": 10.0, "river": 20.0, "tower": 45.0}
    rows = [looked(f"{make}-{n}", at + rng.normal(scale=0.3)) for n in range(100) for make, at in makes.items()]
    parts = [{row.key.split("-")[0] for row in part} for part in parted(rows)]
    assert sorted(map(sorted, parts)) == [["north"], ["river"], ["tower"]]


def served(serves: bool, *worse: str) -> JobRow:
    return JobRow("p", DONE, facts={"serves": serves, "worse": list(worse)})


def test_asset_that_its_class_serves_worse_has_its_own_and_it_is_said_why() -> None:
    sources = {name: AssetSource(name, ()) for name in ("a", "b", "c", "d", "e")}
    proposals = {"class-1": ["a", "b", "c"], "class-2": ["d", "e"]}
    tests = {
        "a": served(True),
        "b": served(True),
        "c": served(False, "it raises 9 alerts on normal rows"),
        "d": served(True),
    }
    found = grouped(sources, proposals, tests, {"x": "is empty"})
    members = {key: [source.asset for source in inside] for key, inside in found.members.items()}
    assert members == {"class-1": ["a", "b"], "c": ["c"], "d": ["d"], "e": ["e"]}
    assert found.faults == {"x": "is empty"}
    assert found.notes == (
        "class-1: a shared model serves 2 of 3 assets as well as their own",
        "c has its own: with the shared model, it raises 9 alerts on normal rows",
        "class-2: a shared model serves 0 of 2 assets as well as their own",
        "d has its own: nobody is like it",
        "e has its own: the shared model could not be trained",
    )


def test_fleet_of_which_nothing_can_be_read_is_refused() -> None:
    with pytest.raises(BadData, match="no asset can be read: is empty"):
        grouped({}, {}, {}, {"x": "is empty", "y": "is empty"})


def record(path: Path, seed: int, gain: float) -> None:
    """A flow that follows a slow speed, by a gain of the make's."""
    rng = np.random.default_rng(seed)
    speed = np.sin(np.arange(ROWS) / 20)
    signals = np.column_stack([gain * (5 + speed), 50 + 10 * speed]) + rng.normal(scale=0.1, size=(ROWS, 2))
    write_csv(path, [str(1_700_000_000 + n) for n in range(ROWS)], ["flow", "speed"], signals)


def test_like_assets_are_found_and_tested_and_a_second_run_does_nothing_again(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    for seed, (name, gain) in enumerate({"n1": 1.0, "n2": 1.0, "r1": 4.0}.items()):
        record(data / f"{name}.csv", seed, gain)
    sources = find([str(data)], None, AS_IT_IS, tmp_path)
    options = FitOptions(rows=RowOptions(length=16), family="pca")
    engine: Any = Here()
    with ledger(tmp_path / "models") as book:
        found = found_classes(sources, options, book, engine)
    members = {key: [source.asset for source in inside] for key, inside in found.members.items()}
    assert members == {"class-1": ["n1", "n2"], "r1": ["r1"]}
    assert found.notes[0] == "class-1: a shared model serves 2 of 2 assets as well as their own"
    shared = OnnxModel.load(tmp_path / "models" / "steps" / "share" / "class-1.onnx")
    assert list(shared.report["candidates"]) == ["pca"], "no other family is trained for the test"
    again: Any = Here()
    with ledger(tmp_path / "models") as book:
        assert found_classes(sources, options, book, again).notes == found.notes
    assert again.did == []
