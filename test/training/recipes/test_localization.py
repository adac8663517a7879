"""The recipe of localization: boxes through all changes, its loss, what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from dlcv.data.augment.photometric import OFF
from dlcv.data.world import SampleConfig
from dlcv.networks.fcn import FCNConfig, fcn
from dlcv.networks.fcos import FCOS, FCOSConfig, found, points
from dlcv.networks.weights import save_network
from dlcv.things import KINDS
from dlcv.training.box_samples import MOST, NONE, BoxedPictures, BoxSamples, boxes_of
from dlcv.training.label_samples import LabelChanges
from dlcv.training.pieces import Piece
from dlcv.training.recipe import TrainError
from dlcv.training.recipes import localization
from dlcv.training.recipes.localization import LocalizationRecipe, with_encoder
from dlcv.types import BoxedPicture, Objects

RECIPE = LocalizationRecipe(
    fcos=FCOSConfig(width=1 / 8, channels=8),
    worlds=SampleConfig(frames=1, objects=True, size=(64, 32), scenes=('room',), per_world=2),
    changes=LabelChanges(crop=(64, 32)),
    validation_pictures=1,
)


def objects(*boxes, kind=None):
    """Things that fill their boxes, of which all is seen."""
    box = np.array(boxes, np.float32).reshape(-1, 4)
    count = len(box)
    return Objects(
        kind=np.array(range(count) if kind is None else kind, np.uint8),
        box=box,
        pixels=(box[:, 2:] - box[:, :2]).prod(1).astype(np.int64),
        share=np.ones(count, np.float32),
        distance=np.ones(count, np.float32),
        speed=np.zeros(count, np.float32),
        thing=np.arange(count),
    )


class Worlds:
    """One black picture with two white rectangles, one of which is small."""

    def boxed(self, index):
        image = np.zeros((96, 128, 3), np.uint8)
        image[20:60, 30:70], image[70:74, 90:94] = 255, 255
        seen = objects((89.5, 69.5, 93.5, 73.5), (29.5, 19.5, 69.5, 59.5))
        return BoxedPicture(image=image, objects=seen)


def test_pictures_hold_the_largest_things():
    sample = BoxedPictures(Worlds())[0]
    assert sample['kind'].tolist() == [1, 0, *[NONE] * (MOST - 2)]
    assert sample['box'][0].tolist() == [29.5, 19.5, 69.5, 59.5]
    assert sample['pixels'][:3].tolist() == [1600, 16, 0]


def test_boxes_go_where_their_pixels_go():
    plain = LabelChanges(crop=(96, 64), zoom=(0.6, 2.0), light=OFF)
    for index in range(12):
        sample = BoxSamples(BoxedPictures(Worlds()), plain, 5)[index]
        assert sample['image'].shape == (3, 64, 96)
        white = sample['image'][0] > 127
        left, top, right, bottom = np.rint(sample['box'][0] + 0.5).astype(int)
        inside = np.zeros_like(white)
        inside[top:bottom, left:right] = True
        if sample['counts'][0]:
            assert (white & inside).sum() / (white | inside).sum() > 0.85
        assert sample['kind'][0] == (1 if white.sum() > 60 else sample['kind'][0])
        assert not sample['counts'][1:].any()  # too small, or nothing
        assert set(sample['kind'][2:]) == {-1}


def test_a_piece_cuts_boxes():
    """Columns 10 to 30 and rows 0 to 10, twice as large."""
    piece = Piece((slice(0, 10), slice(10, 30)), (40, 20), 2.0)
    box = np.array([[4.5, -0.5, 14.5, 4.5], [39.5, 0, 50, 5], [0, 0, 0, 0]], np.float32)
    moved, left = boxes_of(piece, box)
    assert moved[0].tolist() == [-0.5, -0.5, 9.5, 9.5]
    assert left.tolist() == pytest.approx([0.5, 0, 0])


def test_the_loss_is_of_what_the_sample_shows():
    samples = BoxSamples(BoxedPictures(Worlds()), LabelChanges(crop=(64, 64), light=OFF), 5)
    batch = {
        name: torch.from_numpy(np.stack([samples[i][name] for i in range(2)]))
        for name in ('image', 'box', 'kind', 'counts')
    }
    torch.manual_seed(0)
    network = RECIPE.network().train()
    loss = RECIPE.loss(network, batch, 0)
    assert set(loss) == {'loss', 'kind', 'box', 'middle'}
    loss['loss'].backward()
    assert all(p.grad is not None for p in network.parameters())
    (picture,) = RECIPE.pictures(network.eval(), batch).values()
    assert picture.shape == (128, 128, 3)


def test_figures_are_those_of_held_out_worlds(monkeypatch):
    """A network that knows one of two boxes."""
    seen = objects((3.5, 3.5, 19.5, 19.5), (30, 2, 50, 28))
    picture = BoxedPicture(image=np.zeros((32, 64, 3), np.uint8), objects=seen)
    monkeypatch.setattr(localization, '_held_out', lambda _w, n: [picture] * n)

    def answer(_network, _found, _image):
        place = points(32, 64)
        scores, boxes = torch.zeros(1, len(place), len(KINDS)), torch.zeros(1, len(place), 4)
        scores[0, 9, 0], boxes[0, 9] = 0.8, torch.tensor(seen.box[0])
        return scores, boxes

    monkeypatch.setattr(localization, 'asked_part', answer)
    figures = RECIPE.validate(FCOS(RECIPE.fcos))
    assert figures['map'] == figures['map_half'] == figures['recall_half'] == 50
    assert (figures[KINDS[0].name], figures[KINDS[1].name]) == (100, 0)
    assert list(figures)[3:] == [one.name for one in KINDS]


def test_it_begins_with_the_encoder_of_another(tmp_path):
    torch.manual_seed(1)
    other = fcn(FCNConfig(encoder='light', width=1 / 8, fused=8))
    file = save_network(other, tmp_path / 'fcn.safetensors')
    network = with_encoder(FCOS(RECIPE.fcos).eval(), str(file))
    images = torch.rand(1, 3, 32, 32)
    for a, b in zip(network.encoded(images), other.eval().encoded(images), strict=True):
        torch.testing.assert_close(a, b)
    with pytest.raises(TrainError, match=r'no light encoder of the width 0\.25'):
        with_encoder(FCOS(FCOSConfig(width=1 / 4, channels=8)), str(file))
    assert found(network, images)[0].shape == (1, 21, len(KINDS))


@pytest.mark.parametrize(
    ('changed', 'message'),
    [
        ({'worlds': SampleConfig(frames=1)}, 'frames 1 and objects, got frames 1 and objects F'),
        ({'fcos': FCOSConfig(meaning=(0, 1))}, 'needs fcos.meaning'),
        ({'changes': LabelChanges(crop=(60, 32))}, 'multiples of 32'),
        ({'validation_pictures': 0}, 'validation_pictures >= 1, got 0'),
    ],
)
def test_what_cannot_be_learned_is_refused(changed, message):
    with pytest.raises(TrainError, match=message):
        replace(RECIPE, **changed)
