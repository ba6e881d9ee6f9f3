"""What is usual for an asset, as its model's training showed it: silences, and how often readings come."""

from edge_ae.core.align import USUAL_GAP_ROWS
from edge_ae.core.model_spec import ModelSpec
from edge_ae.core.timestamps import SECOND
from edge_ae.core.window import longest_gap

SILENT_ROWS = 10  # An asset is stale after so many rows without a reading, beyond twice the longest gap in training.
SILENT_NS = 30 * SECOND  # It is never stale before this.
LEAST_SHARE = 1e-9  # of a channel's values that came: more than none, to divide by


def usual_gap_rows(spec: ModelSpec) -> int:
    """Rows without any reading that are nothing special: as training showed them, as long as a window bridges them."""
    return min(max(USUAL_GAP_ROWS, _trained_gap_rows(spec)), longest_gap(spec.length))


def usual_step_ns(spec: ModelSpec) -> float:
    """How often a channel's values came in training, on average: rows may have been finer than that."""
    shares = sorted(1.0 - channel.missing_share for channel in spec.channels)
    return spec.period_ns / max(shares[len(shares) // 2], LEAST_SHARE)


def silence_ns(spec: ModelSpec) -> int:
    """How long an asset may send nothing."""
    return max((SILENT_ROWS + 2 * _trained_gap_rows(spec)) * spec.period_ns, SILENT_NS)


def _trained_gap_rows(spec: ModelSpec) -> int:
    """The longest time without any reading in training, or for which a channel that reports on change stands."""
    return max(min(channel.missing_rows for channel in spec.channels), spec.hold_rows)
