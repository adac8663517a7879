"""The supervised recipe of FlowNet: its data, its loss, its figures and what it ships."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from dlcv.data.augment.flow import FlowAugmentConfig
from dlcv.data.augment.photometric import OFF
from dlcv.data.synthetic.layers import LayersConfig, MotionConfig
from dlcv.networks.flownet import FlowNet, FlowNetConfig
from dlcv.networks.losses.flownet import multiscale_epe
from dlcv.networks.weights import save_network
from dlcv.training.configuration import build, read, recipe_file
from dlcv.training.recipe import TrainError
from dlcv.training.recipes import flownet as module
from dlcv.training.recipes.flownet import FlowNetRecipe, Renewal, Stage, estimate
from dlcv.types import FlowPair


@pytest.fixture(scope='module')
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('photos')
    rng = np.random.default_rng(0)
    for i in range(3):
        noise = cv2.GaussianBlur(rng.uniform(0, 255, (120, 160, 3)), (0, 0), 2)
        cv2.imwrite(str(folder / f'{i}.png'), np.clip((noise - 127) * 5 + 127, 0, 255))
    return folder


@pytest.fixture(params=['s', 'c'])
def recipe(request: pytest.FixtureRequest, photos: Path) -> FlowNetRecipe:
    return FlowNetRecipe(
        photos=(photos,),
        flownet=FlowNetConfig(variant=request.param, width=1 / 16, batch_norm=True),
        scenes=LayersConfig(height=64, width=96, objects=(1, 2)),
        changes=FlowAugmentConfig(geometry=0, shared_light=OFF, own_light=OFF, crop=(64, 64)),
        validation=LayersConfig(height=64, width=64, objects=(1, 2)),
        validation_pairs=3,
    )


def batch_of(recipe: FlowNetRecipe, count: int = 2) -> dict[str, torch.Tensor]:
    samples = recipe.samples(0)
    drawn = [samples[i] for i in range(count)]
    return {key: torch.from_numpy(np.stack([s[key] for s in drawn])) for key in drawn[0]}


def test_a_sample_is_a_function_of_seed_and_number(recipe: FlowNetRecipe) -> None:
    samples, again = recipe.samples(1), recipe.samples(1)
    forwards = [samples[i] for i in range(5)]
    other = [again[i] for i in (4, 2, 0, 3, 1)]
    for one, same in zip((forwards[i] for i in (4, 2, 0, 3, 1)), other, strict=True):
        assert all(np.array_equal(one[key], same[key]) for key in ('first', 'second', 'flow'))
    assert forwards[0]['first'].shape == (3, 64, 64)
    assert forwards[0]['flow'].shape == (2, 64, 64)
    assert forwards[0]['flow'].dtype == np.float32
    assert not np.array_equal(forwards[0]['first'], recipe.samples(2)[0]['first'])


def test_every_second_sample_runs_backwards(recipe: FlowNetRecipe) -> None:
    calm = replace(recipe.changes, mirror=0, upend=0, crop=(0, 0))
    samples = replace(recipe, changes=calm).samples(3)
    there, back = samples[0], samples[1]
    assert np.array_equal(there['first'], back['second'])
    assert np.array_equal(there['second'], back['first'])
    assert np.array_equal(samples[0]['flow'], there['flow'])
    assert not np.array_equal(samples[2]['first'], there['first'])


def test_easy_scenes_come_first(recipe: FlowNetRecipe) -> None:
    calm = MotionConfig(translation=0, rotation=0, zoom=0)
    easy = replace(recipe.scenes, background=calm, object_motion=calm)
    eased = replace(recipe, easy=easy, easy_samples=4).samples(0)
    assert not any(eased[i]['flow'].any() for i in range(4))
    assert np.array_equal(eased[4]['flow'], recipe.samples(0)[4]['flow'])


class Rigid:
    """Pairs in place of those of worlds: everything moves by (3, 4)."""

    def __init__(self, _samples: object) -> None:
        pass

    def __getitem__(self, index: int) -> FlowPair:
        picture = np.full((80, 96, 3), index % 256, np.uint8)
        flow = np.tile(np.float32((3, 4)), (80, 96, 1))
        return FlowPair(first=picture, second=picture, flow=flow, backward=-flow)


@pytest.fixture
def staged(recipe: FlowNetRecipe, monkeypatch: pytest.MonkeyPatch) -> FlowNetRecipe:
    """Still pictures first, then moving layers, then worlds, of 64 samples each."""
    monkeypatch.setattr(module, 'WorldPairs', Rigid)
    calm = MotionConfig(translation=0, rotation=0, zoom=0)
    return replace(
        recipe,
        easy=replace(recipe.scenes, background=calm, object_motion=calm, objects=(0, 0)),
        stages=(Stage(at=1 / 6, easy=1), Stage(at=3 / 6, scenes=1), Stage(at=5 / 6, worlds=1)),
        stage_samples=192,
    )


def test_stages_lead_from_easy_pairs_to_worlds(staged: FlowNetRecipe) -> None:
    samples = staged.samples(0)
    assert not any(samples[i]['flow'].any() for i in (0, 7, 63))
    moved = [samples[i]['flow'] for i in (64, 70, 127)]
    assert all(flow.any() for flow in moved)
    for index in (128, 191, 400):
        flow = samples[index]['flow']
        assert np.allclose(np.abs(flow), np.float32((3, 4))[:, None, None])
    again = staged.samples(0)
    assert np.array_equal(again[70]['flow'], moved[1])


def test_pairs_of_stages_are_kept_apart_and_changed_anew(
    staged: FlowNetRecipe, tmp_path: Path
) -> None:
    kept = replace(staged, renewal=Renewal(folder=str(tmp_path), window=1, uses=2, scenes=4))
    samples = kept.samples(0)
    for index in (0, 64, 128):
        samples[index]
    assert sorted(path.name for path in tmp_path.iterdir()) == ['easy', 'scenes', 'worlds']
    assert all(list(path.glob('*.safetensors')) for path in tmp_path.iterdir())
    with pytest.raises(TrainError, match='made in another way'):
        replace(kept, scenes=replace(kept.scenes, objects=(2, 2))).samples(0)[64]


@pytest.mark.parametrize('name', ['flownet_s_long', 'flownet_c_long'])
def test_a_long_run_sees_thousands_of_worlds(name: str) -> None:
    recipe, run = build(read(recipe_file(name)), name)
    assert isinstance(recipe, FlowNetRecipe)
    assert recipe.stage_samples == run.steps * run.batch * run.accumulate
    of_worlds = recipe.staged(0).taken(recipe.stage_samples)[2]
    a_world = recipe.worlds.per_world * (recipe.worlds.frames - 1) * recipe.renewal.uses
    assert of_worlds / a_world >= 5000
    assert recipe.renewal.uses <= 4
    assert [round(6 * step / run.steps) for step in run.milestones] == [2, 3, 4, 5]


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'easy_samples': 5}, 'take the place of easy_samples and worlds_every, got 5'),
        ({'worlds_every': 3}, 'got 0 and 3'),
        ({'easy': None}, 'need to know what is easy'),
        ({'stage_samples': 0}, 'samples >= 1'),
        ({'stages': (Stage(at=0.5),)}, r'not all of them 0, got \[0.0, 0.0, 0.0\] at 0.5'),
    ],
)
def test_stages_that_do_not_fit_are_refused(
    staged: FlowNetRecipe, change: dict, message: str
) -> None:
    with pytest.raises(TrainError, match=message):
        replace(staged, **change)
    with pytest.raises(TrainError, match='renewal needs window, uses, scenes and scene_uses >= 1'):
        Renewal(uses=0)


def test_the_loss_is_the_papers_and_has_a_gradient(recipe: FlowNetRecipe) -> None:
    torch.manual_seed(0)
    network = recipe.network().train()
    batch = batch_of(recipe)
    losses = recipe.loss(network, batch, 0)
    pyramid = network(batch['first'] / 255, batch['second'] / 255)
    assert losses['loss'].item() == pytest.approx(multiscale_epe(pyramid, batch['flow']).item())
    losses['loss'].backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())
    assert not losses['epe'].requires_grad


def test_a_new_network_sees_almost_no_motion(recipe: FlowNetRecipe) -> None:
    torch.manual_seed(0)
    network = recipe.network().train()
    still = {**(batch := batch_of(recipe, 4)), 'flow': torch.zeros_like(batch['flow'])}
    assert recipe.loss(network, still, 0)['epe'] < 4


def test_matching_is_taught_to_flownet_c_only(recipe: FlowNetRecipe) -> None:
    if recipe.flownet.variant == 's':
        with pytest.raises(TrainError, match='no correlation'):
            replace(recipe, matching=1.0)
        return
    torch.manual_seed(0)
    network, batch = recipe.network().train(), batch_of(recipe)
    plain = recipe.loss(network, batch, 0)
    taught = replace(recipe, matching=0.5).loss(network, batch, 0)
    total = plain['loss'] + 0.5 * taught['matching']
    assert taught['loss'].item() == pytest.approx(total.item(), rel=1e-5)
    assert taught['matching'].item() < 1.5 * np.log(441)
    assert not network.get_submodule('conv3_1')._forward_pre_hooks


def test_mixed_precision_gives_a_finite_loss(recipe: FlowNetRecipe) -> None:
    torch.manual_seed(0)
    network, batch = recipe.network().train(), batch_of(recipe)
    exact = recipe.loss(network, batch, 0)['loss'].item()
    with torch.autocast('cpu', torch.bfloat16):
        loss = recipe.loss(network, batch, 0)['loss']
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(exact, rel=0.05)


def test_validation_measures_the_network_and_dis(recipe: FlowNetRecipe) -> None:
    torch.manual_seed(0)
    network = recipe.network().eval()
    figures = recipe.validate(network)
    assert figures == recipe.validate(network)
    assert set(figures) == {
        f'{name}{suffix}'
        for name in ('epe', 'fl_all', 'epe_0', 'epe_10', 'epe_40')
        for suffix in ('', '_of_dis')
    }
    assert 0 < figures['epe_of_dis'] < figures['epe']


def test_estimates_are_the_networks_own(recipe: FlowNetRecipe) -> None:
    torch.manual_seed(0)
    network = recipe.network().eval()
    rng = np.random.default_rng(0)
    first, second = rng.integers(0, 256, (2, 40, 56, 3), dtype=np.uint8)
    images = torch.from_numpy(np.stack([first, second])).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        direct = network(images[:1], images[1:])[0].permute(1, 2, 0).numpy()
    assert np.allclose(estimate(network, first, second), direct, atol=1e-5)


def test_pictures_show_the_pairs_in_a_row(recipe: FlowNetRecipe) -> None:
    picture = recipe.pictures(recipe.network().eval(), batch_of(recipe, 3))['pairs']
    assert picture.shape == (3 * 64, 4 * 64, 3)
    assert picture.dtype == np.uint8


def test_what_is_shipped_computes_the_same_without_batch_norms(recipe: FlowNetRecipe) -> None:
    torch.manual_seed(0)
    network = recipe.network().train()
    batch = batch_of(recipe, 4)
    recipe.loss(network, batch, 0)  # moves the batch-norms' statistics
    network.eval()
    shipped = recipe.export(network)
    assert isinstance(shipped, FlowNet)
    assert not shipped.config.batch_norm
    images = batch['first'] / 255, batch['second'] / 255
    with torch.no_grad():
        assert torch.allclose(shipped(*images), network(*images), atol=1e-4)


def test_goes_on_from_weights_and_from_checkpoints(recipe: FlowNetRecipe, tmp_path: Path) -> None:
    torch.manual_seed(0)
    trained = recipe.network()
    saved = {'network': trained.state_dict(), 'average': None, 'step': 1}
    torch.save(saved, tmp_path / 'checkpoint.pt')
    again = replace(recipe, start=tmp_path / 'checkpoint.pt').network()
    assert all(map(torch.equal, trained.state_dict().values(), again.state_dict().values()))
    file = save_network(recipe.export(trained.eval()), tmp_path / 'x.safetensors', licence='CC0')
    folded = replace(recipe, start=file).network()
    assert not folded.config.batch_norm
    assert all(p.requires_grad for p in folded.parameters())


def test_says_what_is_wrong_with_a_checkpoint(recipe: FlowNetRecipe, tmp_path: Path) -> None:
    (tmp_path / 'checkpoint.pt').write_bytes(b'nothing')
    with pytest.raises(TrainError, match=r'checkpoint\.pt is no checkpoint of a run'):
        replace(recipe, start=tmp_path / 'checkpoint.pt').network()
    with pytest.raises(TrainError, match='views >= 1'):
        replace(recipe, views=0)


def test_frozen_stages_stay_as_they_are(recipe: FlowNetRecipe) -> None:
    recipe = replace(recipe, frozen=2)
    torch.manual_seed(0)
    network = recipe.network().train()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    optimiser = torch.optim.AdamW([p for p in network.parameters() if p.requires_grad], lr=1e-2)
    recipe.loss(network.train(), batch_of(recipe, 2), 0)['loss'].backward()
    optimiser.step()
    same = {key for key, value in network.state_dict().items() if torch.equal(value, before[key])}
    frozen = {key for key in before if key.startswith(('conv1.', 'conv2.'))}
    assert frozen
    assert frozen == same
