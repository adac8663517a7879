"""``dlcv bench`` from its command line to its files."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from dlcv.cli.main import main
from dlcv.evaluation.bench.report import read_json
from dlcv.networks.weights import save_network, untrained


@pytest.fixture(scope='module')
def scene(tmp_path_factory):
    """A plane that shifts, and weights to look at it with."""
    folder = tmp_path_factory.mktemp('bench')
    small = np.random.default_rng(0).integers(0, 255, (16, 20, 3), np.uint8)
    first = cv2.resize(small, (160, 128), interpolation=cv2.INTER_CUBIC)
    (folder / 'plane').mkdir()
    cv2.imwrite(str(folder / 'plane' / '1.png'), first)
    cv2.imwrite(str(folder / 'plane' / '2.png'), np.roll(first, 8, axis=1))
    (folder / 'plane' / 'H_1_2').write_text('1 0 8\n0 1 0\n0 0 1\n')
    save_network(untrained('superpoint'), folder / 'net.safetensors', trained=True)
    return folder


def test_features_from_folder_to_card(scene, capsys):
    card = scene / 'card.md'
    card.write_text('<!-- bench found.json plane: begin -->\n<!-- bench: end -->\n')
    code = main(
        ['bench', 'features', '--weights', str(scene / 'net.safetensors'), '--data',
         str(scene / 'plane'), '--sets', 'plane', '--points', '50', '--threads', '1',
         '-o', str(scene / 'found.json'), '--card', str(card)]
    )  # fmt: skip
    said = capsys.readouterr()
    assert code == 0, said.err
    assert 'plane: 1 pair' in said.out
    assert f'{card}: written anew' in said.err
    report = read_json(scene / 'found.json')
    assert report.bench == 'features'
    assert '50 points' in report.settings['descriptor']
    for row in report.table('plane').rows:
        assert row.name in said.out
        assert row.name in card.read_text()
    assert main(['bench', 'cards', str(card)]) == 0
    assert 'is up to date' in capsys.readouterr().err


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        (['features', '--sets', 'moon'], "no set 'moon'; there are photos"),
        (['features', '--data', 'nowhere'], 'nowhere: no such folder'),
        (['features', '--limit', '0'], 'at least 1, got 0'),
        (['features', '--threads', '0'], '--threads must be at least 1'),
        (['relocalization', '--sets', 'moon'], "no set 'moon'; there are world-room"),
        (['relocalization', '--data', 'nowhere'], 'nowhere: no such folder'),
        (
            ['relocalization', '--methods', 'ours'],
            "no methods 'ours'; there are classical",
        ),
        (['fundamental', '--sets', 'moon'], "no set 'moon'; there are world"),
        (['fundamental', '--gap', '0'], 'gap at least 1, got 0.8 and 0'),
        (['features', '-o', 'nowhere/x.json'], 'there is no folder nowhere'),
        (['features', '--card', 'nothing.md'], 'there is no document nothing.md'),
        (['cards', 'nothing.md'], 'there is no document nothing.md'),
    ],
)
def test_mistakes_are_named_before_any_work(arguments, words, capsys):
    assert main(['bench', *arguments]) == 2
    assert words in capsys.readouterr().err


def test_a_bench_must_be_chosen(capsys):
    with pytest.raises(SystemExit):
        main(['bench'])
    assert 'BENCH' in capsys.readouterr().err
