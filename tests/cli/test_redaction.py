"""What goes to strangers holds no secret, wherever it was written."""

from pathlib import Path

import pytest

from edge_ae.cli.redaction import masked, redacted, secrets_in


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("the broker at mqtt://pi:hunter2@b:1883 cannot", "the broker at mqtt://***@b:1883 cannot"),
        ("the broker at pi:hunter2@b cannot", "the broker at ***@b cannot"),
        ("https://h/x?token=hunter2&y=1 is", "https://h/x?*** is"),
        ("'tgram://:hunter2@x'", "'tgram://***@x'"),
        ("plant/+/telemetry: 10:30, user@example", "plant/+/telemetry: 10:30, user@example"),
        ("the file hunter2-too is missing", "the file *** is missing"),
    ],
)
def test_sentence_is_shown_without_what_is_secret(text: str, shown: str) -> None:
    assert redacted(text, ["hunter2", "hunter2-too", "at"]) == shown


def test_value_is_masked_by_the_name_of_its_setting_and_a_path_that_is_there_stays(tmp_path: Path) -> None:
    there = tmp_path / "password"
    there.touch()
    tables = {
        "node": "pi-7",
        "mqtt": {"host": "x", "port": 1, "password": "one1", "password_file": str(there), "key": "two2"},
        "notify": {"urls": ["ntfys://three3", "four4"]},
        "streams": [{"topic": "a/{asset}", "api_token": "five5"}],
    }
    secrets = ["one1", "two2", "ntfys://three3", "four4", "five5"]
    assert list(secrets_in(tables)) == secrets
    assert masked(tables, secrets) == {
        "node": "pi-7",
        "mqtt": {"host": "x", "port": 1, "password": "***", "password_file": str(there), "key": "***"},
        "notify": {"urls": ["***", "***"]},
        "streams": [{"topic": "a/{asset}", "api_token": "***"}],
    }
