"""The sections on a model alone: what it looks at, what its score's boundary is, and the comparison that chose it."""

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from edge_ae.core.rules import HOURS
from edge_ae.core.timestamps import SECOND
from edge_ae.model.onnx_model import OnnxModel
from edge_ae_train.report.page import Block, Chapter, Grid, Picture
from edge_ae_train.report.pictures import found_picture
from edge_ae_train.scoring.calibrate import room_for_gross_faults
from edge_ae_train.select import why_chosen

STRENGTHS = ("all", "small", "medium", "large")  # these lines of the comparison first, then the kinds of fault
FACTS = {
    "trial_rate": "false alerts a window, in the comparison",
    "asked": "family asked for",
    "chosen": "family chosen",
}


def model_section(model: OnnxModel) -> Chapter:
    spec = model.spec
    hours = spec.hop * spec.period_ns / (3600 * SECOND)
    budgets = [(f"1 / {name}", f"{spec.tail.boundary(hours / length):.4g}") for name, length in HOURS.items()]
    channels = [
        (c.name, c.signal_unit, str(c.kind), f"{c.low:.6g}", f"{c.high:.6g}", f"{c.resolution:.3g}")
        for c in spec.channels
    ]
    window_s = spec.length * spec.period_ns / SECOND
    return Chapter(
        "The model",
        (
            f"{spec.name}, family {spec.family}, trained {spec.trained_at or 'at an unknown time'}; file {spec.sha256[:12]}. "
            f"It looks at {spec.length} rows of {spec.period_ns / SECOND:g} s ({window_s:g} s) at a time, "
            f"every {spec.hop} row{'s' if spec.hop > 1 else ''}.",
            "The owner chooses how many alerts are acceptable on normal data; the boundary of the score follows from it "
            f"(a usual score is {spec.typical:.3g}).",
            Grid(("budget", "boundary"), budgets),
            _sentence(room_for_gross_faults(spec.tail, spec.hop * spec.period_ns)),
            "The sensors, and what was seen of them in training.",
            Grid(("sensor", "unit", "kind", "smallest", "largest", "smallest step"), channels),
        ),
    )


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def training_section(model: OnnxModel) -> Iterable[Chapter]:
    """The comparison that chose the model, as the trainer wrote it into the file."""
    facts = [
        (FACTS.get(key, key), _plain(value))
        for key, value in model.report.items()
        if isinstance(value, str | int | float)
    ]
    found = _found(model.report.get("candidates"))
    blocks: list[Block] = []
    if found:
        families = list(found)
        kinds = dict.fromkeys([*STRENGTHS, *(kind for shares in found.values() for kind in shares)])
        rows = [[kind, *(_percent(found[family].get(kind)) for family in families)] for kind in kinds]
        blocks += [
            "Faults of many kinds and three strengths were added to normal rows that the candidates had not seen. "
            "The table says how many each found, all at the same rate of false alerts.",
            *_reason(model),
            Picture("found.png", found_picture(families, list(kinds), _shares(found, kinds))),
            Grid(["fault", *families], rows),
        ]
    blocks += [f"{family} was trained no further: {reason}." for family, reason in _left_out(model).items()]
    blocks += _discrete(model)
    if facts:
        blocks.append(Grid(("fact", "value"), facts))
    if blocks:
        yield Chapter("How it was trained", tuple(blocks))


def _found(candidates: object) -> dict[str, dict[str, float]]:
    """Family -> kind of fault -> share found. A file made by another version may hold something else, or nothing."""
    if not isinstance(candidates, dict):
        return {}
    shares = {name: entry.get("found") for name, entry in candidates.items() if isinstance(entry, dict)}
    return {name: share for name, share in shares.items() if isinstance(share, dict)}


def _shares(found: Mapping[str, Mapping[str, float]], kinds: Iterable[str]) -> NDArray[np.float64]:
    """[kind, family], NaN where a family's file says nothing of a kind."""
    return np.array([[shares.get(kind, np.nan) for shares in found.values()] for kind in kinds], np.float64)


def _left_out(model: OnnxModel) -> dict[str, str]:
    """Family -> why it was not trained whole."""
    reasons = model.report.get("left_out")
    return {str(family): str(reason) for family, reason in reasons.items()} if isinstance(reasons, dict) else {}


def _discrete(model: OnnxModel) -> Iterable[Block]:
    """The channels that are judged by themselves, and what was found of faults put into them."""
    alone, found = model.report.get("judged_alone"), model.report.get("found_of_discrete")
    if not alone or not isinstance(alone, list) or not isinstance(found, dict):
        return
    yield f"Judged by what they never did in training, beside the score of the others: {', '.join(map(str, alone))}."
    if found:
        yield Grid(("fault in them", "found"), [(str(kind), _percent(share)) for kind, share in found.items()])


def _reason(model: OnnxModel) -> Iterable[str]:
    try:
        yield _sentence(why_chosen(model.report))
    except (KeyError, TypeError, AttributeError):  # as another version wrote it
        return


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.0f} %"


def _plain(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
