"""What is there to stay is looked through by no collection, and what goes is freed all the same."""

import gc
import weakref
from collections.abc import Iterator

import pytest

from edge_ae.daemon.standing_memory import StandingMemory


@pytest.fixture(autouse=True)
def thawed() -> Iterator[None]:
    yield
    gc.unfreeze()


class Knot:
    """Garbage that reference counts do not find."""

    def __init__(self) -> None:
        self.me = self


def test_what_is_there_is_set_aside_and_what_comes_later_is_not() -> None:
    before = Knot()
    StandingMemory().tick(1)
    after = Knot()
    looked_at = [one for one in gc.get_objects() if isinstance(one, Knot)]
    assert looked_at == [after]
    assert before.me is before


def test_it_is_done_again_only_once_the_assets_have_doubled() -> None:
    memory, full = StandingMemory(), []
    gc.callbacks.append(lambda phase, info: full.append(phase) if (phase, info["generation"]) == ("stop", 2) else None)
    try:
        done = []
        for assets in (10, 10, 20, 21, 42, 43):
            full.clear()
            memory.tick(assets)
            done.append(len(full))
    finally:
        gc.callbacks.pop()
    assert done == [1, 0, 0, 1, 0, 1]


def test_what_a_change_of_models_leaves_behind_is_freed() -> None:
    memory, knot = StandingMemory(), Knot()
    gone = weakref.ref(knot)
    memory.tick(1)
    del knot
    memory.tick(1)
    assert gone() is not None
    memory.renew()
    memory.tick(1)
    assert gone() is None
