"""Properties of a PUBLISH: read as they were written, or refused; never more than that."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_ae.mqtt.publish_packet import MalformedPublish, answer_address, properties_end
from tests.mqtt.packets import properties, text, variable

TEXTS = st.binary(max_size=300).map(text)
ONCE = {
    1: st.binary(min_size=1, max_size=1),
    2: st.binary(min_size=4, max_size=4),
    3: TEXTS,
    8: TEXTS,
    9: TEXTS,
    11: st.integers(0, 2**28 - 1).map(variable),
    35: st.binary(min_size=2, max_size=2),
}
PAIRS = st.lists(st.tuples(st.just(38), st.tuples(TEXTS, TEXTS).map(b"".join)), max_size=3)
WHOLE = st.builds(lambda once, pairs: [*once.items(), *pairs], st.fixed_dictionaries({}, optional=ONCE), PAIRS).flatmap(
    st.permutations
)


@given(WHOLE, st.binary(max_size=9))
def test_what_was_written_is_read_in_any_order(each: list[tuple[int, bytes]], payload: bytes) -> None:
    packet = b"head" + properties(each) + payload
    begin, end = properties_end(packet, 4)
    assert packet[end:] == payload
    wanted = {number: value[2:] for number, value in each}
    assert answer_address(packet[begin:end]) == (wanted.get(8), wanted.get(9))


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        begin, end = properties_end(data, 0)
        answer_address(data[begin:end])
    except MalformedPublish:
        pass


@pytest.mark.parametrize(
    "data",
    [b"", b"\x80", b"\x80\x80\x80\x80\x01", b"\x02\x01", b"\x7f\x01\x00"],
    ids=["nothing", "cut off", "five bytes", "too short", "longer than the packet"],
)
def test_length_that_cannot_be_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedPublish):
        properties_end(data, 0)


@pytest.mark.parametrize(
    "data",
    [b"\x08\x00\x05ab", b"\x09\x00", b"\x21\x00\x01", b"\x01\x00\x01\x00", b"\x26\x00\x01a\x00\x09b", b"\x0b\x80"],
    ids=["cut off", "no length", "of a CONNECT", "twice", "half a pair", "a number that does not end"],
)
def test_properties_that_cannot_be_are_refused(data: bytes) -> None:
    with pytest.raises(MalformedPublish):
        answer_address(data)
