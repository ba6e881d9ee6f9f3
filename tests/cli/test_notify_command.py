"""Whom to notify, as settings, check and the command have it; no URL is ever shown."""

import subprocess
import sys
from pathlib import Path

import pytest

from edge_ae import wiring
from edge_ae.config.loading import inspect, load
from edge_ae.core.timestamps import parse_time_ns
from tests.bridges.services import http_service, mail_service

HOME = {"HOME": "/home/op"}
SECRET = "hunter2"

pytest.importorskip("apprise", reason="apprise is not installed: pip install apprise")


def written(folder: Path, notify: str, name: str = "edge-ae.toml") -> Path:
    path = folder / name
    path.write_text(f'node = "n1"\nstate_dir = "state"\n[notify]\n{notify}')
    return path


def command(name: str, config: Path, *options: str) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "edge_ae", name, "--config", str(config), *options]
    return subprocess.run(words, capture_output=True, text=True, timeout=120)


def test_urls_come_from_the_settings_a_file_and_a_credential_and_are_never_shown(tmp_path: Path) -> None:
    (tmp_path / "urls").write_text(f"# whom\n\n  ntfys://u:{SECRET}@h/t  \n")
    config = written(tmp_path, f'urls = ["tgram://{SECRET}/1"]\nurls_file = "urls"\n')
    settings = load(config, HOME)
    assert [(one.where, one.url.get_secret_value()) for one in settings.notify_urls] == [
        ("notify.urls[1]", f"tgram://{SECRET}/1"),
        ("notify.urls_file, line 3", f"ntfys://u:{SECRET}@h/t"),
    ]
    assert SECRET not in f"{settings!r} {settings.model_dump_json()} {settings.notify_urls}"
    (tmp_path / "notify-urls").write_text(f"ntfys://u:{SECRET}@h/t\n")
    handed = load(written(tmp_path, ""), HOME | {"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert [one.where for one in handed.notify_urls] == ["notify.urls_file, line 1"]


@pytest.mark.parametrize(
    ("notify", "said"),
    [
        (f'urls = "ntfy://{SECRET}"\n', "notify.urls: should be a valid tuple"),
        (f'urls = [["ntfy://{SECRET}"]]\n', "notify.urls[1]: should be a valid string"),
        (f'urls = {{ a = "{SECRET}" }}\n', "notify.urls: should be"),
        ('urls_file = "none"\n', "none cannot be read: No such file or directory"),
        ('urls = ["x"]\nquiet_hours = "22-6"\ntime_zone = "UTC"\n', "notify.quiet_hours: '22-6' should be two times of day"),
        ('urls = ["x"]\nquiet_hours = "22:00-06:00"\n', "notify.time_zone: is missing, and says when quiet_hours are"),
        ('page_url = "javascript:alert(1)"\n', "should be the address of a page"),
        (f"urls = {['ntfy://x'] * 17}\n", "notify.urls: are 17, and may be 16"),
    ],
)  # fmt: skip
def test_settings_that_cannot_be_used_are_said_without_an_url(notify: str, said: str, tmp_path: Path) -> None:
    problems = inspect(written(tmp_path, notify), HOME).problems
    assert len(problems) == 1
    assert said in problems[0]
    assert SECRET not in problems[0]


@pytest.mark.parametrize(
    "env",
    [{"EDGE_AE_NOTIFY__URLS": f"ntfy://{SECRET}"}, {"EDGE_AE_NOTIFY": f"ntfy://{SECRET}"}],
    ids=["no list", "no table"],
)
def test_a_variable_that_cannot_be_used_is_said_without_what_it_holds(env: dict[str, str], tmp_path: Path) -> None:
    problems = inspect(written(tmp_path, ""), HOME | env).problems
    assert len(problems) == 1
    assert SECRET not in problems[0]


def test_a_table_that_is_an_url_is_not_shown(tmp_path: Path) -> None:
    path = tmp_path / "edge-ae.toml"
    path.write_text(f'notify = "ntfy://{SECRET}"\n')
    assert [SECRET in problem for problem in inspect(path, HOME).problems] == [False]


def test_check_says_which_urls_cannot_be_used_without_showing_them(tmp_path: Path) -> None:
    urls = [f"tgam://{SECRET}/1", f"tgram://{SECRET}", SECRET, "json://localhost"]
    settings = load(written(tmp_path, f"urls = {urls}\n"), HOME)
    misspelt, short, no_url = wiring.notify_faults(settings)
    assert misspelt.startswith("notify.urls[1]: begins with no service that Apprise knows (did you mean tgram://?)")
    assert short.startswith("notify.urls[2]: begins with tgram:// but is not complete")
    assert no_url.startswith("notify.urls[3]: begins with no service that Apprise knows; ")
    assert SECRET not in misspelt + short + no_url


def test_check_prints_faults_of_urls(tmp_path: Path) -> None:
    done = command("check", written(tmp_path, f'urls = ["foo://{SECRET}"]\n'))
    assert "FAULT notify.urls[1]: begins with no service" in done.stdout
    assert SECRET not in done.stdout + done.stderr


def test_check_names_the_extra_that_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wiring, "find_spec", lambda _name: None)
    settings = load(written(tmp_path, 'urls = ["json://localhost"]\n'), HOME)
    assert wiring.notify_faults(settings) == [
        "notify.urls: the library for it is missing: pip install 'apprise>=1.9' pillow"
    ]


def test_the_command_sends_to_each_and_says_which_took_it(tmp_path: Path) -> None:
    with http_service() as http, mail_service() as (port, mails):
        http.answers[f"/{SECRET}"] = 403
        mail = f"mailto://127.0.0.1:{port}?from=a@example.com&to=b@example.com"
        done = command(
            "notify",
            written(tmp_path, f'urls = ["{http.url("/a")}", "{http.url(f"/{SECRET}")}", "{mail}"]\n'),
            "--test",
        )
        assert (done.returncode, done.stderr) == (1, "")
        assert done.stdout.splitlines() == [
            "notify.urls[1] (json): sent",
            "notify.urls[2] (json): not sent: the service answers 403 Forbidden",
            "notify.urls[3] (mailto): sent",
        ]
        assert http.texts("/a") == [
            "n1: test\nThis message was sent by edge-ae notify --test. Alerts will come the same way."
        ]
        assert len(mails) == 1


def test_the_command_without_recipients_says_what_to_do(tmp_path: Path) -> None:
    done = command("notify", written(tmp_path, ""), "--test")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("edge-ae: notify.urls: there are none; add some")


def test_settings_become_rules_by_the_wall_clock_of_their_zone(tmp_path: Path) -> None:
    text = 'urls = ["json://x"]\nquiet_hours = "22:00-06:00"\ntime_zone = "Europe/Berlin"\nquiet_passes_high = true\n'
    options = wiring._notify_options(load(written(tmp_path, text), HOME))
    assert options.rules.quiet is not None
    assert options.rules.quiet.covers(parse_time_ns("2026-11-26T21:30:00Z"))
    assert (options.rules.max_per_hour, options.rules.high_passes, options.zone) == (20, True, "Europe/Berlin")
