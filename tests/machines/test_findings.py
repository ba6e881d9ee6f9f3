"""What the checks on machines say where they cannot be done, where something is wrong, and where they break off."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.machines import base_root, vm, vm_root
from tests.machines.findings import LEFT_OUT, Finding, closed

WELL, SEEN, ILL = Finding("starts", "active", True), Finding("unsafe", "1 lost"), Finding("stops", "hangs", False)


def breaks_off() -> Iterator[Finding]:
    yield WELL
    raise AssertionError("the machine does not come up")


def test_check_that_cannot_be_done_is_left_out_with_the_reason(capsys: pytest.CaptureFixture[str]) -> None:
    assert closed("vm", "mosquitto missing", lambda: iter([ILL])) == LEFT_OUT
    assert capsys.readouterr().out == "vm: left out: mosquitto missing\n"


@pytest.mark.parametrize(("found", "status"), [([WELL, SEEN], 0), ([WELL, ILL], 1)])
def test_what_does_not_hold_is_a_failure_and_what_is_only_seen_is_none(found: list[Finding], status: int) -> None:
    assert closed("vm", None, lambda: iter(found)) == status


def test_check_that_breaks_off_is_a_failure_and_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    assert closed("vm", None, breaks_off) == 1
    table = capsys.readouterr().out.split("\n\n")[1].splitlines()
    assert table == ["  starts            | active | yes", "  the rest of these | the machine does not come up | NO"]


def test_tools_that_are_missing_are_named_with_their_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/no/such")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert "apt-get install" in (vm_root.lacking() or "")
    assert "qemu-system-x86" in (vm_root.lacking() or "")
    assert base_root.lacking("podman") == "mmdebstrap, podman missing: apt-get install mmdebstrap podman"


def test_root_that_may_not_mount_is_told_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for tool, status in (("mmdebstrap", 0), ("unshare", 1)):
        (tmp_path / tool).write_text(f"#!/bin/sh\nexit {status}\n")
        (tmp_path / tool).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert "may not mount" in (base_root.lacking() or "")


def test_power_is_cut_as_often_as_asked_with_the_caches_that_keep_what_is_flushed() -> None:
    for cuts in (1, 2, 20, 21):
        shares = vm.shares(cuts)
        assert sum(count for cache, count in shares if cache != "unsafe") == cuts
        assert [cache for cache, _ in shares if cache == "unsafe"] == ["unsafe"]


def test_a_root_that_cannot_be_made_leaves_the_check_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "mmdebstrap"
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(base_root, "KEPT", tmp_path / "kept")
    assert "it needs a mirror of Debian" in str(base_root.unmade("amd64"))
