"""`dlcv bench detection`: which methods there are, and that the tables hold what is measured."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dlcv.evaluation.bench import detection
from dlcv.evaluation.bench.detection import Options, networks, run
from dlcv.evaluation.bench.options import BenchError, silent
from dlcv.evaluation.bench.report import read_json, write_json
from dlcv.evaluation.bench.sets import ItemSet
from dlcv.metrics.detection import DetectionTally
from dlcv.networks.fcos import FCOS, FCOSConfig
from dlcv.networks.weights import save_network
from dlcv.things import KIND_NUMBER, KINDS
from dlcv.types import BoxedPicture, Objects

CLASSICAL = ["HOG, OpenCV's people", 'HOG and LDA, all kinds']
DOOR, SIGN = KIND_NUMBER['door'], KIND_NUMBER['sign']


def picture(seed):
    """A striped door and a bright sign before grey noise."""
    rng = np.random.default_rng(seed)
    image = rng.integers(100, 120, (64, 96, 3), np.uint8)
    x, y = rng.integers(2, 20), rng.integers(2, 12)
    image[y : y + 48, x : x + 24 : 6] = 230
    image[y : y + 20, x + 40 : x + 60] = 250
    box = np.array([[x, y, x + 24, y + 48], [x + 40, y, x + 60, y + 20]], np.float32) - 0.5
    seen = Objects(
        kind=np.array([DOOR, SIGN], np.uint8),
        box=box,
        pixels=np.array([1152, 400]),
        share=np.ones(2, np.float32),
        distance=np.ones(2, np.float32),
        speed=np.zeros(2, np.float32),
        thing=np.arange(2),
    )
    return BoxedPicture(image=image, objects=seen)


@pytest.fixture(autouse=True)
def worlds(monkeypatch):
    """Stand in for worlds, which take seconds to build."""

    def made(seed, count):
        numbers = range(seed, seed + count)
        return ItemSet[BoxedPicture](
            name='world', title='doors', count=count, read=lambda: map(picture, numbers)
        )

    monkeypatch.setattr(detection, 'worlds', made)


@pytest.fixture
def weights(tmp_path):
    torch.manual_seed(0)
    network = FCOS(FCOSConfig(width=1 / 8, channels=8))
    torch.nn.init.normal_(network.kind.weight, std=0.3)
    return save_network(network, tmp_path / 'tiny.safetensors', trained=True)


def test_the_tables_hold_what_the_metric_says(weights, tmp_path):
    report = run(Options(weights=(weights,), limit=3), silent)
    table, kinds, things = report.tables
    assert [row.name for row in table.rows] == [*CLASSICAL, 'tiny']
    tally = DetectionTally()
    (method,) = networks((weights,), Options().running)
    for seed in range(detection.WORLD_SEED, detection.WORLD_SEED + 3):
        shown = picture(seed)
        truth = shown.objects.box, shown.objects.kind, np.ones(2, np.bool_)
        tally.add(method.find(shown.image), truth)
    scores = tally.scores()
    assert table.value('tiny', 'mAP') == 100 * scores.map_all
    assert table.value('tiny', 'mAP@.5') == 100 * scores.map_half
    assert kinds.value('tiny', 'door') == 100 * scores.precision[DOOR, 0]
    assert kinds.value('tiny', 'chair') is None  # there is none
    assert table.value(CLASSICAL[0], 'mAP') == 0  # nobody stands there
    assert table.value(CLASSICAL[1], 'recall@.5') > 30
    assert [things.value('things', name) for name in ('door', 'sign', 'chair')] == [3, 3, 0]
    assert len(kinds.columns) == len(KINDS)
    write_json(report, tmp_path / 'report.json')
    assert read_json(tmp_path / 'report.json') == report


def test_what_is_not_there_is_refused(tmp_path):
    with pytest.raises(BenchError, match='generated worlds, not on'):
        run(Options(data=(tmp_path,)), silent)
    with pytest.raises(BenchError, match="no set 'city'; there are world"):
        run(Options(sets=('city',)), silent)
