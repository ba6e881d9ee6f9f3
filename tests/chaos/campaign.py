"""The campaign: faults at random moments, then the verdict.

    python -m tests.chaos.campaign --faults 1000 --seed 1 [--learn]

Exit status 0: nothing lost, doubled or stuck, and the daemon came back from every fault; 1 otherwise. What it did is
kept in --out: logs of daemon and broker, rows, events expected and heard.
"""

import argparse
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import orjson

from tests.chaos import learning, verdict
from tests.chaos.faults import KINDS, Kind
from tests.chaos.people import Witness, past_alerts, retained_alerts
from tests.chaos.plant import GUEST, plant, undisturbed
from tests.chaos.verdict import Verdict
from tests.chaos.world import MODEL, World, world
from tests.conftest import wait_for

PATIENCE_S = 30.0  # for what should take a second
QUIET_S = 3.0  # between two faults, at most
AT_ONCE = 0.2  # part of the faults that strike before the one before is overcome
END_ROWS = 60  # in which every alert ends

Say = Callable[[str], None]


@dataclass
class Course:
    """What happened: faults by kind, of the `kinds` that there are, and how long after each the first new row was used."""

    kinds: Mapping[str, Kind]
    faults: Counter[str] = field(default_factory=Counter)
    recovery_s: dict[str, list[float]] = field(default_factory=dict)


def strike(field: World, kinds: Mapping[str, Kind], faults: int, dice: random.Random, say: Say) -> Course:
    """So many faults, one after the other."""
    course = Course(kinds)
    for number, name in enumerate(_order(kinds, faults, dice), start=1):
        say(f"{number} of {faults} at row {len(field.gateway.sent_ns)}: {name}")
        back_ns = kinds[name].strike(field, dice)
        course.faults[name] += 1
        if dice.random() >= AT_ONCE:
            course.recovery_s.setdefault(name, []).append(_recovered(field, back_ns, name))
            time.sleep(dice.random() ** 4 * QUIET_S)
        assert field.node.running, f"the daemon has ended by itself after '{name}': {field.node.log[-2000:]}"
    _recovered(field, time.monotonic_ns(), "the last")
    return course


def _order(kinds: Mapping[str, Kind], faults: int, dice: random.Random) -> list[str]:
    """Every kind once, then whatever comes."""
    once = dice.sample(list(kinds), len(kinds))
    weights = [kind.weight for kind in kinds.values()]
    return (once + dice.choices(list(kinds), weights, k=faults))[:faults]


def _recovered(field: World, back_ns: int, name: str) -> float:
    """Seconds from `back_ns` until a row was used that had not been sent by then."""
    row = field.gateway.row_after(back_ns)
    wait_for(lambda: field.witness.newest >= row, f"a row to be used after '{name}'", PATIENCE_S)
    return (field.witness.used_ns(row) - back_ns) / 1e9


def campaign(
    faults: int, seed: int, out: Path, say: Say = lambda _: None, *, learn: bool = False
) -> tuple[Course, Verdict]:
    """`learn`: the guest's models are made, sent and promoted meanwhile. Raises AssertionError where the daemon dies by itself or does
    not come back."""
    pump = plant(MODEL)
    kinds, begin = ({**KINDS, **learning.KINDS}, (learning.SETTINGS, learning.prepare)) if learn else (KINDS, ())
    with world(pump, out, seed, *begin) as field:
        course = strike(field, kinds, faults, random.Random(seed), say)
        rows = field.gateway.finish(END_ROWS)
        expected = undisturbed(field.gateway.plant, rows, out)
        (out / "expected.jsonl").write_bytes(b"\n".join(orjson.dumps(event) for event in expected))
        settle(field.witness, {verdict.key(event) for event in expected})
        (out / "heard.jsonl").write_bytes(b"\n".join(orjson.dumps(one.event) for one in field.witness.heard))
        return course, _judged(field, expected)


def _judged(field: World, expected: Sequence[verdict.Event]) -> Verdict:
    events = [one.event for one in field.witness.heard]
    guest = [event for event in events if event["asset"] == GUEST]
    rest = [event for event in events if event["asset"] != GUEST]
    found = verdict.judge(expected, rest, retained_alerts(field.broker.port))
    field.node.end(signal.SIGTERM)
    past = past_alerts(field.node.database, GUEST)
    lost = [*found.lost, *verdict.never_told(past, guest)]
    stuck = [*found.stuck, *field.stuck, *verdict.never_ended(guest), *verdict.still_suppressed(past)]
    again = verdict.sent_twice(field.witness.heard, field.broker.set_back_ns)
    return replace(found, lost=lost, stuck=stuck, sent_twice=again)


def settle(witness: Witness, wanted: set[verdict.Key]) -> None:
    """Until all is heard, or nothing more comes."""
    heard, since = -1, time.monotonic()
    while time.monotonic() - since < PATIENCE_S / 6:
        if len(witness.heard) != heard:
            heard, since = len(witness.heard), time.monotonic()
        elif wanted <= {verdict.key(one.event) for one in witness.heard} and time.monotonic() - since > 1.0:
            return
        time.sleep(0.05)


def table(course: Course, found: Verdict) -> str:
    lines = [f"{'fault':42} {'count':>5}  {'first new row used, s: median':>29} {'p99':>6}"]
    rows = [*((name, course.faults[name], course.recovery_s.get(name, [])) for name in course.kinds)]
    every = [seconds for _, _, times in rows for seconds in times]
    for name, count, times in [*rows, ("all", course.faults.total(), every)]:
        figures = [f"{verdict.percentile(times, share):.2f}" if times else "" for share in (0.5, 0.99)]
        lines.append(f"{name:42} {count:5}  {figures[0]:>29} {figures[1]:>6}")
    lines += ["", f"alert events of the undisturbed run: {found.expected}"]
    for what in ("lost", "doubled", "stuck"):
        broken = getattr(found, what)
        lines.append(f"{what}: {len(broken)}" + (f", such as {broken[:5]}" if broken else ""))
    lines.append(f"delivered more than once under one id and seq, which QoS 1 allows: {found.repeated}")
    lines.append(f"  of these, sent again though the broker had forgotten nothing: {len(found.sent_twice)}")
    return "\n".join(lines)


def _progress(text: str) -> None:
    """On a terminal one line that changes; else a line each, which tells what happened when."""
    begin, end = ("\r\x1b[K", "") if sys.stderr.isatty() else ("", "\n")
    print(begin + text, end=end, file=sys.stderr, flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="tests.chaos.campaign", description="Faults, then lost, doubled, stuck.")
    parser.add_argument("--faults", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, metavar="DIR", help="keep logs and events (default: a folder that goes)")
    parser.add_argument("--learn", action="store_true", help="kill what makes, sends and promotes models, too")
    options = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that all is cleaned up
    with tempfile.TemporaryDirectory(prefix="edge-ae-chaos-") as scratch:
        out = Path(scratch) if options.out is None else options.out.resolve()
        out.mkdir(parents=True, exist_ok=True)
        if any(out.iterdir()):
            parser.error(f"--out: {out} is not empty")
        began = time.monotonic()
        try:
            course, found = campaign(options.faults, options.seed, out, _progress, learn=options.learn)
        except AssertionError as fault:
            print(f"\nFAILED: {fault}", file=sys.stderr)
            return 1
    print(f"\n{table(course, found)}\n{time.monotonic() - began:.0f} s, seed {options.seed}")
    return 0 if found.clean else 1


if __name__ == "__main__":
    sys.exit(main())
