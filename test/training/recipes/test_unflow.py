"""The unsupervised recipe of FlowNet: its data, its loss, its stages and what it ships."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from dlcv.data.augment.unflow import PairChanges
from dlcv.data.synthetic.layers import LayeredScenes, LayersConfig
from dlcv.data.synthetic.photos import PhotoPool
from dlcv.networks.flownet import FlowNet, FlowNetConfig
from dlcv.networks.losses.unflow import UnflowLossConfig, border_mask, unflow_loss
from dlcv.training.recipes.unflow import UnFlowRecipe

STILL = PairChanges(
    zoom=(1, 1), second_zoom=(1, 1), mirror=0, contrast=0, brightness=0, colour=(1, 1),
    gamma=(1, 1), noise=0, border=0,
)  # fmt: skip


@pytest.fixture(params=['s', 'c'])
def recipe(request: pytest.FixtureRequest) -> UnFlowRecipe:
    return UnFlowRecipe(
        flownet=FlowNetConfig(variant=request.param, width=1 / 16, batch_norm=True),
        scenes=LayersConfig(height=64, width=128, objects=(1, 2)),
        occlusions_from=5,
        validation=LayersConfig(height=64, width=64, objects=(1, 2)),
        validation_pairs=3,
    )


def batch_of(recipe: UnFlowRecipe, count: int = 2) -> dict[str, torch.Tensor]:
    samples = recipe.samples(0)
    drawn = [samples[i] for i in range(count)]
    return {key: torch.from_numpy(np.stack([s[key] for s in drawn])) for key in drawn[0]}


def test_a_sample_is_a_function_of_seed_and_number(recipe: UnFlowRecipe) -> None:
    one, same, other = recipe.samples(1)[3], recipe.samples(1)[3], recipe.samples(2)[3]
    assert all(np.array_equal(one[key], same[key]) for key in one)
    assert not np.array_equal(one['first'], other['first'])
    for name in ('first', 'second', 'first_seen', 'second_seen'):
        assert one[name].shape == (3, 64, 128)
        assert one[name].dtype == np.uint8
    assert one['border'].shape == (1, 64, 128)
    assert set(one) == {'first', 'second', 'first_seen', 'second_seen', 'border'}  # no truth


def test_without_changes_the_samples_are_the_scenes(recipe: UnFlowRecipe) -> None:
    sample = replace(recipe, changes=STILL).samples(4)[1]
    scene = LayeredScenes(PhotoPool(()), recipe.scenes, 4)[1]
    assert np.array_equal(sample['first'], scene.first.transpose(2, 0, 1))
    assert np.array_equal(sample['second_seen'], scene.second.transpose(2, 0, 1))


def test_both_directions_go_through_the_network_at_once(recipe: UnFlowRecipe) -> None:
    """The loss is that of each direction on its own (without batch-norm, which would mix them)."""
    recipe = replace(recipe, flownet=replace(recipe.flownet, batch_norm=False))
    torch.manual_seed(0)
    network, batch = recipe.network().train(), batch_of(recipe)
    first, second = (batch[name].float() / 255 for name in ('first_seen', 'second_seen'))
    loss, _ = unflow_loss(
        network(first, second),
        network(second, first),
        batch['first'].float() / 255,
        batch['second'].float() / 255,
        border=batch['border'],
    )
    got = recipe.loss(network, batch, recipe.occlusions_from)
    assert float(got['loss'].detach()) == pytest.approx(float(loss.detach()), rel=1e-4)
    got['loss'].backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


def test_occlusions_count_from_their_step_on(recipe: UnFlowRecipe) -> None:
    torch.manual_seed(0)
    network, batch = recipe.network().train(), batch_of(recipe)
    with torch.no_grad():
        network.get_parameter('predict_flow2.weight').mul_(1000)  # directions that disagree
        before, after = (
            recipe.loss(network, batch, step) for step in (recipe.occlusions_from - 1, 5)
        )
    assert float(after['occlusion']) > float(before['occlusion'])
    terms = recipe.terms
    assert float(before['loss']) == pytest.approx(
        sum(
            weight * float(before[name])
            for name, weight in (
                ('census', terms.census),
                ('smoothness', terms.smoothness),
                ('occlusion', terms.occlusion),
            )
        ),
        rel=1e-5,
    )


def test_the_true_flow_is_cheaper_than_none_and_than_another() -> None:
    scenes = LayeredScenes(PhotoPool(()), LayersConfig(height=128, width=192), 8)
    pairs = [scenes[i] for i in range(4)]

    def tensor(name: str) -> torch.Tensor:
        return torch.from_numpy(np.stack([getattr(p, name) for p in pairs])).permute(0, 3, 1, 2)

    first, second = tensor('first').float() / 255, tensor('second').float() / 255
    forward, backward = tensor('flow'), tensor('backward')
    terms = UnflowLossConfig(smoothness=1, mask_occlusions=False)

    def cost(share: float) -> float:
        flows = [
            [F.adaptive_avg_pool2d(share * f / 20, (128 >> i, 192 >> i)) for i in range(2, 7)]
            for f in (forward, backward)
        ]
        loss, _ = unflow_loss(*flows, first, second, border=border_mask(first), config=terms)
        return float(loss)

    assert cost(1.0) < min(cost(0.5), cost(0.0), cost(-1.0), cost(2.0))


def test_it_is_judged_as_supervised_flow_is(recipe: UnFlowRecipe) -> None:
    torch.manual_seed(0)
    network = recipe.network().eval()
    figures = recipe.validate(network)
    assert figures == recipe.supervised.validate(network)
    assert figures['epe'] > 0
    assert figures['epe_of_dis'] > 0


def test_pictures_show_the_pair_its_flow_and_occlusions(recipe: UnFlowRecipe) -> None:
    torch.manual_seed(0)
    network, batch = recipe.network().eval(), batch_of(recipe)
    with torch.no_grad():
        picture = recipe.pictures(network, batch)['pair']
    assert picture.shape == (128, 256, 3)
    assert picture.dtype == np.uint8
    assert np.array_equal(picture[:64, :128], batch['first'][0].permute(1, 2, 0).numpy())


def test_it_ships_a_flownet_without_batch_norms(recipe: UnFlowRecipe) -> None:
    shipped = recipe.export(recipe.network())
    assert isinstance(shipped, FlowNet)
    assert not shipped.config.batch_norm
    assert not shipped.training


def test_the_smoke_version_is_tiny_and_needs_no_photos(recipe: UnFlowRecipe) -> None:
    tiny = replace(recipe, photos=('/nowhere',)).smoke()
    assert tiny.samples(0)[0]['first'].shape == (3, 64, 64)
    assert tiny.flownet.width == 1 / 16
    assert tiny.flownet.variant == recipe.flownet.variant
