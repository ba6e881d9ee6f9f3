"""The section that maps a model's latent space: where windows of normal operation lie, and where those in alert."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from edge_ae.core.events import slot_of
from edge_ae.core.model_spec import Floats
from edge_ae.core.season import day_course
from edge_ae.core.window import scored_ends
from edge_ae.model.onnx_model import OnnxModel
from edge_ae_train.data import prepare
from edge_ae_train.report import pictures
from edge_ae_train.report.page import Chapter, Picture
from edge_ae_train.report.shown import Shown
from edge_ae_train.scoring.modes import ModeMap, mode_map

LATENT_WINDOWS = 3000
BATCH = 256


def latent_section(model: OnnxModel, shown: Sequence[Shown]) -> Iterable[Chapter]:
    latent, alert = _latent(model, shown)
    if len(latent) < 2 or latent.shape[1] == 0:
        return
    found = mode_map(latent, ~alert, model.spec.modes)
    drawn = pictures.latent_picture(found.points, found.mode, alert, found.shares, found.explained)
    yield Chapter("Map of behaviour", (_latent_sentence(found, alert), Picture("map.png", drawn)))


def _latent_sentence(found: ModeMap, alert: NDArray[np.bool_]) -> str:
    count = len(found.shares)
    said = "Each dot is one window of rows as the model sees it: near dots behave alike. "
    said += "Normal operation is one cloud." if count == 1 else f"Normal operation falls into {count} modes."
    if not alert.any():
        return said
    nearest = int(np.bincount(found.mode[alert], minlength=count).argmax()) + 1
    return f"{said} Crosses are windows in alert; " + (
        "far from the cloud they are of a kind not seen in normal operation, inside it a known state with odd details."
        if count == 1
        else f"most of them lie nearest to mode {nearest}."
    )


def _latent(model: OnnxModel, shown: Sequence[Shown]) -> tuple[Floats, NDArray[np.bool_]]:
    """Latent vectors of windows spread evenly over the recordings, and whether each ended in an alert."""
    spec, course = model.spec, day_course(model.spec)
    ends: list[tuple[Floats, bool]] = []
    for one in shown:
        slots = slot_of(one.table.t_ns, spec.period_ns)
        step = max(1, len(one.table) * len(shown) // (LATENT_WINDOWS * spec.hop))
        for segment in prepare.rows([one.table], prepare.sampling_of(spec)):
            values = segment.values
            if course is not None:
                values = values - course.of(segment.start_slot, len(values))
            for end in scored_ends(segment.start_slot, segment.values, spec.length, spec.hop)[::step].tolist():
                line = int(np.searchsorted(slots, segment.start_slot + end, side="right")) - 1
                ends.append((values[end + 1 - spec.length : end + 1], bool(one.result.alert[line])))
    if not ends:
        return np.zeros((0, 0), np.float32), np.zeros(0, np.bool_)
    windows = [window for window, _ in ends]
    parts = [model.run(np.stack(windows[i : i + BATCH]))["latent"] for i in range(0, len(windows), BATCH)]
    return np.concatenate(parts), np.array([active for _, active in ends])
