"""What a daemon marked beside its rows is known to those who learn from them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from edge_ae_train.data import history, recorded
from edge_ae_train.data.history import Hindsight, Past, Span
from edge_ae_train.data.recorded_marks import with_marks

from edge_ae.core.rules import AlertRules
from edge_ae.core.timestamps import SECOND
from edge_ae.model.onnx_model import OnnxModel
from edge_ae.store.columnar.recorder import ColumnRecorder
from edge_ae.store.recording_csv import read_csv
from tests.train.conftest import FAULT, FAULT_END, ROWS, Small

HOURLY = AlertRules(interval_ns=3600 * SECOND)
QUIET, QUIET_END = 300, 340  # rows in which nothing was odd


@pytest.fixture
def folder(small: Small, tmp_path: Path) -> Path:
    """The faulty recording as a daemon keeps it, with an alert in QUIET that it alone knows of, and a sick sensor before that."""
    table = read_csv(small.faulty)
    recorder = ColumnRecorder(tmp_path / "kept", 10**9)
    for t_ns, (flow, speed, _label) in zip(table.t_ns.tolist(), table.values.tolist(), strict=True):
        recorder.push("pump", t_ns, {"flow": flow, "speed": speed})
    start_ns = int(table.t_ns[0])
    recorder.mark("pump", start_ns + QUIET * SECOND, start_ns + QUIET_END * SECOND, "alert a7")
    recorder.mark("pump", start_ns + 100 * SECOND, start_ns + 119 * SECOND, "sick speed")
    recorder.mark("pump", start_ns, start_ns, "of a later version")
    recorder.close()
    return tmp_path / "kept"


def recalled(small: Small, folder: Path, hindsight: Hindsight) -> Past:
    current = OnnxModel.load(small.model)
    return history.recall(recorded.read([folder], current.spec), current, HOURLY, hindsight)


def normal_rows(past: Past, start_slot: int) -> set[int]:
    return {s.start_slot - start_slot + row for s in past.normal for row in range(len(s))}


def test_marked_alerts_are_left_out_and_marked_sensors_are_missing(small: Small, folder: Path) -> None:
    start = 1_700_000_000 + ROWS
    without = recalled(small, folder, Hindsight())
    past = recalled(small, folder, with_marks(Hindsight(), [folder, small.normal]))
    assert set(range(QUIET, QUIET_END)) <= normal_rows(without, start)
    assert not normal_rows(past, start) & set(range(QUIET, QUIET_END))
    missing = [
        s.start_slot - start + row for s in past.normal for row in np.flatnonzero(np.isnan(s.values[:, 1])).tolist()
    ]
    assert set(range(100, 120)) <= set(missing) <= set(range(100, 140))  # and until its health is found again


def test_feedback_on_an_alert_that_was_marked_is_known_without_a_list_of_alerts(small: Small, folder: Path) -> None:
    known = with_marks(Hindsight(), [folder])
    confirmed = recalled(small, folder, replace(known, labels={"a7": history.TRUE_ALARM}))
    (fault,) = confirmed.assets[0].faults
    start_ns = (1_700_000_000 + ROWS) * SECOND
    assert fault == Span(start_ns + QUIET * SECOND, start_ns + QUIET_END * SECOND, "pump", "a7")
    assert len(confirmed.notes) == 1
    false = recalled(small, folder, replace(known, labels={"a7": history.FALSE_ALARM}))
    assert set(range(QUIET, QUIET_END)) <= normal_rows(false, 1_700_000_000 + ROWS)
    assert not normal_rows(false, 1_700_000_000 + ROWS) & set(range(FAULT, FAULT_END))
