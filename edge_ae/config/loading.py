"""The only reader of TOML, environment and credentials. Gives settings, or names all that is wrong at once.

    defaults  <  settings file (TOML)  <  EDGE_AE_... (EDGE_AE_MQTT__HOST is host in [mqtt])

The password is no setting: it comes from `password_file`, or from systemd's credential `mqtt-password`; and so may the URLs of
people to notify, from `urls_file` or the credential `notify-urls`. Paths in the file are relative to the file.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import SecretStr, ValidationError

from edge_ae.config import sources
from edge_ae.config.consistency import contradictions
from edge_ae.config.messages import meant, sentences
from edge_ae.config.settings import NotifyUrl, Settings
from edge_ae.config.sources import PREFIX
from edge_ae.errors import BadConfig


class Inspection(NamedTuple):
    """The settings as far as they can be had, everything that is wrong, and the tables that were not understood whole."""

    settings: Settings | None
    problems: list[str]
    doubtful: frozenset[str] = frozenset()


def load(path: Path | str | None, env: Mapping[str, str] | None = None) -> Settings:
    """Settings from a file (or none) and the environment. Raises BadConfig with one line for each problem."""
    settings, problems, _ = inspect(path, env)
    if settings is None or problems:
        raise BadConfig("\n".join(problems))
    return settings


def inspect(path: Path | str | None, env: Mapping[str, str] | None = None) -> Inspection:
    """Read everything, and stop at nothing: what is wrong is left out, so that the rest can be looked at, too."""
    env = os.environ if env is None else env
    try:
        raw = {} if path is None else sources.toml(Path(path))
        raw = sources.merged(raw, _from_environment(env))
    except BadConfig as problem:
        return Inspection(None, [str(problem)])
    raw = sources.merged(sources.machine(env), raw)
    problems = [] if path is None else [*sources.resolve(raw, Path(path).absolute().parent)]
    problems += [*_unknown_variables(env), *sources.missing_files(raw)]
    password, fault = sources.password(raw, env)
    urls, urls_fault = sources.notify_urls(raw, env)
    problems += [each for each in (fault, urls_fault) if each is not None]
    found = _validated(raw)
    if found.settings is None:
        return found._replace(problems=[*found.problems, *problems])
    found.settings._password = password
    found.settings._urls_of_file = tuple(NotifyUrl(where, SecretStr(url)) for where, url in urls)
    known = {
        problem.partition(":")[0] for problem in found.problems
    }  # what is wrong in itself is left out, and not missing
    more = (problem for problem in contradictions(found.settings) if problem.partition(":")[0] not in known)
    return found._replace(problems=[*found.problems, *problems, *more])


def _validated(raw: dict[str, Any]) -> Inspection:
    """The settings without what cannot be used, and a sentence for each such place."""
    try:
        return Inspection(Settings.model_validate(raw), [])
    except ValidationError as error:
        problems = [*sentences(error, Settings)]
        places = [fault["loc"] for fault in error.errors(include_url=False)]
    doubtful = frozenset(str(place[0]) for place in places)
    try:
        return Inspection(Settings.model_validate(_without(raw, places)), problems, doubtful)
    except ValidationError:
        return Inspection(None, problems, doubtful)


def _without(raw: dict[str, Any], places: Sequence[Sequence[str | int]]) -> dict[str, Any]:
    """A copy that lacks these places; a stream that has no topic without them goes as a whole."""
    kept = deepcopy(raw)
    streams = {
        place[1] for place in places if place[0] == "streams" and place[2:3] in ((), ("topic",)) and len(place) > 1
    }
    for *above, last in places:
        table: Any = kept
        with suppress(LookupError, TypeError):  # a place within a key or within a value that is no table
            for part in above:
                table = table[part]
            if isinstance(table, dict):
                table.pop(last, None)
    if streams:
        kept["streams"] = [stream for number, stream in enumerate(kept["streams"]) if number not in streams]
    return kept


def _from_environment(env: Mapping[str, str]) -> dict[str, Any]:
    """Upper and lower case are one; an empty variable is none."""
    variables = {name: value for name, value in env.items() if name.upper().startswith(PREFIX) and value != ""}
    if not variables:
        return {}
    from edge_ae.config.environment import tables_of

    return tables_of(variables)


def _unknown_variables(env: Mapping[str, str]) -> Iterator[str]:
    known = [PREFIX + name.upper() for name in Settings.model_fields]
    for name in sorted(env):
        if name.startswith(PREFIX) and name.partition("__")[0] not in known:
            yield f"{name}: is no setting{meant(name, known)}; unset it"
