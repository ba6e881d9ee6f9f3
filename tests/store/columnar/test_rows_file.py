"""A file of blocks: each whole block is read, wherever the file was cut off or has rotted."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_ae.core.timestamps import SECOND
from edge_ae.errors import BadData
from edge_ae.store.columnar import rows_file as module
from edge_ae.store.columnar.block import MAGIC, Mark, Rows, encode_marks, encode_rows
from edge_ae.store.columnar.rows_file import RowsFile, read_rows
from edge_ae.store.recording.options import ReadOptions

NOON = 1_795_435_200 * SECOND  # 2026-11-23T12:00:00Z


def rows(first: int, *values: float, name: str = "a") -> Rows:
    """One a second, from second `first` on."""
    t_ns = NOON + (first + np.arange(len(values))) * SECOND
    return Rows((name,), t_ns, np.array(values).reshape(-1, 1))


BLOCKS = [encode_rows(rows(10 * n, n + 0.25, n + 0.5)) for n in range(4)]
WHOLE = b"".join(BLOCKS)


def read(data: bytes, folder: Path) -> tuple[list[float], RowsFile]:
    file = RowsFile(folder / "20261123T120000.rows")
    file.path.write_bytes(data)
    return [value for part in file.rows() for value in part.values[:, 0].tolist()], file


def test_a_file_that_is_torn_at_any_byte_gives_every_whole_block(tmp_path: Path) -> None:
    ends = np.cumsum([len(block) for block in BLOCKS])
    for cut in range(len(WHOLE)):
        found, file = read(WHOLE[:cut], tmp_path)
        whole = int((ends <= cut).sum())
        assert found == [n + part for n in range(whole) for part in (0.25, 0.5)]
        assert (file.condition.end, file.condition.damaged) == (int(ends[whole - 1]) if whole else 0, 0)


def test_a_byte_that_has_rotted_costs_its_block_alone(tmp_path: Path) -> None:
    first, second = len(BLOCKS[0]), len(BLOCKS[1])
    for place in range(first, first + second):
        found, file = read(WHOLE[:place] + bytes([WHOLE[place] ^ 0x55]) + WHOLE[place + 1 :], tmp_path)
        assert found == [0.25, 0.5, 2.25, 2.5, 3.25, 3.5]
        assert (file.condition.damaged, file.condition.damaged_bytes) == (1, second)


def test_a_block_that_was_torn_and_appended_to_costs_nothing_of_the_next(tmp_path: Path) -> None:
    found, _ = read(BLOCKS[0] + BLOCKS[1][:-7] + BLOCKS[2], tmp_path)
    assert found == [0.25, 0.5, 2.25, 2.5]


def test_a_tail_of_zeros_as_a_power_cut_leaves_it_is_a_torn_block(tmp_path: Path) -> None:
    found, file = read(BLOCKS[0] + bytes(5_000), tmp_path)
    assert found == [0.25, 0.5]
    assert file.condition.notes(file.path) == (
        f"{file.path}: its last 5,000 bytes are no whole block: cut off by a power cut, or being written now; "
        "1 whole blocks are read",
    )


def test_the_next_block_is_found_across_the_edges_of_what_is_searched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SEARCHED_BYTES", 16)
    for gap in range(1, 40):
        assert read(BLOCKS[0] + MAGIC + bytes(gap) + BLOCKS[1], tmp_path)[0] == [0.25, 0.5, 1.25, 1.5]


@given(st.binary(max_size=400))
def test_any_bytes_between_blocks_are_left_out(tmp_path_factory: pytest.TempPathFactory, between: bytes) -> None:
    folder = tmp_path_factory.mktemp("rows")
    assert read(BLOCKS[0] + between + BLOCKS[1], folder)[0] == [0.25, 0.5, 1.25, 1.5]


def test_damage_is_said_in_one_sentence_with_the_recording(tmp_path: Path) -> None:
    rotten = WHOLE.replace(BLOCKS[1], BLOCKS[1][:-1] + bytes([BLOCKS[1][-1] ^ 1]))
    path = tmp_path / "a.rows"
    path.write_bytes(rotten)
    assert read_rows(path).notes == (
        f"{path}: {len(BLOCKS[1])} bytes in 1 places are damaged and left out; 3 whole blocks are read",
    )


def test_rows_of_a_stretch_of_time_have_both_ends(tmp_path: Path) -> None:
    _, file = read(WHOLE, tmp_path)
    parts = list(file.rows((NOON + 1 * SECOND, NOON + 20 * SECOND)))
    assert [part.values[:, 0].tolist() for part in parts] == [[0.5], [1.25, 1.5], [2.25]]


def test_a_file_is_a_table_with_the_channels_of_all_its_blocks(tmp_path: Path) -> None:
    path = tmp_path / "a.rows"
    path.write_bytes(BLOCKS[0] + encode_rows(rows(5, 7.5, name="b")))
    table = read_rows(path)
    assert (table.names, table.notes) == (("a", "b"), ())
    assert list(table.times) == ["2026-11-23T12:00:00.000Z", "2026-11-23T12:00:01.000Z", "2026-11-23T12:00:05.000Z"]
    np.testing.assert_array_equal(table.values, [[0.25, np.nan], [0.5, np.nan], [np.nan, 7.5]])
    assert read_rows(path, ReadOptions(ignore=["a"])).names == ("b",)
    assert read_rows(path, ReadOptions(label="b")).labels is not None
    with pytest.raises(BadData, match="has no column 'c'; it has a, b"):
        read_rows(path, ReadOptions(ignore=["c"]))


def test_marks_lie_beside_the_rows(tmp_path: Path) -> None:
    marks = [Mark(NOON, NOON + SECOND, "alert 7"), Mark(NOON, NOON, "sick a")]
    found, file = read(BLOCKS[0] + encode_marks(marks) + BLOCKS[1], tmp_path)
    assert found == [0.25, 0.5, 1.25, 1.5]
    assert file.marks() == marks


def test_a_file_without_a_whole_block_is_refused_with_the_reason(tmp_path: Path) -> None:
    path = tmp_path / "a.rows"
    path.write_bytes(BLOCKS[0][:-1])
    with pytest.raises(BadData, match="no whole block"):
        read_rows(path)
    path.write_bytes(b"")
    with pytest.raises(BadData, match="holds no rows"):
        read_rows(path)
    with pytest.raises(BadData, match="cannot be read"):
        read_rows(tmp_path)
