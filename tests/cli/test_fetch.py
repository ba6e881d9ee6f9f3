"""`edge-ae fetch`: recordings of devices come to one place as they are, whatever ends or breaks meanwhile."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from edge_ae.cli.main import main
from edge_ae.cli.node_fetching import FetchedSum, fetch_node
from edge_ae.core import file_pieces
from edge_ae.core.file_pieces import FilePiece, encode_piece
from edge_ae.core.timestamps import SECOND
from edge_ae.daemon import fetch_command
from edge_ae.daemon.fetch_command import FetchCommand
from edge_ae.daemon.node_commands import encoded
from edge_ae.errors import BadData, BadPayload
from edge_ae.store.columnar.recorder import ColumnRecorder
from edge_ae.store.recorder import Recorder
from tests.cli.processes import started
from tests.conftest import Broker, wait_for
from tests.disks import files_no_longer_than
from tests.models import hand_made

NOON = 1_795_435_200 * SECOND  # 2026-11-23T12:00:00Z
FAST = 1e12


def recorded(folder: Path, rows: int = 50, first: int = 0) -> Path:
    """A pump and a fan by a daemon, and a pump by an earlier version."""
    older = Recorder(folder, 10**9)
    older.push("pump", NOON - 86_400 * SECOND, {"a": 0.5})
    older.close()
    newer = ColumnRecorder(folder, 10**9)
    for second in range(first, first + rows):
        for asset in ("pump", "fan"):
            newer.push(asset, NOON + second * SECOND, {"a": second / 7})
        if second % 10 == 9:
            newer.flush()
    newer.close()
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class Device:
    """The command on a device, asked as over MQTT. `asked`: the questions; `meanwhile`: is called with each of them."""

    def __init__(self, folder: Path | None) -> None:
        self.asked: list[dict[str, Any]] = []
        self.meanwhile: Callable[[int], object] = lambda _number: None
        self._command = FetchCommand(folder).table["fetch"]

    def __call__(self, fields: dict[str, Any]) -> bytes:
        self.asked.append(fields)
        self.meanwhile(len(self.asked))
        try:
            return encoded(self._command.carry_out(orjson.dumps(fields), len(self.asked) * SECOND))
        except BadPayload as fault:
            return orjson.dumps({"ok": False, "error": str(fault)})


def fetch(device: Callable[[dict[str, Any]], bytes], out: Path) -> FetchedSum:
    return fetch_node(device, out, FAST, lambda _what, _share: None)


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch_command, "MOST_BYTES", 100)


def test_files_of_both_kinds_come_as_they_are_and_nothing_else(tmp_path: Path) -> None:
    folder = recorded(tmp_path / "there")
    expected = contents(folder)
    (folder / "pump" / "notes.txt").write_text("private")
    (folder / "pump" / "20261125T120000.part").write_bytes(b"being written")
    found = fetch(Device(folder), tmp_path / "here")
    assert contents(tmp_path / "here") == expected
    assert str(found) == f"3 files, {sum(map(len, expected.values())):,} bytes fetched, 0 files were here already"


def test_what_is_here_is_not_asked_for_again_and_what_has_grown_goes_on(tmp_path: Path) -> None:
    folder = recorded(tmp_path / "there")
    fetch(Device(folder), tmp_path / "here")
    again = Device(folder)
    assert fetch(again, tmp_path / "here")[:2] == (0, 3)
    assert again.asked == [{"after": ""}]
    recorded(folder, first=50)
    later = Device(folder)
    fetch(later, tmp_path / "here")
    assert contents(tmp_path / "here") == contents(folder)
    assert all(fields["offset"] > 0 for fields in later.asked[1:] if fields["name"].endswith(".rows"))


def test_an_interruption_after_any_question_costs_no_more_than_a_piece(tmp_path: Path) -> None:
    folder = recorded(tmp_path / "there", rows=20)
    whole = Device(folder)
    fetch(whole, tmp_path / "once")
    for end in range(1, len(whole.asked)):
        device, here = Device(folder), tmp_path / f"here-{end}"

        def ended(number: int, end: int = end) -> None:
            if number > end:
                raise KeyboardInterrupt

        device.meanwhile = ended
        with pytest.raises(KeyboardInterrupt):
            fetch(device, here)
        rest = Device(folder)
        fetch(rest, here)
        assert contents(here) == contents(folder)
        assert len(device.asked) - 1 + len(rest.asked) <= len(whole.asked) + 4


def test_a_piece_that_was_torn_here_is_fetched_again_from_the_last_whole_block(tmp_path: Path) -> None:
    folder = recorded(tmp_path / "there")
    fetch(Device(folder), tmp_path / "here")
    for path in (tmp_path / "here").rglob("*.rows"):
        path.write_bytes(path.read_bytes()[:-30] + bytes(20))
    fetch(Device(folder), tmp_path / "here")
    assert contents(tmp_path / "here") == contents(folder)


def test_a_file_that_goes_meanwhile_is_counted_and_the_others_come(tmp_path: Path) -> None:
    folder = recorded(tmp_path / "there")
    device = Device(folder)
    device.meanwhile = lambda number: (folder / "fan" / "20261123T120000.rows").unlink() if number == 3 else None
    found = fetch(device, tmp_path / "here")
    assert (found.files, found.gone) == (3, 1)
    assert str(found).endswith("1 are gone there")


def test_a_file_that_was_cut_there_ends_where_it_is_now(tmp_path: Path) -> None:
    folder = recorded(tmp_path / "there")
    path = folder / "pump" / "20261123T120000.rows"
    device = Device(folder)
    device.meanwhile = lambda number: path.write_bytes(path.read_bytes()[:-150]) if number == 2 else None
    fetch(device, tmp_path / "here")
    recorded(folder, first=50)
    fetch(Device(folder), tmp_path / "here")
    assert contents(tmp_path / "here") == contents(folder)


def test_a_list_comes_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch_command, "FILES_LISTED", 2)
    folder = recorded(tmp_path / "there")
    device = Device(folder)
    fetch(device, tmp_path / "here")
    assert [fields for fields in device.asked if "after" in fields] == [
        {"after": ""},
        {"after": "pump/20261122T120000.csv.gz"},
    ]
    assert contents(tmp_path / "here") == contents(folder)


def test_a_piece_that_changed_on_its_way_is_asked_for_again_and_not_for_ever(tmp_path: Path) -> None:
    device = Device(recorded(tmp_path / "there"))

    def noisy(fields: dict[str, Any], spoilt: Callable[[int], bool]) -> bytes:
        reply = device(fields)
        return reply[:-1] + bytes([reply[-1] ^ 1]) if reply.startswith(b"EAF1") and spoilt(len(device.asked)) else reply

    fetch(lambda fields: noisy(fields, lambda number: number % 3 != 0), tmp_path / "here")
    assert contents(tmp_path / "here") == contents(tmp_path / "there")
    with pytest.raises(BadData, match=r"the piece at 0 is not what was sent: its checksum differs, 3 times"):
        fetch(lambda fields: noisy(fields, lambda _number: True), tmp_path / "other")


def test_a_node_that_reads_too_much_asks_to_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch_command, "BYTES_A_SECOND", 100)
    command = FetchCommand(recorded(tmp_path)).table["fetch"]
    asked = orjson.dumps({"asset": "pump", "name": "20261123T120000.rows"})
    answers = [command.carry_out(asked, now_ns) for now_ns in (SECOND, SECOND, SECOND + SECOND // 2, 2 * SECOND)]
    assert [isinstance(one, bytes) for one in answers] == [True, False, False, True]
    assert answers[1] == {"wait_s": 1.0}


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        (b'{"name": "../../etc/shadow", "asset": "pump"}', "is no recording"),
        (b'{"name": "20261123T120000.rows", "asset": ".."}', "is no recording"),
        (b'{"name": "20261123T120000.rows", "asset": "a/../.."}', "is no recording"),
        (b'{"name": "20261123T120000.rows", "asset": "pump", "offset": -1}', "offset should be"),
        (b'{"name": "20261123T120000.rows", "asset": "pump", "offset": true}', "offset should be"),
        (b'{"name": 7}', "name should be a text"),
        (b'{"file": 7}', "fetch does not know file"),
    ],
)
def test_no_other_file_is_given_away(tmp_path: Path, payload: bytes, why: str) -> None:
    command = FetchCommand(recorded(tmp_path)).table["fetch"]
    with pytest.raises(BadPayload, match=why):
        command.carry_out(payload, 0)


def test_a_node_that_records_nothing_says_so(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"the node refuses: nothing is recorded here; name a folder in record\.dir"):
        fetch(Device(None), tmp_path)


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (b"\xff\x00", "what is no answer"),
        (
            b'{"ok": true, "files": [{"asset": "..", "name": "20261123T120000.rows", "size": 1}]}',
            "what is no recording",
        ),
        (b'{"ok": true, "files": [{"asset": "a", "name": "x.rows", "size": 1}]}', "what is no recording"),
        (b'{"ok": true, "files": [7]}', "what is no file"),
        (encode_piece(FilePiece(7, 9, b"xx")), "what is no answer"),
    ],
)
def test_a_node_is_believed_nothing(tmp_path: Path, reply: bytes, why: str) -> None:
    with pytest.raises(BadData, match=why):
        fetch(lambda _fields: reply, tmp_path / "here")
    assert not (tmp_path / "here").exists()


def test_a_list_without_an_end_ends() -> None:
    endless = orjson.dumps({"ok": True, "files": [], "more": True})
    assert fetch(lambda _fields: endless, Path("nowhere")) == FetchedSum()


def test_a_full_disk_ends_it_with_a_sentence_and_it_goes_on_later(tmp_path: Path) -> None:
    folder = recorded(tmp_path / "there")
    with (
        files_no_longer_than(250),
        pytest.raises(BadData, match=r"cannot be written \(No space left on device\); fetch again"),
    ):
        fetch(Device(folder), tmp_path / "here")
    fetch(Device(folder), tmp_path / "here")
    assert contents(tmp_path / "here") == contents(folder)


def test_a_piece_is_read_as_it_was_made() -> None:
    piece = FilePiece(3, 9, b"abc")
    assert file_pieces.decode_piece(encode_piece(piece)) == piece
    assert file_pieces.decode_piece(b'{"ok": true}') is None
    with pytest.raises(BadPayload, match="ends in its head"):
        file_pieces.decode_piece(b"EAF1")


# -- with real processes -----------------------------------------------------------------------------------------

SETTINGS = """
node = "n1"
state_dir = "{folder}/state"
[mqtt]
host = "127.0.0.1"
port = {port}
[record]
dir = "{folder}/kept"
[[streams]]
topic = "plant/{{asset}}/t"
time = "ts"
model = "{model}"
"""


def test_real_devices_recordings_come_though_fetch_and_daemon_are_killed(
    tmp_path: Path, broker: Broker, tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    config, log, kept, out = (tmp_path / name for name in ("edge-ae.toml", "run.log", "kept", "out"))
    config.write_text(SETTINGS.format(folder=tmp_path, port=broker.port, model=hand_made(tmp_path_factory)))
    folder = kept / "pump"
    folder.mkdir(parents=True)
    for day in range(1, 5):
        (folder / f"2026110{day}T000000.csv.gz").write_bytes(os.urandom(90_000))
    daemon = started(log, "run", "--config", config)
    wait_for(lambda: "ready: " in log.read_text(), "the daemon")
    asked = ["fetch", "--host", "127.0.0.1", "--port", str(broker.port), "--node", "n1", "--out", str(out)]
    slow = started(tmp_path / "fetch.log", *asked, "--rate", "100")
    wait_for(lambda: any(out.rglob("*.csv.gz*")), "the first piece")
    slow.send_signal(signal.SIGKILL)
    slow.wait(10)
    daemon.send_signal(signal.SIGKILL)
    daemon.wait(10)
    assert contents(out / "n1") != contents(kept)
    process = subprocess.Popen(
        [sys.executable, "-m", "edge_ae", *asked, "--rate", "600"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    started(log, "run", "--config", config)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert contents(out / "n1") == contents(kept)
    assert main([*asked, "--node", "nobody", "--patience", "0.5"]) == 1
    said = capsys.readouterr().err
    assert "n1: 0 files, 0 bytes fetched, 4 files were here already" in said
    assert "edge-ae: nobody: edge-ae/nobody: has not answered for 0.5 s;" in said
