"""Assets are found wherever recordings lie, and each is read by itself; one that is broken is that asset's alone."""

import gzip
from collections.abc import Sequence
from pathlib import Path

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from edge_ae_train.fleet.jobs import FleetJob
from edge_ae_train.fleet.ledger import ledger
from edge_ae_train.fleet.run import run
from edge_ae_train.fleet.sources import AssetSource, find
from edge_ae_train.fleet.work import LOOK, FitOptions

from edge_ae.errors import BadData
from edge_ae.store.recording.options import AS_IT_IS, ReadOptions
from tests.train.fleet.test_ledger import Here

START = 1_790_000_000


def csv_of(first: int, lines: int = 3) -> str:
    return "time,flow\n" + "".join(f"{START + first + n},{first + n}\n" for n in range(lines))


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_csv", ".csv")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def parquet(path: Path, assets: Sequence[str | None] | None, first: int, lines: int = 4) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    times = (np.arange(lines) + START + first) * 1_000_000_000
    columns = {"time": pa.array(times, pa.timestamp("ns", "UTC")), "flow": np.arange(lines) + float(first)}
    named = {} if assets is None else {"pump": [assets[n % len(assets)] for n in range(lines)]}
    pq.write_table(pa.table(columns | named), path)


def assets_of(place: object, folder: Path, column: str | None = None) -> dict[str, AssetSource]:
    return {source.asset: source for source in find([str(place)], column, AS_IT_IS, folder / ".parts")}


def flow(source: AssetSource, columns: ReadOptions = AS_IT_IS) -> list[float]:
    return list(source.table(columns).values[:, 0])


def test_file_is_an_asset_and_a_folder_is_one_with_its_files_in_order(tmp_path: Path) -> None:
    data = write(tmp_path, p10_csv=csv_of(0), p2_csv=csv_of(7), p1__b_csv=csv_of(5), p1__a_csv=csv_of(0))
    found = assets_of(data, tmp_path)
    assert list(found) == ["p1", "p2", "p10"]
    assert flow(found["p1"]) == [0, 1, 2, 5, 6, 7]


def test_folder_of_parquet_files_is_an_asset_too(tmp_path: Path) -> None:
    parquet(tmp_path / "p1" / "a.parquet", None, 0)
    parquet(tmp_path / "p1" / "b.parquet", None, 4)
    assert flow(assets_of(tmp_path, tmp_path)["p1"]) == [0, 1, 2, 3, 4, 5, 6, 7]


def test_partition_of_a_dataset_is_an_asset_and_its_keys_are_no_channels(tmp_path: Path) -> None:
    parquet(tmp_path / "pump=a%20b" / "year=2025" / "x.parquet", None, 0)
    parquet(tmp_path / "pump=a%20b" / "year=2026" / "x.parquet", None, 4)
    parquet(tmp_path / "pump=c" / "year=2026" / "x.parquet", None, 9)
    found = assets_of(tmp_path, tmp_path, "pump")
    assert list(found) == ["a b", "c"]
    assert found["a b"].table(AS_IT_IS).names == ("flow",)
    assert flow(found["a b"]) == [0, 1, 2, 3, 4, 5, 6, 7]


def test_column_of_parquet_files_names_the_assets(tmp_path: Path) -> None:
    parquet(tmp_path / "x.parquet", ["a", "b"], 0)
    parquet(tmp_path / "y.parquet", ["b"], 10)
    found = assets_of(tmp_path, tmp_path, "pump")
    assert {name: flow(source) for name, source in found.items()} == {"a": [0, 2], "b": [1, 3, 10, 11, 12, 13]}


@pytest.mark.parametrize("mark", [",", ";", "\t"], ids=["comma", "semicolon", "tab"])
def test_column_of_a_text_file_names_the_assets(mark: str, tmp_path: Path) -> None:
    lines = ["time,pump,flow,speed", *(f"{START + n},{'ab'[n % 2]},{n},1.5" for n in range(6))]
    (tmp_path / "all.csv").write_text("\n".join(lines).replace(",", mark) + "\n")
    found = assets_of(tmp_path / "all.csv", tmp_path, "pump")
    assert {name: flow(source) for name, source in found.items()} == {"a": [0, 2, 4], "b": [1, 3, 5]}
    assert found["a"].table(ReadOptions(ignore=["speed"])).names == ("flow",)


def test_fault_in_a_text_file_of_many_assets_names_that_file(tmp_path: Path) -> None:
    lines = [f"{START + n},{'ab'[n % 2]},{'x' if n == 3 else n}" for n in range(6)]
    (tmp_path / "all.csv").write_text("time,pump,flow\n" + "\n".join(lines) + "\n")
    found = assets_of(tmp_path / "all.csv", tmp_path, "pump")
    assert flow(found["a"]) == [0, 2, 4]
    with pytest.raises(BadData) as caught:
        found["b"].table(AS_IT_IS)
    assert found["b"].named(str(caught.value)).startswith(f"{tmp_path / 'all.csv'}, lines of b, line 3")


def lines_of(names: str, first: int = 0) -> str:
    return "time,pump,flow\n" + "".join(f"{START + first + n},{name},{first + n}\n" for n, name in enumerate(names))


def test_asset_whose_lines_lie_in_a_file_of_each_month_is_one_recording(tmp_path: Path) -> None:
    data = write(tmp_path / "data", m1_csv=lines_of("abab"), m2_csv=lines_of("abab", 10))
    found = assets_of(data, tmp_path, "pump")
    assert {name: flow(source) for name, source in found.items()} == {"a": [0, 2, 10, 12], "b": [1, 3, 11, 13]}


def test_files_called_alike_in_two_folders_keep_their_lines_apart(tmp_path: Path) -> None:
    data = write(tmp_path / "data", north__all_csv=lines_of("aa"), south__all_csv=lines_of("bb", 10))
    found = assets_of(data, tmp_path, "pump")
    assert {name: flow(source) for name, source in found.items()} == {"a": [0, 1], "b": [10, 11]}


def test_lines_without_an_assets_name_are_a_fault_of_their_own(tmp_path: Path) -> None:
    data = write(tmp_path / "data", all_csv=lines_of("a a").replace(", ,", ",,"))
    parquet(data / "x.parquet", ["b", None], 0)
    found = assets_of(data, tmp_path, "pump")
    assert (flow(found["a"]), flow(found["b"])) == ([0, 2], [0, 2])
    assert [source.fault for source in found.values() if source.fault] == [
        f"{data / name}: has lines without a name in the column 'pump'; they are left out"
        for name in ("all.csv", "x.parquet")
    ]


def test_link_that_leads_nowhere_is_the_fault_of_its_asset_alone(tmp_path: Path) -> None:
    data = write(tmp_path / "data", p1_csv=csv_of(0))
    (data / "p2.csv").symlink_to("nowhere")
    found = assets_of(data, tmp_path)
    assert flow(found["p1"]) == [0, 1, 2]
    with pytest.raises(BadData, match=r"p2\.csv"):
        found["p2"].table(AS_IT_IS)


def test_folder_called_as_a_file_is_no_file(tmp_path: Path) -> None:
    parquet(tmp_path / "p1.parquet" / "part-0.parquet", None, 0)
    assert list(assets_of(tmp_path, tmp_path)) == ["p1.parquet"]


def test_what_a_fleet_command_wrote_among_the_recordings_is_no_recording(tmp_path: Path) -> None:
    data = write(tmp_path, p1_csv=csv_of(0), models__classes_csv="asset,class\np1,p1\n", classes_csv=csv_of(0))
    (data / "models" / "fleet.json").write_text("[]")
    assert list(assets_of(data, tmp_path)) == ["classes", "p1"]


@pytest.mark.parametrize("scheme", ["file", "local"], ids=["pyarrow's", "fsspec's"])
def test_place_may_be_the_address_of_an_object_store(scheme: str, tmp_path: Path) -> None:
    parquet(tmp_path / "in" / "p1.parquet", None, 0)
    parquet(tmp_path / "in" / "p2" / "a.parquet", None, 0)
    parquet(tmp_path / "in" / "p2" / "b.parquet", None, 4)
    found = assets_of(f"{scheme}://{tmp_path / 'in'}", tmp_path)
    assert {name: len(flow(source)) for name, source in found.items()} == {"p1": 4, "p2": 8}


def test_place_that_a_store_does_not_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"memory://nowhere: is not there"):
        assets_of("memory://nowhere", tmp_path)


def test_address_that_nothing_opens_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"nostore://x/y: cannot be opened \(.*nostore"):
        assets_of("nostore://x/y", tmp_path)


def in_memory(place: str, **files: bytes) -> str:
    """A store that fsspec keeps in this process."""
    store = fsspec.filesystem("memory")
    for name, data in files.items():
        store.pipe(f"/{place}/{name.replace('__', '/').replace('_csv', '.csv').replace('_gz', '.gz')}", data)
    return f"memory://{place}"


def test_text_files_in_an_object_store_are_read_compressed_or_not(tmp_path: Path) -> None:
    packed = gzip.compress(csv_of(3).encode())
    place = in_memory("texts", p1_csv=csv_of(0).encode(), p2__a_csv=csv_of(0).encode(), p2__b_csv_gz=packed)
    found = assets_of(place, tmp_path)
    assert {name: flow(source) for name, source in found.items()} == {"p1": [0, 1, 2], "p2": [0, 1, 2, 3, 4, 5]}
    assert found["p1"].table(AS_IT_IS).path == Path("/texts/p1.csv")


def test_text_file_of_many_assets_in_an_object_store_is_split(tmp_path: Path) -> None:
    lines = "".join(f"{START + n},{'ab'[n % 2]},{n}\n" for n in range(6))
    found = assets_of(in_memory("many", all_csv=f"time,pump,flow\n{lines}".encode()), tmp_path, "pump")
    assert {name: flow(source) for name, source in found.items()} == {"a": [0, 2, 4], "b": [1, 3, 5]}


def test_fault_in_a_text_file_of_a_store_names_it_as_the_store_does(tmp_path: Path) -> None:
    place = in_memory(
        "faults", good_csv=csv_of(0).encode(), bad_csv=b"time,flow\n1790000000,x\n", gone_csv=b"time,flow\n"
    )
    found = assets_of(place, tmp_path)
    fsspec.filesystem("memory").rm("/faults/gone.csv")
    assert flow(found["good"]) == [0, 1, 2]
    for name, sentence in (("bad", "^/faults/bad.csv, line 2"), ("gone", "^/faults/gone.csv: cannot be read")):
        with pytest.raises(BadData, match=sentence):
            found[name].table(AS_IT_IS)


@pytest.mark.parametrize("column", [None, "pump"])
def test_broken_file_is_the_fault_of_its_asset_alone(column: str | None, tmp_path: Path) -> None:
    parquet(tmp_path / "good.parquet", ["good"], 0)
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 no more")
    found = assets_of(tmp_path, tmp_path, column)
    bad = found.pop("bad" if column is None else str(tmp_path / "bad.parquet"))
    with pytest.raises(BadData, match=r"bad.parquet: is no readable Parquet file"):
        bad.table(AS_IT_IS)
    assert list(found) == ["good"]


def test_one_corrupt_file_among_three_hundred_is_one_failed_row(tmp_path: Path) -> None:
    text = csv_of(0, lines=20)
    write(tmp_path / "data", **{f"p{n}_csv": text for n in range(300)})
    (tmp_path / "data" / "p123.csv").write_bytes(bytes(range(256)) * 20)
    (tmp_path / "data" / "p7.csv").write_bytes(b"")
    sources = find([str(tmp_path / "data")], None, AS_IT_IS, tmp_path)
    with ledger(tmp_path / "out") as book:
        rows = run([FleetJob(one.asset, LOOK, (one,), FitOptions()) for one in sources], book, Here())
    assert len(rows) == 300
    assert {row.key for row in rows if not row.is_done} == {"p7", "p123"}
    assert all(str(tmp_path / "data" / f"{row.key}.csv") in row.reason for row in rows if not row.is_done)


def test_two_assets_of_one_name_are_refused(tmp_path: Path) -> None:
    write(tmp_path, north__p_csv=csv_of(0), south__north__p_csv=csv_of(0))
    with pytest.raises(BadData, match="two assets are called 'north'"):
        assets_of(tmp_path, tmp_path)


@pytest.mark.parametrize(("place", "sentence"), [("nowhere", "is not there"), ("", "holds no recording")])
def test_place_without_recordings_is_refused(place: str, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(BadData, match=sentence):
        assets_of(tmp_path / place, tmp_path)


def test_recording_that_changes_changes_its_own_asset_alone(tmp_path: Path) -> None:
    data = write(tmp_path, a_csv=csv_of(0), b_csv=csv_of(0))
    before = assets_of(data, tmp_path)
    write(tmp_path, b_csv=csv_of(1))
    after = assets_of(data, tmp_path)
    assert [before[name].inputs == after[name].inputs for name in "ab"] == [True, False]
