"""What a report and a roll-out read of evaluations is checked: files that were edited by hand are refused, not tripped over."""

import json
from pathlib import Path
from typing import Any

import pytest
from edge_ae_train.cli import main
from edge_ae_train.fleet.jobs import DONE, JobRow
from edge_ae_train.fleet.judged import NEEDED, WHERE_KNOWN, judged_rows
from edge_ae_train.fleet.ledger import TABLE, ledger

from edge_ae.errors import BadData

FACTS: dict[str, Any] = {
    "model": "make",
    "model_sha256": "a" * 64,
    "alerts": 1,
    "weeks": 4.0,
    "allowed": 4.0,
    "budget_per_week": 1.0,
    "alert_share": 0.1,
    "active": False,
    "newest": "2026-03-01T04:00:00.000Z",
    "newest_alerts": [{"raised": "2026-02-01T04:00:00.000Z", "reason": "a high"}],
    "what_if": [{"rule": "budget 1/day", "alerts": 2}],
    "channels": ["a", "b"],
    "middle": [10.0, 5.0],
    "spread": [2.0, 1.0],
}


def evaluation(folder: Path, **facts: Any) -> Path:
    with ledger(folder) as book:
        book.write_table([JobRow("pump-1", DONE, facts=FACTS), JobRow("pump-2", DONE, facts=FACTS | facts)])
    return folder


def test_rows_of_an_evaluation_are_read_as_they_were_written(tmp_path: Path) -> None:
    known = {"events": 2, "events_found": 1, "median_delay_s": None, "alerts_per_week": 0.25}
    assert [row.facts for row in judged_rows(evaluation(tmp_path, **known))] == [FACTS, FACTS | known]


@pytest.mark.parametrize("name", [*NEEDED, *WHERE_KNOWN])
@pytest.mark.parametrize("value", [{"x": 1}, float("nan"), 10**400], ids=["object", "nan", "huge"])
def test_fact_that_no_evaluation_writes_is_refused_with_its_asset_and_name(
    name: str, value: object, tmp_path: Path
) -> None:
    with pytest.raises(BadData, match=rf"pump-2 has no valid {name};"):
        judged_rows(evaluation(tmp_path, **{name: value}))


@pytest.mark.parametrize(
    "facts", [{"middle": [1.0]}, {"events": 2}, {"newest_alerts": [{}]}, {"what_if": [3]}, {"weeks": 0.0}]
)
def test_facts_that_do_not_go_together_are_refused(facts: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(BadData, match="pump-2 has no valid"):
        judged_rows(evaluation(tmp_path, **facts))


@pytest.mark.parametrize("field", ["key", "state", "reason", "facts", "files", "attempts"])
def test_table_that_was_edited_by_hand_is_refused_in_one_sentence(
    field: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = evaluation(tmp_path) / TABLE
    rows = json.loads(table.read_bytes())
    rows[0][field] = None
    table.write_text(json.dumps(rows))
    assert main(["fleet", "report", "--judged", str(tmp_path), "--out", str(tmp_path / "report")]) == 1
    assert f"{table}: cannot be read (it is not what a run writes)" in capsys.readouterr().err
