"""An alert's state <-> plain values, for a restart. Knows the shapes that earlier versions kept."""

import math
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from edge_ae.core.alert_state import AlertState, Cause, Condition, Episode, Phase, Shelving
from edge_ae.core.events import Share, Verdict
from edge_ae.core.model_spec import Similar
from edge_ae.core.signatures import course_of
from edge_ae.core.suppression import Suppression, WithheldBy

STATE = tuple(field.name for field in fields(AlertState))
RENAMED = {"told": "published", "told_ns": "published_ns", "told_ratio": "published_ratio"}  # since version 0.1


def snapshot(state: AlertState) -> dict[str, Any]:
    """Deep where there is an alert; most of the time there is none."""
    shallow = {name: getattr(state, name) for name in STATE}
    deep = {"episode": state.episode, "silenced": state.silenced}
    return shallow | {name: None if value is None else asdict(value) for name, value in deep.items()}


def restore(state: Mapping[str, Any]) -> AlertState:
    """The state of a snapshot, of version 0.1 too."""
    episode = None if state["episode"] is None else _episode(state["episode"])
    silenced = _suppression(state.get("silenced"))  # there was none before version 0.3
    kept: dict[str, Any] = {"phase": Phase(state["phase"]), "shelving": Shelving(state["shelving"])}
    kept |= {"episode": episode, "silenced": silenced}
    return AlertState(**(dict(state) | kept))


def _episode(saved: Mapping[str, Any]) -> Episode:
    similar, condition = saved.get("similar"), saved.get("condition")
    parts = {
        "peak": Verdict(**saved["peak"]),
        "shares": tuple(_share(share) for share in saved["shares"]),
        "similar": None if similar is None else Similar(**similar),
        "condition": None if condition is None else condition_of(condition),
        "ruled_out": _suppression(saved.get("ruled_out")),
        "withheld": _suppression(saved.get("withheld")),
        "course": course_of(saved.get("course")),
    }
    return Episode(**({RENAMED.get(name, name): value for name, value in saved.items()} | parts))


def _share(saved: Mapping[str, Any]) -> Share:
    """JSON has no NaN, which is what a channel without a value in the whole window showed: it comes back as None."""
    known: dict[str, Any] = {name: math.nan if value is None else value for name, value in saved.items()}
    return Share(**known)


def _suppression(saved: Mapping[str, Any] | None) -> Suppression | None:
    return None if saved is None else Suppression(WithheldBy(saved["by"]), saved["text"], saved.get("source", ""))


def condition_of(saved: Mapping[str, Any]) -> Condition:
    """The condition whose fields were kept."""
    return Condition(**(dict(saved) | {"cause": Cause(saved["cause"])}))
