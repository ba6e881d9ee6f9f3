"""The plants that the quality bench makes up: each seed another, and a fault is one only where it changes something."""

import numpy as np

from tests.bench.random_plants import COMMAND_FAULTS, FAULTS, SENSOR_FAULTS, quiet_plants, random_plant

SEEDS = range(6)


def test_a_seed_makes_the_same_plant_again_and_another_seed_another() -> None:
    (one, _), (again, _), (other, _) = (random_plant(seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one.table.values, again.table.values)
    assert one.table.values.shape != other.table.values.shape


def test_labels_lie_within_faults_behind_the_rows_to_learn_from() -> None:
    for seed in SEEDS:
        case, faults = random_plant(seed)
        assert len(faults) == FAULTS
        within = np.zeros_like(case.label)
        for fault in faults:
            within[fault.span] = True
        assert not (case.label & ~within).any()
        assert not case.label[: case.start].any()
        assert case.label.any()


def test_a_valve_that_sticks_where_it_would_have_stayed_is_no_fault() -> None:
    spans = [(case, fault) for seed in SEEDS for case, faults in [random_plant(seed)] for fault in faults]
    silent = {fault.kind for case, fault in spans if not case.label[fault.span].any()}
    assert silent <= {"stuck command", "never together"}
    assert silent
    assert {fault.kind for _, fault in spans} == {*SENSOR_FAULTS, *COMMAND_FAULTS}


def test_a_quiet_plant_is_as_long_as_asked_and_nothing_is_wrong_in_it() -> None:
    (case,) = quiet_plants([3], 800, 400)
    assert (len(case.table), case.start) == (1200, 800)
    assert not case.label.any()
    assert np.isfinite(case.table.values).all()
