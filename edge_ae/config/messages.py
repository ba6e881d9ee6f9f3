"""What pydantic finds wrong -> sentences for the person who wrote the settings: path, what, and what to write instead."""

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import get_args

from pydantic import BaseModel, ValidationError

Place = Sequence[str | int]


def sentences(error: ValidationError, root: type[BaseModel]) -> Iterator[str]:
    """One sentence for each fault."""
    for fault in error.errors(include_url=False):
        place, value = fault["loc"], fault["input"]
        where = "".join(f"[{part + 1}]" if isinstance(part, int) else f".{part}" for part in place).removeprefix(".")
        example = _example(root, place)
        if fault["type"] == "extra_forbidden":
            names = list(_section(root, place[:-1]).model_fields)
            yield f"{where}: is no setting{meant(str(place[-1]), names)}; remove it"
        elif fault["type"] == "missing":
            yield f"{where}: is missing; add {example}"
        else:
            what = fault["msg"].removeprefix("Value error, ").replace("Input should", "should")
            shown = "" if isinstance(value, dict | list) or _is_secret(root, place) else f"{str(value)[:60]!r} "
            shown_already = example == "" or "such as" in what or "write it like" in what
            yield f"{where}: {shown}{what}" + ("" if shown_already else f"; for example {example}")


def meant(name: str, known: Sequence[str]) -> str:
    """A guess at what a misspelt name should have been."""
    close = get_close_matches(name, known, n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def _section(root: type[BaseModel], place: Place) -> type[BaseModel]:
    """The table that a place is in; a list of tables is gone into."""
    model = root
    for part in place:
        field = model.model_fields.get(str(part))
        kinds = () if field is None else (field.annotation, *get_args(field.annotation))
        model = next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), model)
    return model


def _is_secret(root: type[BaseModel], place: Place) -> bool:
    """Whether a place is a secret, is within one, or is a table that may hold one."""
    fields = [_section(root, place[:end]).model_fields.get(str(part)) for end, part in enumerate(place)]
    kinds = [field.annotation for field in fields if field is not None]
    own = [field.annotation for field in _section(root, place).model_fields.values()] if len(kinds) == 1 else []
    return any("SecretStr" in str(kind) for kind in (*kinds, *own))


def _example(root: type[BaseModel], place: Place) -> str:
    """The setting with a value that works, as TOML; empty where a value alone shows nothing."""
    name = str(place[-1]) if place else ""
    field = _section(root, place[:-1]).model_fields.get(name)
    if field is None:
        return ""
    value = field.examples[0] if field.examples else field.default
    if isinstance(value, bool):
        return f"{name} = {str(value).lower()}"
    if isinstance(value, str):
        return f'{name} = "{value}"'
    return f"{name} = {value}" if isinstance(value, int | float) else ""
