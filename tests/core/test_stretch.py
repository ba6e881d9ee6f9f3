"""Stretches: whole rows in one go leave an asset and its windows as they would be one by one, wherever they are cut."""

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import orjson
import pytest
from numpy.typing import NDArray

from edge_ae.core.asset_input import AssetInput
from edge_ae.core.channel_profile import with_profile
from edge_ae.core.events import Stretch, Window
from edge_ae.core.model_spec import Channel, Kind, ModelSpec
from edge_ae.core.timestamps import SECOND
from tests.models import spec_of

ROWS = 900
NAMES = ("flow", "pressure", "level")
Values = NDArray[np.float64]


def calm(rows: int = ROWS) -> Values:
    rng = np.random.default_rng(0)
    return np.sin(np.arange(rows)[:, None] / (9, 14, 21)) + rng.normal(0.0, 0.1, (rows, 3))


def spec(length: int = 8, hop: int = 1, *, when: str = "", channels: Sequence[Channel] | None = None) -> ModelSpec:
    known = [Channel(name, low=-1.4, high=1.4, error_values=(1.25,)) for name in NAMES]
    profiled = with_profile(known, [calm(2000).astype(np.float32)])
    return spec_of(channels=tuple(channels or profiled), length=length, hop=hop, when=when)


def eventful(seed: int) -> Values:
    """Missing and mistaken values, a channel far out, one that stands still, one that is gone, and rows without anything."""
    values, rng = calm(), np.random.default_rng(seed)
    values[100:104, 0] = math.nan
    values[150, 1] = 1.25
    values[200, 2] = 40.0
    values[260:460, 0] = values[260, 0]
    values[520:560, 1] = math.nan
    values[620:624] = math.nan
    values[rng.random(values.shape) < 0.002] = math.inf
    values[700:860] = values[700]
    return values


def one_by_one(asset: AssetInput, stretch: Stretch) -> list[Window]:
    return [window for row in range(len(stretch)) for window in asset.push(stretch.readings(row, NAMES))]


def in_goes(asset: AssetInput, stretch: Stretch, taken: list[int]) -> list[Window]:
    """As much as goes, and what does not by itself."""
    windows, row = [], 0
    while row < len(stretch):
        count, found = asset.push_stretch(stretch.rows(row))
        windows += found if count > 0 else asset.push(stretch.readings(row, NAMES))
        taken.append(count)
        row += max(count, 1)
    return windows


def parts(values: Values, seed: int) -> Iterator[Stretch]:
    """Cut anywhere, with outages between some."""
    rng, row, slot = random.Random(seed), 0, 1_700_000_000
    while row < len(values):
        part = values[row : row + rng.choice((1, 2, 5, 64, 130))]
        t_ns = [(slot + n) * SECOND + rng.randrange(-4, 5) * SECOND // 10 for n in range(len(part))]
        yield Stretch("pump", slot, t_ns, part)
        row, slot = row + len(part), slot + len(part) + rng.choice((0, 0, 0, 0, 2, 30))


def known(asset: AssetInput, windows: Sequence[Window]) -> bytes:
    """All that there is to know of it, and what it gave."""
    facts = [asset.snapshot(), dict(asset.counts), asset.warm_up.text, asset.pace_note, asset.unscored_reason]
    return orjson.dumps([facts, [(window.slot, window.values.tobytes().hex()) for window in windows]])


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("length", "hop"), [(8, 1), (8, 3), (2, 1), (20, 7)])
def test_stretches_leave_what_single_readings_do(length: int, hop: int, seed: int) -> None:
    model = spec(length, hop)
    single, many = AssetInput(model, "", 0, None), AssetInput(model, "", 0, None)
    taken: list[int] = []
    for stretch in parts(eventful(seed), seed):
        assert known(many, in_goes(many, stretch, taken)) == known(single, one_by_one(single, stretch))
    assert sum(taken) > 100


def test_calm_rows_go_by_the_block_but_for_its_first() -> None:
    model = spec()
    taken: list[int] = []
    in_goes(
        AssetInput(model, "", 0, None), Stretch("pump", 64, [n * SECOND for n in range(64, 64 + ROWS)], calm()), taken
    )
    assert taken.count(63) == ROWS // 64 - 1


@pytest.mark.parametrize(
    "model",
    [
        spec(when="flow > 0"),
        spec(channels=[Channel(name, low=-1.4, high=1.4, kind=Kind.COUNTER) for name in NAMES]),
        replace(spec(), hold_rows=3),
    ],
    ids=["a state", "counters", "held values"],
)
def test_what_is_looked_at_row_by_row_is_not_taken_in_one_go(model: ModelSpec) -> None:
    single, many = AssetInput(model, model.when, 0, None), AssetInput(model, model.when, 0, None)
    taken: list[int] = []
    for stretch in parts(calm(), 0):
        assert known(many, in_goes(many, stretch, taken)) == known(single, one_by_one(single, stretch))
    assert sum(taken) == 0


def test_late_readings_that_may_still_come_keep_stretches_from_being_taken() -> None:
    asset = AssetInput(spec(), "", SECOND, None)
    taken: list[int] = []
    in_goes(asset, Stretch("pump", 64, [n * SECOND for n in range(64, 64 + ROWS)], calm()), taken)
    assert sum(taken) == 0
