"""The command line as a person meets it: real processes, exit statuses, and one sentence where something is wrong."""

import gzip
import json
import re
import signal
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from edge_ae import __version__
from edge_ae.cli.main import COMMANDS, parser
from edge_ae.cli.options import read_options
from edge_ae.errors import BadData
from edge_ae.store.recording.options import ReadOptions
from edge_ae.store.recording.table import one_asset
from edge_ae.store.recording_csv import read_csv
from tests.cli.processes import started
from tests.conftest import Broker, Subscriber, free_port, wait_for

HEAVY = ("numpy", "onnxruntime", "paho", "pydantic", "orjson", "torch")


def edge_ae(*arguments: Any, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edge_ae", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, **options)


def settings(directory: Path, port: int) -> Path:
    config = directory / "edge-ae.toml"
    config.write_text(
        f'node = "n1"\nstate_dir = "state"\n[mqtt]\nhost = "127.0.0.1"\nport = {port}\n'
        '[[streams]]\ntopic = "plant/{asset}/t"\ntime = "ts"\nmodel = "pump.onnx"\n[alerts]\nbudget = "36/hour"\n'
    )
    return config


def recording(path: Path, lines: int = 40, high_from: int = 20) -> Path:
    body = "".join(
        f"2026-11-23T12:00:{n:02d}Z,{9.9 if high_from <= n < high_from + 5 else 5.0},2.5\n" for n in range(lines)
    )
    path.write_text(f"time,flow,pressure\n{body}")
    return path


def test_help_of_every_command_has_its_example() -> None:
    for name in COMMANDS:
        command, done = import_module(f"edge_ae.cli.{name}"), edge_ae(name, "--help")
        assert done.returncode == 0
        assert f"example: {command.EXAMPLE}\n" in done.stdout


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--words", "open"),
        ("--words", "open=wide"),
        ("--words", "open=nan"),
        ("--time-zone", "Mars/Olympus"),
        ("--time-zone", "../x"),
        ("--long", "a"),
    ],
)
def test_option_of_a_recording_that_says_nothing_is_refused_as_usage(option: str, value: str) -> None:
    with pytest.raises(SystemExit) as caught:
        parser().parse_args(["score", "--model", "m", "--data", "d", "--out", "o", option, value])
    assert caught.value.code == 2


@pytest.mark.parametrize("command", ["watch", "purge", "web"])
@pytest.mark.parametrize("base", ["#", "a/+", "", "a//b", "$SYS"])
def test_base_with_a_wildcard_is_refused_as_usage(command: str, base: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parser().parse_args([command, "--base", base])
    assert caught.value.code == 2
    assert "should be a topic without wildcards" in capsys.readouterr().err


def test_options_of_a_recording_reach_the_reader() -> None:
    options = (
        "--time Date+Time --time-zone Europe/Berlin --missing x,y --words auto=1,a=b=0 --date-order dmy --long n,v"
    )
    asked = read_options(parser().parse_args(["score", "--model", "m", "--data", "d", "--out", "o", *options.split()]))
    assert asked == ReadOptions(
        ignore=[],
        time=["Date", "Time"],
        time_zone=ZoneInfo("Europe/Berlin"),
        date_order="dmy",
        missing=["x", "y"],
        words={"auto": 1.0, "a=b": 0.0},
        long=("n", "v"),
    )


def test_score_takes_the_lines_of_one_asset(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_text("t,pump,a\n2026-03-02,p1,1\n2026-03-02,p2,2\n2026-03-03,p1,3\n")
    table = read_csv(path, ReadOptions(asset="pump"))
    assert one_asset(table, "p1").values.tolist() == [[1.0], [3.0]]
    for asset in (None, "p3"):
        with pytest.raises(BadData, match=r"r\.csv: has lines of p1, p2; say which to take with --asset"):
            one_asset(table, asset)


def test_help_loads_nothing_heavy() -> None:
    code = f"import sys, edge_ae.cli.main as m; m.parser(); print([n for n in {HEAVY} if n in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"


def test_command_loads_no_module_of_another() -> None:
    code = "import sys, edge_ae.cli.main as m; m.parser(['run']); print(*sorted(n for n in sys.modules if n.startswith('edge_ae.cli.')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split() == [f"edge_ae.cli.{name}" for name in ("main", "options", "run")]


def test_version_is_that_of_the_package() -> None:
    assert edge_ae("--version").stdout == f"edge-ae {__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["fly"],
        ["run"],
        ["score", "--model", "m"],
        ["score", "--model", "m", "--data", "d", "--out", "o", "--budget", "1/fortnight"],
    ],
)
def test_wrong_usage_is_2(arguments: list[str]) -> None:
    assert edge_ae(*arguments).returncode == 2


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["run", "--config", "none.toml"], "edge-ae: none.toml: cannot be read: No such file or directory"),
        (["record", "--config", "empty.toml", "--out", "rec"], "edge-ae: streams: there are none; add a [[streams]]"),
        (["run", "--config", "empty.toml"], "edge-ae: streams: there are none; add a [[streams]]"),
        (["score", "--model", "none.onnx", "--data", "d.csv", "--out", "o.csv"], "edge-ae: none.onnx: cannot be read"),
        (["score", "--model", "pump.onnx", "--data", "none.csv", "--out", "o.csv"], "edge-ae: none.csv: cannot be read"),
        (["score", "--model", "pump.onnx", "--data", "d.csv", "--out", "no/o.csv"], "edge-ae: no/o.csv: cannot be written"),
        (["replay", "--data", "d.csv", "--topic", "a/#"], "edge-ae: --topic: 'a/#' has a wildcard"),
        (["replay", "--data", "d.csv", "--topic", "a", "--host", "127.0.0.1", "--port", str(free_port())], "edge-ae: mqtt: the broker at 127.0.0.1"),
        (["watch", "--host", "127.0.0.1", "--port", str(free_port())], "edge-ae: mqtt: the broker at 127.0.0.1"),
    ],
)  # fmt: skip
def test_the_worlds_fault_is_one_line_and_1(tmp_path: Path, arguments: list[str], sentence: str) -> None:
    recording(tmp_path / "d.csv")
    (tmp_path / "empty.toml").write_text("")
    done = edge_ae(*arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(sentence)
    assert done.stderr.count("\n") == 1


def test_score_writes_a_line_for_each_line_and_its_alerts(tmp_path: Path) -> None:
    data, out, events = recording(tmp_path / "d.csv"), tmp_path / "out.csv", tmp_path / "events.jsonl"
    done = edge_ae(
        "score",
        "--model",
        tmp_path / "pump.onnx",
        "--data",
        data,
        "--out",
        out,
        "--events",
        events,
        "--budget",
        "36/hour",
        "--explain",
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    lines = out.read_text().splitlines()
    assert lines[0] == "timestamp,score,threshold,alert,score_flow,score_pressure"
    assert [line.partition(",")[0] for line in lines[1:]] == read_csv(data).times
    assert [json.loads(line)["type"] for line in events.read_text().splitlines()][:1] == ["new"]


def test_score_takes_the_place_of_nothing_that_it_reads_or_has_written(tmp_path: Path) -> None:
    data, model = recording(tmp_path / "d.csv"), tmp_path / "pump.onnx"
    before = data.read_bytes(), model.read_bytes()
    for wrong in (["--out", data], ["--out", model], ["--out", tmp_path / "s", "--events", tmp_path / "s"]):
        done = edge_ae("score", "--model", model, "--data", data, *wrong)
        assert done.returncode == 1
        assert "would be written over; name another file" in done.stderr
    assert (data.read_bytes(), model.read_bytes()) == before


def test_several_recordings_are_scored_as_each_by_itself_and_a_broken_one_keeps_no_other_from_it(
    tmp_path: Path,
) -> None:
    model, names = tmp_path / "pump.onnx", ("b", "broken", "a")
    files = [recording(tmp_path / f"{name}.csv", high_from=10 + 5 * place) for place, name in enumerate(names)]
    files[1].write_text(files[1].read_text().replace("flow", "flaw"))
    options = ["--model", model, "--budget", "36/hour"]
    done = edge_ae(
        "score", *options, "--data", *files, "--out", tmp_path / "s", "--events", tmp_path / "e", "--workers", 2
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert f"{files[1]}: lacks flow, which the model needs; it has flaw, pressure" in done.stderr.splitlines()
    assert sorted(path.name for path in (tmp_path / "s").iterdir()) == ["a.csv", "b.csv"]
    for file in (files[0], files[2]):
        alone = tmp_path / "alone.csv", tmp_path / "alone.jsonl"
        edge_ae("score", *options, "--data", file, "--out", alone[0], "--events", alone[1])
        assert (tmp_path / "s" / file.name).read_bytes() == alone[0].read_bytes()
        assert (tmp_path / "e" / f"{file.stem}.jsonl").read_bytes() == alone[1].read_bytes()


@pytest.mark.parametrize(
    ("recordings", "out", "fault"),
    [
        (["a.csv", "b.csv"], "b.csv", "b.csv: there are several recordings, and this is no folder that can be written"),
        (["a.csv", "more/a.csv"], "out", "out/a.csv: is written to already, and would be written over"),
        (["a.csv", "b.csv"], ".", "a.csv: is read from, and would be written over"),
    ],
)
def test_several_recordings_take_the_place_of_nothing(
    tmp_path: Path, recordings: list[str], out: str, fault: str
) -> None:
    (tmp_path / "more").mkdir()
    for name in recordings:
        recording(tmp_path / name)
    done = edge_ae("score", "--model", "pump.onnx", "--data", *recordings, "--out", out, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith(f"edge-ae: {fault}")
    assert read_csv(tmp_path / recordings[0]).names == ("flow", "pressure")


STDOUT = "/proc/self/fd/1"  # and not /dev/stdout, which root could lose if this did not hold


def test_score_writes_into_a_pipe_and_a_link_and_packs_where_the_name_says_so(tmp_path: Path) -> None:
    data, model = recording(tmp_path / "d.csv"), tmp_path / "pump.onnx"
    link, packed = tmp_path / "link.csv", tmp_path / "s.csv.gz"
    link.symlink_to(tmp_path / "behind.csv")
    piped, *_ = [edge_ae("score", "--model", model, "--data", data, "--out", o) for o in (STDOUT, link, packed)]
    assert piped.stdout.startswith("timestamp,score")
    assert link.is_symlink()
    assert (tmp_path / "behind.csv").read_text() == gzip.decompress(packed.read_bytes()).decode() == piped.stdout


def test_score_says_what_it_could_not_use(tmp_path: Path) -> None:
    data = recording(tmp_path / "d.csv")
    header, *lines = data.read_text().splitlines()
    data.write_text("\n".join([header, *lines[-2::-1], lines[-1]]) + "\n")
    done = edge_ae("score", "--model", tmp_path / "pump.onnx", "--data", data, "--out", tmp_path / "o.csv")
    assert done.returncode == 1
    assert re.search(r"d\.csv: 0 of 40 lines have a score; \d of 4 rows; late ", done.stderr)
    assert len((tmp_path / "o.csv").read_text().splitlines()) == 41


def test_run_publishes_live_what_score_finds_offline(tmp_path: Path, broker: Broker, listener: Subscriber) -> None:
    data, config, log = recording(tmp_path / "p1.csv"), settings(tmp_path, broker.port), tmp_path / "run.log"
    offline = tmp_path / "events.jsonl"
    edge_ae(
        "score",
        "--model",
        tmp_path / "pump.onnx",
        "--data",
        data,
        "--out",
        tmp_path / "o.csv",
        "--events",
        offline,
        "--budget",
        "36/hour",
        "--node",
        "n1",
    )
    daemon = started(log, "run", "--config", config)
    wait_for(lambda: [m.payload for m in listener.on("n1/status")] == [b"online"], "online")
    assert (
        edge_ae("replay", "--config", config, "--data", data, "--topic", "plant/{asset}/t", "--speed", 0).returncode
        == 0
    )
    expected = [json.loads(line) for line in offline.read_text().splitlines()]
    wait_for(lambda: len(listener.on("p1/event")) == len(expected) > 0, "the events")
    daemon.send_signal(signal.SIGTERM)
    assert daemon.wait(15) == 0
    assert listener.bodies("p1/event") == expected
    assert listener.on("n1/status")[-1].payload == b"offline"
    assert (tmp_path / "state").stat().st_mode & 0o077 == 0


def test_second_daemon_on_a_state_directory_is_refused_and_the_first_keeps_its_state(
    tmp_path: Path, broker: Broker
) -> None:
    """With another name the second would set the first one's state aside as a stranger's."""
    recording(tmp_path / "p1.csv")
    config, log, second = settings(tmp_path, broker.port), tmp_path / "run.log", tmp_path / "second.toml"
    second.write_text(config.read_text().replace('node = "n1"', 'node = "n2"'))
    daemon = started(log, "run", "--config", config)
    wait_for(lambda: "ready" in log.read_text(), "READY")
    refused = edge_ae("run", "--config", second)
    assert refused.returncode == 1
    assert refused.stderr.count("\n") == 1
    assert f"state_dir: {tmp_path / 'state'} is in use by another edge-ae" in refused.stderr
    daemon.send_signal(signal.SIGKILL)
    daemon.wait(15)
    again = started(log, "run", "--config", config)
    wait_for(lambda: "ready" in log.read_text(), "READY once more")
    again.send_signal(signal.SIGTERM)
    assert again.wait(15) == 0
    assert not (tmp_path / "state" / "edge-ae.db.unfit").exists()


def test_run_takes_up_settings_on_hup_or_says_why_not(tmp_path: Path, broker: Broker, listener: Subscriber) -> None:
    config, log = settings(tmp_path, broker.port), tmp_path / "run.log"
    before = config.read_text()
    daemon = started(log, "run", "--config", config)
    wait_for(lambda: "ready" in log.read_text(), "READY")
    config.write_text(before.replace('budget = "36/hour"', 'budget = "never"'))
    daemon.send_signal(signal.SIGHUP)
    wait_for(lambda: "alerts.budget: 'never' should be a number of alerts" in log.read_text(), "the reason")
    changed = before.replace("plant/", "works/").replace("[mqtt]", "[mqtt]\nkeepalive_s = 20")
    config.write_text(changed + "flood_limit = 5\non_delay_s = 0.5\n[limits]\nassets = 9\npayload_bytes = 9999\n")
    daemon.send_signal(signal.SIGHUP)
    wait_for(lambda: "settings and models taken up" in log.read_text(), "the new settings")
    waiting = "mqtt.keepalive_s, alerts.flood_limit, limits.assets"
    assert f"changed in the settings, but taken up only by a restart: {waiting}\n" in log.read_text()
    listener.publish("works/p9/t", {"ts": 1_795_435_200, "flow": 5.0, "pressure": 2.5})
    for second in range(1, 8):
        listener.publish("works/p9/t", {"ts": 1_795_435_200 + second, "flow": 5.0, "pressure": 2.5})
    wait_for(lambda: listener.on("p9/score"), "a score under the new topic")
    daemon.send_signal(signal.SIGTERM)
    assert daemon.wait(15) == 0
    assert "Traceback" not in log.read_text()
