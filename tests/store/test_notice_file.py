"""The file of what was sent to people."""

from pathlib import Path

import orjson
import pytest

from edge_ae.core.alert_events import EventType
from edge_ae.core.notice_ledger import LedgerState
from edge_ae.core.notices import Notice, NoticeText
from edge_ae.store.notice_file import NoticeFile

STATE = LedgerState(
    {"a": False, "b": True},
    {"a": ("ann", "bob")},
    (Notice("c", EventType.NEW, "ann", NoticeText("t", "x", "l", "high"), 7, tries=2, failing_ns=3, held=True),),
)


def test_what_is_saved_is_loaded_by_the_next_run_and_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "notices.json"
    assert NoticeFile(path).save(STATE)
    assert NoticeFile(path).load() == STATE
    assert path.stat().st_mode & 0o077 == 0


def test_there_is_nothing_before_the_first_save(tmp_path: Path) -> None:
    assert NoticeFile(tmp_path / "notices.json").load() is None


@pytest.mark.parametrize(
    "damage", [b"", b"{", b"[]", b'{"schema": 2}', b'{"schema":1,"known":3,"begun":{},"notices":[]}']
)
def test_a_damaged_file_is_said_and_begun_anew(damage: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "notices.json"
    path.write_bytes(damage)
    assert NoticeFile(path).load() is None
    assert "is damaged" in caplog.text


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("alert", [1]), ("recipient", {}), ("due_ns", "soon"), ("due_ns", None), ("tries", -1), ("tries", 1.5)],
        *[("failing_ns", "x"), ("held", 2), ("step", "begin"), ("text", {"title": "t"})],
        *[("text", {"title": "t", "text": 5, "line": "l", "severity": "low"})],
        *[("text", {"title": "t", "text": "x", "line": "l", "severity": "grave"})],
    ],
)
def test_a_message_of_which_anything_is_of_another_type_is_damage(name: str, value: object, tmp_path: Path) -> None:
    path = tmp_path / "notices.json"
    NoticeFile(path).save(STATE)
    body = orjson.loads(path.read_bytes())
    body["notices"][0][name] = value
    path.write_bytes(orjson.dumps(body))
    assert NoticeFile(path).load() is None


def test_a_file_of_any_length_is_not_read_to_its_end(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "notices.json"
    with path.open("wb") as file:
        file.truncate(2**40)
    assert NoticeFile(path).load() is None
    assert "is damaged (it has more than 64 MB)" in caplog.text


def test_a_disk_that_fails_is_a_fault_and_no_exception(tmp_path: Path) -> None:
    file = NoticeFile(tmp_path / "gone" / "notices.json")
    assert not file.save(STATE)
    assert file.fault is not None
    assert "cannot be written: No such file or directory" in file.fault


def test_without_a_path_nothing_is_kept() -> None:
    file = NoticeFile(None)
    assert file.save(STATE)
    assert file.load() is None
