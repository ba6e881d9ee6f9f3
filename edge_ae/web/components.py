"""The parts of the page that are drawn in the browser: each a class for a script of ours in static/.

What changes as a whole is a property, of which only the newest state counts; what grows is sent by `apply`, whose calls
reach the browser each, in their order.
"""

from typing import Any

from nicegui.element import Element

from edge_ae.web.board import Fields


class Shell(Element, component="static/shell.js"):
    """The head of a page."""

    def __init__(self, title: str, *, inner: bool, logout: bool) -> None:
        super().__init__()
        self._props |= {"title": title, "inner": inner, "logout": logout, "broker": None}

    def show(self, broker: tuple[int, str] | None) -> None:
        """Since when, in ms, there is no broker, and why."""
        put(self, broker=None if broker is None else list(broker))


class BoardList(Element, component="static/board.js"):
    """The overview."""

    def __init__(self, whole: Fields) -> None:
        super().__init__()
        self._props["initial"] = whole

    def apply(self, changes: Fields) -> None:
        """What has changed since `whole`, or since the last call."""
        self.run_method("apply", changes)


class Now(Element, component="static/now.js"):
    """The state of an asset, and why; what is put into it stands between the two and the shares."""

    def show(self, **facts: Any) -> None:
        """All of it."""
        put(self, **facts)


class Facts(Element, component="static/facts.js"):
    """What else is known of an asset now."""

    def show(self, **facts: Any) -> None:
        """All of it."""
        put(self, **facts)


class Trend(Element, component="static/trend.js"):
    """The signals of an asset."""

    def __init__(self, rows: Fields) -> None:
        super().__init__()
        self._props |= {"initial": rows, "spans": [], "top": [], "left": 0, "waiting": "Asking the node."}

    def apply(self, rows: Fields) -> None:
        """The rows behind the last ones."""
        self.run_method("apply", rows)

    def show(self, spans: list[list[Any]], top: list[str], left: int, waiting: str) -> None:
        """Alerts as [from, to or None, reason], in ms; the channels of the alert; how many are not drawn; why nothing is."""
        put(self, spans=spans, top=top, left=left, waiting=waiting)


class AlertList(Element, component="static/history.js"):
    """The alerts of the past days."""

    def show(self, alerts: list[Fields], *, more: bool, known: bool) -> None:
        """The newest first; `more`: there are earlier ones, `known`: the node has answered."""
        put(self, alerts=alerts, more=more, known=known)


class WhatIf(Element, component="static/what_if.js"):
    """Other budgets."""

    def show(self, what_if: Fields | None) -> None:
        """What the node has said of them."""
        put(self, whatIf=what_if)


def put(element: Element, **properties: Any) -> None:
    """Set properties, and send them only where one is another than before."""
    props = element._props
    if any(props.get(name, ...) != value for name, value in properties.items()):
        props |= properties
        element.update()
