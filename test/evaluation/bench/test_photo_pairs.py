"""The built-in set is always the same, and its truth is true."""

from __future__ import annotations

import itertools
import re
from collections import Counter

import cv2
import numpy as np
import pytest

from dlcv.data.datasets.files import read_picture
from dlcv.evaluation.bench import photo_pairs as module
from dlcv.evaluation.bench.options import BenchError
from dlcv.evaluation.bench.photo_pairs import (
    LIGHTS,
    PHOTOS,
    VIEWS,
    PhotoPairs,
    draw_view,
    relight,
    scenes,
)
from dlcv.metrics.features import TrueMotion

# Of two scenes, as first released: where pixel (100, 200) goes, and how bright pictures are.
MEASURED_CORNERS = [[103.37, 88.28], [260.93, 151.35], [156.27, 267.88], [25.14, -49.89]]
MEASURED_MEANS = [96.7, 159.1, 106.3, 235.1, 102.4, 89.0, 76.6, 181.6]


@pytest.fixture(scope='module')
def pairs():
    return list(PhotoPairs(photos=scenes()[::15]))


def test_every_photo_has_its_author_and_licence():
    text = (PHOTOS / 'ATTRIBUTION.md').read_text()
    rows = re.findall(r'^\| `(\w+\.jpg)` \|(.*)\|$', text, re.MULTILINE)
    assert [name for name, _ in rows] == [path.name for path in scenes()]
    for name, row in rows:
        author, title, package, licence, changes = (cell.strip() for cell in row.split('|'))
        assert all((author, title, package, changes)), name
        assert re.search(r'public domain|CC0 1\.0|CC BY [24]\.0', licence), name


def test_the_photos_are_small_enough_to_be_carried_and_large_enough_to_be_used():
    assert sum(path.stat().st_size for path in scenes()) < 4_000_000
    assert all(min(read_picture(path).shape[:2]) >= 300 for path in scenes())


def test_each_scene_has_viewpoints_and_lights_of_one_reference(pairs):
    assert Counter(pair.kind for pair in pairs) == {'viewpoint': 4, 'illumination': 4}
    assert len({pair.name for pair in pairs}) == len(pairs)
    for _, group in itertools.groupby(pairs, key=lambda p: p.name.partition('/')[0]):
        assert len({id(pair.first) for pair in group}) == 1


def test_the_set_is_the_same_every_time(pairs):
    for pair, again in zip(pairs, PhotoPairs(photos=scenes()[::15]), strict=True):
        assert np.array_equal(pair.second, again.second)
        assert np.array_equal(pair.second_from_first, again.second_from_first)


def test_the_set_is_the_one_that_was_measured(pairs):
    """If this fails, all published numbers are void and must be measured again."""
    corners = [p.second_from_first @ (100, 200, 1) for p in pairs if p.kind == 'viewpoint']
    found = [(c[:2] / c[2]).round(2).tolist() for c in corners]
    assert found == MEASURED_CORNERS
    assert [round(float(p.second.mean()), 1) for p in pairs] == pytest.approx(
        MEASURED_MEANS, abs=0.2
    )


def test_a_scene_does_not_depend_on_the_others(pairs):
    alone = list(PhotoPairs(photos=scenes()[15:16]))
    assert np.array_equal(alone[0].second, pairs[4].second)


@pytest.mark.parametrize('view', VIEWS)
def test_the_homography_is_where_things_are(view):
    """A pixel of the reference has the colour of its place in the view."""
    noise = np.random.default_rng(0).integers(0, 255, (150, 200, 3), np.uint8)
    photo = cv2.GaussianBlur(noise, (0, 0), 6)
    photo = cv2.normalize(photo, None, 0, 255, cv2.NORM_MINMAX)
    size = (120, 160)
    matrix = draw_view(np.random.default_rng(5), size, view)
    seen = module._seen(photo, (20, 15), matrix, size)
    truth = TrueMotion(second_from_first=matrix, first_size=size, second_size=size)
    points = np.stack(np.meshgrid(np.arange(10, 150, 7), np.arange(10, 110, 7)), -1).reshape(-1, 2)
    points = points[truth.visible(points)]
    there = truth.carry(points).astype(np.float32)
    found = cv2.remap(seen, there[:, 0], there[:, 1], cv2.INTER_LINEAR)[:, 0].astype(float)
    wanted = photo[points[:, 1] + 15, points[:, 0] + 20].astype(float)
    assert len(points) > 50
    assert np.abs(found - wanted).mean() < 4  # of a range of 255


def test_pixel_centres_are_kept_by_the_finer_drawing():
    """A photo seen from straight ahead at its own size is the photo."""
    photo = np.random.default_rng(0).integers(0, 255, (60, 80, 3), np.uint8)
    smooth = cv2.GaussianBlur(photo, (0, 0), 3)
    same = module._seen(smooth, (10, 5), np.eye(3), (40, 50))
    assert np.abs(same.astype(int) - smooth[5:45, 10:60]).max() <= 1


def test_views_get_harder():
    rng = np.random.default_rng(1)
    size = (480, 640)
    spread = []
    for view in VIEWS:
        areas = []
        for _ in range(40):
            truth = TrueMotion(
                second_from_first=draw_view(rng, size, view), first_size=size, second_size=size
            )
            corners = np.array([[0.0, 0], [639, 0], [639, 479], [0, 479]])
            sides = np.linalg.norm(np.diff(truth.carry(corners), axis=0), axis=1)
            areas.append(sides.max() / sides.min())
            grid = np.stack(np.meshgrid(np.arange(0, 640, 20), np.arange(0, 480, 20)), -1)
            assert truth.visible(grid.reshape(-1, 2).astype(float)).mean() > 0.15
        spread.append(np.mean(areas))
    assert 1.3 < spread[0] < spread[1] < 6


def test_light_leaves_places_alone():
    image = read_picture(scenes()[0])
    before = image.copy()
    for light in LIGHTS:
        changed = relight(image, np.random.default_rng(2), light)
        assert changed.shape == image.shape
        assert not np.array_equal(changed, image)
        shift, _ = cv2.phaseCorrelate(
            *(cv2.cvtColor(i, cv2.COLOR_RGB2GRAY).astype(np.float32) for i in (image, changed))
        )
        assert np.abs(shift).max() < 1
    assert np.array_equal(image, before)


def test_a_missing_set_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(module, 'PHOTOS', tmp_path)
    with pytest.raises(BenchError, match=r'not installed \(looked for \*\.jpg\)'):
        scenes()
