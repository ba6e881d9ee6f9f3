"""Columns come back bit for bit, whatever is in them, and take few bytes for what sensors send."""

from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_ae.errors import BadData
from edge_ae.store.columnar.column import decode_times, decode_values, encode_times, encode_values

DECIMALS = st.integers(-(10**9), 10**9).map(lambda whole: whole / 1_000)
VALUES = st.lists(
    st.one_of(DECIMALS, st.floats(width=64), st.floats(width=32), st.sampled_from([0.0, -0.0, 5e-324])), min_size=1
)
TIMES = st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1)


@given(VALUES)
def test_values_come_back_bit_for_bit(values: list[float]) -> None:
    column = np.array(values)
    back = decode_values(encode_values(column), len(column))
    missing = np.isnan(column)
    assert np.isnan(back[missing]).all()
    assert back[~missing].tobytes() == column[~missing].tobytes()


@given(TIMES)
def test_times_come_back_in_any_order(times: list[int]) -> None:
    assert decode_times(encode_times(np.array(times, np.int64)), len(times)).tolist() == times


@given(st.binary(max_size=200), st.integers(1, 50))
def test_other_bytes_are_refused_or_read_and_never_end_the_program(data: bytes, lines: int) -> None:
    for decode in (decode_values, decode_times):
        with suppress(BadData):
            assert len(decode(data, lines)) == lines


@pytest.mark.parametrize(
    ("decimals", "most"),
    [(0, 1.0), (3, 1.8), (6, 3.1)],
)
def test_a_noisy_signal_takes_little_more_than_its_noise(decimals: int, most: float) -> None:
    signal = np.round(50.0 + np.random.default_rng(1).normal(0.0, 0.5, 600), decimals)
    assert len(encode_values(signal)) / len(signal) < most


def test_what_does_not_change_takes_next_to_nothing() -> None:
    assert len(encode_values(np.full(600, 21.5))) < 50
    assert len(encode_times(1_795_435_200_000_000_000 + np.arange(600) * 1_000_000_000)) < 60


def test_a_bomb_is_not_unpacked() -> None:
    encoded = bytearray(encode_values(np.tile([1.0, 2.0], 30_000)))
    with pytest.raises(BadData, match="in place of"):
        decode_values(bytes(encoded), 10)
