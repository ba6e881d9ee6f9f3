"""What settings are made of before they are settings: a TOML file, the machine, and files that the settings name.

Plain tables in, plain tables out; of which settings there are, only the names of those that are paths are known here.
"""

import platform
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from edge_ae.errors import BadConfig

PREFIX = "EDGE_AE_"  # of the variables that are settings
CREDENTIAL = "mqtt-password"
URLS_CREDENTIAL = "notify-urls"
WEB_CREDENTIAL = "web-password"
TWICE = "a setting or a table stands there twice; each stream has [[streams]] of its own"
NO_FILE = {"model": "auto"}  # words in place of a path
FILES = ("ca", "cert", "key", "password_file")  # of [mqtt]: read or handed on as they are


def toml(path: Path) -> dict[str, Any]:
    """The tables of a file. Raises BadConfig with one sentence."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadConfig(f"{path}: cannot be read: {error.strerror}; name the settings file with --config") from None
    except UnicodeDecodeError:
        raise BadConfig(f"{path}: is not UTF-8 text; save it as UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        twice = re.search("overwrite|twice", str(error))
        hint = TWICE if twice is not None else "strings stand in quotes, tables in [brackets]"
        raise BadConfig(f"{path}: is not TOML: {error}; {hint}") from None


def machine(env: Mapping[str, str]) -> dict[str, Any]:
    """What the machine itself knows: its name, and where its services, else its users, keep their state."""
    host = platform.node().partition(".")[0]
    state, own_home = env.get("STATE_DIRECTORY", "").partition(":")[0], home(env)
    states = env.get("XDG_STATE_HOME") or (None if own_home is None else str(own_home / ".local" / "state"))
    found = {"node": host or "edge-ae"}
    if state != "" or states is not None:
        found["state_dir"] = state or str(Path(states or "") / "edge-ae")
    return found


def home(env: Mapping[str, str]) -> Path | None:
    """The home of who runs this; None: there is none, as for a service whose user is in no passwd file."""
    try:
        return Path(env.get("HOME") or "~").expanduser()
    except RuntimeError:
        return None


def merged(low: Mapping[str, Any], high: Mapping[str, Any]) -> dict[str, Any]:
    """Both, table by table; where both have a value, that of `high`."""
    both = dict(low)
    for key, value in high.items():
        below = both.get(key)
        both[key] = merged(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return both


def resolve(raw: dict[str, Any], base: Path) -> Iterator[str]:
    """Makes the paths absolute, seen from the folder of the settings file. Yields a sentence for each that cannot be."""
    tables: list[tuple[str, Any, Sequence[str]]] = [
        ("", raw, ("state_dir", "model_key")),
        ("mqtt.", raw.get("mqtt"), FILES),
        ("record.", raw.get("record"), ("dir",)),
        ("notify.", raw.get("notify"), ("urls_file",)),
        ("web.", raw.get("web"), ("password_file",)),
    ]
    streams = raw.get("streams")
    for number, stream in enumerate(streams if isinstance(streams, list) else (), start=1):
        tables.append((f"streams[{number}].", stream, ("model",)))
    for where, table, keys in tables:
        for key in keys if isinstance(table, dict) else ():
            if not isinstance(table.get(key), str) or table[key] in ("", NO_FILE.get(key)):
                continue
            try:
                table[key] = str(base / Path(table[key]).expanduser())
            except RuntimeError:
                yield f"{where}{key}: {table[key][:60]!r} is below a home that there is not; write the path in full"


def _table(raw: Mapping[str, Any], name: str) -> dict[str, Any]:
    table = raw.get(name)
    return table if isinstance(table, dict) else {}


def missing_files(raw: Mapping[str, Any]) -> Iterator[str]:
    """A sentence for each file that the settings name and that is not there."""
    mqtt = _table(raw, "mqtt")
    named = {f"mqtt.{key}": mqtt.get(key) for key in FILES[:3]} | {"model_key": raw.get("model_key")}
    for setting, path in named.items():
        if isinstance(path, str) and not Path(path).is_file():
            yield f"{setting}: there is no file {' '.join(str(path).split())}; put it there or correct the path"


def password(raw: Mapping[str, Any], env: Mapping[str, str]) -> tuple[SecretStr | None, str | None]:
    """The broker's password, or why it cannot be had; neither: none is asked for."""
    text, fault = _secret(raw, env, ("mqtt", "password_file"), CREDENTIAL)
    return None if text is None else SecretStr(text.rstrip("\r\n")), fault


def notify_urls(raw: Mapping[str, Any], env: Mapping[str, str]) -> tuple[list[tuple[str, str]], str | None]:
    """The URLs of a file that has one a line, each with where it stands; or why the file cannot be had.

    Empty lines and those that begin with # say nothing.
    """
    text, fault = _secret(raw, env, ("notify", "urls_file"), URLS_CREDENTIAL)
    lines = enumerate(map(str.strip, (text or "").splitlines()), start=1)
    return [(f"notify.urls_file, line {n}", line) for n, line in lines if line and not line.startswith("#")], fault


def _secret(
    raw: Mapping[str, Any], env: Mapping[str, str], setting: tuple[str, str], credential: str
) -> tuple[str | None, str | None]:
    """The text of the file that a setting names, else of the credential; or why it cannot be had. Neither: there is none."""
    named = _table(raw, setting[0]).get(setting[1])
    handed = Path(env.get("CREDENTIALS_DIRECTORY") or "/nonexistent") / credential
    if not isinstance(named, str) and not handed.is_file():
        return None, None
    path = Path(named) if isinstance(named, str) else handed
    try:
        return path.read_text(encoding="utf-8"), None
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        where = ".".join(setting)
        return None, f"{where}: {path} cannot be read: {why}; make it readable for the user that runs edge-ae"


def page_password(named: Path | None, env: Mapping[str, str]) -> str | None:
    """The hash of the live page's password, from its file or from systemd's credential; None: there is none.

    Raises BadConfig with one sentence. Only the page reads it: the daemon has no right to.
    """
    credential = Path(env.get("CREDENTIALS_DIRECTORY") or "/nonexistent") / WEB_CREDENTIAL
    path = named if named is not None else credential
    if named is None and not credential.is_file():
        return None
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise BadConfig(
            f"web.password_file: {path} cannot be read: {why}; edge-ae web --set-password FILE writes one"
        ) from None
