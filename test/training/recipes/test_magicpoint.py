"""MagicPoint's recipe: its samples, its loss, what it exports, what it measures."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from torch import nn

pytest.importorskip('lightning_fabric', reason='lightning-fabric is not installed')

from dlcv.data.augment.photometric import OFF
from dlcv.data.synthetic.shapes import ShapesConfig, SyntheticShapes
from dlcv.networks.losses.superpoint import cell_labels
from dlcv.networks.superpoint import SuperPoint, SuperPointConfig
from dlcv.networks.weights import load_network
from dlcv.training.configuration import build, read, recipe_file
from dlcv.training.engine import fit
from dlcv.training.export import folded_superpoint
from dlcv.training.recipe import RunConfig, TrainError
from dlcv.training.recipes.magicpoint import MagicPointRecipe, detect

PLAIN = MagicPointRecipe(photometric=OFF, warped=0.0)


def batch_of(recipe, count, seed=0):
    samples = [recipe.samples(seed)[i] for i in range(count)]
    return {key: torch.from_numpy(np.stack([s[key] for s in samples])) for key in samples[0]}


def lively(variant):
    """Return a narrow network whose batch-norms are not those of a fresh one."""
    torch.manual_seed(0)
    network = SuperPoint(SuperPointConfig(variant=variant, width=0.125))
    for norm in network.modules():
        if isinstance(norm, nn.BatchNorm2d):
            nn.init.uniform_(norm.running_mean, -0.5, 0.5)
            nn.init.uniform_(norm.running_var, 0.5, 1.5)
            nn.init.uniform_(norm.weight, -1.5, 1.5)
            nn.init.uniform_(norm.bias, -0.5, 0.5)
    return network


def test_an_unchanged_sample_is_the_drawing():
    drawings = SyntheticShapes(PLAIN.shapes, seed=3)
    for i in range(10):
        sample, drawing = PLAIN.samples(3)[i], drawings[i]
        np.testing.assert_array_equal(sample['image'][0], drawing.image)
        marked = {tuple(xy) for xy in np.rint(drawing.points).astype(int).tolist()}
        assert {(x, y) for y, x in np.argwhere(sample['present']).tolist()} == marked
        assert sample['valid'].all()


def test_a_sample_is_a_function_of_seed_and_index():
    recipe = MagicPointRecipe()
    first, again, other = recipe.samples(1)[4], recipe.samples(1)[4], recipe.samples(2)[4]
    for key, value in first.items():
        np.testing.assert_array_equal(value, again[key])
    assert not np.array_equal(first['image'], other['image'])


def test_corners_are_marked_only_where_the_drawing_is_seen():
    samples = [replace(PLAIN, warped=1.0).samples(0)[i] for i in range(30)]
    assert any(not sample['valid'].all() for sample in samples)
    assert any(sample['present'].any() for sample in samples)
    assert not any((sample['present'] & ~sample['valid']).any() for sample in samples)


def test_warped_corners_are_corners_of_the_warped_drawing():
    """The smaller eigenvalue of the structure tensor is large where a corner is marked."""
    shapes = ShapesConfig(kinds=('polygon', 'cube', 'checkerboard'), blur=0.0)
    samples = replace(PLAIN, warped=1.0, shapes=shapes).samples(0)
    for sample in (samples[i] for i in range(20)):
        cornerness = cv2.cornerMinEigenVal(sample['image'][0], 3)
        nearby = cv2.dilate(cornerness, np.ones((7, 7), np.uint8))
        ordinary = np.quantile(cornerness[sample['valid']], 0.8) + 1e-7
        assert (nearby[sample['present']] > 3 * ordinary).all()


def test_loss_falls_when_the_answer_is_known():
    batch = batch_of(PLAIN, 3)

    def answers(strength):
        torch.manual_seed(5)
        labels = cell_labels(batch['present'])
        torch.manual_seed(5)  # ties in a cell are broken alike
        right = nn.functional.one_hot(labels, 65).permute(0, 3, 1, 2).float()
        return PLAIN.loss(lambda image: (strength * right, None), batch, 0)['loss']

    assert answers(20) < 1e-3 < answers(5) < answers(0)
    assert float(answers(0)) == pytest.approx(np.log(65), rel=1e-5)


def test_descriptors_are_not_trained():
    network = PLAIN.network()
    frozen = {name for name, p in network.named_parameters() if not p.requires_grad}
    assert {name.split('.')[0] for name in frozen} == {'convDa', 'bnDa', 'convDb', 'bnDb'}


@pytest.mark.parametrize('variant', ['unet_bn', 'vgg'])
def test_the_plain_network_answers_the_same(variant):
    network = lively(variant)
    plain = folded_superpoint(network)
    assert plain.config.variant == 'vgg'
    image = torch.rand(2, 1, 32, 48)
    with torch.no_grad():
        for wanted, got in zip(network.eval()(image), plain(image), strict=True):
            torch.testing.assert_close(got, wanted, atol=1e-4, rtol=1e-4)
    assert isinstance(MagicPointRecipe().export(network), SuperPoint)


def test_norms_behind_activations_are_not_folded():
    with pytest.raises(TrainError, match="not in 'vgg_bn'"):
        folded_superpoint(lively('vgg_bn'))


def test_detections_are_the_maxima_of_the_heat_map():
    class Fixed(nn.Module):
        def __init__(self):
            super().__init__()
            self.anything = nn.Parameter(torch.zeros(1))

        def forward(self, image):
            logits = torch.zeros(1, 65, 2, 3)
            logits[:, 64] = 10.0
            logits[0, 8 * 2 + 5, 1, 2] = 20.0
            return logits, None

    (found,) = detect(Fixed(), [np.zeros((16, 24), np.uint8)])
    np.testing.assert_array_equal(found[0], [[2 * 8 + 5, 8 + 2]])


def test_validation_repeats_and_classical_detectors_find_clean_corners():
    recipe = MagicPointRecipe(width=0.125, held_out=2)
    network = recipe.network().eval()
    figures = recipe.validate(network)
    assert figures == recipe.validate(network)
    assert set(figures) >= {'map', 'map_noisy', 'harris', 'shi_tomasi', 'fast'}
    assert figures['shi_tomasi'] > 0.7 > figures['map']
    assert figures['harris_noisy'] < figures['harris']


def test_a_tiny_run_learns_and_its_weights_load(tmp_path):
    recipe = MagicPointRecipe().smoke()
    run = RunConfig(
        steps=20, batch=2, distinct=2, learning_rate=3e-3, log_every=5, picture_every=20
    )
    weights = fit(recipe, run, tmp_path / 'run', accelerator='cpu')
    network = load_network('superpoint', weights)
    assert network.config.variant == 'vgg'
    lines = (tmp_path / 'run' / 'log.csv').read_text().splitlines()
    column = lines[0].split(',').index('loss')
    losses = [float(line.split(',')[column]) for line in lines[1:]]
    assert losses[-1] < losses[0]
    assert list((tmp_path / 'run' / 'pictures').glob('*corners*'))


def test_the_shipped_recipe_builds():
    recipe, run = build(read(recipe_file('magicpoint')), 'magicpoint')
    assert isinstance(recipe, MagicPointRecipe)
    assert recipe.width == 1.0
    assert run.steps > 1000
