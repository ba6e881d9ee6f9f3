"""`edge-ae-train learn`: makes the models of all streams with `model = "auto"`, as they become due, from what the daemon has recorded.

Beside the daemon and apart from it: it reads settings, the daemon's state and recordings, and writes models; the daemon looks for
them by itself. One pass looks at every asset once.
"""

import os
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

from edge_ae.config.loading import load
from edge_ae.config.settings import MODELS, Settings, StreamSettings
from edge_ae.core.learned_time import HOUR_NS
from edge_ae.core.timestamps import SECOND
from edge_ae.core.topics import topic_filter
from edge_ae.errors import BadState
from edge_ae.store.known_assets import KnownAsset, read_known_assets
from edge_ae.store.node_store import FILE
from edge_ae_train.data.history import Hindsight, read_hindsight
from edge_ae_train.data.recorded_marks import with_marks
from edge_ae_train.learn.hindrances import Hindrances
from edge_ae_train.learn.recorded import Recordings
from edge_ae_train.learn.rounds import Hindered, InTurn, LearningRound, Plan, due_ns
from edge_ae_train.learn.workplace import Workplace, alone

LONGEST_PAUSE_S = 600.0  # between two passes
PAUSES = 8  # and no longer than this part of the time for a first model
LOWEST = 19  # niceness: whatever else the machine does goes before

Say = Callable[[str], None]


def learn(config: Path, *, once: bool, say: Say, sys: Path = Path("/sys")) -> None:
    """Passes over all streams until the process is ended, or one. Raises BadConfig, BadData and BadState.

    `say`: gets each sentence once, until another takes its place. `sys`: where the kernel says how the machine is.
    """
    if not once:  # who asks for one pass waits for it, or has said how it is to run, as the unit of systemd has
        os.nice(LOWEST)
    said = _Once(say)
    while True:
        settings = load(config)
        one_pass(settings, said, sys)
        if once:
            return
        time.sleep(min(LONGEST_PAUSE_S, settings.learn.first_s / PAUSES))


class _Once:
    """Says no sentence twice in a row of passes that have nothing new to say."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._last = ""

    def __call__(self, text: str) -> None:
        if text != self._last:
            self._say(text)
        self._last = text


def one_pass(settings: Settings, say: Say, sys: Path) -> None:
    """Look at each asset once, and make what is due."""
    streams = [stream for stream in settings.streams if stream.learns]
    recordings = settings.recordings
    if not streams or recordings is None:
        say('no stream has model = "auto": there is nothing to learn here')
        return
    known = _known(settings)
    models, learn = settings.state_dir / MODELS, settings.learn
    hindrances = Hindrances(models, learn.on_battery, learn.max_celsius, sys)
    with alone(models):
        if (reason := hindrances.now()) is not None:
            say(f"waits: {reason}")
            return
        try:
            for stream, assets in _by_stream(streams, known):
                place = Workplace(settings.learned_models(stream))
                if place.note is not None:
                    say(place.note)
                rules = settings.alerts.rules_of(stream)
                zone = None if stream.time_zone is None else ZoneInfo(stream.time_zone)
                past = partial(_hindsight, settings, recordings)
                plan = Plan(stream.topic, rules, learn.goals, learn.family, past, zone)
                LearningRound(plan, place, Recordings(recordings), InTurn(hindrances.now), say).run(assets)
                say(outlook(plan, place, assets))
        except Hindered as reason:
            say(f"waits: {reason}")


def _hindsight(settings: Settings, recordings: Path) -> Hindsight:
    """What people said of alerts, and what the daemon marked beside its rows."""
    return with_marks(read_hindsight([], [settings.state_dir], settings.node), [recordings])


def _known(settings: Settings) -> list[KnownAsset]:
    file = settings.state_dir / FILE
    try:
        return read_known_assets(file)
    except BadState as fault:
        raise BadState(f"{file}: {fault}") from None


def _by_stream(
    streams: Sequence[StreamSettings], known: Sequence[KnownAsset]
) -> list[tuple[StreamSettings, list[KnownAsset]]]:
    """Each stream with the assets that the daemon has from it; of streams with the same topics the first one has them."""
    first = {topic_filter(stream.topic): stream for stream in reversed(streams)}
    return [
        (stream, [one for one in known if first.get(one.topic_filter) is stream])
        for stream in streams
        if first[topic_filter(stream.topic)] is stream
    ]


def outlook(plan: Plan, place: Workplace, assets: Sequence[KnownAsset]) -> str:
    """What is waited for, in one line."""
    if not assets:
        return f"{plan.topic}: nothing has come yet; the daemon, edge-ae run, notes what does"
    missing = {one.name: due_ns(place.made, one.name, plan.goals) - one.learned_ns for one in assets}
    name = min(missing, key=lambda asset: missing[asset])
    left = max(missing[name], 0)
    time_ = f"{left / HOUR_NS:.1f} h" if left >= HOUR_NS else f"{left // SECOND} s"
    return f"{plan.topic}: {len(assets)} assets; the next model is that of {name}, when {time_} more of rows have come"
