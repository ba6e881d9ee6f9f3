"""Alerts of the past are merged by their id, cleaned and bounded; the what-if is that of the newest answer."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from edge_ae.core.timestamps import SECOND, rfc3339
from edge_ae.web.past_alerts import MAX_ALERTS, PastAlerts

BEGIN = 1_795_435_200


def alert(number: int, **more: Any) -> dict[str, Any]:
    return {"id": f"a{number}", "ts_raised": rfc3339((BEGIN + number) * SECOND), "reason": f"r{number}"} | more


def ids(past: PastAlerts) -> list[str]:
    return [one["id"] for one in past.alerts]


def test_answers_are_merged_and_the_newest_is_first() -> None:
    past = PastAlerts()
    past.take({"alerts": [alert(5), alert(4)], "more": True})
    assert (ids(past), past.more, past.before) == (["a5", "a4"], True, rfc3339((BEGIN + 4) * SECOND))
    past.take({"alerts": [alert(3), alert(2)], "more": False})
    assert (ids(past), past.more) == (["a5", "a4", "a3", "a2"], False)
    past.take({"alerts": [alert(6), alert(5, label="false_alarm")], "more": True})
    assert ids(past) == ["a6", "a5", "a4", "a3", "a2"]
    assert past.more is False, "the older ones are known already"
    found = past.alert("a5")
    assert found is not None
    assert found["label"] == "false_alarm"


def test_alerts_are_bounded_and_then_there_are_no_more() -> None:
    past = PastAlerts()
    past.take({"alerts": [alert(number) for number in range(MAX_ALERTS + 10)], "more": True})
    assert (len(past.alerts), past.alerts[0]["id"], past.more) == (MAX_ALERTS, f"a{MAX_ALERTS + 9}", False)


def test_text_is_cut_and_what_is_no_alert_is_left_out() -> None:
    past = PastAlerts()
    past.take(
        {
            "alerts": [alert(1, reason="x" * 9_000, note="\x1b", ratio="high", suppressed=1), {"id": "b"}, 5, {}],
            "what_if": 3,
        }
    )
    (one,) = past.alerts
    assert (len(one["reason"]), one["note"], one["ratio"], one["suppressed"]) == (400, "\\x1b", None, False)
    assert past.what_if is None


def test_the_what_if_has_budgets_with_a_boundary_and_hours_with_a_peak() -> None:
    past = PastAlerts()
    budgets = [{"budget": "1/day", "boundary": 1.5, "alerts": 3}, {"budget": "1/week"}, "x"]
    hours = [["2026-11-26T10:00:00.000Z", 1.25], ["never", 1], [1], None, ["2026-11-26T11:00:00.000Z", None]]
    past.take(
        {
            "alerts": [],
            "what_if": {"budget": "1/month", "boundary": 2, "budgets": budgets, "hours": hours, "other_alerts": 1},
        }
    )
    assert past.what_if == {
        "budget": "1/month",
        "budgets": [
            {"budget": "1/month", "boundary": 2.0, "alerts": None},
            {"budget": "1/day", "boundary": 1.5, "alerts": 3.0},
        ],
        "hours": [[1795687200000, 1.25]],
        "others": 1.0,
    }


anything = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["id", "ts_raised", "ts_onset", "budget", "budgets", "hours", "boundary"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(
    st.lists(
        st.fixed_dictionaries({}, optional={"alerts": anything, "more": anything, "what_if": anything}), max_size=4
    )
)
def test_no_answer_can_break_it(answers: list[dict[str, Any]]) -> None:
    past = PastAlerts()
    for one in answers:
        past.take(one)
    assert len(past.alerts) == len({found["id"] for found in past.alerts})
