from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_ae.errors import BadState
from edge_ae.store.checkpoint import Checkpoint, decode, encode

STATE = {"fleet": {"a": {"ratio": 0.1 + 0.2, "slot": 2**60, "open": [], "none": None}}}


def test_what_is_saved_is_what_is_loaded_to_the_last_bit(tmp_path: Path) -> None:
    assert Checkpoint(tmp_path).save(STATE)
    assert Checkpoint(tmp_path).load() == STATE


def test_nothing_saved_is_nothing_loaded(tmp_path: Path) -> None:
    assert Checkpoint(tmp_path).load() is None


def test_newest_of_many_is_loaded_and_one_before_it_is_kept(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path)
    for number in range(5):
        checkpoint.save({"number": number})
    assert Checkpoint(tmp_path).load() == {"number": 4}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint.0", "checkpoint.1"]


def test_what_cannot_be_taken_up_is_set_aside_and_counted(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path)
    for number in range(2):
        checkpoint.save({"number": number})
    checkpoint.set_aside()
    assert (checkpoint.load(), checkpoint.counts["damaged"]) == (None, 1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint.0.unfit", "checkpoint.1.unfit"]


def test_restarted_process_goes_on_counting(tmp_path: Path) -> None:
    for number in range(5):
        checkpoint = Checkpoint(tmp_path)
        checkpoint.load()
        checkpoint.save({"number": number})
        assert Checkpoint(tmp_path).load() == {"number": number}


@pytest.mark.parametrize(
    "damage", [lambda d: d[:-1], lambda d: d[:40], lambda _: b"", lambda d: d[:-9] + b"x" + d[-8:]]
)
def test_damaged_newest_falls_back_to_the_one_before_and_is_overwritten_first(tmp_path: Path, damage: Any) -> None:
    checkpoint = Checkpoint(tmp_path)
    for number in range(2):
        checkpoint.save({"number": number})
    newest = tmp_path / "checkpoint.0"
    newest.write_bytes(damage(newest.read_bytes()))
    again = Checkpoint(tmp_path)
    assert again.load() == {"number": 0}
    assert again.counts["damaged"] == 1
    again.save({"number": 2})
    assert Checkpoint(tmp_path).load() == {"number": 2}
    assert decode((tmp_path / "checkpoint.1").read_bytes(), "x")[1] == {"number": 0}


def test_file_that_cannot_be_written_is_said_and_leaves_the_old_one(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path)
    checkpoint.save({"number": 0})
    (tmp_path / "checkpoint.0.tmp").mkdir()
    assert not checkpoint.save({"number": 1})
    assert checkpoint.fault is not None
    assert "cannot be written" in checkpoint.fault
    assert Checkpoint(tmp_path).load() == {"number": 0}
    (tmp_path / "checkpoint.0.tmp").rmdir()
    assert checkpoint.save({"number": 2})
    assert checkpoint.fault is None


def test_only_its_owner_can_read_it(tmp_path: Path) -> None:
    Checkpoint(tmp_path).save(STATE)
    assert (tmp_path / "checkpoint.1").stat().st_mode & 0o077 == 0


def test_other_schema_version_is_refused_in_a_sentence() -> None:
    data = encode(STATE, 1).replace(b"checkpoint 1 ", b"checkpoint 2 ", 1)
    with pytest.raises(BadState, match="x has schema version b'2', this program reads 1"):
        decode(data, "x")


@given(st.binary(max_size=200), st.integers(0, 1000), st.booleans())
def test_no_altered_file_is_believed(junk: bytes, at: int, append: bool) -> None:
    data = encode(STATE, 1)
    at %= len(data)
    altered = data[:at] + junk + data[at if append else min(at + len(junk), len(data)) :]
    try:
        assert decode(altered, "x") == (1, STATE)
        assert altered == data
    except BadState:
        pass
