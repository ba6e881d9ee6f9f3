"""A learner that is killed at any step leaves whole models or none, and the next pass makes what it did not."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.train.learn.scene import Device, signals

STRIDE = 4  # of some 30 to 60 steps; 1 tries them all
ROOT = Path(__file__).parents[3]


def killed(device: Device) -> list[dict[str, Any]]:
    path = f"{ROOT}{os.pathsep}{ROOT / 'train'}"
    command = [sys.executable, str(Path(__file__).with_name("cut_off.py")), str(device.folder), str(STRIDE)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=250, env=os.environ | {"PYTHONPATH": path})
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("second", [False, True])
def test_a_pass_that_is_killed_at_any_step_leaves_nothing_half_and_is_done_again(tmp_path: Path, second: bool) -> None:
    device = Device(tmp_path / "device")
    device.record("p1", signals(700))
    device.count({"p1": 700})
    before: list[str] = []
    if second:
        device.learn()
        before = [folder.name for folder in (device.models / "p1").iterdir() if len(folder.name) == 64]
        device.record("p1", signals(1300, seed=1), first_s=700)
        device.count({"p1": 2000})
    found = killed(device)
    assert len(found) >= 6
    after = found[-1]["made"]
    assert {(tuple(one["made"]), tuple(one["classes"]), tuple(one["stray"])) for one in found} == {
        (tuple(after), ("p1",), ())
    }
    assert {tuple(one["left"]) for one in found} == {tuple(before), tuple(after)}
    assert len(after) == 1
    assert after != before
