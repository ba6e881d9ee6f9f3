"""Files to segments: the rows are the daemon's, and what was odd is said."""

import gzip
from pathlib import Path

import numpy as np
import pytest
from edge_ae_train.data import loading, prepare
from edge_ae_train.data.clean import clean
from edge_ae_train.data.prepare import RowOptions, Sampling

from edge_ae.core.expression import Expression
from edge_ae.errors import BadData
from edge_ae.store.recording.options import ReadOptions
from tests.train.data.written import T0, lines, make

SECOND = 10**9


def test_whole_recording_becomes_one_segment_of_all_its_rows(tmp_path: Path) -> None:
    recording = prepare.read([make(tmp_path, "t,a,b\n" + lines([100.0, 101.0, 102.0]))])
    (segment,) = recording.segments
    assert (segment.asset, segment.start_slot, segment.labels) == ("r", T0 + 100, None)
    assert segment.values.dtype == np.float32
    assert segment.values.tolist() == [[0, 0], [1, -1], [2, -2]]
    assert (recording.names, recording.period_ns) == (("a", "b"), SECOND)
    assert recording.notes == ("the sample period is 1 s",)


def test_blocks_of_lines_do_not_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make(tmp_path, "t,a,b\n" + lines([float(s) for s in range(100, 111)]))
    whole = prepare.read([path]).segments[0].values.tolist()
    for size in (1, 3, 11):
        monkeypatch.setattr(prepare, "BLOCK_LINES", size)
        assert prepare.read([path]).segments[0].values.tolist() == whole


def test_gap_ends_a_segment_and_a_short_one_is_rows_of_nan(tmp_path: Path) -> None:
    path = make(tmp_path, "t,a,b\n" + lines([100.0, 101.0, 102.0, 104.0, 500.0, 501.0]))
    recording = prepare.read([path])
    first, second = recording.segments
    assert np.isnan(first.values[:, 0]).tolist() == [False, False, False, True, False]
    assert (second.start_slot, len(second)) == (T0 + 500, 2)
    assert "r: a gap of 6.583 min at 2020-09-14T00:01:45.000Z" in recording.notes


def test_slot_is_labelled_by_any_of_its_lines(tmp_path: Path) -> None:
    text = "t,a,l\n100,1,0\n100.4,2,1\n101,3,0\n103,5,1\n104,1,0\n"
    tables = clean(loading.load([make(tmp_path, text)], ReadOptions(label="l"))).tables
    (segment,) = prepare.rows(tables, Sampling(SECOND))
    assert segment.labels is not None
    assert segment.labels.tolist() == [True, False, False, True, False]
    assert segment.values[0].tolist() == [1.5]


def test_rows_of_another_state_are_left_out_and_part_a_segment(tmp_path: Path) -> None:
    text = "t,a,b\n" + "".join(f"{second},{second % 5},{0 if second == 103 else 9}\n" for second in range(100, 110))
    recording = prepare.read([make(tmp_path, text)], asked=RowOptions(when=Expression.of("b > 5")))
    first, second = recording.segments
    assert (len(first), len(second), second.start_slot - first.start_slot) == (3, 6, 4)
    assert recording.when == "b > 5"
    assert "1 of 10 rows are left out: b > 5 does not hold there, or a value is missing" in recording.notes


def test_kinds_are_those_of_the_rows_in_the_state(tmp_path: Path) -> None:
    """A heater that is on or off while the machine runs, and is cooled in many steps where it stands."""
    runs = "".join(f"{second},{second % 40},{second % 2},3\n" for second in range(200))
    stands = "".join(f"{200 + second},{-second % 40},{second / 7},0\n" for second in range(200))
    path = make(tmp_path, f"t,a,heater,speed\n{runs}{stands}")
    anywhere = prepare.read([path])
    running = prepare.read([path], asked=RowOptions(when=Expression.of("speed > 1")))
    assert [channel.kind for channel in anywhere.kinds] == ["analog", "analog", "discrete"]
    assert [channel.kind for channel in running.kinds] == ["analog", "discrete", "discrete"]
    assert "channel 'speed' never moves" in running.notes


def test_a_state_told_by_a_counter_is_one_of_its_rate(tmp_path: Path) -> None:
    """Of a meter that stands while the state holds, which is no counter there."""
    text = "".join(f"{s},{s % 7},{5 * min(s, 1500)}\n" for s in range(2000))
    recording = prepare.read([make(tmp_path, f"t,a,meter\n{text}")], asked=RowOptions(when=Expression.of("meter < 1")))
    assert (recording.kinds[1].kind, sum(map(len, recording.segments))) == ("counter", 499)


@pytest.mark.parametrize(
    ("when", "sentence"),
    [
        ("sped > 5", "--when: 'sped' is no channel of the model; there are a, b"),
        ("b > 99", "b > 99 holds in none of 10 rows"),
    ],
)
def test_a_state_that_leaves_nothing_to_learn_from_is_refused(when: str, sentence: str, tmp_path: Path) -> None:
    text = "t,a,b\n" + "".join(f"{second},{second % 5},{second % 3}\n" for second in range(100, 110))
    with pytest.raises(BadData, match=sentence):
        prepare.read([make(tmp_path, text)], asked=RowOptions(when=Expression.of(when)))


def recorder_file(folder: Path, name: str, first_s: int, seconds: int) -> None:
    folder.mkdir(exist_ok=True)
    lines = "".join(f"{first_s + n},{n % 7}\n" for n in range(seconds))
    (folder / name).write_bytes(gzip.compress(f"timestamp,a\n{lines}".encode()))


def test_files_of_the_recorder_are_one_asset_and_one_segment_where_they_follow_on(tmp_path: Path) -> None:
    """A new day began a new file; after the second, there is a gap."""
    for asset in ("fan", "pump"):
        recorder_file(tmp_path / asset, "20260101T000000.csv.gz", T0, 50)
        recorder_file(tmp_path / asset, "20260102T000000.csv.gz", T0 + 50, 50)
        recorder_file(tmp_path / asset, "20260102T000000-2.csv.gz", T0 + 500, 50)
    recording = prepare.read([tmp_path])
    assert [(one.asset, one.start_slot, len(one)) for one in recording.segments] == [
        ("fan", T0, 100),
        ("fan", T0 + 500, 50),
        ("pump", T0, 100),
        ("pump", T0 + 500, 50),
    ]
    assert [note.partition(" at ")[0] for note in recording.notes if "gap" in note] == [
        "fan: a gap of 6.667 min",
        "pump: a gap of 6.667 min",
    ]


def test_channel_that_the_recorder_saw_later_is_missing_before(tmp_path: Path) -> None:
    recorder_file(tmp_path / "pump", "20260101T000000.csv.gz", T0, 2)
    (tmp_path / "pump" / "20260101T000002.csv.gz").write_bytes(gzip.compress(f"timestamp,b,a\n{T0 + 2},5,1\n".encode()))
    (segment,) = prepare.read([tmp_path]).segments
    np.testing.assert_array_equal(segment.values, [[0, np.nan], [1, np.nan], [1, 5]])


def test_files_of_other_names_stay_alone(tmp_path: Path) -> None:
    for number in range(2):
        lines = "".join(f"{T0 + 50 * number + n},{n % 7}\n" for n in range(50))
        (tmp_path / f"day{number}.csv").write_text(f"timestamp,a\n{lines}")
    assert [(one.asset, len(one)) for one in prepare.read([tmp_path]).segments] == [("day0", 50), ("day1", 50)]


def test_assets_of_one_file_become_segments_of_their_own(tmp_path: Path) -> None:
    text = "t,pump,a\n100,p2,1\n100,p1,10\n101,p1,11\n101,p2,2\n"
    recording = prepare.read([make(tmp_path, text)], ReadOptions(asset="pump"))
    assert [(s.asset, s.values[:, 0].tolist()) for s in recording.segments] == [
        ("p1", [10.0, 11.0]),
        ("p2", [1.0, 2.0]),
    ]


def test_nothing_is_learned_from_rows_that_a_label_marks(tmp_path: Path) -> None:
    text = "t,a,l\n" + "".join(f"{s},{s},{int(s in (103, 104))}\n" for s in range(100, 110))
    recording = prepare.read([make(tmp_path, text)], ReadOptions(label="l"))
    assert [(one.start_slot, len(one)) for one in recording.segments] == [(T0 + 100, 3), (T0 + 105, 5)]
    assert "2 rows that 'l' marks are left out: a model learns from normal ones alone" in recording.notes
    assert not any("gap" in note for note in recording.notes)
    path = make(tmp_path, "t,a,l\n1,1,1\n2,2,1\n")
    with pytest.raises(BadData, match=r"r\.csv: 'l' marks every row"):
        prepare.read([path], ReadOptions(label="l"))


def test_many_gaps_are_counted_and_not_all_named(tmp_path: Path) -> None:
    notes = prepare.read(
        [make(tmp_path, "t,a,b\n" + lines([1000.0 * n for n in range(20)]))], asked=RowOptions(period_ns=SECOND)
    ).notes
    assert sum("a gap of" in note for note in notes) == prepare.MOST_GAPS
    assert "and 14 more gaps" in notes


def test_200_channels_are_as_good_as_two(tmp_path: Path) -> None:
    header = "t," + ",".join(f"c{i}" for i in range(200))
    text = header + "\n" + "".join(f"{s}," + ",".join([str(s)] * 200) + "\n" for s in range(5))
    assert prepare.read([make(tmp_path, text)]).segments[0].values.shape == (5, 200)
