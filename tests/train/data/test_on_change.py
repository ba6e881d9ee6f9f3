"""Channels that report on change are noticed, and the options for them can be pasted."""

from pathlib import Path

import numpy as np
from edge_ae_train.data.on_change import on_change_note

from edge_ae.store.recording_csv import Table

SECOND = 10**9
RNG = np.random.default_rng(4)


def recording(times: dict[str, np.ndarray], repeats: bool = False) -> Table:
    """A line for each channel's value, times in seconds."""
    events = sorted((t, name) for name, ts in times.items() for t in ts.tolist())
    values = np.full((len(events), len(times)), np.nan)
    for line, (_, name) in enumerate(events):
        values[line, list(times).index(name)] = 5.0 if repeats else RNG.normal()
    t_ns = np.array([round(t * SECOND) for t, _ in events])
    return Table(Path("r.csv"), [str(t) for t in t_ns], t_ns, tuple(times), values)


def uneven(count: int = 300) -> np.ndarray:
    return np.cumsum(RNG.exponential(120.0, count) + 2.0)


def test_channels_that_report_on_change_are_noticed() -> None:
    note = on_change_note([recording({"temp": uneven(), "door": uneven()})])
    assert note is not None
    assert note.startswith("2 of 2 channels seem to report on change alone (")
    assert note.endswith("so that a value stands until the next: --period 120 --hold 600")


def test_channels_that_report_by_the_clock_are_not() -> None:
    even = 10.0 * np.arange(300)
    assert on_change_note([recording({"temp": even, "flow": even + 3.0})]) is None
    assert on_change_note([recording({"temp": uneven()}, repeats=True)]) is None
    assert on_change_note([recording({"temp": uneven(30)})]) is None
