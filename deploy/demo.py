"""`make demo`: the whole way from a sensor's reading to an alert, with the real programs, in front of your eyes.

    simulator (or a folder of recordings) --CSV--> edge-ae-train fit --> model.onnx
                      |                                                     |
                      +--MQTT--> broker (mosquitto, else amqtt) --> edge-ae run --MQTT--> this program: alerts

It only plays the sensors and reads the alerts: what it knows of faults it never tells the programs. It ends with
what was found and what was not, writes a picture, and leaves no process behind. Exit status 0: most faults found.
"""

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from edge_ae_train.synthetic.simulator import Fault, simulate, write_csv
from numpy.typing import NDArray
from rich.console import Console
from rich.markup import escape

from edge_ae.core.timestamps import SECOND, parse_time_ns
from edge_ae.errors import EdgeError
from edge_ae.store.recording.options import ReadOptions
from edge_ae.store.recording_csv import read_csv

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # a script beside its parts, not an installed package
from deploy.demo_learn import learn_demo
from deploy.demo_page import NO_BROWSER, Pictures, live_page, stay
from deploy.demo_stage import DemoError, Plant, broker, process, program, wait_until, write_settings
from deploy.demo_verdict import Asset, Received, Sick, Span, alerting, judge, picture, rates, table

PERIOD_S = 20.0
DAY_ROWS = round(86400 / PERIOD_S)
TRAIN_DAYS, LIVE_DAYS = 2, 1
STATION_BUDGET = "1/day"
TRAIN_ROWS_OF_RECORDING = 400  # of each file, the leaderboard protocol of SKAB
SLOW_ROWS_PER_S = 5
ROWS_PER_S = 400  # readings of all assets together; a day of two pumps takes half a minute
READY_S, END_S = 60.0, 60.0
FITS = """
import json, sys
from edge_ae_train.__main__ import main
sys.exit(any(main(arguments) for arguments in json.loads(sys.argv[1])))
"""  # edge-ae-train's command line, once for each model; the first that fails ends it
LABELS = ("anomaly", "label", "changepoint")

FAULTS = {  # asset: (kind, begins at hour, lasts hours, severity, sick sensor)
    "north": (
        ("cavitation", 2.75, 1.5, 0.5, None),
        ("closing_valve", 8.0, 1.5, 0.7, None),
        ("drift", 14.0, 2.0, 0.8, "discharge_pressure"),
        ("air_ingress", 20.0, 1.5, 0.6, None),
    ),
    "south": (
        ("leak", 2.0, 1.5, 0.8, None),
        ("bearing_wear", 7.0, 3.0, 0.6, None),
        ("stuck", 14.0, 1.5, 1.0, "flow"),
        ("fouling", 19.0, 3.0, 0.9, None),
    ),
}

say = Console(highlight=False, width=None if sys.stdout.isatty() else 110)  # a pipe has no width


@dataclass(frozen=True)
class Training:
    """One call of `edge-ae-train fit`."""

    data: tuple[Path, ...]
    model: Path
    family: str
    options: tuple[str, ...] = ()

    @property
    def arguments(self) -> list[str]:
        data = [str(path) for path in self.data]
        return ["fit", "--family", self.family, "--data", *data, "--out", str(self.model), *self.options]


# -- what is watched -----------------------------------------------------------------------------------------


def pump_station(out: Path, family: str) -> tuple[list[Training], list[Asset]]:
    """Two pumps of one make, one model for both: days of normal work to learn from, then a day with faults."""
    model, train_rows = out / "pump.onnx", TRAIN_DAYS * DAY_ROWS
    live_ns = _ending_now(LIVE_DAYS * DAY_ROWS)
    files, assets, units = [], [], ""
    for seed, (name, faults) in enumerate(FAULTS.items(), start=1):
        shifted = [
            Fault(kind, train_rows + _rows(at_h), train_rows + _rows(at_h + for_h), severity, channel)
            for kind, at_h, for_h, severity, channel in faults
        ]
        made = simulate(train_rows + LIVE_DAYS * DAY_ROWS, PERIOD_S, seed, faults=shifted)
        units = ",".join(f"{channel}={unit}" for channel, unit in zip(made.names, made.units, strict=True))
        files.append(out / f"{name}-normal.csv")
        write_csv(simulate(train_rows, PERIOD_S, seed), files[-1])
        t_ns = live_ns + made.t_ns[: LIVE_DAYS * DAY_ROWS] - made.t_ns[0]
        spans = tuple(_span(fault, t_ns, train_rows) for fault in shifted)
        assets.append(Asset(name, model, made.names, t_ns, made.values[train_rows:], spans))
    return [Training(tuple(files), model, family, ("--units", units))], assets


def _ending_now(rows: int) -> int:
    """The event time of the first of `rows` rows of which the last is just over."""
    period_ns = round(PERIOD_S * SECOND)
    return (time.time_ns() // period_ns - rows) * period_ns


def _rows(hours: float) -> int:
    return round(hours * 3600 / PERIOD_S)


def _span(fault: Fault, t_ns: NDArray[np.int64], first_row: int) -> Span:
    what = fault.kind.replace("_", " ") + (f" sensor ({fault.channel})" if fault.channel else "")
    start_ns, end_ns = (int(t_ns[row - first_row]) for row in (fault.start_row, fault.end_row))
    return Span(what, start_ns, end_ns, fault.shows)


def recordings(folder: Path, out: Path, family: str) -> tuple[list[Training], list[Asset]]:
    """Each file alone: its first rows are normal and train its model, the rest is streamed.

    So few rows carry a linear model at best, which also leaves time for one training a file.
    """
    files = sorted(folder.glob("*.csv"), key=lambda path: (len(path.stem), path.stem))
    if len(files) == 0:
        raise DemoError(f"{folder} holds no .csv file")
    pairs = [_recording(path, out, family) for path in files]
    return [training for training, _ in pairs], [asset for _, asset in pairs]


def _recording(path: Path, out: Path, family: str) -> tuple[Training, Asset]:
    name, model = f"{path.parent.name}-{path.stem}", out / f"{path.stem}.onnx"
    lines = path.read_text().splitlines(keepends=True)
    known = [label for label in LABELS if label in lines[0].strip().replace(",", ";").split(";")]
    if len(known) == 0 or len(lines) <= TRAIN_ROWS_OF_RECORDING + 1:
        raise DemoError(f"{path}: needs more than {TRAIN_ROWS_OF_RECORDING} rows and a column {' or '.join(LABELS)}")
    start = out / f"{name}-normal.csv"
    start.write_text("".join(lines[: TRAIN_ROWS_OF_RECORDING + 1]))
    table = read_csv(path, ReadOptions(label=known[0], ignore=tuple(known[1:])))
    live = slice(TRAIN_ROWS_OF_RECORDING, None)
    labels = np.zeros(len(table.t_ns), bool) if table.labels is None else table.labels
    options = ("--label", known[0], *(("--ignore", ",".join(known[1:])) if known[1:] else ()))
    spans = _labelled(table.t_ns[live], labels[live])
    # Whoever labelled the rows has said when it was over: no aftermath.
    asset = Asset(name, model, table.names, table.t_ns[live], table.values[live], spans, aftermath_ns=0)
    return Training((start,), model, family, options), asset


def one_a_recording(assets: Sequence[Asset]) -> str:
    """The budget that accepts one false alert in the length of a recording.

    A smaller one asks how rare a score is in more rows than have been seen; a larger one is not worth watching for.
    """
    length_ns = float(np.median([asset.t_ns[-1] - asset.t_ns[0] for asset in assets]))
    return f"{3600 * SECOND / length_ns:.3f}/hour"


def _labelled(t_ns: NDArray[np.int64], labels: NDArray[np.bool_]) -> tuple[Span, ...]:
    edges = np.flatnonzero(np.diff(np.concatenate(([False], labels, [False])).astype(int)))
    after = np.append(t_ns, t_ns[-1] + 1)
    return tuple(
        Span(f"episode {number}", int(t_ns[start]), int(after[end]))
        for number, (start, end) in enumerate(edges.reshape(-1, 2), start=1)
    )


# -- the run ---


def train(trainings: Sequence[Training], out: Path) -> None:
    """A process for each core, on its share of the cores and of the models: torch is loaded once in each."""
    at_once = min(os.cpu_count() or 1, len(trainings))
    environment = os.environ | {"OMP_NUM_THREADS": str((os.cpu_count() or 1) // at_once)}
    with say.status(f"training; models: {len(trainings)} ..."), contextlib.ExitStack() as running:
        for child in [running.enter_context(fit(trainings[i::at_once], i, out, environment)) for i in range(at_once)]:
            child.wait()


def fit(
    trainings: Sequence[Training], number: int, out: Path, environment: Mapping[str, str]
) -> AbstractContextManager[subprocess.Popen[bytes]]:
    calls = json.dumps([training.arguments for training in trainings])
    return process("edge-ae-train", [sys.executable, "-c", FITS, calls], out / f"train-{number}.log", environment)


class ControlRoom:
    """Keeps what the daemon published, and shows each new alert once."""

    def __init__(self, assets: Sequence[Asset]) -> None:
        self.received = {asset.name: Received() for asset in assets}

    def listen(self, plant: Plant) -> None:
        while not plant.received.empty():
            topic, payload = plant.received.get()
            _, _, *rest = topic.split("/")
            if len(rest) == 2 and rest[0] in self.received and rest[1] in ("event", "score", "health"):
                getattr(self, f"_{rest[1]}")(self.received[rest[0]], json.loads(payload))

    def _score(self, received: Received, body: dict[str, Any]) -> None:
        received.scores.append((parse_time_ns(body["ts"]), body["score"], body["threshold"]))

    def _health(self, received: Received, body: dict[str, Any]) -> None:
        """Retained, so published anew with every change: a fault is known by its beginning."""
        known = {(one.channel, one.since) for one in received.sick}
        for one in body["channels"]:
            if (one["name"], one["since"]) not in known:
                shown_ns = received.scores[-1][0] if received.scores else parse_time_ns(one["since"])
                received.sick.append(Sick(one["name"], one["fault"], one["since"], shown_ns))
                say.print(
                    f"[bold yellow]SENSOR[/] {one['since'][:19]} [bold]{escape(body['asset'])}[/]: {escape(one['name'])} is {one['fault']}",
                    soft_wrap=True,
                )

    def _event(self, received: Received, body: dict[str, Any]) -> None:
        if body["type"] == "new":
            say.print(
                f"[bold red]ALERT[/] {body['ts_raised'][:19]} [bold]{escape(body['asset'])}[/]: {escape(body['reason'])}",
                soft_wrap=True,
            )
        if body["type"] == "end":
            after = f"after {body['duration_s']:.0f} s"
            say.print(f"[green]ended[/] {body['ts_cleared'][:19]} {escape(body['asset'])}, {after}")
        received.alerts[body["id"]] = body


def stream(
    assets: Sequence[Asset], plant: Plant, room: ControlRoom, daemon: subprocess.Popen[bytes], page: Pictures | None
) -> None:
    """All rows in the order of their rank, at ROWS_PER_S; event times stay those of the recording.

    While pictures are taken a row of each asset comes a second or two, so that the alert in them still stands.
    """
    order = sorted((row, which) for which, asset in enumerate(assets) for row in range(len(asset.t_ns)))
    due_s = time.monotonic()
    for sent, (row, which) in enumerate(order):
        plant.send(assets[which], row)
        slow = page is not None and page.busy
        due_s += 1 / (SLOW_ROWS_PER_S if slow else ROWS_PER_S)
        if slow or sent % 50 == 0:
            room.listen(plant)
            if daemon.poll() is not None:
                return
            if page is not None and (name := alerting(room.received)) is not None:
                page.of_alert(name)
            time.sleep(max(due_s - time.monotonic(), 0.0))


def caught_up(assets: Sequence[Asset], plant: Plant, room: ControlRoom) -> bool:
    room.listen(plant)
    return all(
        len(room.received[asset.name].scores) > 0 and room.received[asset.name].scores[-1][0] >= asset.t_ns[-20]
        for asset in assets
    )


def run(assets: Sequence[Asset], out: Path, budget: str, *, web: bool = False) -> dict[str, Received]:
    room = ControlRoom(assets)
    config = out / "edge-ae.toml"
    with contextlib.ExitStack() as running, broker(out) as (kind, port):
        say.print(f"broker: {kind} on 127.0.0.1:{port}")
        write_settings(config, port, assets, out / "state", budget)
        plant = Plant(port)
        try:
            daemon_log = out / "daemon.log"
            with process("edge-ae", [*program("edge_ae"), "run", "--config", str(config)], daemon_log) as daemon:
                wait_until(
                    lambda: plant.status == "online", READY_S, daemon, f"edge-ae does not come online, see {daemon_log}"
                )
                page = Pictures(running.enter_context(live_page(out, port)), out) if web else None
                if page is not None:
                    say.print(f"the live page: {page.url}")
                say.print(f"edge-ae is online; streaming {sum(len(asset.t_ns) for asset in assets)} readings ...")
                stream(assets, plant, room, daemon, page)
                wait_until(lambda: caught_up(assets, plant, room), END_S, daemon, "edge-ae did not score the last rows")
                if page is not None:
                    show(page, room.received)
        finally:
            plant.stop()
    return room.received


def show(page: Pictures, received: Mapping[str, Received]) -> None:
    """The pictures of the page; on a terminal it stays."""
    page.of_history(max(received, key=lambda name: len(received[name].alerts)))
    say.print("".join(f"picture of the page: {path}\n" for path in page.made).rstrip() or NO_BROWSER)
    stay(page.url)


def demo(data: Path | None, out: Path, family: str | None, budget: str | None, *, web: bool = False) -> int:
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    began = time.monotonic()
    trainings, assets = pump_station(out, family or "cae") if data is None else recordings(data, out, family or "cva")
    train(trainings, out)
    say.print(f"models trained: {len(trainings)}, after {time.monotonic() - began:.0f} s")
    budget = budget or (STATION_BUDGET if data is None else one_a_recording(assets))
    say.print(f"budget: {budget} for each asset")
    received = run(assets, out, budget, web=web)
    judged = {asset.name: judge(asset, received[asset.name]) for asset in assets}
    findings = [finding for found, _ in judged.values() for finding in found]
    say.print(table(findings, {name: false for name, (_, false) in judged.items()}))
    say.print(rates(assets, received))
    picture(assets, received, out / "demo.png")
    say.print(f"picture: {out / 'demo.png'}   logs and files: {out}   {time.monotonic() - began:.0f} s in all")
    found = sum(finding.found for finding in findings)
    say.print(f"{found} of {len(findings)} faults found; with sensors of your own: docs/first-model.md")
    return 0 if 2 * found > len(findings) else 1


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="demo.py",
        description="Train, start broker and daemon, stream machines with faults, show the alerts.",
        epilog="example: python deploy/demo.py --data ../shared/data/skab/valve1",
    )
    parser.add_argument("--data", type=Path, metavar="DIR", help="recordings with labels, in place of the simulator")
    parser.add_argument("--out", type=Path, default=Path("out/demo"), help="default: %(default)s; emptied first")
    parser.add_argument("--family", help="of the model; auto compares all, in minutes (default: cae; cva with --data)")
    parser.add_argument(
        "--budget", help="alerts per asset on normal data (default: 1/day; one in a recording's length)"
    )
    parser.add_argument("--web", action="store_true", help="with the live page: its address, and pictures of it in out")
    parser.add_argument(
        "--learn", action="store_true", help="from nothing: models made on the device, taught and replaced"
    )
    options = parser.parse_args(argv)
    for ending in (signal.SIGTERM, signal.SIGHUP):  # so that the programs that were started end too
        signal.signal(ending, lambda number, _frame: sys.exit(128 + number))
    try:
        if options.learn:
            return learn_demo(options.out)
        return demo(options.data, options.out, options.family, options.budget, web=options.web)
    except EdgeError as error:
        print(f"demo: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        return 130
    return 1


if __name__ == "__main__":
    sys.exit(main())
