"""Discrete channels are judged by themselves: no switch moves the boundary of the others, and what they never did is found."""

from pathlib import Path

import numpy as np
import pytest
import torch
from edge_ae_train import fit as fit_module
from edge_ae_train import networks
from edge_ae_train.data import command_faults
from edge_ae_train.data.segments import Recording, Segment
from edge_ae_train.discrete import UNSEEN, discrete_score, fit_ladders, found, make_ladder, tail_of_both
from edge_ae_train.export import Origin, save
from edge_ae_train.fit import Fitted, Options, fit, material_of
from edge_ae_train.material import Material
from edge_ae_train.models.autoencoders import VariationalAutoencoder
from edge_ae_train.models.torch_network import TorchNetwork
from edge_ae_train.models.trainer import Recipe
from edge_ae_train.select import print_comparison

from edge_ae.core.model_spec import Channel, Floats, Kind, Tail
from edge_ae.core.timestamps import SECOND
from edge_ae.model.onnx_model import OnnxModel

LENGTH, ROWS = 16, 1500
TAIL = Tail(level=1.0, scale=0.2, shape=0.0, rate=0.04)
CHANNELS = (
    Channel("flow"),
    Channel("pressure"),
    Channel("pump", kind=Kind.DISCRETE),
    Channel("drain", kind=Kind.DISCRETE),
)


def plant(seed: int, rows: int = ROWS) -> Floats:
    """Flow and pressure that follow a load; a pump that goes on and off, and a drain that is opened three times."""
    rng = np.random.default_rng(seed)
    load = np.zeros(rows)
    for row in range(1, rows):
        load[row] = 0.95 * load[row - 1] + rng.normal(0, 0.3)
    pump = np.arange(rows) % 40 < 20
    drain = np.isin(np.arange(rows) // 5, (60, 170, 240))
    noise = rng.normal(0, 0.1, (2, rows))
    return np.column_stack([load + noise[0], 2.0 - load + noise[1], pump, drain]).astype(np.float32)


def fitted(channels: tuple[Channel, ...] = CHANNELS, family: str = "pca") -> Fitted:
    return fit([Segment(plant(0))], Options(family=family, length=LENGTH, channels=channels))


@pytest.fixture(scope="module")
def one() -> Fitted:
    return fitted()


@pytest.fixture(scope="module")
def model(one: Fitted, tmp_path_factory: pytest.TempPathFactory) -> OnnxModel:
    return saved(one, tmp_path_factory.mktemp("discrete") / "m.onnx")


def saved(one: Fitted, path: Path) -> OnnxModel:
    names = tuple(channel.name for channel in CHANNELS)
    recording = Recording(names, SECOND, (Segment(plant(0)),), kinds=CHANNELS)
    return save(one, recording, Origin("plant", "2026-01-01T00:00:00Z"), path)


def windows(rows: Floats) -> Floats:
    return np.stack([rows[end - LENGTH : end] for end in range(LENGTH, len(rows) + 1)])


def test_a_rare_switch_does_not_make_a_model_deaf(one: Fitted) -> None:
    """Judged as an analog one, the drain hides faults of flow and pressure."""
    as_analog = fitted(tuple(Channel(channel.name) for channel in CHANNELS))
    heard, deaf = (fit_.report["candidates"]["pca"]["found"]["large"] for fit_ in (one, as_analog))
    assert heard > deaf + 0.15


def test_what_a_discrete_channel_never_did_is_beyond_the_boundary_and_is_its_own(model: OnnxModel) -> None:
    rows = plant(1, 200)
    rows[100:, 2] = 3.0
    outputs = model.run(windows(rows))
    boundary = model.spec.tail.boundary(UNSEEN / 300)
    calm, odd = outputs["score"][:80], outputs["score"][90:]
    assert np.median(calm) < boundary / 2
    assert (odd[-80:] >= model.spec.tail.boundary(1e-2)).all()
    accused = outputs["channel_score"][-1]
    assert accused[2] == pytest.approx(float(outputs["score"][-1]))
    assert not accused[[0, 1, 3]].any()


def test_a_discrete_channel_takes_no_part_in_the_score_of_the_others(model: OnnxModel) -> None:
    rows = plant(1, 60)
    other = rows.copy()
    other[:, 2] = rows[::-1, 2]
    other[20:25, 3] = 1.0
    first, second = (model.run(windows(part)) for part in (rows, other))
    np.testing.assert_array_equal(first["latent"], second["latent"])
    np.testing.assert_array_equal(first["reconstruction"][..., :2], second["reconstruction"][..., :2])


def test_what_is_expected_of_a_discrete_channel_is_what_it_does(model: OnnxModel) -> None:
    window = windows(plant(1, LENGTH))
    np.testing.assert_array_equal(model.run(window)["reconstruction"][..., 2:], window[..., 2:])
    assert [channel.deviation for channel in model.spec.channels[2:]] == [0.0, 0.0]
    window[0, 3:6, 2] = np.nan
    assert np.isfinite(model.run(window)["reconstruction"]).all()


@pytest.mark.parametrize("batch", [1, 7])
def test_a_score_with_discrete_channels_does_not_depend_on_who_shares_the_batch(model: OnnxModel, batch: int) -> None:
    rows = plant(2, 120)
    rows[60:, 2] = 2.0
    rows[::9, 3] = np.nan
    every = windows(rows)
    parts = [model.score(every[first : first + batch]) for first in range(0, len(every), batch)]
    np.testing.assert_array_equal(np.concatenate(parts), model.score(every))


def test_the_file_has_the_values_of_discrete_channels_alone(model: OnnxModel) -> None:
    assert [channel.values for channel in model.spec.channels] == [(), (), (0.0, 1.0), (0.0, 1.0)]


def test_the_report_names_what_is_judged_alone(model: OnnxModel) -> None:
    assert model.report["judged_alone"] == ["pump", "drain"]


def test_the_report_says_what_of_the_faults_of_discrete_channels_is_found(
    model: OnnxModel, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the pump never showed is odd; but it usually stays for 20 rows, which is longer than a window."""
    shares = model.report["found_of_discrete"]
    assert set(shares) == set(command_faults.KINDS)
    assert shares["a value never seen"] > 0.4
    assert shares["stuck"] == 0.0
    print_comparison(model.report)
    assert f"of faults put into them found: stuck {shares['stuck']:.0%}, at the wrong time" in capsys.readouterr().out


def test_a_boundary_that_no_ladder_reaches_leaves_all_faults_unfound() -> None:
    material = material_of([Segment(plant(0))], Options(length=LENGTH, channels=CHANNELS))
    ladders = fit_ladders(material, (2, 3), TAIL)
    unreachable = found(material, (2, 3), ladders, boundary=100.0)
    assert set(unreachable.values()) == {0.0}


def test_where_every_channel_is_discrete_all_are_judged_together() -> None:
    segments = [Segment(plant(0)[:, 2:])]
    assert material_of(segments, Options(length=LENGTH, channels=CHANNELS[2:])).judged is None


def test_each_of_two_scores_has_half_of_the_budget() -> None:
    assert tail_of_both(TAIL).boundary(1e-3) == pytest.approx(TAIL.boundary(0.5e-3))


def test_a_rung_is_the_score_that_is_as_rare() -> None:
    """In 1000 windows two excursions of 5.0 and one of 2.0."""
    series = np.zeros(1000)
    series[[100, 101, 500]] = 5.0
    series[800] = 2.0
    ladder = make_ladder([series[:600], series[600:]], TAIL, gap=3)
    at = dict(zip(ladder.odd.tolist(), ladder.score.tolist(), strict=True))
    assert at[5.0] == pytest.approx(TAIL.boundary(2 / 1000))
    assert ladder.score[-2] == pytest.approx(TAIL.boundary(UNSEEN / 1000))
    assert (np.diff(ladder.score) > 0).all()
    assert (np.diff(ladder.odd) > 0).all()


def test_what_held_out_rows_do_now_and_then_is_worth_little() -> None:
    """A drain that is opened in the last block alone is odd there, and is counted."""
    channels = (CHANNELS[0], CHANNELS[1], CHANNELS[3])
    rows = plant(0)[:, [0, 1, 3]]
    options = Options(length=LENGTH, channels=channels)
    material: Material = material_of([Segment(rows)], options)
    part = discrete_score(material, options.discrete, fit_ladders(material, options.discrete, TAIL))
    assert part.score.max() == pytest.approx(TAIL.boundary(0.5 * UNSEEN / (ROWS - LENGTH + 1)), rel=1e-3)


def test_a_variational_model_restores_discrete_channels_from_its_latent_as_it_must_to_make_rows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fit_module, "_families", lambda asked: (asked,))
    monkeypatch.setattr(networks, "Recipe", lambda: Recipe(steps=20))
    monkeypatch.setattr(networks, "LEAST_STEPS", 20)
    graph = fitted(family="vae").graph
    network = graph.measure.views.network
    assert isinstance(network, TorchNetwork)
    assert isinstance(network.module, VariationalAutoencoder)
    _, accused, expected, latent, _ = graph(windows(plant(1, 40)))
    with torch.no_grad():
        decoded = network.module.decode(torch.from_numpy(latent)).numpy()
    np.testing.assert_allclose(expected, graph.standardise.restore(decoded), rtol=1e-5, atol=1e-6)
    assert expected.shape == (*accused.shape[:1], LENGTH, len(CHANNELS))
