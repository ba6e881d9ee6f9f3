"""Faults of learning, installing and promoting (`make chaos LEARN=1`). The guest has `model = "auto"`: whoever makes, sends or promotes a
model of it is killed in the middle, alone or with the daemon, and afterwards there must be a model, one that proves itself.
"""

import random
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from edge_ae_train.export import with_report

from edge_ae.errors import BadModel
from edge_ae.model.assignments import Assignments, Round, write_assignments
from edge_ae.model.onnx_model import OnnxModel
from edge_ae.model.registry import Registry
from tests.chaos.faults import Kind, Strike
from tests.chaos.plant import GUEST, NODE
from tests.chaos.world import Node, World, started

TRAINING_S = 6.0  # a round, about
SENDING_S = 2.0
SHORT_S = 0.5
LIMIT_S = 60.0  # of a round that nobody kills

SETTINGS = """
[learn]
first_s = 600
again_s = 900
every_s = 300
family = "pca"
on_battery = true
max_celsius = 150
[record]
flush_s = 1
[models]
shadow_s = 60
install = "any"
"""
"""Event time, of which 25 s pass in one."""


def prepare(node: Node, model: Path) -> None:
    """The guest has two models already, that differ in their files alone; the first is in use."""
    folder = node.learned
    twin = model.with_name("twin.onnx")
    with_report(model, {"twin": True}, twin)
    registry = Registry(folder / GUEST)
    registry.install(model)
    registry.install(twin)
    write_assignments(folder, Assignments({GUEST: GUEST}, {GUEST: Round(0, "2020-01-01T00:00:00Z")}))


def whole(world: World) -> None:
    """Notes where the guest has no model to be watched with."""
    try:
        OnnxModel.load(world.node.learned / GUEST)
    except BadModel as fault:
        world.stuck.append(f"{GUEST} has no model: {fault}")


def _checked(strike: Strike) -> Strike:
    def struck(world: World, dice: random.Random) -> int:
        back_ns = strike(world, dice)
        whole(world)
        return back_ns

    return struck


def _tool(module: str, *words: str | Path) -> "subprocess.Popen[bytes]":
    return started([sys.executable, "-m", module, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _kill_within(process: "subprocess.Popen[bytes]", seconds: float) -> None:
    with suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
    process.kill()
    process.wait()


def _trainer(world: World) -> "subprocess.Popen[bytes]":
    return _tool("edge_ae_train", "learn", "--config", world.node.config, "--once")


def train(world: World, _dice: random.Random) -> int:
    _kill_within(_trainer(world), LIMIT_S)
    return time.monotonic_ns()


def kill_trainer(world: World, dice: random.Random) -> int:
    _kill_within(_trainer(world), dice.uniform(0.0, TRAINING_S))
    return time.monotonic_ns()


def kill_trainer_and_daemon(world: World, dice: random.Random) -> int:
    """As when the power goes while it learns."""
    trainer = _trainer(world)
    time.sleep(dice.uniform(0.0, TRAINING_S))
    world.node.end(signal.SIGKILL)
    _kill_within(trainer, 0.0)
    return world.node.start()


def kill_while_sending(world: World, dice: random.Random) -> int:
    """The sender goes on where the daemon was killed, or is killed too; or it alone is."""
    file, what = world.node.learned.parent / "sent.onnx", dice.choice(["--promote", "--shadow"])
    with_report(world.plant.model, {"sent": dice.random()}, file)
    broker = ("--host", "127.0.0.1", "--port", str(world.broker.port))
    sender = _tool("edge_ae", "model", "send", file, "--node", NODE, "--to", GUEST, what, *broker)
    time.sleep(dice.uniform(0.0, SENDING_S))
    if dice.random() < 0.3:
        _kill_within(sender, 0.0)
        return time.monotonic_ns()
    world.node.end(signal.SIGKILL)
    back_ns = world.node.start()
    _kill_within(sender, dice.choice([0.0, SENDING_S]))
    return back_ns


def kill_while_promoting(world: World, dice: random.Random) -> int:
    """Another of the models that there are, or the one before."""
    folder = world.node.learned / GUEST
    others = [one.sha256 for one in Registry(folder).models() if not one.is_current]
    words = (
        ["rollback"] if dice.random() < 0.4 or not others else [dice.choice(["promote", "shadow"]), dice.choice(others)]
    )
    tool = _tool("edge_ae", "model", *words, "--in", folder)
    if dice.random() < 0.5:
        _kill_within(tool, dice.uniform(0.0, SHORT_S))
    else:
        _kill_within(tool, LIMIT_S)
        time.sleep(dice.uniform(0.0, 12 * SHORT_S))  # in which the daemon looks at the links
    if dice.random() < 0.3:
        return time.monotonic_ns()
    world.node.end(dice.choice([signal.SIGKILL, signal.SIGTERM]))
    return world.node.start()


KINDS: Mapping[str, Kind] = {
    "model made": Kind(0.5, _checked(train)),
    "trainer killed": Kind(2, _checked(kill_trainer)),
    "trainer and daemon killed": Kind(2, _checked(kill_trainer_and_daemon)),
    "killed while a model was sent": Kind(4, _checked(kill_while_sending)),
    "killed while a model was promoted": Kind(6, _checked(kill_while_promoting)),
}
