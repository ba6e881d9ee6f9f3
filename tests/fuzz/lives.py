"""Random lives of alerts: no illegal transition, none stuck on or off, every beginning with its end, and never more published
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

from edge_ae.core import alert, alert_snapshot
from edge_ae.core.alert import NEXT
from edge_ae.core.alert_events import AlertEvent, EventType, ModelName
from edge_ae.core.alert_state import AlertSource, AlertState, Evidence, Phase, Shelving, Stepped, Transition
from edge_ae.core.events import Share, Verdict
from edge_ae.core.flood import Flood
from edge_ae.core.rules import AlertRules
from edge_ae.core.timestamps import SECOND
from tests.models import alert_of

NEW, UPDATE, END = EventType.NEW, EventType.UPDATE, EventType.END
SOURCE = AlertSource("node", "pump", ModelName("pump", "", "model"))
HIGH, MIDDLE, LOW = 1.5, 0.9, 0.1
RULES = AlertRules(interval_ns=7 * 86400 * SECOND, on_delay_ns=0, off_delay_ns=0)
SHARES = (Share("flow", "m3/h", 1.0, 3.0, 4.0),)
WALL_S = 10**9  # the wall clock need not agree with the asset's


class Asset:
    """An alert state that is walked from verdict to verdict, one a second, and what it published, with the second of it.

    `t_s` is the asset's event time, `wall_s` the clock on the wall, which goes on alike but is never set back.
    """

    def __init__(self, *, off_delay_s: float = 0, **rules: float) -> None:
        self.rules = replace(RULES, off_delay_ns=round(off_delay_s * SECOND), **rules)  # type: ignore[arg-type]
        self.state = AlertState()
        self.published: list[tuple[int, Transition]] = []
        self.t_s = -1
        self.wall_s = WALL_S - 1

    @property
    def t_ns(self) -> int:
        return self.t_s * SECOND

    @property
    def now_ns(self) -> int:
        return self.wall_s * SECOND

    def see(self, *ratios: float) -> "Asset":
        for ratio in ratios:
            self.go_on(1, ratio)
        return self

    def go_on(self, seconds: int, ratio: float) -> None:
        """So many seconds later, a look at the wall clock and a verdict."""
        self.t_s += seconds
        self.wait(seconds)
        self.note(self.step(ratio))

    def wait(self, seconds: int) -> None:
        """The clock on the wall goes on, and no reading comes."""
        self.wall_s += seconds
        self.note(alert.expire_shelving(self.state, self.now_ns, self.t_ns, self.rules))

    def step(self, ratio: float) -> Stepped:
        verdict = Verdict(self.t_s, ratio, 1.0, ratio)
        return alert.step(self.state, verdict, self.t_ns, self.rules, SOURCE, Evidence(SHARES))

    def shelve(self, duration_s: int | None) -> None:
        duration_ns = None if duration_s is None else duration_s * SECOND
        self.state = alert.shelve(self.state, self.now_ns, duration_ns, self.rules)

    def note(self, change: Stepped) -> None:
        self.state = change[0]
        self.published.extend((self.t_s, one) for one in change[1])

    @property
    def events(self) -> list[tuple[int, EventType, int]]:
        return [(t_s, one.type, one.episode.seq) for t_s, one in self.published]


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

    def receive(self, one: Transition) -> None:
        episode = one.episode
        assert episode.id not in self.ended
        if one.type is NEW:
            assert self.open is None
            self.open, self.seq = episode.id, 0
        assert episode.id == self.open
        assert episode.seq == self.seq + 1
        assert (one.cleared_ns is not None) == (one.type is END)
        self.seq = episode.seq
        if one.type is END:
            self.ended.add(episode.id)
            self.open = None


def act(asset: Asset, rng: random.Random) -> None:
    """One thing that an operator, a clock or a crash does."""
    what = rng.choice(("ack", "shelve", "one_shot", "unshelve", "service", "silence", "clock", "restart"))
    if what == "ack":
        asset.note(alert.acknowledge(asset.state, asset.t_ns))
    elif what in ("shelve", "one_shot"):
        asset.shelve(None if what == "one_shot" else rng.choice((0, 3, 100, 10**9)))
    elif what == "unshelve":
        asset.note(alert.unshelve(asset.state, asset.t_ns))
    elif what == "service":
        asset.note(alert.set_service(asset.state, not asset.state.in_service, asset.t_ns))
    elif what == "silence":
        asset.wait(rng.choice((1, 3, 100_000)))
    elif what == "clock":
        back_s = rng.randrange(1, 10**9)
        asset.state, asset.t_s = alert.set_back(asset.state, back_s * SECOND), asset.t_s - back_s
    else:
        asset.state = alert_snapshot.restore(orjson.loads(orjson.dumps(alert_snapshot.snapshot(asset.state))))


def check(asset: Asset) -> None:
    state = asset.state
    assert state.active == (state.episode is not None)
    assert (state.shelving is Shelving.UNSHELVED) == (state.shelved_until_ns is None)
    if state.shelved_until_ns is not None:
        assert 0 <= state.shelved_until_ns - asset.now_ns <= asset.rules.max_shelve_ns
    if state.active and not state.silent:
        assert state.episode is not None
        assert state.episode.published


def live(asset: Asset, rng: random.Random) -> None:
    subscriber, received, level = Subscriber(), 0, LOW
    for _ in range(STEPS):
        if rng.random() < 0.1:
            act(asset, rng)
        level = rng.choice((LOW, MIDDLE, HIGH, 3.0, 40.0)) if rng.random() < 0.3 else level
        before = asset.state.phase
        asset.go_on(rng.choice((1, 1, 1, 1, 30, 100_000)), level)
        assert (before, asset.state.phase) in LEGAL
        check(asset)
        for _, one in asset.published[received:]:
            subscriber.receive(one)
        received = len(asset.published)
    known = asset.state.episode is not None and asset.state.episode.published
    assert subscriber.open == (asset.state.episode.id if asset.state.episode is not None and known else None)
    asset.see(*[LOW] * 8)
    assert asset.state.phase is Phase.NORMAL, "stuck on"
    news, ends = (sum(one.type is kind for _, one in asset.published) for kind in (NEW, END))
    assert news == ends
    asset.note(alert.unshelve(asset.state, asset.t_ns))
    asset.note(alert.set_service(asset.state, True, asset.t_ns))
    asset.see(*[HIGH] * 8)
    assert asset.published[-1][1].type is NEW, "stuck off"


def trace(rng: random.Random) -> list[tuple[int, Transition]]:
    """One life, under rules of its own. Raises AssertionError. What it published, with the second of it."""
    asset = Asset(
        off_delay_s=rng.choice((0, 1, 5)),
        on_delay_ns=rng.choice((0, 1, 5)) * SECOND,
        deadband=rng.choice((0.0, 0.2)),
        re_alarm_ns=rng.choice((0, 70)) * SECOND,
    )
    live(asset, rng)
    return asset.published


def flooded(lives: Sequence[Sequence[tuple[int, Transition]]], limit: int, window_s: int) -> None:
    """All that these lives published, in the order of time, past a flood limit. Raises AssertionError where more gets through."""
    flood, open_ids, news = Flood("node", limit, window_s * SECOND), set(), []
    every = [
        (t_s, number, one)
        for number, life in enumerate(lives)
        for t_s, (_, one) in zip(
            accumulate((t_s for t_s, _ in life), max), life, strict=True
        )  # a clock set back stands
    ]
    every.sort(key=lambda entry: entry[0])
    for t_s, number, one in every:
        flood.tick(t_s * SECOND)
        identity = f"{number}-{one.episode.id}"
        event = AlertEvent(f"p{number}", one.type, identity, one.episode.seq, alert_of(id=identity))
        for passed in flood.push(event, t_s * SECOND):
            if not isinstance(passed, AlertEvent):
                continue
            if passed.type is NEW:
                news.append(t_s)
                open_ids.add(passed.id)
            else:
                assert passed.id in open_ids, "an end or update of an alert that was withheld"
                open_ids -= {passed.id} if passed.type is END else set()
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
