"""What a channel's numbers mean is found from them, and a wrong guess is not made."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from edge_ae_train.data.kinds import Finding, asked_kinds, find_kinds, table_of
from edge_ae_train.data.names import proposal, says_nothing
from edge_ae_train.data.segments import Recording

from edge_ae.core.model_spec import Channel, Kind
from edge_ae.errors import BadData
from edge_ae.store.recording_csv import Table

N = 4000
SECOND = 10**9
RNG = np.random.default_rng(7)
WALK = np.cumsum(RNG.normal(0, 1.5, N))
NOISE = RNG.normal(0, 1.0, N)
STEPS = RNG.uniform(0.0, 0.5, N)
Values = np.ndarray


def table(columns: Mapping[str, Values]) -> Table:
    values = np.column_stack(list(columns.values())).astype(float)
    t_ns = SECOND * np.arange(len(values))
    return Table(Path("r.csv"), [str(t) for t in t_ns], t_ns, tuple(columns), values)


def found(values: Values, name: str = "x") -> Finding:
    (finding,) = find_kinds([table({name: values})])
    return finding


def kind_of(values: Values, name: str = "x") -> str:
    return found(values, name).channel.kind


COUNTERS = {
    "rises": np.round(10432 + np.cumsum(STEPS), 2),
    "large, in fine steps": np.round(123456.789 + 0.001 * np.cumsum(RNG.integers(0, 3, N)), 3),
    "resets each day": np.concatenate([np.round(np.cumsum(part), 2) for part in np.split(STEPS, 8)]),
    "overflows": np.cumsum(RNG.integers(0, 200, N)) % 65536,
    "a new meter": np.round(np.concatenate([8000 + np.cumsum(STEPS[:2000]), 312 + np.cumsum(STEPS[2000:])]), 2),
    "starts": np.floor(np.arange(N) / 180.0),
    "stands half of the time": np.cumsum(np.where(np.arange(N) % 400 < 200, STEPS, 0.0)),
    "a lone 0": np.where(np.arange(N) == 777, 0.0, np.round(10432 + np.cumsum(STEPS), 2)),
}
ANALOG = {
    "noise": NOISE,
    "drifts up": 20 + 0.01 * np.arange(N) + NOISE,
    "warms up": np.round(60 - 40 * np.exp(-np.arange(N) / 800.0), 3),
    "smooth": 50 + 20 * np.sin(np.arange(N) / 300.0),
    "batches": 100 * (np.arange(N) % 50) / 50.0 + 3 * np.abs(NOISE) * (np.arange(N) % 50 > 45),
    "rises in few lines": np.round(20 + 0.1 * np.arange(300), 1),
    "on and off between 0 and 360": np.clip(np.where(np.arange(N) % 300 < 200, 352.0, 2.0) + 4 * NOISE, 0, 360),
    "any value of 0 to 360": RNG.uniform(0.0, 360.0, N),
    "speed up to 360": np.clip(180 + WALK, 0.0, 360.0),
}
ANGLES = {
    "wind": (np.mod(300 + 3 * WALK, 360.0), 360.0),
    "heading": (np.mod(3 * WALK + 180.0, 360.0) - 180.0, 360.0),
    "phase": (np.mod(0.05 * WALK, 2 * np.pi), 2 * np.pi),
    "shaft": (np.mod(7.3 * np.arange(N), 360.0), 360.0),
}


@pytest.mark.parametrize("values", COUNTERS.values(), ids=COUNTERS)
def test_counter_is_found_without_its_name(values: Values) -> None:
    assert kind_of(values) == Kind.COUNTER


@pytest.mark.parametrize("values", ANALOG.values(), ids=ANALOG)
def test_level_is_no_counter_and_no_angle(values: Values) -> None:
    assert kind_of(values) == Kind.ANALOG


@pytest.mark.parametrize(("values", "turn"), ANGLES.values(), ids=ANGLES)
def test_angle_is_found_without_its_name(values: Values, turn: float) -> None:
    assert kind_of(values) == Kind.ANGLE
    assert found(values).channel.turn == pytest.approx(turn)


@pytest.mark.parametrize(
    ("name", "values", "kind", "turn"),
    [
        ("energy_kWh", np.round(20 + 0.1 * np.arange(60), 1), "counter", 0.0),
        ("room_temp", np.round(20 + 0.1 * np.arange(N), 1), "analog", 0.0),
        ("wind_dir", np.mod(355 + 5 * NOISE, 360.0), "angle", 360.0),
        ("nacelle_dir", 100 + 100 * np.abs(np.sin(np.arange(N) / 500)), "angle", 360.0),
        ("hour", np.arange(N) % 24, "angle", 24.0),
        ("compass_direction", 45.0 * RNG.integers(0, 8, N), "angle", 360.0),
        ("valve_angle", 40 + 10 * np.sin(np.arange(N) / 50), "analog", 0.0),
        ("mode", RNG.integers(1, 5, N), "discrete", 0.0),
        ("pump_on", RNG.integers(0, 2, N), "discrete", 0.0),
        ("setpoint", np.full(N, 21.0), "constant", 0.0),
    ],
)
def test_name_helps_where_values_may_be_either(name: str, values: Values, kind: str, turn: float) -> None:
    channel = found(values, name).channel
    assert (channel.kind, channel.turn) == (kind, turn)


def test_reason_has_numbers_that_a_person_can_check() -> None:
    rises = np.concatenate([[5.0], 5.0 + np.cumsum(np.where(np.arange(1, 2000) % 2, 0.01, 0.4))])
    assert found(np.round(rises, 2)).reason == "never falls in 2,000 lines, rises by 0.01 to 0.4 a line"
    angle = np.mod(np.arange(0, 20_000, 7.0), 360.0)
    assert found(angle).reason == f"jumps {int((np.diff(angle) < -180).sum())} times between 0 and 360"
    assert found(np.arange(300) * 0.1).reason.endswith("it only rises here: if it counts, give --kind x=counter")


def test_channel_that_is_perhaps_no_level_is_doubted_in_a_few_words() -> None:
    mixed = found(np.concatenate([9000 + np.cumsum(STEPS), 9000 + NOISE]))
    assert mixed.channel.kind == Kind.ANALOG
    assert mixed.reason.endswith(
        "; it counts in one half of the lines and not in the other: give one of them, or --ignore x"
    )
    assert found(100 - 0.01 * np.arange(N)).reason.endswith("; it only falls here: if it will go on so, --ignore x")


def test_unit_in_the_file_says_that_a_channel_counts() -> None:
    few = table({"x": np.round(20 + 0.1 * np.arange(60), 1)})
    kinds = [find_kinds([few], (), units)[0].channel.kind for units in ({"x": "kWh"}, {"x": "°C"}, {})]
    assert kinds == [Kind.COUNTER, Kind.ANALOG, Kind.ANALOG]


def test_parts_of_a_recording_are_one_channel() -> None:
    """A counter of two machines stands lower in the second file; that is no fall."""
    tables = [table({"x": 9000 + np.cumsum(STEPS)}), table({"x": 100 + np.cumsum(STEPS)})]
    assert [one.channel.kind for one in find_kinds(tables)] == [Kind.COUNTER]
    mixed = [table({"x": 9000 + np.cumsum(STEPS)}), table({"x": NOISE})]
    assert [one.channel.kind for one in find_kinds(mixed)] == [Kind.ANALOG]


def test_what_is_asked_for_counts() -> None:
    columns = {"level": COUNTERS["rises"], "dir": 10 * np.abs(NOISE)}
    asked = asked_kinds("level=analog, dir=angle", ("level", "dir"))
    level, direction = find_kinds([table(columns)], asked)
    assert (level.channel.kind, level.reason) == (Kind.ANALOG, "as asked")
    assert (direction.channel.kind, direction.channel.turn) == (Kind.ANGLE, 360.0)
    assert asked_kinds("dir=angle:400", ("dir",)) == (Channel("dir", kind=Kind.ANGLE, turn=400.0),)
    assert asked_kinds("a=b=counter", ("a=b",)) == (Channel("a=b", kind=Kind.COUNTER),)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("flow=counter", "--kind: 'flow' is no channel; channels are x, y"),
        ("x=meter", "--kind: 'meter' is no kind of channel; x may be analog, counter, angle, discrete, constant"),
        ("x", "--kind: 'x' should be a channel, an equals sign, and its kind; channels are x, y"),
        ("x=angle:0", "--kind: 'angle:0': the full turn of an angle is a number above 0, such as x=angle:360"),
        ("x=counter:5", "--kind: 'counter:5': the full turn of an angle is a number above 0, such as x=angle:360"),
    ],
)
def test_kind_that_cannot_be_is_refused_in_a_sentence(text: str, sentence: str) -> None:
    with pytest.raises(BadData) as refusal:
        asked_kinds(text, ("x", "y"))
    assert str(refusal.value) == sentence


def test_angle_whose_turn_cannot_be_told_is_refused() -> None:
    with pytest.raises(BadData, match=r"x goes from 0 to 1e\+06, which is within no usual turn"):
        find_kinds([table({"x": np.array([0.0, 1e6])})], asked_kinds("x=angle", ("x",)))


def test_table_shows_each_channel_and_of_many_those_that_are_special() -> None:
    kinds = (Channel("t"), Channel("energy", kind=Kind.COUNTER))
    recording = Recording(("t", "energy"), SECOND, (), kinds=kinds, reasons=("moves", "never falls"))
    assert table_of(recording, {"energy": "kWh"}) == [
        "channel  unit  kind     reason",
        "t              analog   moves",
        "energy   kWh   counter  never falls",
    ]
    names = tuple(f"c{n}" for n in range(500))
    many = Recording(names, SECOND, (), kinds=(*map(Channel, names[1:]), kinds[1]), reasons=("moves",) * 500)
    assert [line.split()[0] for line in table_of(many, {})] == ["channel", "energy", "and"]


def test_what_is_of_the_sensor_is_proposed_to_be_left_out() -> None:
    names = ("flow", "linkquality", "battery", "ESP_RSSI", "wifi-signal", "Uptime", "signal", "supply_temp", "freeHeap")
    assert [name for name in names if says_nothing(name)] == [names[i] for i in (1, 2, 3, 4, 5, 8)]
    assert says_nothing("radio", "dBm")
    assert proposal([("flow", ""), ("lqi", ""), ("battery", "%")]) == (
        "lqi, battery: by name of the sensor, not of the machine, and best left out: --ignore lqi,battery"
    )
    assert proposal([("flow", "m3/h")]) is None
