"""The page on payloads: each message that it shows, read by the settings beside it, gives what it says."""

import re
import tomllib
from pathlib import Path

import pytest

from edge_ae.config.settings import Settings
from edge_ae.core.formats.decoder import Decoder
from edge_ae.core.timestamps import parse_time_ns

PAGE = (Path(__file__).parents[3] / "docs" / "payloads.md").read_text()
NOW = parse_time_ns("2026-11-24T00:00:00Z")
RECIPE = re.compile(r"^### (.+)\n\n```text\n((?:.+\n)+)```\n\n```toml\n((?:.+\n)+)```\n\n((?:- `.+\n)+)", re.M)
RECIPES = {
    name: (messages.splitlines(), toml, gives.splitlines()) for name, messages, toml, gives in RECIPE.findall(PAGE)
}


def decoder(toml: str, names: tuple[str, ...] | None) -> Decoder:
    settings = Settings.model_validate({"node": "n1", "state_dir": "/x", "streams": [tomllib.loads(toml)]})
    return Decoder(settings.stream(settings.streams[0]), names)


def given(lines: list[str]) -> list[tuple[str, dict[str, float]]]:
    """What the page says that a recipe gives."""
    found = []
    for line in lines:
        match = re.fullmatch(r"- `(.+)`: (.+)", line)
        assert match is not None, line
        pairs = (pair.rsplit(" ", 1) for pair in match[2].split(", "))
        found.append((match[1], {name: float(value) for name, value in pairs}))
    return found


def read(one: Decoder, messages: list[str]) -> list[tuple[str, dict[str, float]]]:
    found = []
    for message in messages:
        topic, _, payload = message.partition(" ")
        for readings in one.decode(topic, payload.encode(), NOW):
            assert (readings.t_ns == NOW) is (one.stream.time is None and one.stream.format != "influx")
            found.append((readings.asset, dict(readings.values)))
    return found


def test_every_section_of_the_page_with_a_message_is_a_recipe() -> None:
    assert set(re.findall(r"^### (.+)$", PAGE, re.M)) == set(RECIPES)
    assert len(RECIPES) >= 15


@pytest.mark.parametrize("name", RECIPES)
def test_recipe_gives_to_the_recorder_what_the_page_says(name: str) -> None:
    messages, toml, gives = RECIPES[name]
    assert read(decoder(toml, None), messages) == given(gives)


@pytest.mark.parametrize("name", RECIPES)
def test_recipe_gives_to_a_model_what_the_page_says(name: str) -> None:
    messages, toml, gives = RECIPES[name]
    names = tuple(dict.fromkeys(channel for _, values in given(gives) for channel in values))
    assert read(decoder(toml, names), messages) == given(gives)
