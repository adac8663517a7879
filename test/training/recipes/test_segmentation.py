"""The recipe of segmentation: labels through all changes, its loss, what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from dlcv.classes import CLASSES, colours
from dlcv.data.augment.photometric import OFF
from dlcv.data.world import SampleConfig
from dlcv.networks.fcn import FCNConfig
from dlcv.training.label_samples import LabelChanges, LabelSamples
from dlcv.training.recipe import TrainError
from dlcv.training.recipes import segmentation
from dlcv.training.recipes.segmentation import SegmentationRecipe
from dlcv.types import LabelledPicture

RECIPE = SegmentationRecipe(
    fcn=FCNConfig(encoder='light', width=1 / 8, fused=8),
    worlds=SampleConfig(frames=1, labels=True, size=(64, 32), scenes=('room',), per_world=2),
    changes=LabelChanges(crop=(64, 32)),
    validation_pictures=1,
)


class Blocks:
    """Pictures whose colours are those of their labels: 8 x 8 pixels a block."""

    def __getitem__(self, index):
        labels = np.random.default_rng(index).integers(0, 16, (12, 16), np.uint8)
        labels = labels.repeat(8, 0).repeat(8, 1)
        return {'image': colours()[labels], 'labels': labels}


class Knowing(nn.Module):
    """Tells the class by the colour."""

    def __init__(self, sure=50.0):
        super().__init__()
        self.sure = nn.Parameter(torch.tensor(sure))

    def forward(self, images):
        table = torch.from_numpy(colours()[:16]).float() / 255
        off = (images[:, None] - table[None, :, :, None, None]).abs().sum(2)
        return -self.sure * off


def test_labels_go_where_their_pixels_go():
    plain = LabelChanges(crop=(64, 48), zoom=(0.6, 2.0), light=OFF)
    samples = [LabelSamples(Blocks(), plain, 5)[i] for i in range(12)]
    table, mirrored = colours(), 0
    for i, sample in enumerate(samples):
        assert sample['image'].shape == (3, 48, 64)
        right = (table[sample['labels']] == sample['image'].transpose(1, 2, 0)).all(-1)
        assert right.mean() > 0.6  # what is interpolated at the borders has other colours
        first = Blocks()[i]['labels']
        again = LabelSamples(Blocks(), plain, 5)[i]
        assert (again['labels'] == sample['labels']).all()
        mirrored += set(first.ravel()) >= set(sample['labels'].ravel())
    assert mirrored == len(samples)


def test_the_loss_falls_with_what_is_right():
    sample = Blocks()[0]
    batch = {
        'image': torch.from_numpy(sample['image'].transpose(2, 0, 1).copy())[None],
        'labels': torch.from_numpy(sample['labels'])[None],
    }
    unsure, sure = (RECIPE.loss(Knowing(s), batch, 0) for s in (0.0, 50.0))
    assert float(unsure['loss'].detach()) == pytest.approx(np.log(16), rel=1e-4)
    assert float(sure['loss'].detach()) < 0.1
    assert float(sure['right']) == 1


def test_figures_are_those_of_held_out_worlds(monkeypatch):
    picture = LabelledPicture(**Blocks()[1])
    monkeypatch.setattr(segmentation, '_held_out', lambda _w, n: [picture] * n)
    found = RECIPE.validate(Knowing())
    assert found['mean_iou'] == found['accuracy'] == 100
    assert list(found)[2:] == [one.name for one in CLASSES]


@pytest.mark.parametrize(
    ('changed', 'message'),
    [
        ({'worlds': SampleConfig(frames=1)}, 'frames 1 and labels, got frames 1 and labels False'),
        ({'fcn': FCNConfig(meaning=(0, 1))}, 'needs fcn.meaning'),
        ({'weights': (1.0, 2.0)}, 'no weights or 16 of 0 or more'),
        ({'changes': LabelChanges(crop=(60, 32))}, 'multiples of 32'),
        ({'validation_pictures': 0}, 'validation_pictures >= 1, got 0'),
    ],
)
def test_what_cannot_be_learned_is_refused(changed, message):
    with pytest.raises(TrainError, match=message):
        replace(RECIPE, **changed)
    with pytest.raises(TrainError, match='0 < least <= greatest zoom'):
        LabelChanges(zoom=(2.0, 1.0))
