"""The sample has every setting, each with its true default, and nothing else."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from edge_ae.config.loading import load
from edge_ae.config.settings import Settings

SAMPLE = Path(__file__).parents[2] / "deploy" / "edge-ae.toml"
SETTING = re.compile(r"#(?=\w+ = )")


def everything() -> dict[str, Any]:
    """The sample with every line that shows a setting switched on."""
    lines = SAMPLE.read_text().splitlines()
    return tomllib.loads("\n".join(SETTING.sub("", line, count=1) for line in lines))


def fields(model: type[BaseModel], before: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """(dotted name, field) of every setting; tables and lists of tables are gone into."""
    for name, field in model.model_fields.items():
        inner = () if get_origin(field.annotation) is dict else get_args(field.annotation)
        section = next((t for t in (field.annotation, *inner) if _is_section(t)), None)
        if section is None:
            yield before + name, field
        else:
            yield from fields(section, f"{before}{name}.")


def _is_section(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def keys(table: dict[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in table.items():
        if isinstance(value, dict) and name not in ("channels", "words", "rules"):  # a table that is itself one setting
            yield from keys(value, f"{before}{name}.")
        elif isinstance(value, list) and isinstance(value[0], dict):
            yield from keys(value[0], f"{before}{name}.")
        else:
            yield before + name, value


def test_sample_has_every_setting_and_every_line_is_one() -> None:
    assert sorted(name for name, _ in keys(everything())) == sorted(name for name, _ in fields(Settings))


@pytest.mark.parametrize(("name", "field"), list(fields(Settings)))
def test_setting_shows_its_default_or_says_that_it_is_an_example(name: str, field: FieldInfo) -> None:
    shown = dict(keys(everything()))[name]
    if field.default not in (None, {}, (), PydanticUndefined):
        assert shown == field.default


def test_sample_loads_as_it_is() -> None:
    settings = load(SAMPLE, env={"HOME": "/root"})
    assert [stream.topic for stream in settings.streams] == ["plant/{asset}/telemetry"]
    assert settings.streams[0].model == SAMPLE.parent / "models" / "pump.onnx"


def test_sample_with_every_line_switched_on_is_valid() -> None:
    Settings.model_validate(everything())
