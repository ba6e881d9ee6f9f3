"""What a daemon marked in the folder that it recorded into, for those who learn from that: its alerts, and its sick sensors."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from edge_ae.store.columnar.block import ALERT, SICK
from edge_ae.store.recordings import marks_below
from edge_ae_train.data.history import Hindsight, SickSpan, Span


def with_marks(hindsight: Hindsight, data: Iterable[str | Path]) -> Hindsight:
    """With what is marked below the folders among the recordings. Raises BadData where a folder cannot be read."""
    found = [
        (asset, mark)
        for folder in map(Path, data)
        if folder.is_dir()
        for asset, marks in marks_below(folder).items()
        for mark in marks
    ]
    alerts = [
        Span(mark.from_ns, mark.until_ns, asset, mark.why.removeprefix(ALERT))
        for asset, mark in found
        if mark.why.startswith(ALERT)
    ]
    sick = [
        SickSpan(Span(mark.from_ns, mark.until_ns, asset), mark.why.removeprefix(SICK))
        for asset, mark in found
        if mark.why.startswith(SICK)
    ]
    return replace(hindsight, alerts=(*alerts, *hindsight.alerts), sick=(*hindsight.sick, *sick))
