"""The owner's rules beside the models that they are for: what must not start, and what is worth a sentence.

One settings file serves several models, so that a rule for a channel that one of them lacks is no fault. An asset watched in a state that its
model cannot tell would never be watched, or always: that is one.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from edge_ae.config.settings import Settings
from edge_ae.core.expression import Expression


@dataclass(frozen=True, slots=True)
class ModelState:
    """What rules may name of a model: its channels, and the state in which it was trained, "" for any."""

    channels: tuple[str, ...]
    when: str


def state_faults(settings: Settings, models: Mapping[Path, ModelState]) -> list[str]:
    """A sentence for each stream that is to be watched in a state that its model's channels cannot tell."""
    found = []
    for number, stream in enumerate(settings.streams, start=1):
        when, model = settings.alerts.rules_of(stream).when, _model(stream.model_file, models)
        fault = Expression.of(when).unknown(model.channels) if when and model is not None else None
        if fault is not None:
            setting = "alerts.when" if stream.when is None else f"streams[{number}].when"
            found.append(f"{setting}: {fault} ({stream.model_file})")
    return found


def rule_notes(settings: Settings, models: Mapping[Path, ModelState]) -> list[str]:
    """A sentence for each rule that no model takes up, and for each stream that is watched in another state than its model's."""
    return [*_ignored(settings, models), *_other_states(settings, models)]


def _ignored(settings: Settings, models: Mapping[Path, ModelState]) -> Iterator[str]:
    every = [name for model in models.values() for name in model.channels]
    for name in settings.alerts.channels if models else ():
        if name not in every:
            yield f"alerts.channels.{name}: no model has this channel, and the rule is ignored; there are {_list(every)}"
    for number, stream in enumerate(settings.streams, start=1):
        model = _model(stream.model_file, models)
        for name in stream.rules if model is not None else ():
            if model is not None and name not in model.channels:
                yield (
                    f"streams[{number}].rules.{name}: its model has no such channel, and the rule is ignored; "
                    f"there are {_list(model.channels)}"
                )


def _other_states(settings: Settings, models: Mapping[Path, ModelState]) -> Iterator[str]:
    for number, stream in enumerate(settings.streams, start=1):
        when, model = settings.alerts.rules_of(stream).when, _model(stream.model_file, models)
        if model is None or when is None or when == model.when:
            continue
        asked, trained = (f"where {text}" if text else "in any state" for text in (when, model.when))
        yield (
            f"streams[{number}]: is watched {asked}, but its model was trained {trained}; what it never saw is abnormal to it"
        )


def _model(path: Path | None, models: Mapping[Path, ModelState]) -> ModelState | None:
    return None if path is None else models.get(path)


def _list(channels: list[str] | tuple[str, ...]) -> str:
    return ", ".join(dict.fromkeys(channels))[:400]
