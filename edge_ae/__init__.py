"""edge-ae as a library: load a model, feed it readings, get scores and alerts.

What stands in `__all__` is the whole promise to embedders; every other module may change with any version.
Importing the package costs nothing: the runtime is loaded with the first name that needs it.

    >>> import edge_ae
    >>> model = edge_ae.load_model("pump.onnx")
    >>> detector = edge_ae.Detector(model, budget="1/week")
    >>> for second in range(60):
    ...     for event in detector.push(1790000000 + second, {"flow": 5.1, "pressure": 2.4}):
    ...         if isinstance(event, edge_ae.AlertEvent):
    ...             print(event.type, event.alert.reason)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edge_ae._api import Detector, Scores, load_model, score
    from edge_ae.core.alert_events import Alert, AlertEvent, EventType
    from edge_ae.core.events import Scored, Share, Verdict
    from edge_ae.core.model_spec import Channel, ModelSpec
    from edge_ae.errors import BadData, BadModel, EdgeError
    from edge_ae.model.onnx_model import OnnxModel

__version__ = "0.3.0"

__all__ = [
    "Alert",
    "AlertEvent",
    "BadData",
    "BadModel",
    "Channel",
    "Detector",
    "EdgeError",
    "EventType",
    "ModelSpec",
    "OnnxModel",
    "Scored",
    "Scores",
    "Share",
    "Verdict",
    "__version__",
    "load_model",
    "score",
]

_HOMES = {
    "edge_ae._api": ("Detector", "Scores", "load_model", "score"),
    "edge_ae.core.alert_events": ("Alert", "AlertEvent", "EventType"),
    "edge_ae.core.events": ("Scored", "Share", "Verdict"),
    "edge_ae.core.model_spec": ("Channel", "ModelSpec"),
    "edge_ae.model.onnx_model": ("OnnxModel",),
    "edge_ae.errors": ("BadData", "BadModel", "EdgeError"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    """A public name is imported when it is first asked for (PEP 562)."""
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
