"""`dlcv bench captions`: which methods there are, and that the tables hold what the metrics say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from dlcv.data.captions import Teller, Thing, View
from dlcv.evaluation.bench import captions_sets
from dlcv.evaluation.bench.captions import Options, networks, run
from dlcv.evaluation.bench.captions_sets import ToldPicture
from dlcv.evaluation.bench.options import BenchError, silent
from dlcv.evaluation.bench.report import read_json, write_json
from dlcv.evaluation.bench.sets import ItemSet
from dlcv.metrics.captions import figures
from dlcv.networks.caption import CaptionConfig, ShowAndTell
from dlcv.networks.weights import save_network

TINY = CaptionConfig(
    size=(64, 32), width=1 / 8, reduced=4, grid=(2, 1), embedding=8, memory=8, words=('.', 'room')
)


def picture(number):
    """One of four views, whose picture says which: like views have like pictures."""
    kind, rng = number % 4, np.random.default_rng(number)
    blocks = np.random.default_rng(kind).integers(0, 200, (12, 16, 3), np.uint8)
    image = blocks.repeat(4, 0).repeat(4, 1) + rng.integers(0, 20, (48, 64, 3), np.uint8)
    chair = Thing(kind='chair', x=0.15 + 0.7 * (kind % 2), distance=1.0, share=0.1)
    view = View(place=('room', 'corridor')[kind // 2], things=(chair,))
    another, *references = (Teller()(view, rng) for _ in range(6))
    return ToldPicture(image=image, view=view, references=tuple(references), another=another)


@pytest.fixture(autouse=True)
def worlds(monkeypatch):
    """Stand in for worlds, which take seconds to build."""

    def made(seed, count):
        numbers = range(seed, seed + count)
        return ItemSet[ToldPicture](
            name='world', title='rooms', count=count, read=lambda: map(picture, numbers)
        )

    monkeypatch.setattr(captions_sets, 'worlds', made)


@pytest.fixture
def weights(tmp_path):
    torch.manual_seed(0)
    return save_network(ShowAndTell(TINY), tmp_path / 'tiny.safetensors', trained=True)


def test_the_tables_hold_what_the_metrics_say(weights, tmp_path):
    options = Options(weights=(weights,), limit=8, beams=2)
    report = run(options, silent)
    table, facts = report.tables
    others = ['any sentence', 'nearest thumbnail', 'nearest feature of tiny']
    assert [row.name for row in table.rows] == [*others, 'tiny', 'the world, in other words']
    shown = [picture(captions_sets.WORLD_SEED + i) for i in range(8)]
    ((method, _),) = networks(options, options.running)
    found = figures(
        [method.describe(one.image) for one in shown],
        [one.references for one in shown],
        [one.view for one in shown],
    )
    for name, value in zip(('BLEU-1', 'BLEU-4', 'CIDEr', 'true'), found, strict=False):
        assert table.value('tiny', name) == value
    assert table.value('nearest thumbnail', 'true') == 100
    assert table.value('any sentence', 'true') < 100
    assert table.value('the world, in other words', 'facts') == 100
    assert facts.value('nearest thumbnail', 'side') == 100
    assert facts.value('any sentence', 'light') is None  # indoors there is none
    write_json(report, tmp_path / 'report.json')
    assert read_json(tmp_path / 'report.json') == report


def test_folders_and_other_sets_are_refused():
    with pytest.raises(BenchError, match='no folder holds what is true of its pictures, got yard'):
        run(Options(data=(Path('yard'),)), silent)
    with pytest.raises(BenchError, match="no set 'city'; there are world"):
        run(Options(sets=('city',)), silent)
