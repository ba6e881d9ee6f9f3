"""Passes of the learner that are killed: in a process of its own, before the n-th step that changes the disk.

python cut_off.py DEVICE STRIDE    prints for every STRIDE-th n what was left, and what the next pass made of it
"""

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edge_ae_train.fleet.jobs import FleetJob, Product, performed
from edge_ae_train.learn import rounds
from edge_ae_train.learn.shown_modes import ShownModes

from edge_ae.errors import BadModel
from edge_ae.model.followed_folder import FollowedFolder
from edge_ae.model.learned_models import LearnedModels
from tests.train.learn.scene import Device

STEPS = ("replace", "rename", "symlink", "mkdir", "fsync", "rmdir")  # of `os`
MADE: dict[tuple[str, str], Product] = {}


def made_before(job: FleetJob) -> Product:
    """What a job gave the first time: it is not the training that is cut off here."""
    key = job.work, job.key
    if key not in MADE:
        MADE[key] = performed(job)
    return MADE[key]


def killed_before(last: int) -> None:
    """From now on this process dies of SIGKILL before its step number `last`."""
    done = 0

    def counted(step: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            nonlocal done
            done += 1
            if done == last:
                os.kill(os.getpid(), signal.SIGKILL)
            return step(*arguments, **options)

        return call

    for name in STEPS:
        setattr(os, name, counted(getattr(os, name)))


def wanted(device: Device) -> list[str]:
    """The model that each asset would be watched with, or that would be tried beside it; BadModel where one is half there."""
    models = LearnedModels(device.models, None, lambda model: model)
    folders = {asset: models.folder_of(asset) for asset in device.made.classes}
    if lacking := [asset for asset, folder in folders.items() if folder is None]:
        raise BadModel(f"{lacking} have a class and no model")
    return sorted({_tried(folder) or folder.running for folder in folders.values() if folder is not None})


def _tried(folder: FollowedFolder) -> str | None:
    shadow = folder.registry.links()[2]
    return None if shadow is None else folder.load(folder.registry.path_of(shadow)).spec.sha256


def cut_off(template: Path, place: Path, last: int) -> dict[str, Any] | None:
    """None: the pass was over before."""
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(template, place, symlinks=True)
    device = Device(place)
    child = os.fork()
    if child == 0:
        killed_before(last)
        device.learn()
        os._exit(0)
    if os.waitpid(child, 0)[1] == 0:
        return None
    left = wanted(device)
    device.learn()
    stray = [path.name for path in device.models.iterdir() if path.name == ".learning"]
    return {"step": last, "left": left, "made": wanted(device), "classes": sorted(device.made.classes), "stray": stray}


def main() -> None:
    template = Path(sys.argv[1])
    place = template.with_name("cut")
    stride = int(sys.argv[2])
    rounds.performed = made_before  # type: ignore[attr-defined]
    rounds.shown_modes = lambda _table, _when: ShownModes(0.0)  # type: ignore[assignment, attr-defined]
    shutil.copytree(template, place, symlinks=True)
    Device(place).learn()
    last = 1
    while (found := cut_off(template, place, last)) is not None:
        print(json.dumps(found), flush=True)
        last += stride


if __name__ == "__main__":
    main()
