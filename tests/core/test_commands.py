import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_ae.core.commands import (
    PARSERS,
    AcceptNormal,
    Acknowledge,
    AskHistory,
    Command,
    GiveFeedback,
    SetBudget,
    SetService,
    Shelve,
    Unshelve,
    ViewSignals,
    parse,
)
from edge_ae.core.timestamps import SECOND
from edge_ae.errors import BadPayload


@pytest.mark.parametrize(
    ("name", "payload", "command"),
    [
        ("ack", b"", Acknowledge()),
        ("ack", b'{"id": "17"}', Acknowledge("17")),
        ("shelve", b'{"duration_s": 1.5}', Shelve(3 * SECOND // 2)),
        ("shelve", b'{"one_shot": true}', Shelve(None)),
        ("unshelve", b"{}", Unshelve()),
        ("out_of_service", b" ", SetService(False)),
        ("in_service", b"{}", SetService(True)),
        ("in_service", b'{"on": true}', SetService(True)),
        ("in_service", b'{"on": false}', SetService(False)),
        ("accept_normal", b"{}", AcceptNormal()),
        ("budget", b'{"budget": "1/day"}', SetBudget("1/day")),
        ("budget", b'{"budget": " 2.5 per Week "}', SetBudget("2.5/week")),
        ("budget", b'{"budget": "default"}', SetBudget(None)),
        ("view", b"", ViewSignals(60 * SECOND, whole=False)),
        ("view", b'{"for_s": 1.5, "whole": true}', ViewSignals(3 * SECOND // 2, whole=True)),
        ("history", b"", AskHistory(30, None, 100)),
        ("history", b'{"days": 0.5, "limit": 1, "before": "1970-01-01T00:00:01Z"}', AskHistory(0.5, SECOND, 1)),
        ("feedback", b'{"label": "true_alarm"}', GiveFeedback(None, "true_alarm", "")),
        ("feedback", b'{"id": "17", "label": "false_alarm"}', GiveFeedback("17", "false_alarm", "")),
        ("feedback", b'{"id": "17", "label": "true_alarm", "note": "x"}', GiveFeedback("17", "true_alarm", "x")),
    ],
)
def test_payload_becomes_its_command(name: str, payload: bytes, command: Command) -> None:
    assert parse(name, payload) == command


@pytest.mark.parametrize(
    ("name", "payload", "sentence"),
    [
        ("dance", b"{}", "'dance' is no command; there are ack, "),
        ("ack", b"[]", "a command is a JSON object"),
        ("ack", b"{", "a command is a JSON object"),
        ("ack", b'{"ID": 1}', "ack does not know ID; it takes id"),
        ("ack", b'{"id": 17}', "id must be a text"),
        ("unshelve", b'{"x": 1}', "unshelve does not know x; it takes none"),
        ("shelve", b"{}", "shelve takes a positive duration_s"),
        ("shelve", b'{"duration_s": 0}', "shelve takes a positive duration_s"),
        ("shelve", b'{"duration_s": true}', "shelve takes a positive duration_s"),
        ("shelve", b'{"duration_s": 1e12}', "shelve takes a positive duration_s"),
        ("shelve", b'{"duration_s": 60, "one_shot": true}', "shelve takes a positive duration_s"),
        ("feedback", b'{"id": "17", "label": "perhaps"}', "feedback takes a label"),
        ("feedback", b'{"label": "true_alarm", "id": 17}', "id must be a text"),
        ("in_service", b'{"on": "yes"}', "on must be true or false"),
        ("budget", b"{}", "budget must be a text of 64 characters at most"),
        (
            "budget",
            b'{"budget": "often"}',
            'budget should be a number of alerts per hour, day, week, month or year, such as "1/week"',
        ),
        ("budget", b'{"budget": "0/week"}', "budget should be a number of alerts"),
        ("view", b'{"for_s": 0}', "for_s must be a number of seconds from 1 to 3600"),
        ("view", b'{"for_s": 1e999}', "a command is a JSON object"),
        ("view", b'{"for_s": true}', "for_s must be a number of seconds from 1 to 3600"),
        ("view", b'{"for_s": null}', "for_s must be a number of seconds from 1 to 3600"),
        ("view", b'{"whole": 1}', "whole must be true or false"),
        ("history", b'{"days": 0}', "days must be a number above 0, and 30 at most"),
        ("history", b'{"days": 31}', "days must be a number above 0, and 30 at most"),
        ("history", b'{"days": "all"}', "days must be a number above 0, and 30 at most"),
        ("history", b'{"limit": 0}', "limit must be a whole number from 1 to 100"),
        ("history", b'{"limit": 1.5}', "limit must be a whole number from 1 to 100"),
        ("history", b'{"limit": true}', "limit must be a whole number from 1 to 100"),
        ("history", b'{"before": "yesterday"}', "before must be a time such as 2026-11-26T10:00:00Z: neither"),
        ("history", b'{"before": 7}', "before must be a text of 64 characters at most"),
        (
            "silence",
            b'{"until": "2026-11-26T18:00:00Z", "note": "%s"}' % (b"x" * 201),
            "note must be a text of 200 characters at most",
        ),
        ("ack", b" " * 5000, "a command has 4096 bytes at most"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_a_sentence(name: str, payload: bytes, sentence: str) -> None:
    with pytest.raises(BadPayload, match="^" + sentence.replace("(", r"\(")) as refusal:
        parse(name, payload)
    assert refusal.value.reason == "bad_command"


@given(st.sampled_from(sorted(PARSERS)) | st.text(), st.binary() | st.text().map(str.encode))
def test_any_bytes_give_a_command_or_bad_payload(name: str, payload: bytes) -> None:
    with contextlib.suppress(BadPayload):
        assert isinstance(parse(name, payload), Command)
