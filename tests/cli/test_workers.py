"""Work on several things in processes: results in their order, faults as they are, and a process that is killed in words."""

import os
import signal

import pytest

from edge_ae.cli.workers import each
from edge_ae.errors import BadData, BadModel


def test_results_are_in_the_order_of_the_things() -> None:
    assert list(each(oct, [3, 1, 2], workers=2)) == ["0o3", "0o1", "0o2"]


def refuse(thing: int) -> int:
    raise BadModel(f"{thing} is no model")


def test_what_the_work_raises_is_raised() -> None:
    with pytest.raises(BadModel, match=r"^1 is no model$"):
        list(each(refuse, [1], workers=1))


def be_killed(thing: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return thing


def test_a_process_that_is_killed_is_said_in_a_sentence() -> None:
    with pytest.raises(BadData, match=r"was killed, maybe for want of memory; fewer --workers take less$"):
        list(each(be_killed, [1, 2], workers=1))
