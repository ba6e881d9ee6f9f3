"""An asset as its own page shows it: plain values for the browser, made of what has been published and of what was asked for."""

from collections.abc import Iterator, Mapping
from typing import Any

from edge_ae.core.published import Asset, View
from edge_ae.core.timestamps import MS, parse_time_ns
from edge_ae.web.board import Fields
from edge_ae.web.live import Key, WatchedAsset
from edge_ae.web.words import LONGEST_NAME, STATES, duration, last_alert_of, mode_of, number, reason_of, state_of, text

MAX_SHARES = 16
LEAST_SHARE = 0.005  # what is less would be drawn as 0 %, above the signals
MAX_LISTED = 20
MAX_LESSONS = 32
SILENCES = -1  # in place of the number of a rule: all silences are taken back at once
FIRST_LESSON = -2  # and of those of the lessons, downwards


def now_of(view: View, key: Key, asset: Asset, now_ns: int) -> Fields:
    """What `Now` shows: what somebody who is called to the machine has to know first."""
    state = STATES[state_of(asset, view.offline(key[0]))]
    return {
        "state": state.word,
        "tone": state.tone,
        "reason": reason_of(asset),
        "past": last_alert_of(asset, now_ns),
        "warmUp": _warm_up(asset.health),
        "shares": [*_shares(asset.alert)] if asset.state in ("active", "pending", "suppressed") else [],
    }


def facts_of(view: View, key: Key, asset: Asset, watched: WatchedAsset) -> Fields:
    """What `Facts` shows: all else."""
    return {
        "facts": [[title, said] for title, said in _facts(view, key, asset, watched) if said],
        "inForce": [*in_force(asset.health)],
    }


def _facts(view: View, key: Key, asset: Asset, watched: WatchedAsset) -> Iterator[tuple[str, str]]:
    alert, health = asset.alert, asset.health
    yield "node", f"{text(key[0], LONGEST_NAME)}, {text(view.status.get(key[0], 'never seen'), 40)}"
    yield "ratio", "" if asset.ratio is None else f"{asset.ratio:.2f} (1 is the boundary)"
    if asset.state == "active":
        yield "severity", text(alert.get("severity"), 20)
        yield "since", text(alert.get("ts_onset"), 40)
    yield "acknowledged", "yes" if alert.get("acked") is True and asset.state == "active" else ""
    yield "shelved until", text(alert.get("shelved_until") or "normal", 40) if alert.get("shelved") is True else ""
    yield "similar to", similar_to(alert)
    yield "operating mode", mode_of(alert) or watched.mode
    yield "budget", _budget(view, key, health, watched)
    yield "pace", text(health.get("pace"))
    yield "sensors", _sensors(health)
    yield "watched only", text(health.get("when"))
    yield "learning", text(health.get("learning"))
    yield "beside it", text(health.get("beside"))
    model = alert.get("model")
    yield "model", f"{text(model.get('name'), 80)}, {text(model.get('version'), 40)}" if isinstance(model, dict) else ""


def similar_to(alert: Mapping[str, Any]) -> str:
    """The named alert that an alert is like, how often it was and when last; empty: it is like none."""
    count = number(alert.get("similar_count"))
    if not count:
        return ""
    last = f", last {text(alert.get('similar_last'), 40)[:10]}" if alert.get("similar_last") else ""
    return f"{text(alert.get('similar_to'), LONGEST_NAME)} ({'once' if count == 1 else f'{count:g} times'}{last})"


def _budget(view: View, key: Key, health: Mapping[str, Any], watched: WatchedAsset) -> str:
    """Which it is, and what was spent of it. An interval of the budget is the time in which one alert is accepted."""
    assets = view.stats.get(key[0], {}).get("asset")
    stats = assets.get(key[1]) if isinstance(assets, dict) else None
    asked = text(health.get("budget"), 40)
    if asked == "default":
        asked = f"{(watched.past.what_if or {}).get('budget', '')} as in the settings".strip()
    if not isinstance(stats, dict):
        return asked
    spent, interval_s = number(stats.get("budget_spent")), number(stats.get("budget_interval_s"))
    if spent is None or interval_s is None:
        return asked
    return f"{asked}; spent in the last {duration(interval_s)}: {spent:g} of 1 alert".removeprefix("; ")


def _sensors(health: Mapping[str, Any]) -> str:
    faults = health.get("faults")
    if not isinstance(faults, dict) or not health:
        return ""
    if not faults:
        return "all work"
    return text(", ".join(f"{channel}: {fault}" for channel, fault in list(faults.items())[:MAX_LISTED]))


def in_force(health: Mapping[str, Any]) -> Iterator[Fields]:
    """Rules, silences and lessons, a sentence each; `clear`: what to send to take it back, None where only the settings can."""
    for number_of, one in enumerate(_entries(health.get("rules"))):
        yield {"text": _rule(one), "clear": number_of if one.get("source") == "command" else None}
    for one in _entries(health.get("silences")):
        yield {"text": f"silence {_silence(one)}", "clear": SILENCES}
    for number_of, one in enumerate(_entries(health.get("lessons"), MAX_LESSONS)):
        yield {"text": _lesson(one), "clear": FIRST_LESSON - number_of}


def ruled_channel(health: Mapping[str, Any], number_of: Any) -> str | None:
    """The channel of a rule that `in_force` has numbered, in the words of whoever published it."""
    rules = _entries(health.get("rules"))
    known = isinstance(number_of, int) and 0 <= number_of < len(rules)
    channel = rules[number_of].get("channel") if known else None
    return channel if isinstance(channel, str) else None


def unlearnt(health: Mapping[str, Any], number_of: Any) -> str | None:
    """The id of a lesson that `in_force` has numbered, in the words of whoever published it."""
    lessons = _entries(health.get("lessons"), MAX_LESSONS)
    known = isinstance(number_of, int) and 0 <= FIRST_LESSON - number_of < len(lessons)
    identity = lessons[FIRST_LESSON - number_of].get("id") if known else None
    return identity if isinstance(identity, str) else None


def _lesson(one: Mapping[str, Any]) -> str:
    name, count = text(one.get("name"), LONGEST_NAME), number(one.get("count")) or 0
    what = (
        f"true alarm: {name or 'without a name'}"
        if one.get("label") == "true_alarm"
        else "false alarm, its like is withheld"
    )
    until = f" until {text(one['until'], 40)}" if one.get("until") else ""
    idle = f"; says nothing now: {text(one['idle'])}" if one.get("idle") else ""
    return f"{what}{until}, of {text(one.get('ts_raised'), 40)[:10]}, {count:g} like it since: {text(one.get('reason'))}{idle}"


def _entries(value: Any, most: int = MAX_LISTED) -> list[Mapping[str, Any]]:
    return [one for one in value[:most] if isinstance(one, dict)] if isinstance(value, list) else []


def _rule(one: Mapping[str, Any]) -> str:
    direction, least = one.get("direction"), one.get("min_deviation")
    exact = number(least)
    what = [
        "muted" if one.get("mute") is True else "",
        f"only {direction}" if direction in ("high", "low") else "",
        "" if least is None else f"from a deviation of {least if exact is None else f'{exact:g}'}",
    ]
    said = ", ".join(word for word in what if word)
    return f"{text(one.get('channel'), 80)} {text(said)} (by {text(one.get('source'), 20) or 'settings'})"


def _silence(one: Mapping[str, Any]) -> str:
    note = f", {text(one['note'])}" if one.get("note") else ""
    return f"{text(one.get('from'), 40)} to {text(one.get('until'), 40)}{note}"


def _warm_up(health: Mapping[str, Any]) -> list[float] | None:
    rows, needed = number(health.get("rows")), number(health.get("rows_needed"))
    is_warming = health.get("watching") == "warm_up" and rows is not None and needed is not None and needed > 0
    return [rows, needed] if is_warming and rows is not None and needed is not None else None


def channels_of(alert: Mapping[str, Any]) -> list[Fields]:
    """The channels of an alert, the largest share first."""
    channels = alert.get("channels")
    return [one for one in channels[:MAX_SHARES] if isinstance(one, dict)] if isinstance(channels, list) else []


def _shares(alert: Mapping[str, Any]) -> Iterator[Fields]:
    for one in channels_of(alert):
        share = number(one.get("share"))
        if share is not None and share >= LEAST_SHARE:
            unit = f" {text(one.get('unit'), 20)}" if one.get("unit") else ""
            observed, expected = (_brief(one.get(key)) for key in ("observed", "expected"))
            words = f"{share:.0%}: {observed}{unit}, expected {expected}{unit} {text(one.get('direction'), 20)}"
            yield {
                "name": text(one.get("name"), LONGEST_NAME),
                "share": min(max(share, 0.0), 1.0),
                "text": words.strip(),
            }


def _brief(value: Any) -> str:
    found = number(value)
    return "nothing" if found is None else f"{found:.4g}"


def spans_of(asset: Asset, watched: WatchedAsset) -> list[list[Any]]:
    """The alerts on the time line, as [from, to, reason] in ms; `to` None: it goes on."""
    spans = [
        [one["ts_onset"] or one["ts_raised"], one["ts_cleared"], one["reason"]]
        for one in watched.past.alerts
        if one["ts_onset"] is not None or one["ts_raised"] is not None
    ]
    onset_ms = _ms(asset.alert.get("ts_onset")) if asset.state in ("active", "suppressed") else None
    if onset_ms is not None and all(span[0] != onset_ms for span in spans):
        spans.append([onset_ms, None, text(asset.alert.get("reason"))])
    return spans


def _ms(value: Any) -> int | None:
    try:
        return parse_time_ns(str(value)) // MS
    except ValueError:
        return None
