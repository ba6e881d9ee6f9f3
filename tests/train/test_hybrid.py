"""The hybrid: a network's share where it earns one, and where it earns none the linear model itself."""

from pathlib import Path

import numpy as np
import pytest
from edge_ae_train import blend, candidates, networks, search, select
from edge_ae_train.blend import blended
from edge_ae_train.data.segments import Recording, Segment
from edge_ae_train.export import Origin, save
from edge_ae_train.fit import Fitted, Options, fit, material_of
from edge_ae_train.material import Material
from edge_ae_train.models.families import HYBRID
from edge_ae_train.models.hybrid import Hybrid, errors, shares
from edge_ae_train.models.trainer import Recipe
from edge_ae_train.progress import SILENT
from edge_ae_train.search import Race

from edge_ae.core.model_spec import Floats
from tests.models import TRAINED_LENGTH, pump

ROWS = 600


class Restores:
    """Restores so many of each channel's deviations wrongly, whatever is in the window."""

    def __init__(self, *wrong_by: float) -> None:
        self.wrong_by = np.array(wrong_by, np.float32)

    def __call__(self, window: Floats) -> tuple[Floats, Floats]:
        return window[:, -1], window + self.wrong_by


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(networks, "Recipe", lambda: Recipe(batch=16, steps=20, check_every=10))
    monkeypatch.setattr(networks, "LEAST_STEPS", 20)
    monkeypatch.setattr(candidates, "FOLDS", 2)


def rows() -> Floats:
    return pump(ROWS).values.astype(np.float32)


def material() -> Material:
    return material_of([Segment(rows())], Options(length=TRAINED_LENGTH))


def scores(fitted: Fitted) -> Floats:
    windows = np.lib.stride_tricks.sliding_window_view(rows(), TRAINED_LENGTH, axis=0).transpose(0, 2, 1)
    found: Floats = fitted.graph(np.ascontiguousarray(windows))[0]
    return found


def shares_beside(linear: Restores, network: Restores) -> list[float]:
    chunk = (np.zeros((5, 4, 3), np.float32), np.ones((5, 4, 3), np.float32))
    found: list[float] = shares(errors(linear, network, [chunk, chunk], np.full(4, 0.25, np.float32))).tolist()
    return found


def test_a_channel_has_the_share_that_leaves_least_and_none_where_the_network_makes_it_worse() -> None:
    assert shares_beside(Restores(1.0, 1.0, 1.0), Restores(0.0, -1.0, 2.0)) == [1.0, 0.5, 0.0]


def test_a_gain_of_next_to_nothing_is_no_share() -> None:
    assert shares_beside(Restores(1.0, 1.0, 1.0), Restores(0.997, 1.0, 0.5)) == [0.0, 0.0, 1.0]


def test_what_is_missing_and_rows_that_the_score_does_not_look_at_decide_nothing() -> None:
    values = np.zeros((2, 4, 1), np.float32)
    present = np.tile(np.array([1.0, 0.0, 1.0, 1.0], np.float32)[:, None], (2, 1, 1))
    weights = np.array([0.0, 5.0, 1.0, 1.0], np.float32)
    assert errors(Restores(1.0), Restores(0.0), [(values, present)], weights).flatten().tolist() == [4.0, 4.0, 4.0]


def test_shares_move_the_linear_restoration_towards_the_networks_and_the_latent_is_the_linear_one() -> None:
    hybrid = Hybrid(Restores(1.0, 1.0), Restores(3.0, 3.0), np.array([0.0, 0.5], np.float32))
    latent, restored = hybrid(np.zeros((1, 4, 2), np.float32))
    assert restored[0, 0].tolist() == [1.0, 2.0]
    assert latent.shape == (1, 2)


@pytest.mark.usefixtures("quick")
def test_the_shares_of_a_block_come_from_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    one = material()
    race = Race(one)
    linear, network = (race.whole(family, SILENT).candidate for family in ("cva", "cae"))
    lefts = iter([1.0, 3.0])
    monkeypatch.setattr(blend, "errors", lambda *_: np.full((3, 10), next(lefts), np.float32))
    monkeypatch.setattr(blend, "shares", lambda found: found[0] / 100)
    mixed = blended(linear, network, one)
    found = [network.share[0].item() for network in (views_of(mixed.blocks[0]), views_of(mixed.blocks[1]))]
    assert found == pytest.approx([0.03, 0.01])
    assert views_of(mixed).share[0].item() == pytest.approx(0.04)


def views_of(one: candidates.Candidate | candidates.HeldOutBlock) -> Hybrid:
    network = one.trained.views.network
    assert isinstance(network, Hybrid)
    return network


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("reason", ["no channel gains", "no more faults are found"])
def test_where_the_network_earns_nothing_the_hybrid_is_the_linear_model(
    monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    segments = [Segment(rows())]
    linear = fit(segments, Options(family="cva", length=TRAINED_LENGTH))
    if reason == "no channel gains":
        monkeypatch.setattr(blend, "shares", lambda found: np.zeros(found.shape[1], np.float32))
        monkeypatch.setattr(search, "GAIN", -1.0)
    else:
        monkeypatch.setattr(search, "GAIN", 1.0)
    monkeypatch.setattr(select, "best", lambda shares: next(iter(shares)))
    hybrid = fit(segments, Options(family=HYBRID, length=TRAINED_LENGTH))
    assert hybrid.candidate.family == HYBRID
    np.testing.assert_allclose(scores(hybrid), scores(linear), rtol=1e-5)
    assert hybrid.report["candidates"][HYBRID]["found"] == linear.report["candidates"]["cva"]["found"]


@pytest.mark.usefixtures("quick")
def test_a_hybrid_with_a_share_is_one_graph_that_proves_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blend, "shares", lambda found: np.linspace(0.1, 0.9, found.shape[1], dtype=np.float32))
    monkeypatch.setattr(search, "GAIN", -1.0)
    fitted = fit([Segment(rows())], Options(family=HYBRID, length=TRAINED_LENGTH))
    assert isinstance(fitted.candidate.trained.views.network, Hybrid)
    recording = Recording(pump(2).names, 10**10, (Segment(rows()),))
    model = save(fitted, recording, Origin("m"), tmp_path / "m.onnx")
    assert model.spec.family == HYBRID
    windows = np.lib.stride_tricks.sliding_window_view(rows(), TRAINED_LENGTH, axis=0).transpose(0, 2, 1)
    np.testing.assert_allclose(model.score(np.ascontiguousarray(windows)), scores(fitted), rtol=1e-4, atol=1e-5)
    assert set(fitted.report["candidates"]) == {"cva", "pca", HYBRID}


@pytest.mark.usefixtures("quick")
def test_the_same_seed_makes_the_same_hybrid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blend, "shares", lambda found: np.full(found.shape[1], 0.5, np.float32))
    monkeypatch.setattr(search, "GAIN", -1.0)
    one, other = (fit([Segment(rows())], Options(family=HYBRID, length=TRAINED_LENGTH, seed=3)) for _ in range(2))
    assert isinstance(one.candidate.trained.views.network, Hybrid)
    np.testing.assert_array_equal(scores(one), scores(other))
