"""Any order of installing, shadows, promotion, rollback, kills, restarts and readings: never without a model, no window lost, and the
alerts are those of one model that was never touched."""

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from edge_ae.model.onnx_model import OnnxModel
from tests.daemon.rollout_box import CALM, FAULT, RolloutBox
from tests.daemon.test_model_rollout import FIRST, files  # noqa: F401


def orders(models: list[Path]) -> type[RuleBasedStateMachine]:
    """A machine on these models, which say the same of every window."""

    class Orders(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.folder = tempfile.TemporaryDirectory()
            self.box = RolloutBox(Path(self.folder.name) / "tried", models, shadow_s=30)
            self.plain = RolloutBox(Path(self.folder.name) / "plain", models)
            self.feed([CALM] * 6)

        def teardown(self) -> None:
            self.box.daemon.store.close()
            self.plain.daemon.store.close()
            self.folder.cleanup()

        @rule(flows=st.lists(st.sampled_from([CALM, CALM, 6.0, FAULT]), min_size=1, max_size=12))
        def feed(self, flows: list[float]) -> None:
            self.box.feed(*flows)
            self.plain.feed(*flows)

        @rule(number=st.integers(1, 2))
        def install(self, number: int) -> None:
            self.box.registry.install(models[number])

        @rule(number=st.integers(0, 2), name=st.sampled_from(["promote", "shadow"]))
        def change(self, number: int, name: str) -> None:
            self.box.ask(name, model=self.box.shas[number])

        @rule(number=st.integers(0, 2))
        def promote_by_hand(self, number: int) -> None:
            if self.box.registry.path_of(self.box.shas[number]).exists():
                self.box.registry.promote(self.box.shas[number])

        @rule()
        def rollback(self) -> None:
            self.box.ask("rollback")

        @rule()
        def end_shadow(self) -> None:
            self.box.ask("shadow")

        @rule()
        def look(self) -> None:
            self.box.look()

        @rule()
        def kill(self) -> None:
            self.box.kill()

        @rule()
        def restart(self) -> None:
            self.box.stop()

        @invariant()
        def there_is_a_model_and_it_is_whole(self) -> None:
            assert OnnxModel.load(self.box.registry.folder).spec.sha256 in self.box.shas

        @invariant()
        def no_window_is_lost(self) -> None:
            assert sorted(set(self.box.slots())) == list(range(FIRST, self.box.row - 1))

        @invariant()
        def alerts_are_those_of_a_model_that_was_never_touched(self) -> None:
            """By their times: an id names the model. What a kill had repeated is known by its id and number."""
            assert steps(self.box) == steps(self.plain)

    return Orders


def steps(box: RolloutBox) -> list[tuple[str, int | None, int | None]]:
    once = {(one.id, one.seq): one for one in box.events}
    return [(str(one.type), one.alert.onset_ns, one.alert.cleared_ns) for one in once.values()]


def test_any_order_keeps_every_window_and_every_alert(files: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    """A process that is killed leaves what it has written: only a power cut asks for the disk's word."""
    monkeypatch.setattr(os, "fsync", lambda _file: None)
    run_state_machine_as_test(
        orders(files),
        settings=settings(
            max_examples=12, stateful_step_count=15, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
