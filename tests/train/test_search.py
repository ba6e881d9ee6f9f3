"""Which families are trained, and how far."""

from collections import Counter
from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import pytest
from edge_ae_train import search
from edge_ae_train.candidates import WHOLE, Effort
from edge_ae_train.data import fault_injection
from edge_ae_train.data.segments import Segment
from edge_ae_train.fit import Options, fit, material_of
from edge_ae_train.models.families import FAMILIES, LINEAR
from edge_ae_train.progress import SILENT, Reporter
from edge_ae_train.search import RUNGS, Race, compare
from edge_ae_train.select import REPEATS, TIE, Contender, thinned

from tests.models import pump


class PaperRace:
    """A race of which every outcome is known: `shares` of the faults, by family and by rung, the last when trained whole."""

    def __init__(self, shares: Mapping[str, tuple[float, ...]]) -> None:
        self.shares = shares
        self.ran: list[tuple[str, float]] = []

    def whole(self, family: str, reporter: Reporter) -> Contender:
        return self.run(family, reporter)

    def run(self, family: str, _reporter: Reporter, effort: Effort = WHOLE, _every: int = 1) -> Contender:
        self.ran.append((family, effort.steps))
        efforts = [*(rung.effort for rung in RUNGS), WHOLE]
        share = self.shares[family][efforts.index(effort)] if len(self.shares[family]) > 1 else self.shares[family][0]
        return Contender(cast(Any, None), {"all": share})


def raced(monkeypatch: pytest.MonkeyPatch, shares: Mapping[str, tuple[float, ...]]) -> tuple[PaperRace, set[str]]:
    race = PaperRace(shares)
    monkeypatch.setattr(search, "Race", lambda _material: race)
    compared = compare(list(shares), cast(Any, None), SILENT, halving=True)
    assert set(compared.contenders) | set(compared.left_out) == set(shares)
    return race, set(compared.contenders)


def test_of_networks_that_may_win_half_go_on_and_one_is_trained_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    finding = {"cva": (0.4,), "pca": (0.3,), "ae": (0.6,) * 3, "dae": (0.7,) * 3, "vae": (0.5,) * 3}
    race, whole = raced(monkeypatch, finding)
    assert whole == {"cva", "pca", "dae"}
    eighth, third = (rung.effort.steps for rung in RUNGS)
    assert [(family, steps) for family, steps in race.ran if steps > eighth and family not in LINEAR] == [
        ("ae", third),
        ("dae", third),
        ("dae", 1.0),
    ]


def test_what_lags_further_behind_than_training_makes_up_for_is_trained_no_further(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lag = 0.6 + TIE - RUNGS[0].growth
    race, whole = raced(monkeypatch, {"cva": (0.6,), "pca": (0.3,), "ae": (lag - 0.02,) * 3, "dae": (lag - 0.04,) * 3})
    assert whole == {"cva", "pca"}
    assert {steps for family, steps in race.ran if family not in LINEAR} == {RUNGS[0].effort.steps}


def test_a_hybrid_that_leads_raises_what_the_others_have_to_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    finding = {"cva": (0.5,), "pca": (0.4,), "hybrid": (0.8,), "ae": (0.6,) * 3}
    assert raced(monkeypatch, finding)[1] == {"cva", "pca", "hybrid"}
    assert raced(monkeypatch, finding | {"hybrid": (0.5,)})[1] == {"cva", "pca", "hybrid", "ae"}


def test_no_network_is_tried_where_none_can_lead_by_more_than_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    race, whole = raced(monkeypatch, {"cva": (1.0 - TIE / 2,), "pca": (0.5,), "ae": (1.0,) * 3})
    assert whole == {"cva", "pca"}
    assert race.ran == [("cva", 1.0), ("pca", 1.0)]


@pytest.mark.parametrize(("rows", "blocks"), [(600, 2), (4200, 4)], ids=["few rows, folds", "many rows"])
def test_a_rung_looks_for_some_of_the_very_faults_that_whole_training_looks_for(rows: int, blocks: int) -> None:
    segment = Segment(pump(rows).values.astype(np.float32))
    race = Race(material_of([segment], Options(length=16)))
    whole, part = race.run("pca", SILENT), race.run("pca", SILENT, Effort(blocks=2), every=4)
    spans = [[block.span for block in one.candidate.blocks] for one in (whole, part)]
    assert spans[1] == spans[0][:blocks]
    assert len(spans[0]) == 4


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
