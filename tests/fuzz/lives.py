"""Random lives of alerts: no illegal transition, none stuck on or off, every beginning with its end, and never more told
than the flood limit allows.

python -m tests.fuzz.lives --traces 100000 --seed 1
"""

import argparse
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate

import orjson

from edge_ae.core import alert
from edge_ae.core.alert import NEXT, AlertRules, AlertState, Phase, Shelving, Told
from edge_ae.core.events import AlertEvent, EventType, Share, Verdict
from edge_ae.core.flood import Flood
from edge_ae.core.timestamps import SECOND

NEW, UPDATE, END = EventType.NEW, EventType.UPDATE, EventType.END
NAMES = ("node", "pump", "model")
HIGH, MIDDLE, LOW = 1.5, 0.9, 0.1
RULES = AlertRules(interval_ns=7 * 86400 * SECOND)
SHARES = (Share("flow", "m3/h", 1.0, 3.0, 4.0),)


class Asset:
    """An alert state that is walked from verdict to verdict, one a second, and what it told, with the second of it."""

    def __init__(self, *, off_delay_s: float = 0, **rules: float) -> None:
        self.rules = replace(RULES, **rules)  # type: ignore[arg-type]
        self.off_delay_ns = round(off_delay_s * SECOND)
        self.state = AlertState()
        self.told: list[tuple[int, Told]] = []
        self.t_s = -1

    def see(self, *ratios: float) -> "Asset":
        for ratio in ratios:
            self.t_s += 1
            self.note(self.step(ratio))
        return self

    def step(self, ratio: float) -> tuple[AlertState, list[Told]]:
        verdict = Verdict(self.t_s, ratio, 1.0, ratio)
        return alert.step(self.state, verdict, self.t_s * SECOND, self.rules, self.off_delay_ns, NAMES, SHARES)

    def note(self, change: tuple[AlertState, Sequence[Told]]) -> None:
        self.state = change[0]
        self.told.extend((self.t_s, told) for told in change[1])

    @property
    def events(self) -> list[tuple[int, EventType, int]]:
        return [(t_s, told.type, told.episode.seq) for t_s, told in self.told]


PROMOTED = {
    (Phase.NORMAL, Phase.ACTIVE),  # without an on-delay
    (Phase.PENDING, Phase.ACTIVE),
    (Phase.ACTIVE, Phase.NORMAL),  # without an off-delay
    (Phase.CLEARING, Phase.NORMAL),
}
LEGAL = {(before, after) for (before, _), after in NEXT.items()} | PROMOTED
STEPS = 60  # of a life
TOGETHER = 6  # lives of one node


class Subscriber:
    """Checks what a consumer of the events relies on."""

    def __init__(self) -> None:
        self.open: str | None = None
        self.seq = 0
        self.ended: set[str] = set()

    def hear(self, told: Told) -> None:
        episode = told.episode
        assert episode.id not in self.ended
        if told.type is NEW:
            assert self.open is None
            self.open, self.seq = episode.id, 0
        assert episode.id == self.open
        assert episode.seq == self.seq + 1
        assert (told.cleared_ns is not None) == (told.type is END)
        self.seq = episode.seq
        if told.type is END:
            self.ended.add(episode.id)
            self.open = None


def act(asset: Asset, rng: random.Random) -> None:
    """One thing that an operator, a clock or a crash does."""
    now_ns = asset.t_s * SECOND
    what = rng.choice(("ack", "shelve", "one_shot", "unshelve", "service", "clock", "restart"))
    if what == "ack":
        asset.note(alert.acknowledge(asset.state, now_ns))
    elif what in ("shelve", "one_shot"):
        duration_ns = None if what == "one_shot" else rng.choice((0, 3, 100, 10**9)) * SECOND
        asset.state = alert.shelve(asset.state, now_ns, duration_ns, asset.rules)
    elif what == "unshelve":
        asset.note(alert.tell_unshelved(alert.unshelve(asset.state), now_ns))
    elif what == "service":
        in_service = not asset.state.in_service
        asset.note(alert.tell_unshelved(replace(asset.state, in_service=in_service), now_ns))
    elif what == "clock":
        back_s = rng.randrange(1, 10**9)
        asset.state, asset.t_s = alert.set_back(asset.state, back_s * SECOND), asset.t_s - back_s
    else:
        asset.state = alert.restore(orjson.loads(orjson.dumps(alert.snapshot(asset.state))))


def check(asset: Asset) -> None:
    state = asset.state
    assert state.active == (state.episode is not None)
    assert (state.shelving is Shelving.UNSHELVED) == (state.shelved_until_ns is None)
    if state.shelved_until_ns is not None:
        assert state.shelved_until_ns - asset.t_s * SECOND <= asset.rules.max_shelve_ns
    if state.active and not state.silent:
        assert state.episode is not None
        assert state.episode.told


def live(asset: Asset, rng: random.Random) -> None:
    subscriber, heard, level = Subscriber(), 0, LOW
    for _ in range(STEPS):
        if rng.random() < 0.1:
            act(asset, rng)
        level = rng.choice((LOW, MIDDLE, HIGH, 3.0, 40.0)) if rng.random() < 0.3 else level
        before = asset.state.phase
        asset.t_s += rng.choice((1, 1, 1, 1, 30, 100_000))
        asset.note(asset.step(level))
        assert (before, asset.state.phase) in LEGAL
        check(asset)
        for _, told in asset.told[heard:]:
            subscriber.hear(told)
        heard = len(asset.told)
    assert subscriber.open == (asset.state.episode.id if asset.state.episode and asset.state.episode.told else None)
    asset.see(*[LOW] * 8)
    assert asset.state.phase is Phase.NORMAL, "stuck on"
    news, ends = (sum(told.type is kind for _, told in asset.told) for kind in (NEW, END))
    assert news == ends
    asset.state = replace(alert.unshelve(asset.state), in_service=True)
    asset.see(*[HIGH] * 8)
    assert asset.told[-1][1].type is NEW, "stuck off"


def trace(rng: random.Random) -> list[tuple[int, Told]]:
    """One life, under rules of its own. Raises AssertionError. What it told, with the second of it."""
    asset = Asset(
        off_delay_s=rng.choice((0, 1, 5)),
        on_delay_ns=rng.choice((0, 1, 5)) * SECOND,
        deadband=rng.choice((0.0, 0.2)),
        re_alarm_ns=rng.choice((0, 70)) * SECOND,
    )
    live(asset, rng)
    return asset.told


def flooded(lives: Sequence[Sequence[tuple[int, Told]]], limit: int, window_s: int) -> None:
    """All that these lives told, in the order of time, past a flood limit. Raises AssertionError where more gets through."""
    flood, open_ids, news = Flood("node", limit, window_s * SECOND), set(), []
    every = [
        (t_s, number, told)
        for number, life in enumerate(lives)
        for t_s, (_, told) in zip(
            accumulate((t_s for t_s, _ in life), max), life, strict=True
        )  # a clock set back stands
    ]
    every.sort(key=lambda one: one[0])
    for t_s, number, told in every:
        flood.tick(t_s * SECOND)
        identity = f"{number}-{told.episode.id}"
        event = AlertEvent(f"p{number}", told.type, identity, told.episode.seq, {"id": identity})
        for one in flood.push(event, t_s * SECOND):
            if one.asset and one.type is NEW:
                news.append(t_s)
                open_ids.add(one.id)
            elif one.asset:
                assert one.id in open_ids, "an end or update of an alert that was withheld"
                open_ids -= {one.id} if one.type is END else set()
    assert all(after - before >= window_s for before, after in zip(news, news[limit:], strict=False)), (
        "flood limit exceeded"
    )


def run(traces: int, seed: int) -> int:
    """How many steps that were."""
    rng, lives = random.Random(seed), []
    for number in range(traces):
        lives.append(trace(rng))
        if len(lives) == TOGETHER or number == traces - 1:
            flooded(lives, rng.randrange(1, 5), rng.choice((10, 600, 10**6)))
            lives = []
    return traces * STEPS


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="tests.fuzz.lives", description="Random lives of alerts.")
    parser.add_argument("--traces", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(argv)
    began = time.monotonic()
    steps = run(options.traces, options.seed)
    print(f"{options.traces:,} random lives of an alert, {steps:,} steps: no illegal transition, none stuck, no flood")
    print(f"limit exceeded; {time.monotonic() - began:.0f} s, seed {options.seed}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
