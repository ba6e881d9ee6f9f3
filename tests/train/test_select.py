"""Who is chosen, and by which faults."""

import numpy as np
import pytest
from edge_ae_train import select
from edge_ae_train.data import fault_injection
from edge_ae_train.data.segments import Segment
from edge_ae_train.fit import Options, fit
from edge_ae_train.scoring.preprocess import CONSTANT_LIMIT, Standardise, fit_scaler

from tests.models import pump


def test_injected_faults_are_cut_as_the_model_cuts_them() -> None:
    """A channel that stood still says three deviations at most, to the comparison and to the device."""
    rows = pump().values[:400].astype(np.float32)
    rows[:, 0] = 7.0
    candidate = fit([Segment(rows)], Options(family="pca", length=16)).candidate
    standardise = Standardise(fit_scaler([rows]))
    largest = [
        np.abs(one.rows).max(axis=0) for block in select.plan(candidate, standardise, 0).values() for one in block
    ]
    assert np.max(largest, axis=0)[0] == CONSTANT_LIMIT
    assert (np.max(largest, axis=0)[1:] > CONSTANT_LIMIT).all()


@pytest.mark.parametrize(
    ("found", "chosen"),
    [
        ({"pca": 0.40, "cva": 0.44, "cae": 0.44}, "pca"),
        ({"pca": 0.30, "cva": 0.38, "cae": 0.40}, "cva"),
        ({"pca": 0.30, "cva": 0.38, "cae": 0.50}, "cae"),
        ({"cva": 0.40, "pca": 0.30, "hybrid": 0.44, "cae": 0.44}, "hybrid"),
        ({"cva": 0.40, "pca": 0.42, "hybrid": 0.42, "cae": 0.44}, "cva"),
    ],
)
def test_of_families_that_find_as_many_but_for_chance_the_simplest_ships_or_the_hybrid_that_earned_its_share(
    found: dict[str, float], chosen: str
) -> None:
    assert select.best({family: {"all": share} for family, share in found.items()}) == chosen


def test_the_comparison_says_who_found_which_faults_and_who_was_trained_no_further(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = dict.fromkeys(("small", "medium", "large", "all"), 0.5) | dict.fromkeys(fault_injection.KINDS, 0.25)
    report = {
        "trial_rate": 1e-3,
        "chosen": "cva",
        "candidates": {"cva": {"found": found}, "cae": {"found": found | {"stuck": 0.75}}},
        "left_out": {"ae": "31% after 12% of its training, when cva found 47%"},
    }
    select.print_comparison(report)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["stuck", "25%", "75%"] in lines
    assert ["cva", "50%", "50%", "50%", "50%", "<-", "exported"] in lines
    assert ["ae", "31%", "after", "12%", "of", "its", "training,", "when", "cva", "found", "47%"] in lines


@pytest.mark.parametrize(
    ("shares", "asked", "said"),
    [
        ({"cva": 0.5, "pca": 0.4}, "auto", "cva finds most"),
        ({"cva": 0.5, "cae": 0.53}, "auto", "cae finds 3.0% more than cva: no more than chance, which is 5% here, and cva is simpler"),
        ({"cva": 0.5, "pca": 0.4, "hybrid": 0.53}, "auto", "hybrid finds 3.0% more than cva does alone: more than chance, which is 1% here"),
        ({"pca": 0.5, "cae": 0.53}, "pca", "pca was asked for"),
        ({"pca": 0.5, "cae": 0.6}, "pca", "note: cae finds 10% more than pca, which was asked for"),
    ],
)  # fmt: skip
def test_the_reason_of_a_choice_is_a_sentence(shares: dict[str, float], asked: str, said: str) -> None:
    found = {family: {"all": share} for family, share in shares.items()}
    chosen = select.best(found) if asked == "auto" else asked
    candidates = {family: {"found": one} for family, one in found.items()}
    assert select.why_chosen({"asked": asked, "chosen": chosen, "candidates": candidates}) == said
