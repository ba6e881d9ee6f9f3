"""Which families are trained, and how far."""

from collections import Counter
from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import pytest
from edge_ae_train import search
from edge_ae_train.candidates import WHOLE, Candidate, train_candidate
from edge_ae_train.data import fault_injection
from edge_ae_train.data.segments import Segment
from edge_ae_train.fit import Options, fit, material_of
from edge_ae_train.material import Material
from edge_ae_train.models.families import FAMILIES, LINEAR
from edge_ae_train.progress import SILENT, Reporter
from edge_ae_train.search import GROWTH, HYBRID_GROWTH, QUARTER, Race, compare
from edge_ae_train.select import GAIN, REPEATS, TIE, Contender, thinned

from tests.models import pump


class PaperRace:
    """A race of which every outcome is known: of each family the share found early and when it is trained whole."""

    def __init__(self, shares: Mapping[str, tuple[float, float]]) -> None:
        self.shares = shares
        self.trained_whole: list[str] = []

    def whole(self, family: str, _reporter: Reporter) -> Contender:
        self.trained_whole.append(family)
        return Contender(cast(Any, None), {"all": self.shares[family][1]})

    def early(self, family: str, _reporter: Reporter) -> float:
        return self.shares[family][0]

    def share(self, contender: Contender) -> float:
        return contender.found["all"]


def raced(monkeypatch: pytest.MonkeyPatch, shares: Mapping[str, tuple[float, float]]) -> search.Compared:
    """The linear families, whole, beside others."""
    race = PaperRace(shares)
    monkeypatch.setattr(search, "Race", lambda _material: race)
    compared = compare(list(shares), cast(Any, None), SILENT, halving=True)
    assert set(compared.contenders) | set(compared.left_out) == set(shares)
    assert set(race.trained_whole) == set(compared.contenders)
    return compared


CVA, PCA = {"cva": (0.0, 0.4)}, {"pca": (0.0, 0.3)}
LINEARS = {**CVA, **PCA}


def test_of_networks_that_may_win_the_best_is_trained_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    finding = {**LINEARS, "ae": (0.6, 0.6), "dae": (0.7, 0.7), "vae": (0.5, 0.5)}
    compared = raced(monkeypatch, finding)
    assert list(compared.contenders) == ["cva", "pca", "dae"]
    assert compared.left_out["ae"] == "60% after 25% of its training, cva 40%"


@pytest.mark.parametrize(("short_by", "trained"), [(0.01, False), (-0.01, True)])
def test_what_lags_further_behind_than_training_makes_up_for_is_trained_no_further(
    monkeypatch: pytest.MonkeyPatch, short_by: float, trained: bool
) -> None:
    share = 0.4 + TIE - GROWTH - short_by
    assert ("ae" in raced(monkeypatch, {**LINEARS, "ae": (share, 0.4)}).contenders) == trained


@pytest.mark.parametrize(("short_by", "trained"), [(0.005, False), (-0.005, True)])
def test_a_hybrid_is_trained_whole_where_it_may_earn_its_share(
    monkeypatch: pytest.MonkeyPatch, short_by: float, trained: bool
) -> None:
    share = 0.4 + GAIN - HYBRID_GROWTH - short_by
    found = raced(monkeypatch, {**LINEARS, "hybrid": (share, 0.4), "cae": (0.1, 0.1)})
    assert ("hybrid" in found.contenders) == trained
    assert ("cae" in found.contenders) == trained, "its network has been trained"


def test_a_hybrid_that_leads_raises_what_the_others_have_to_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    finding = {**LINEARS, "hybrid": (0.8, 0.8), "ae": (0.6, 0.6)}
    assert list(raced(monkeypatch, finding).contenders) == ["cva", "pca", "hybrid"]
    assert list(raced(monkeypatch, finding | {"hybrid": (0.5, 0.5)}).contenders) == ["cva", "pca", "hybrid", "ae"]


def test_no_network_is_tried_where_none_can_lead_by_more_than_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    most = 1.0 - GAIN / 2
    compared = raced(monkeypatch, {**PCA, "cva": (0.0, most), "hybrid": (1.0, 1.0), "ae": (1.0, 1.0)})
    assert compared.left_out == dict.fromkeys(("hybrid", "ae"), "not tried: cva finds 100%")


def test_a_family_is_trained_once_whoever_asks_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    trained: list[tuple[str, float]] = []

    def train(family: str, material: Material, reporter: Reporter, steps: float = WHOLE) -> Candidate:
        trained.append((family, steps))
        return train_candidate("pca" if family == "cae" else family, material, reporter, steps)

    monkeypatch.setattr(search, "train_candidate", train)
    race = Race(material_of([Segment(pump(600).values.astype(np.float32))], Options(length=16)))
    for family in (*LINEAR, "hybrid", "cae", "hybrid"):
        race.early(family, SILENT)
        race.whole(family, SILENT)
    assert sorted(trained) == sorted((family, steps) for family in ("cva", "pca", "cae") for steps in (QUARTER, 1.0))


@pytest.mark.parametrize("rows", [600, 4200], ids=["few rows, folds", "many rows"])
def test_early_some_of_the_very_faults_are_looked_for_that_whole_training_looks_for(rows: int) -> None:
    race = Race(material_of([Segment(pump(rows).values.astype(np.float32))], Options(length=16)))
    whole = race.whole("pca", SILENT)
    assert race.early("pca", SILENT) == pytest.approx(race.share(whole))  # for a linear family has no steps
    assert race.share(whole) == pytest.approx(whole.found["all"], abs=0.1)
    assert len(whole.candidate.blocks) == 4


def test_of_thinned_faults_each_kind_and_strength_keeps_its_part() -> None:
    rows = np.random.default_rng(0).normal(size=(400, 2)).astype(np.float32)
    injections = fault_injection.inject(rows, 16, REPEATS, np.random.default_rng(0))
    few = thinned({(0, 400): injections}, 4)[(0, 400)]
    assert len(few) * 4 == len(injections)
    assert set(Counter((one.kind, one.strength) for one in few).values()) == {REPEATS // 4}


def test_fit_says_of_every_family_what_became_of_it_and_thorough_trains_them_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[bool] = []

    def quick(families: Any, material: Any, reporter: Reporter, *, halving: bool) -> search.Compared:
        asked.append(halving)
        done = compare(["cva", "pca"], material, reporter, halving=halving)
        return search.Compared(done.contenders, dict.fromkeys(set(families) - {"cva", "pca"}, "not tried"))

    monkeypatch.setattr("edge_ae_train.fit.compare", quick)
    rows = [Segment(pump().values[:600].astype(np.float32))]
    report = fit(rows, Options(length=16)).report
    fit(rows, Options(length=16, thorough=True))
    assert asked == [True, False]
    assert set(report["candidates"]) | set(report["left_out"]) == set(FAMILIES)
