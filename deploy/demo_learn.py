"""`make demo LEARN=1`: from nothing to a better model, on the device alone, with the real programs, in front of your eyes.

    first day ─ learn ─► first models ─ a fault ─► alert, named by the owner ─ harmless work ─► alert, and a lesson: its like is quiet
    drift ─► "retraining advised" ─ learn ─► new models in the shadow of the old ─► promoted ─ rollback ─► the old ones

It plays the sensors, the timer of `edge-ae-train learn`, and the owner who answers. Each act ends with what the programs said
themselves. Exit status 0: every act ended as it should.
"""

import contextlib
import json
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from edge_ae_train.synthetic.simulator import Fault, simulate
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from deploy.demo_stage import NODE, DemoError, Plant, broker, process, program, wait_until
from deploy.demo_verdict import Asset
from edge_ae.core.timestamps import SECOND, parse_time_ns

PERIOD_S = 5.0
PUMPS = ("north", "south")
ROWS_PER_S = 4000  # of both pumps together
FIRST_H, AGAIN_H, SHADOW_H, END_H = 24, 74, 6, 88
LOG = "daemon.log"
OPEN_ROWS = 20
READY_S, LEARN_S, SHOWN_S, CAUGHT_UP_S = 60.0, 180.0, 60.0, 120.0

NAME = "blocked strainer"
CAVITATION, FLUSHING = "cavitation", "leak"  # what the owner calls NAME, and what he knows to be harmless
EVENTS = {  # pump: (kind, begins at hour, lasts hours, severity)
    "north": ((CAVITATION, 27.0, 1.0, 0.7), (CAVITATION, 43.0, 1.0, 0.7)),
    "south": ((FLUSHING, 31.0, 1.0, 1.3), (FLUSHING, 36.0, 1.0, 1.3), (FLUSHING, 40.0, 1.0, 1.3)),
}
DRIFTING, DRIFT = "suction_pressure", 0.09  # bar: its sensor ages, and the pumps are well
DRIFT_FROM_H, DRIFT_H = 46.0, 8.0

say = Console(highlight=False)


# -- the stage -----------------------------------------------------------------------------------------------------


@dataclass
class Heard:
    """What the daemon published of one pump: the event time of the newest score, the newest health, and each alert as it is now."""

    scored_ns: int = 0
    health: dict[str, Any] = field(default_factory=dict)
    alerts: dict[str, dict[str, Any]] = field(default_factory=dict)


class Stage:
    """The pumps, which send what they measure up to an hour, and the ears of the owner."""

    def __init__(self, plant: Plant, pumps: Sequence[Asset], daemon: "subprocess.Popen[bytes]", config: Path) -> None:
        self.plant, self.pumps, self.daemon, self.config = plant, pumps, daemon, config
        self.heard = {pump.name: Heard() for pump in pumps}
        self._row = 0

    @property
    def hour(self) -> float:
        """Event time, since the beginning."""
        return self._row * PERIOD_S / 3600

    def play(self, until_h: float) -> None:
        """Send all rows up to an hour, and wait until the daemon has judged them, where it has a model."""
        last = min(row_of(until_h), len(self.pumps[0].t_ns))
        due_s = time.monotonic()
        for row in range(self._row, last):
            sent = [self.plant.send(pump, row) for pump in self.pumps]
            due_s += len(self.pumps) / ROWS_PER_S
            if row % 50 == 0 or row == last - 1:
                self.listen()
                sent[-1].wait_for_publish(SHOWN_S)
                time.sleep(max(due_s - time.monotonic(), 0.0))
        self._row = last
        if all(heard.scored_ns > 0 for heard in self.heard.values()):
            newest_ns = int(self.pumps[0].t_ns[last - 1 - OPEN_ROWS])
            behind = "the daemon has not judged the last rows"
            self.wait(lambda: min(one.scored_ns for one in self.heard.values()) >= newest_ns, CAUGHT_UP_S, behind)

    def listen(self) -> None:
        while not self.plant.received.empty():
            topic, payload = self.plant.received.get()
            _, _, *rest = topic.split("/")
            if len(rest) == 2 and rest[0] in self.heard and payload:
                self._note(self.heard[rest[0]], rest[1], json.loads(payload))

    def _note(self, heard: Heard, kind: str, body: dict[str, Any]) -> None:
        if kind == "health":
            self._tell_reason(heard.health.get("reason"), body)
            heard.health = body
        elif kind == "score":
            heard.scored_ns = parse_time_ns(body["ts"])
        elif kind == "event":
            if body["type"] == "new":
                say.print(
                    f"  [bold red]ALERT[/] {body['ts_raised'][:16]} [bold]{body['asset']}[/]: {escape(body['reason'])}",
                    soft_wrap=True,
                )
            heard.alerts[body["id"]] = body

    def _tell_reason(self, before: str | None, body: dict[str, Any]) -> None:
        reason = body.get("reason")
        if reason and reason != before and body["asset"] == PUMPS[0]:
            say.print(f"  health of {body['asset']}: {escape(reason)}", soft_wrap=True)

    def wait(self, met: Callable[[], bool], limit_s: float, complaint: str) -> None:
        def now() -> bool:
            self.listen()
            return met()

        wait_until(now, limit_s, self.daemon, complaint)

    def command(self, *words: str) -> str:
        """A command of `edge-ae`, as the owner types it; what it prints."""
        return self._run("edge_ae", words)

    def learn(self, until: str) -> None:
        """What the timer starts, again and again, until it says something."""
        words = ("learn", "--config", str(self.config), "--once")
        self.wait(lambda: until in self._run("edge_ae_train", words), LEARN_S, f"the learner does not say: {until}")

    def _run(self, module: str, words: Sequence[str]) -> str:
        done = subprocess.run([*program(module), *words], capture_output=True, text=True, timeout=LEARN_S)
        if done.returncode != 0:
            raise DemoError(f"{module.replace('_', '-')} {' '.join(words)}: {done.stderr.strip().splitlines()[-1]}")
        text = (done.stdout + done.stderr).strip()
        for line in text.splitlines():
            say.print(f"  [dim]{escape(line)}[/]", soft_wrap=True)
        return text


def row_of(hour: float) -> int:
    return round(hour * 3600 / PERIOD_S)


def pump(seed: int, name: str) -> Asset:
    """A pump's whole life in the demo, the last row of which is just over."""
    rows, period_ns = row_of(END_H), round(PERIOD_S * SECOND)
    faults = [Fault(kind, row_of(at), row_of(at + for_h), severity) for kind, at, for_h, severity in EVENTS[name]]
    made = simulate(rows, PERIOD_S, seed, faults=faults)
    values, drifting = made.values.copy(), made.names.index(DRIFTING)
    hours = np.arange(rows) * PERIOD_S / 3600
    values[:, drifting] += DRIFT * np.clip((hours - DRIFT_FROM_H) / DRIFT_H, 0.0, 1.0)
    t_ns = (time.time_ns() // period_ns - rows + np.arange(rows)) * period_ns
    return Asset(name, Path(), made.names, t_ns, values, ())


def write_settings(path: Path, port: int, state: Path) -> None:
    """As of a device; the times are shorter, for a day passes in seconds. One linear family, which a Pi trains without torch."""
    path.write_text(
        f'node = "{NODE}"\nstate_dir = "{state.resolve()}"\n[mqtt]\nhost = "127.0.0.1"\nport = {port}\n'
        '[[streams]]\ntopic = "plant/{asset}/telemetry"\ntime = "ts"\nmodel = "auto"\n'
        f'[learn]\nfirst_s = {FIRST_H * 3600}\nagain_s = {AGAIN_H * 3600}\nfamily = "pca"\n'
        f"[models]\nshadow_s = {SHADOW_H * 3600}\n"
        '[alerts]\nbudget = "1/day"\nflood_limit = 100000\n[publish]\nscore_interval_s = 0\n'
        "[record]\nflush_s = 1\n[state]\ncheckpoint_s = 1\n"
    )


# -- the acts ------------------------------------------------------------------------------------------------------


def first_day(stage: Stage) -> str:
    stage.play(FIRST_H + 0.5)
    stage.learn("first model")
    watched = f"a pump is not watched {SHOWN_S:.0f} s after its first model was made"
    stage.wait(lambda: all(one.health.get("watching") == "watched" for one in stage.heard.values()), SHOWN_S, watched)
    return f"{len(PUMPS)} pumps are watched after {FIRST_H} h, by models made here"


def fault_named(stage: Stage) -> str:
    stage.play(29.0)
    alert = _only_alert(stage, "north")
    stage.command(
        "label", "--config", str(stage.config), "--asset", "north", "--alert", "newest", "true", "--name", NAME
    )
    return f"cavitation found: {alert['top_channel']}; the owner calls it {NAME}"


def lesson(stage: Stage) -> str:
    stage.play(33.0)
    _only_alert(stage, "south")
    stage.command("label", "--config", str(stage.config), "--asset", "south", "--alert", "newest", "false")
    before = len(stage.heard["south"].alerts)
    stage.play(42.0)
    raised = len(stage.heard["south"].alerts) - before
    listed = stage.command("lessons", "--config", str(stage.config))
    if raised or "2 like it since" not in listed:
        raise DemoError(
            f"of 2 repeats of what was called a false alarm {raised} were announced, and not both are listed"
        )
    return "harmless work alerted once; its two repeats were quiet, and are listed"


def recognised(stage: Stage) -> str:
    before = set(stage.heard["north"].alerts)
    stage.play(45.0)
    new = [alert for key, alert in stage.heard["north"].alerts.items() if key not in before]
    told = [alert["similar_to"] for alert in new if alert.get("similar_to")]
    if not told or NAME not in json.dumps(told):
        raise DemoError(f"the second cavitation was not recognised as {NAME}: {len(new)} alerts")
    return f"the second cavitation alerted, and was recognised: {NAME}"


def drift(stage: Stage) -> str:
    stage.play(AGAIN_H + 1.0)
    stage.wait(lambda: any(map(_advised, stage.heard.values())), SHOWN_S, "no retraining was advised after the drift")
    advice = next(text for one in stage.heard.values() if (text := _advised(one)))
    say.print(f"  health: {escape(advice)}", soft_wrap=True)
    return "a sensor has aged, and retraining is advised"


def better_models(stage: Stage) -> str:
    before = _running(stage)
    stage.learn("a new model is no worse")
    stage.wait(
        lambda: bool(stage.heard["north"].health.get("beside")),
        SHOWN_S,
        "the new model does not run beside the old one",
    )
    stage.play(AGAIN_H + SHADOW_H + 4.0)
    say.print(f"  health: {escape(str(stage.heard['north'].health.get('beside')))}", soft_wrap=True)
    stage.wait(lambda: _running(stage) != before, SHOWN_S, "no new model was promoted after its time in the shadow")
    return f"trained anew, {SHADOW_H} h in the shadow, then promoted"


def turned_back(stage: Stage) -> str:
    now, began_s = _running(stage), time.monotonic()
    stage.plant.command("rollback")
    stage.wait(lambda: _running(stage) != now, SHOWN_S, "the model before is not in use again")
    took_s = time.monotonic() - began_s
    stage.play(END_H)
    return f"the model before is in use again after {took_s:.2f} s, its threshold as it was"


ACTS: Sequence[tuple[str, Callable[[Stage], str]]] = (
    ("the first day", first_day),
    ("a fault, and its name", fault_named),
    ("a false alarm, and its lesson", lesson),
    ("the fault again", recognised),
    ("a drift", drift),
    ("a better model", better_models),
    ("turned back", turned_back),
)


def _only_alert(stage: Stage, name: str) -> dict[str, Any]:
    complaint = f"no alert of {name}, whose machine did what it never did before"
    stage.wait(lambda: len(stage.heard[name].alerts) > 0, SHOWN_S, complaint)
    return list(stage.heard[name].alerts.values())[-1]


def _advised(heard: Heard) -> str | None:
    advice: str | None = heard.health.get("advice")
    return advice


def _running(stage: Stage) -> list[str]:
    """What was put to use, one after the other, as the daemon's log says."""
    log = (stage.config.parent / LOG).read_text()
    return re.findall(r"model ([0-9a-f]{12}) is in use", log)


# -- the run -------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def staged(out: Path) -> Iterator[Stage]:
    """Broker, daemon and plant, as long as the block."""
    config = out / "edge-ae.toml"
    with broker(out) as (kind, port):
        write_settings(config, port, out / "state")
        plant, log = Plant(port), out / LOG
        try:
            with process("edge-ae", [*program("edge_ae"), "run", "--config", str(config)], log) as daemon:
                complaint = f"edge-ae does not come online, see {log}"
                wait_until(lambda: plant.status == "online", READY_S, daemon, complaint)
                say.print(f"broker: {kind}; edge-ae is online, without a model")
                yield Stage(plant, [pump(seed, name) for seed, name in enumerate(PUMPS, 1)], daemon, config)
        finally:
            plant.stop()


def learn_demo(out: Path) -> int:
    """All acts, one after the other; the first that does not end as it should ends the play."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    began = time.monotonic()
    table = Table("", "", "hour", title="what it learned")
    with staged(out) as stage:
        for title, act in ACTS:
            say.print(f"[bold]{title}[/]")
            try:
                outcome = act(stage)
            except DemoError as fault:
                table.add_row(f"[red]{title}", f"[red]{escape(str(fault))}", "")
                say.print(table)
                return 1
            table.add_row(title, escape(outcome), f"{stage.hour:.0f}")
    say.print(table)
    say.print(f"settings, models, recordings and logs: {out}   {time.monotonic() - began:.0f} s in all")
    return 0
