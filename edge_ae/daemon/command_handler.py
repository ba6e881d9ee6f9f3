"""Commands of operators, carried out on an asset's detector and answered. What people say of alerts is the affair of `teaching`."""

from contextlib import suppress

import orjson

from edge_ae.core import commands
from edge_ae.core.alert_events import AlertStep
from edge_ae.core.detector import Detector
from edge_ae.core.suppression import Silence
from edge_ae.daemon.teaching import CarriedOut, Teaching
from edge_ae.errors import BadPayload
from edge_ae.store.node_store import NodeStore


class CommandHandler:
    """`store`: where feedback and lessons are kept."""

    def __init__(self, store: NodeStore) -> None:
        self._teaching = Teaching(store)

    def carry_out(self, command: commands.Action, detector: Detector, now_ns: int) -> CarriedOut:
        """`now_ns`: the wall's time. Raises BadPayload with a sentence for the operator."""
        match command:
            case commands.GiveFeedback():
                return self._teaching.take(command, detector, now_ns)
            case commands.Unlearn(identity):
                return self._teaching.unlearn(identity, detector)
            case _:
                return CarriedOut(self._operate(command, detector, now_ns))

    def _operate(self, command: commands.Operation, detector: Detector, now_ns: int) -> list[AlertStep]:
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

    def carry_out_beside(self, command: commands.Action, beside: Detector | None, now_ns: int) -> None:
        """The same for the model that runs beside, so that it is as the owner wants it when it is put to use; nobody is told."""
        if beside is None:
            return
        if isinstance(command, commands.GiveFeedback | commands.Unlearn):
            beside.set_lessons(self._teaching.lessons_of(beside.asset))
            return
        with suppress(BadPayload):  # what is said of an alert that it has not raised
            self._operate(command, beside, now_ns)


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


def answer(fault: str | None, note: str = "") -> bytes:
    """The reply on the response topic. `note`: what came of a command beyond its being carried out."""
    if fault is not None:
        return orjson.dumps({"ok": False, "error": fault})
    return orjson.dumps({"ok": True, "note": note} if note else {"ok": True})
