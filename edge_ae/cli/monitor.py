"""A live view in the terminal: what has been published below `base/+/...`, drawn.

    messages ─ View.take ─► View ─ render(view, width, height, now_ns) ─► lines ─► terminal

`render` is a pure function. On anything but a terminal there is no picture, but a line for each change.
"""

import os
import queue
import select
import shutil
import sys
import termios
import time
import tty
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TextIO

from edge_ae.core.published import TOPICS, Asset, View
from edge_ae.core.timestamps import SECOND, parse_time_ns

Offer = Callable[[str, bytes], None]
Connect = Callable[[Sequence[str], Offer], Any]

FRAME_S = 0.2
FULL_SCALE = 2.0  # the bar's end; the boundary is in its middle
BAR = 20
NARROW = 50  # cells: below this there is no room for the bar
BLOCKS = " ▏▎▍▌▋▊▉█"
SPARKS = "▁▂▃▄▅▆▇█"
COLOURS = {"red": "31", "green": "32", "yellow": "33", "dim": "2", "bold": "1", "plain": "0"}
EXPLAINED = {"active": "reason", "suppressed": "suppressed_by"}  # which key says why a state is as it is
WORDS = {"pending": "yellow", "active": "red", "suppressed": "dim", "out_of_service": "dim", "normal": "green"}


# -- drawing ---------------------------------------------------------------------------------------------------


def render(view: View, width: int, height: int, now_ns: int, colour: bool = True) -> list[str]:
    """The picture as at most `height` lines of at most `width` cells: live nodes, active alerts first; of all dead ones a line."""
    ink = _ink if colour else lambda _name, text: text
    dead = _dead(view)
    head = [_header(view, width, ink), ink("dim", _fit(_titles(width), width))]
    foot = [*([ink("yellow", _fit(_obituary(view, dead), width))] if dead else []), _footer(view, width, ink)]
    room = max(height - len(head) - len(foot), 0)
    body: list[str] = []
    alive = [item for item in view.assets.items() if item[0][0] not in dead]
    ordered = sorted(alive, key=lambda item: (item[1].state != "active", item[0]))
    several = len(view.status.keys() - {*dead}) > 1
    for number, ((node, name), asset) in enumerate(ordered):
        lines = _asset_lines(f"{node}/{name}" if several else name, asset, width, now_ns, ink)
        left = len(ordered) - number
        if len(body) + len(lines) > room - (1 if left > 1 else 0):
            body.append(ink("dim", _fit(f" … and {left} more; a taller window shows them", width)))
            break
        body += lines
    if not ordered and not dead:
        body = ["", _fit(" Nothing has been scored yet: waiting for readings.", width)]
    body = body[:room]
    return [*head, *body, *[""] * (room - len(body)), *foot][:height]


def _dead(view: View) -> list[str]:
    return sorted(filter(view.offline, view.status))


def _header(view: View, width: int, ink: Callable[[str, str], str]) -> str:
    dead = _dead(view)
    words = [f"{node} {status}" for node, status in sorted(view.status.items()) if node not in dead]
    live = len(words) > 0
    if dead:
        words.append(f"{dead[0]} offline" if len(dead) == 1 else f"{len(dead)} offline")
    text = _fit(f" edge-ae   {'   '.join(words) or 'no node has said anything yet'}", width)
    return ink("bold" if live else "red", text)


def _obituary(view: View, dead: Sequence[str]) -> str:
    """What the dead nodes have left, in a line: the nodes whose alerts were active come first."""
    left: dict[str, list[Asset]] = {node: [] for node in dead}
    for (node, _), asset in view.assets.items():
        if node in left:
            left[node].append(asset)
    alerts = {node: sum(asset.state == "active" for asset in assets) for node, assets in left.items()}
    words = [
        f"{node} ({len(left[node])} assets{f', {alerts[node]} in alert' if alerts[node] > 0 else ''})"
        for node in sorted(dead, key=lambda node: (alerts[node] == 0, node))
    ]
    return f" offline, edge-ae purge takes back what is left of them: {', '.join(words)}"


def _columns(width: int) -> tuple[int, int, int, int]:
    """Cells for name, sparkline, state and the rest, around the fixed bar and number."""
    name = max(10, min(24, width // 6))
    spark = max(0, min(30, (width - 100) // 2 + 10)) if width >= 90 else 0
    used = 1 + name + 1 + len(bar(None)) + 1 + 6 + (1 + spark if spark > 0 else 0)
    state = min(15, width - used - 1)
    return name, spark, state, max(width - used - 1 - state - 1, 0)


def _titles(width: int) -> str:
    if width < NARROW:
        return " RATIO STATE ASSET"
    name, spark, state, rest = _columns(width)
    cells = [
        ("ASSET", name),
        ("0  RATIO  1         2", BAR + 1),
        ("", 6),
        ("RECENT", spark),
        ("STATE", state),
        ("WHY", rest),
    ]
    return " " + " ".join(_fit(text, size) for text, size in cells if size > 0)


def _asset_lines(name: str, asset: Asset, width: int, now_ns: int, ink: Callable[[str, str], str]) -> list[str]:
    wide, spark, state, rest = _columns(width)
    quiet = asset.quiet(now_ns)
    colour = "dim" if quiet else "red" if asset.ratio is not None and asset.ratio >= 1.0 else "green"
    number = "-" if asset.ratio is None else f"{asset.ratio:.2f}"
    if width < NARROW:
        return [ink(colour, _fit(f" {number} {_state(asset, quiet)} {name}", width))]
    cells = [
        _fit(name, wide),
        ink(colour, bar(asset.ratio)),
        ink(colour, f"{number:>6.6}"),
        *([ink(colour, sparkline(asset.recent, spark))] if spark > 0 else []),
        ink(WORDS.get(asset.state, "dim"), _fit(_state(asset, quiet), state)),
        *([_fit(_why(asset, now_ns), rest)] if rest > 0 else []),
    ]
    lines = [" " + " ".join(cells)]
    if asset.state == "active":
        lines.append(ink("dim", _fit(f"   └ {asset.alert.get('reason') or 'no reason given'}", width)))
    return lines


def bar(ratio: float | None) -> str:
    """The ratio as a bar from 0 to twice the boundary, which is the line in the middle; an arrow where it goes on."""
    filled = 0 if ratio is None else round(min(max(ratio, 0.0), FULL_SCALE) / FULL_SCALE * BAR * 8)
    whole, eighths = divmod(filled, 8)
    text = ("█" * whole + (BLOCKS[eighths] if eighths > 0 else "")).ljust(BAR)
    if ratio is not None and ratio > FULL_SCALE:
        text = text[:-1] + "►"
    return f"{text[: BAR // 2]}│{text[BAR // 2 :]}"


def sparkline(ratios: Sequence[float], width: int) -> str:
    """The latest ratios on the scale of the bar, the newest at the right."""
    top = len(SPARKS) - 1
    shown = list(ratios)[-width:]
    marks = (SPARKS[round(min(max(ratio, 0.0), FULL_SCALE) / FULL_SCALE * top)] for ratio in shown)
    return "".join(marks).rjust(width)


def _state(asset: Asset, quiet: bool) -> str:
    word = asset.state.replace("_", " ")
    if not asset.alert and asset.health.get("watching") == "learning":
        return "learning"
    if asset.state == "active":
        word = f"ALERT {asset.alert.get('severity') or ''}".strip()
    if asset.alert.get("shelved"):
        return f"{word} shelved"
    if asset.alert.get("acked"):
        return f"{word} seen"
    return f"{word} quiet" if quiet and asset.ratio is not None else word


def _why(asset: Asset, now_ns: int) -> str:
    parts = []
    top, share, onset = (asset.alert.get(key) for key in ("top_channel", "top_share", "ts_onset"))
    if top is not None and asset.state == "active":
        parts.append(f"{top} {share:.0%}" if isinstance(share, float | int) else str(top))
    if isinstance(onset, str) and asset.state == "active":
        parts.append(f"since {_ago(onset, now_ns)}")
    if asset.state == "suppressed":
        parts.append(str(asset.alert.get("suppressed_by") or "by a rule"))
    parts += _watch_notes(asset.health)
    faults = asset.health.get("faults")
    if isinstance(faults, dict) and faults:
        parts.append("sensors: " + ", ".join(f"{channel} {fault}" for channel, fault in faults.items()))
    return ", ".join(parts)


def _watch_notes(health: Mapping[str, Any]) -> list[str]:
    """Why an asset is not watched, the warm-up in the time of this machine; else at which other pace its readings come."""
    reason, pace, first = (health.get(key) for key in ("reason", "pace", "first_score"))
    if reason is None:
        return [] if pace is None else [str(pace)]
    rows, needed = health.get("rows"), health.get("rows_needed")
    if not isinstance(first, str) or not str(reason).startswith(f"{rows} of {needed} rows"):
        return [str(reason)]
    return [f"{rows} of {needed} rows, first score about {_clock(first)}"]


def _clock(text: str) -> str:
    """The hour and minute of a time, where it can be read, in the zone of this machine."""
    try:
        return time.strftime("%H:%M", time.localtime(parse_time_ns(text) // SECOND))
    except (ValueError, OverflowError, OSError):
        return text


def _ago(onset: str, now_ns: int) -> str:
    try:
        seconds = max((now_ns - parse_time_ns(onset)) // SECOND, 0)
    except ValueError:
        return onset
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def _footer(view: View, width: int, ink: Callable[[str, str], str]) -> str:
    words = []
    live = {node: stats for node, stats in sorted(view.stats.items()) if not view.offline(node)}
    for node, stats in live.items():
        numbers = [
            f"{key} {_total(stats[key]):,}"
            for key in ("received", "used", "dropped", "events", "outbox")
            if key in stats
        ]
        words.append(" ".join([node, *numbers]) if len(live) > 1 else "   ".join(numbers))
    return ink("dim", _fit(f" {'   '.join(words)}   q quits".replace("    q", " q"), width))


def _total(value: Any) -> int:
    """A counter, or the sum of counters by reason."""
    if isinstance(value, dict):
        return sum(_total(part) for part in value.values())
    return int(value) if isinstance(value, int | float) else 0


def _ink(name: str, text: str) -> str:
    return f"\x1b[{COLOURS[name]}m{text}\x1b[0m"


def _fit(text: str, width: int) -> str:
    """Exactly `width` cells of a text that is made safe for a terminal; what is cut off is shown to be."""
    clean = "".join(char if char.isprintable() else "?" for char in text)
    if _cells(clean) > width:
        while clean and _cells(clean) > width - 1:
            clean = clean[:-1]
        clean = f"{clean}…" if width > 0 else ""
    return clean + " " * (width - _cells(clean))


def _cells(text: str) -> int:
    if text.isascii():
        return len(text)
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else not unicodedata.combining(c) for c in text)


# -- the terminal ----------------------------------------------------------------------------------------------


def watch(base: str, connect: Connect, out: TextIO, stop: Callable[[], bool] = lambda: False) -> None:
    """Shows what comes until q or `stop`. `connect` subscribes and offers messages from a thread of its own."""
    arrived: queue.SimpleQueue[tuple[str, bytes]] = queue.SimpleQueue()
    connect([f"{base}/{topic}" for topic in TOPICS], lambda topic, payload: arrived.put((topic, payload)))
    view = View(base)
    if out.isatty() and sys.stdin.isatty():
        _show(view, arrived, out, stop)
    else:
        _print_changes(view, arrived, out, stop)


def _take_all(view: View, arrived: "queue.SimpleQueue[tuple[str, bytes]]") -> bool:
    took = False
    while not arrived.empty():
        view.take(*arrived.get(), time.time_ns())
        took = True
    return took


def _show(view: View, arrived: "queue.SimpleQueue[tuple[str, bytes]]", out: TextIO, stop: Callable[[], bool]) -> None:
    colour = "NO_COLOR" not in os.environ
    shown: tuple[int, int, int] = (0, 0, 0)
    with _screen(out) as key:
        while not stop() and key() not in ("q", "Q", "\x03"):
            size = shutil.get_terminal_size()
            frame = (size.columns, size.lines, int(time.time()))
            if _take_all(view, arrived) or frame != shown:
                lines = render(view, size.columns, size.lines, time.time_ns(), colour)
                out.write("\x1b[H" + "\r\n".join(f"{line}\x1b[K" for line in lines) + "\x1b[J")
                out.flush()
                shown = frame


@contextmanager
def _screen(out: TextIO) -> Iterator[Callable[[], str]]:
    """The alternate screen, and keys as they are pressed; the terminal is as it was before, whatever happens."""
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)

    def key() -> str:
        ready, _, _ = select.select([descriptor], [], [], FRAME_S)
        return os.read(descriptor, 1).decode(errors="replace") if ready else ""

    try:
        tty.setcbreak(descriptor)
        out.write("\x1b[?1049h\x1b[?25l")
        yield key
    finally:
        out.write("\x1b[?25h\x1b[?1049l")
        out.flush()
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def _print_changes(
    view: View, arrived: "queue.SimpleQueue[tuple[str, bytes]]", out: TextIO, stop: Callable[[], bool]
) -> None:
    """One line for each change of a node's status or an asset's state."""
    printed: dict[str, str] = {}
    while not stop():
        if not _take_all(view, arrived):
            time.sleep(FRAME_S)
        for who, text in _facts(view):
            if printed.get(who) != text:
                printed[who] = text
                out.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {who} {text}\n")
                out.flush()


def _facts(view: View) -> Iterator[tuple[str, str]]:
    yield from view.status.items()
    for (node, name), asset in view.assets.items():
        if asset.alert:
            reason = asset.alert.get(EXPLAINED.get(asset.state, ""))
            yield f"{node}/{name}", asset.state + (f": {reason}" if reason else "")
        notes = _watch_notes(asset.health)
        if asset.health:
            yield f"{node}/{name} health", ", ".join(notes) or "watched"
