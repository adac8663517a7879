"""`dlcv bench segmentation`: which sets and methods there are, and that the tables hold it."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from dlcv.classes import CLASSES, NUMBER, UNLABELLED
from dlcv.evaluation.bench import segmentation_sets
from dlcv.evaluation.bench.options import BenchError, silent
from dlcv.evaluation.bench.report import read_json, write_json
from dlcv.evaluation.bench.segmentation import Options, networks, run
from dlcv.evaluation.bench.sets import ItemSet
from dlcv.metrics.segmentation import confusion, scores
from dlcv.networks.fcn import FCNConfig, fcn
from dlcv.networks.weights import save_network
from dlcv.types import LabelledPicture

WALL, FLOOR, PERSON = (NUMBER[name] for name in ('wall', 'floor', 'person'))


def picture(seed):
    rng = np.random.default_rng(seed)
    labels = np.full((48, 64), WALL, np.uint8)
    labels[30:] = FLOOR
    column = int(rng.integers(10, 50))
    labels[10:40, column : column + 8] = PERSON
    labels[0] = UNLABELLED
    image = np.stack([labels * 25] * 3, -1) + rng.integers(0, 20, (48, 64, 3), np.uint8)
    return LabelledPicture(image=image.astype(np.uint8), labels=labels)


@pytest.fixture(autouse=True)
def worlds(monkeypatch):
    """Stand in for worlds, which take seconds to build."""

    def made(seed, count):
        numbers = range(seed, seed + count)
        return ItemSet[LabelledPicture](
            name='world', title='rooms', count=count, read=lambda: map(picture, numbers)
        )

    monkeypatch.setattr(segmentation_sets, 'worlds', made)


@pytest.fixture
def weights(tmp_path):
    torch.manual_seed(0)
    network = fcn(FCNConfig(encoder='light', width=1 / 8, fused=8))
    return save_network(network, tmp_path / 'tiny.safetensors', trained=True)


def test_the_tables_hold_what_the_metrics_say(weights, tmp_path):
    report = run(Options(weights=(weights,), sets=('world',), limit=3), silent)
    table, classes = report.tables
    assert [row.name for row in table.rows] == ['usual class', 'nearest neighbours', 'tiny']
    assert table.name == 'world'
    (method,) = networks((weights,), Options().running)
    counts = 0
    for seed in range(segmentation_sets.WORLD_SEED, segmentation_sets.WORLD_SEED + 3):
        shown = picture(seed)
        counts += confusion(method.label(shown.image), shown.labels)
    found = scores(counts)
    assert table.value('tiny', 'mean IoU') == 100 * found.mean_iou
    assert table.value('tiny', 'accuracy') == 100 * found.accuracy
    assert classes.value('tiny', 'wall') == 100 * found.iou[WALL]
    assert classes.value('tiny', 'sky') is None  # there is none
    assert len(classes.columns) == len(CLASSES)
    assert table.value('nearest neighbours', 'mean IoU') > 90
    assert table.value('usual class', 'mean IoU') < 80
    write_json(report, tmp_path / 'report.json')
    assert read_json(tmp_path / 'report.json') == report


def test_folders_are_sets_and_others_are_refused(tmp_path):
    shown = picture(1)
    for name, pixels in (('images', shown.image), ('labels', shown.labels)):
        (tmp_path / 'yard' / name).mkdir(parents=True)
        assert cv2.imwrite(str(tmp_path / 'yard' / name / '0.png'), pixels)
    report = run(Options(data=(tmp_path / 'yard',), sets=('yard',), limit=2), silent)
    assert [table.name for table in report.tables] == ['yard', 'yard/classes']
    assert '1 pictures' in report.tables[0].title
    with pytest.raises(BenchError, match="no set 'city'; there are world"):
        run(Options(sets=('city',)), silent)
