"""DispNet's recipe: the truth of its pairs through all changes, its loss, what is refused."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from dlcv.data.augment.photometric import OFF
from dlcv.data.synthetic.photos import PhotoPool
from dlcv.data.synthetic.planes import PlaneScenes, PlanesConfig
from dlcv.data.world import SampleConfig
from dlcv.metrics.baselines.disparity import semi_global_matching
from dlcv.metrics.disparity import disparity_errors
from dlcv.networks.dispnet import DispNetConfig
from dlcv.training.recipe import TrainError
from dlcv.training.recipes import dispnet
from dlcv.training.recipes.dispnet import DispNetRecipe
from dlcv.training.stereo_samples import StereoChanges

PLAIN = StereoChanges(
    crop=(128, 64), zoom=(1, 1), mirror=0, light=OFF, apart=OFF, speechless=0
)  # fmt: skip


@pytest.fixture(scope='module')
def recipe(tmp_path_factory: pytest.TempPathFactory) -> DispNetRecipe:
    photos = tmp_path_factory.mktemp('photos')  # painting some takes seconds
    noise = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)
    assert cv2.imwrite(str(photos / 'a.png'), cv2.resize(noise, (320, 240)))
    return DispNetRecipe(
        dispnet=DispNetConfig(width=1 / 16, max_disparity=32, spread=True, refines=True),
        planes=PlanesConfig(width=128, height=64, nearest=30.0, back=(1.0, 8.0)),
        worlds=SampleConfig(
            frames=1, stereo=True, size=(128, 64), scenes=('room',), per_world=4
        ),
        changes=PLAIN,
        photos=(photos,),
        validation_pictures=1,
    )  # fmt: skip


class Saying(nn.Module):
    """Answers with a given disparity at all sizes, whatever it is shown."""

    def __init__(self, full: torch.Tensor) -> None:
        super().__init__()
        self.maps = []
        for level in range(1, 7):
            step = 2**level
            thin = full[..., step // 2 :: step, step // 2 :: step]
            self.maps.append(torch.stack((thin, torch.zeros_like(thin)), 1))

    def forward(self, _left: torch.Tensor, _right: torch.Tensor) -> list[torch.Tensor]:
        return self.maps


def batch_of(recipe: DispNetRecipe, count: int = 2) -> dict[str, torch.Tensor]:
    samples = recipe.samples(0)
    drawn = [samples[i] for i in range(count)]
    return {key: torch.from_numpy(np.stack([s[key] for s in drawn])) for key in drawn[0]}


def test_pairs_are_of_worlds_and_of_planes_by_turns(
    recipe: DispNetRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    worlds = [
        {
            'left': np.full((64, 128, 3), 30 + i, np.uint8),
            'right': np.full((64, 128, 3), 60, np.uint8),
            'inverse': np.full((2, 64, 128), 0.25, np.float16),
            'baseline': np.float32(0.5),
        }
        for i in range(2)
    ]
    monkeypatch.setattr(dispnet, 'renewed_of_worlds', lambda *_, **__: worlds)
    samples = recipe.samples(0)
    for number in range(2):
        world, plane = samples[2 * number], samples[2 * number + 1]
        assert (world['left'] == 30 + number).all()
        assert (world['disparity'] == 0.25 * 0.5 * 128).all()
        alone = replace(recipe, worlds_every=0).samples(0)[2 * number + 1]
        assert np.array_equal(plane['left'], alone['left'])


def test_a_zoomed_pair_has_larger_disparities(recipe: DispNetRecipe) -> None:
    one = replace(recipe, worlds_every=0).samples(0)[2]['disparity']
    twice = replace(recipe, worlds_every=0, changes=replace(PLAIN, zoom=(2, 2))).samples(0)[2]
    assert twice['disparity'].shape == (64, 128)
    assert np.isin(np.round(twice['disparity'] / 2, 3), np.round(one, 3)).all()


def test_a_mirrored_pair_shows_the_right_view_s_disparity(recipe: DispNetRecipe) -> None:
    one = replace(recipe, worlds_every=0).samples(0)[1]
    other = replace(recipe, worlds_every=0, changes=replace(PLAIN, mirror=1)).samples(0)[1]
    assert np.array_equal(one['right'], other['left'][..., ::-1])
    x = np.clip(np.arange(128) - np.round(one['disparity']).astype(int), 0, 127)
    back = np.take_along_axis(other['disparity'][:, ::-1], x, axis=1)
    assert np.median(np.abs(back - one['disparity'])) < 0.5


def test_the_truth_costs_least(recipe: DispNetRecipe) -> None:
    batch = batch_of(replace(recipe, worlds_every=0))
    costs = [
        float(recipe.loss(Saying(f * batch['disparity']), batch, 0)['value']) for f in (0.8, 1, 1.2)
    ]
    assert costs[1] == 0 < min(costs[0], costs[2])


def test_pictures_that_say_nothing_teach_doubt_alone(recipe: DispNetRecipe) -> None:
    silent = replace(recipe, worlds_every=0, changes=replace(PLAIN, speechless=0.999))
    batch = batch_of(silent)
    assert not batch['speaks'].any()
    torch.manual_seed(0)
    network = silent.network()
    silent.loss(network, batch, 0)['loss'].backward()
    gradient = network.pr1.weight.grad
    assert gradient[1].any()
    assert not gradient[0].any()


def test_it_is_judged_beside_semi_global_matching(
    recipe: DispNetRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = PlaneScenes(PhotoPool(recipe.photos), recipe.planes, 5)[0]
    held_out = [(pair.left, pair.right, pair.disparity)]
    monkeypatch.setattr(dispnet, '_held_out', lambda *_: held_out)
    torch.manual_seed(0)
    figures = recipe.validate(recipe.network().eval())
    assert np.isfinite(list(figures.values())).all()
    found = semi_global_matching(32)(pair.left, pair.right)
    assert figures['d1_sgm'] == disparity_errors(found, pair.disparity).d1


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'changes': replace(PLAIN, crop=(100, 64))}, r'crop \[100, 64\]'),
        ({'worlds_every': -1}, 'worlds_every >= 0'),
        ({'weights': (1.0,)}, '6 weights'),
    ],
)
def test_settings_that_do_not_fit_are_refused(
    recipe: DispNetRecipe, change: dict, message: str
) -> None:
    with pytest.raises(TrainError, match=message):
        replace(recipe, **change)
