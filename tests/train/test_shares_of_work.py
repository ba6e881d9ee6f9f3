"""Each piece of work knows its own share; what is shown is the share of all work."""

from pathlib import Path

import numpy as np
import pytest
from edge_ae_train.data.loading import read_tables
from edge_ae_train.data.segments import Segment
from edge_ae_train.fit import Options, fit
from edge_ae_train.options import FAMILIES
from edge_ae_train.progress import Reporter, in_parts
from edge_ae_train.search import WORK

from tests.models import pump


def test_shares_of_a_part_are_shares_of_the_whole() -> None:
    shown: list[tuple[str, float]] = []
    reporter = Reporter(lambda text, share: shown.append((text, share))).part(0.5, 1.0)
    first, second = in_parts(reporter, [1.0, 3.0])
    first.step("a")
    first.counting("b")(1, 2)
    second.step("c", 0.5)
    second.counting("d")(0, 0)
    assert shown == [("a", 0.5), ("b", 0.5625), ("c", 0.8125), ("d", 0.625)]


def test_every_family_has_its_part_of_the_work() -> None:
    assert set(WORK) == set(FAMILIES)


@pytest.mark.parametrize("rows", [600, 4200], ids=["few rows, folds", "many rows"])
def test_training_goes_from_nothing_to_nearly_all_and_never_back(rows: int) -> None:
    shares: list[float] = []
    values = pump().values[:rows].astype(np.float32)
    fit([Segment(values)], Options(family="pca", length=16), Reporter(lambda _text, share: shares.append(share)))
    assert shares == sorted(shares)
    assert shares[0] == 0.0
    assert 0.5 < shares[-1] < 1.0


def test_reading_goes_through_its_files_by_their_size(tmp_path: Path) -> None:
    shown: list[tuple[str, float]] = []
    for name, lines in (("small", 100), ("large", 60_000)):
        rows = "".join(f"{1_767_225_600 + k},{k % 7}\n" for k in range(lines))
        (tmp_path / f"{name}.csv").write_text(f"time,flow\n{rows}")
    read_tables([tmp_path / "small.csv", tmp_path / "large.csv"], reporter=Reporter(lambda *step: shown.append(step)))
    texts, shares = zip(*shown, strict=True)
    assert list(dict.fromkeys(texts)) == ["reading small.csv", "reading large.csv"]
    assert list(shares) == sorted(shares)
    assert len({share for text, share in shown if text == "reading large.csv"}) > 2
