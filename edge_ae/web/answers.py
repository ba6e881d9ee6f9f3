"""What a person can answer with one tap, or after one question: commands to the asset's node, and what came of each.

The names and payloads are those of the topic `cmd`. A tap says at once that it was sent, and then what the node said.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any

from nicegui import ui
from nicegui.element import Element

from edge_ae.core.published import Asset
from edge_ae.core.timestamps import rfc3339, seconds_ns
from edge_ae.web.board import Fields
from edge_ae.web.components import put
from edge_ae.web.live import Key, Live

HOUR_S = 3600
MAX_NOTE = 1_000
MAX_ALERT_NAME = 80
MAX_SILENCE_H = 31 * 24
TAPS: Mapping[str, tuple[str, Fields]] = {
    "Acknowledge": ("ack", {}),
    "False alarm": ("feedback", {"label": "false_alarm"}),
    "True alarm": ("feedback", {"label": "true_alarm"}),
    "Shelve 1 h": ("shelve", {"duration_s": HOUR_S}),
    "Shelve 8 h": ("shelve", {"duration_s": 8 * HOUR_S}),
    "Shelve until normal": ("shelve", {"one_shot": True}),
    "Unshelve": ("unshelve", {}),
    "Out of service": ("out_of_service", {}),
    "In service": ("in_service", {}),
}
DONE = {
    "ack": "acknowledged",
    "feedback": "in force, and kept for the next training",
    "unlearn": "the lesson is taken back",
}
RULES = {
    "below": "never again below a deviation",
    "mute": "mute the channel",
    "high": "only where it is too high",
    "low": "only where it is too low",
    "clear": "take the rule back",
}


class Answers:
    """The answers of one browser to one asset: draws the taps."""

    def __init__(self, live: Live, key: Key) -> None:
        self._live, self._key = live, key
        self._taps: dict[str, Element] = {}
        with ui.element("div").classes("ea-tools").props('role="group" aria-label="Answers"'):
            for title, (name, fields) in TAPS.items():
                self._taps[title] = button = plain_button(title)
                button.on("click", lambda _event, name=name, fields=fields: self.send(name, fields))
            plain_button("Silence …").on("click", self.ask_silence)

    def show(self, asset: Asset) -> None:
        """Of the taps, only those can be had that make sense now. The others stay in their places: no finger hits a wrong one."""
        for title, makes_sense in sense_of(asset).items():
            put(self._taps[title], disabled=not makes_sense)

    async def send(self, name: str, fields: Mapping[str, Any]) -> None:
        """Send a command, and say what came of it."""
        fault = await self._live.command(self._key, name, fields)
        if fault:
            ui.notify(f"{name}: {fault}", type="negative", position="bottom", multi_line=True, close_button="Close")
        else:
            ui.notify(DONE.get(name, f"{name.replace('_', ' ')}: done"), type="positive", position="bottom")

    def ask_name(self, alert: Fields) -> None:
        """What the alert was, in the words of whoever saw it."""
        with ui.dialog() as dialog, ui.card():
            ui.label("What was it?")
            real = ui.checkbox("it was a true alarm", value=alert["label"] != "false_alarm")
            name = ui.input("Its name, which later alerts like it will say", value=alert["name"])
            name.props(f"maxlength={MAX_ALERT_NAME}").bind_visibility_from(real, "value")
            note = ui.textarea("In your words", value=alert["note"]).props(f"maxlength={MAX_NOTE} autofocus")

            def fields() -> Fields:
                return feedback_fields(alert["id"], bool(real.value), str(name.value or ""), str(note.value or ""))

            self._ends_with(dialog, "Keep", "feedback", fields)

    def ask_silence(self) -> None:
        """For how long nothing new is to be announced, and why."""
        with ui.dialog() as dialog, ui.card():
            ui.label("Announce nothing new for a while; alerts are kept in the history.")
            hours = ui.number("hours", value=4, min=0.25, max=MAX_SILENCE_H)
            note = ui.input("why").props("maxlength=200")

            def fields() -> Fields:
                length_s = min(float(hours.value or 1), MAX_SILENCE_H) * HOUR_S
                until = rfc3339(time.time_ns() + seconds_ns(length_s))
                return {"until": until, "note": str(note.value or "")[:200]}

            self._ends_with(dialog, "Be silent", "silence", fields)

    def ask_rule(self, channel: str) -> None:
        """When this channel may raise an alert."""
        with ui.dialog() as dialog, ui.card():
            ui.label(f"Rule for {channel}")
            kind = ui.radio(RULES, value="below")
            below = ui.input("deviation in its unit, or such as 5%").props("maxlength=20")
            below.bind_visibility_from(kind, "value", value="below")
            self._ends_with(
                dialog, "Make the rule", "rule", lambda: rule_fields(channel, str(kind.value), str(below.value or ""))
            )

    def _ends_with(self, dialog: ui.dialog, title: str, name: str, fields: Callable[[], Fields]) -> None:
        """The buttons below a question; a dialog that is closed is no more."""

        async def send() -> None:
            dialog.close()
            await self.send(name, fields())

        with ui.element("div").classes("ea-tools"):
            plain_button("Cancel").on("click", lambda: dialog.close())
            plain_button(title).on("click", send)
        dialog.on("hide", lambda: dialog.delete())
        dialog.open()


def sense_of(asset: Asset) -> Mapping[str, bool]:
    """Of those taps that do not always make sense, whether they do."""
    is_out, is_shelved = asset.state == "out_of_service", asset.alert.get("shelved") is True
    has_alert = asset.state in ("active", "pending", "suppressed") or asset.last_alert is not None
    return {
        "Acknowledge": asset.state == "active" and asset.alert.get("acked") is not True,
        "False alarm": has_alert,
        "True alarm": has_alert,
        "Unshelve": is_shelved,
        "Out of service": not is_out,
        "In service": is_out,
    }


def feedback_fields(identity: str, is_true: bool, name: str, note: str) -> Fields:
    """The payload of the command `feedback`; only a true alarm has a name."""
    fields = {"id": identity, "label": "true_alarm" if is_true else "false_alarm", "note": note[:MAX_NOTE]}
    named = name.strip()[:MAX_ALERT_NAME]
    return fields | ({"name": named} if is_true and named else {})


def rule_fields(channel: str, kind: str, below: str) -> Fields:
    """The payload of the command `rule`."""
    if kind == "below":
        typed = below.strip().replace(",", ".")
        try:
            return {"channel": channel, "min_deviation": float(typed)}
        except ValueError:
            return {"channel": channel, "min_deviation": typed}
    if kind in ("high", "low"):
        return {"channel": channel, "direction": kind}
    return {"channel": channel, kind: True}


def plain_button(title: str) -> Element:
    """A button as the other parts of the page have them."""
    button = Element("button").classes("plain")
    button._props["type"] = "button"
    button._text = title
    return button
