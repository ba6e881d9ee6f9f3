"""Commands of operators, carried out on an asset's detector and answered. What people say of alerts is kept for training."""

from contextlib import suppress

import orjson

from edge_ae.core import commands
from edge_ae.core.alert_events import AlertStep
from edge_ae.core.detector import Detector
from edge_ae.core.suppression import Silence
from edge_ae.errors import BadPayload
from edge_ae.store.node_store import Feedback, NodeStore


class CommandHandler:
    """`store`: where feedback is kept."""

    def __init__(self, store: NodeStore) -> None:
        self._store = store

    def carry_out(self, command: commands.Action, detector: Detector, now_ns: int) -> list[AlertStep]:
        """`now_ns`: the wall's time. Raises BadPayload with a sentence for the operator."""
        match command:
            case commands.Acknowledge(identity):
                _check_present(detector, identity)
                return detector.acknowledge()
            case commands.Shelve(duration_ns):
                detector.shelve(duration_ns, now_ns)
                return []
            case commands.Unshelve():
                return detector.unshelve()
            case commands.SetService(in_service):
                return detector.set_service(in_service)
            case commands.AcceptNormal():
                detector.accept_normal()
                return []
            case commands.SetBudget(budget):
                detector.set_budget(budget)
                return []
            case commands.SetRule() | commands.AddSilence() | commands.ClearSilences():
                return _set_rules(command, detector, now_ns)
            case commands.GiveFeedback(identity, label, note):
                of = self._newest(detector) if identity is None else identity
                self._keep(Feedback(now_ns, detector.asset, of, label, note))
                return []

    def carry_out_beside(self, command: commands.Action, beside: Detector | None, now_ns: int) -> None:
        """The same for the model that runs beside, so that it is as the owner wants it when it is put to use; nobody is told."""
        if beside is None or isinstance(command, commands.GiveFeedback):
            return
        with suppress(BadPayload):  # what is said of an alert that it has not raised
            self.carry_out(command, beside, now_ns)

    def _newest(self, detector: Detector) -> str:
        """The alert that a person means who names none."""
        episode = detector.alert.episode
        newest = self._store.newest_alert(detector.asset) if episode is None else episode.id
        if newest is None:
            raise BadPayload("bad_command", f"{detector.asset} has had no alert to give feedback on")
        return newest

    def _keep(self, feedback: Feedback) -> None:
        if not self._store.durable:
            raise BadPayload("bad_command", "feedback cannot be kept, for state.checkpoint_s is 0")
        if not self._store.add_feedback(feedback):
            raise BadPayload("bad_command", f"feedback cannot be kept: {self._store.fault}")


def _set_rules(
    command: commands.SetRule | commands.AddSilence | commands.ClearSilences, detector: Detector, now_ns: int
) -> list[AlertStep]:
    """What the owner's rules refuse, such as an unknown channel, is a sentence for the operator."""
    try:
        match command:
            case commands.SetRule(channel, rule):
                return detector.set_channel_rule(channel, rule)
            case commands.AddSilence(from_ns, until_ns, note):
                return detector.add_silence(_silence(now_ns if from_ns is None else from_ns, until_ns, note))
            case commands.ClearSilences():
                return detector.clear_silences()
    except ValueError as error:
        raise BadPayload("bad_command", str(error)) from None


def _silence(from_ns: int, until_ns: int, note: str) -> Silence:
    """Raises ValueError with a sentence."""
    if not 0 < until_ns - from_ns <= commands.LONGEST_SILENCE_NS:
        raise ValueError("until must come after from, and by a year at most")
    return Silence(from_ns, until_ns, note)


def _check_present(detector: Detector, identity: str | None) -> None:
    episode = detector.alert.episode
    if episode is None:
        raise BadPayload("bad_command", f"{detector.asset} has no active alert")
    if identity is not None and identity != episode.id:
        raise BadPayload("bad_command", f"the active alert of {detector.asset} is {episode.id}, not {identity}")


def answer(fault: str | None) -> bytes:
    """The reply on the response topic."""
    return orjson.dumps({"ok": True} if fault is None else {"ok": False, "error": fault})
