"""Pictures of chosen times: an estimate is drawn so that it can be held against its truth."""

from __future__ import annotations

import numpy as np
import pytest

from dlcv.classes import NUMBER
from dlcv.data.bags import Bag, BagWriter
from dlcv.data.bags.vocabulary import COMPOSER, IMAGE
from dlcv.evaluation.scoring.moments import Sources, pictures, spread
from dlcv.view.labels import label_colours

STAMP = 7
DEPTH = np.linspace(1, 5, 48, dtype=np.float32).reshape(6, 8)
FLOW = np.stack((DEPTH, -DEPTH), axis=-1)


@pytest.fixture
def drawn(tmp_path):
    """Draw depth and flow beside their truth; name -> picture."""

    def write(name, arrays):
        with BagWriter(tmp_path / name, overwrite=True) as bag:
            for topic, array in arrays.items():
                bag.add_topic(topic, IMAGE)
                head = COMPOSER.header(STAMP, 'camera')
                bag.write(topic, STAMP, COMPOSER.image(head, array))
        return tmp_path / name

    def go(**estimates):
        truth = {'/image': np.zeros((6, 8, 3), np.uint8), '/true/depth': DEPTH, '/true/flow': FLOW}
        outputs = write('outputs.mcap', {f'/{name}': a for name, a in estimates.items()})
        topics = Sources(
            image='/image', true_depth='/true/depth', true_flow='/true/flow', depth='/depth',
            flow='/flow', followed='/tracks', labels='/labels',
        )  # fmt: skip
        with Bag(outputs) as answers, Bag(write('truth.mcap', truth)) as source:
            return dict(pictures(answers, source, topics, [STAMP])[STAMP])

    return go


def test_what_is_right_looks_right(drawn):
    found = drawn(depth=DEPTH, flow=FLOW)
    np.testing.assert_array_equal(found['depth'], found['true depth'])
    np.testing.assert_array_equal(found['flow'], found['true flow'])


def test_a_wrong_scale_is_seen(drawn):
    found = drawn(depth=2 * DEPTH, flow=FLOW / 2)
    right = drawn(depth=DEPTH, flow=FLOW)
    np.testing.assert_array_equal(found['true depth'], right['true depth'])
    np.testing.assert_array_equal(found['true flow'], right['true flow'])
    assert (found['depth'] != found['true depth']).any(axis=-1).mean() > 0.5
    assert (found['flow'] != found['true flow']).any(axis=-1).mean() > 0.5


def test_what_the_odometry_has_drawn_is_shown_as_it_is(drawn):
    overlay = np.full((6, 8, 3), (1, 2, 3), np.uint8)
    np.testing.assert_array_equal(drawn(tracks=overlay)['tracks'], overlay)
    assert 'tracks' not in drawn(depth=DEPTH)


def test_labels_lie_over_their_picture(drawn):
    labels = np.full((6, 8), NUMBER['person'], np.uint8)
    shown = drawn(labels=labels)['labels']
    np.testing.assert_array_equal(shown, label_colours(labels, np.zeros((6, 8, 3), np.uint8)))
    assert 'labels' not in drawn(depth=DEPTH)


def test_what_nobody_knows_has_no_scale(drawn):
    found = drawn(depth=np.full_like(DEPTH, np.nan))
    assert not found['depth'].any()
    assert found['true depth'].any()
    assert 'flow' not in found


def test_times_are_spread_without_the_ends_of_many():
    assert spread(list(range(10)), 3) == [2, 4, 7]
    assert spread([4, 5], 4) == [4, 5]
