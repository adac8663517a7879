"""The network that tells of pictures, and its beam search beside a search of all sentences."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest
import torch

from dlcv.networks.caption import (
    END,
    MARKS,
    START,
    UNKNOWN,
    CaptionConfig,
    ShowAndTell,
    Spoken,
    beam_search,
    small,
)
from dlcv.networks.layers.shapes import ShapeError

TINY = CaptionConfig(
    size=(64, 32), width=1 / 16, reduced=4, grid=(2, 1), embedding=6, memory=5, words=('a', 'b')
)


@pytest.fixture(scope='module')
def network():
    torch.manual_seed(3)
    made = ShowAndTell(TINY).eval().requires_grad_(False)
    made.next.weight.mul_(6)  # an untrained network cares little
    made.picture.weight.mul_(20)
    return made


@pytest.fixture(scope='module')
def codes(network):
    images = torch.rand(3, 3, 32, 64, generator=torch.Generator().manual_seed(0))
    return network(images)


def _likelihood(network, code, words):
    """Sum of the log probabilities of words and end, by the way that learns."""
    told = network.tell(code[None], torch.tensor([[START, *words]]))[0].log_softmax(-1)
    return sum(float(p[w]) for p, w in zip(told, (*words, END), strict=True))


def test_a_sentence_is_as_likely_step_by_step_as_at_once(network, codes):
    for code in codes:
        memory, total, last = network.begin(code[None]), 0.0, START
        for word in (3, 4, 4, END):
            scores, memory = network.go_on(torch.tensor([last]), memory)
            assert float(scores.exp().sum()) == pytest.approx(1, abs=1e-5)
            total, last = total + float(scores[0, word]), word
        assert total == pytest.approx(_likelihood(network, code, (3, 4, 4)), abs=1e-4)


@pytest.mark.parametrize('power', [0.0, 1.0])
def test_a_wide_beam_finds_the_best_of_all_sentences(network, codes, power):
    longest = 4
    found = beam_search(network, codes, beams=81, longest=longest, length_power=power)
    every = [words for n in range(longest) for words in product((3, 4), repeat=n)]
    for code, sentences in zip(codes, found, strict=True):
        worth = {w: _likelihood(network, code, w) / (len(w) + 1) ** power for w in every}
        best = sorted(every, key=lambda words: -worth[words])[:5]
        assert [one.words for one in sentences[:5]] == best
        first = sentences[0]
        assert first.ended
        assert first.log_likelihood == pytest.approx(
            worth[best[0]] * (len(best[0]) + 1) ** power, abs=1e-4
        )


def test_pictures_do_not_know_each_other_and_one_beam_is_greedy(network, codes):
    together = beam_search(network, codes, beams=3, longest=6)
    for code, sentences in zip(codes, together, strict=True):
        (alone,) = beam_search(network, code[None], beams=3, longest=6)
        assert [one.words for one in alone] == [one.words for one in sentences]
        assert len({one.words for one in sentences}) == len(sentences) <= 3
        (greedy,) = beam_search(network, code[None], beams=1, longest=6, length_power=0)
        words, likelihood = greedy[0].words, greedy[0].log_likelihood
        assert likelihood == pytest.approx(_likelihood(network, code, words), abs=1e-4)


def test_what_never_ends_is_cut_off(network, codes):
    bias = network.next.bias.clone()
    network.next.bias[END] = -torch.inf
    sentences = beam_search(network, codes[:1], beams=2, longest=5)[0]
    network.next.bias.copy_(bias)
    assert all(len(one.words) == 5 and not one.ended for one in sentences)
    assert not {START, END, UNKNOWN} & set(sentences[0].words)


def test_the_code_says_where_unless_the_grid_is_one_cell():
    images = torch.rand(1, 3, 32, 64, generator=torch.Generator().manual_seed(0))
    for grid, wide in (((2, 1), 2 * 4), ((1, 1), 4)):
        torch.manual_seed(0)
        made = ShowAndTell(replace(TINY, grid=grid)).eval()
        assert made.picture.in_features == wide
        features = made.features(images)
        same = torch.allclose(made.coded(features), made.coded(features.flip(3)), atol=1e-6)
        assert same is (grid == (1, 1))


def test_the_shipped_one_is_small_and_each_takes_one_size(network):
    with torch.device('meta'):
        made = ShowAndTell(replace(small(), words=tuple(map(str, range(80)))))
        assert 2 * sum(p.numel() for p in made.parameters()) < 5e6
    with pytest.raises(ShapeError, match='expected 64x32 pixels, got 32x64'):
        network(torch.zeros(1, 3, 64, 32))
    assert made.config.vocabulary[:3] == MARKS


def test_likelihood_of_a_word():
    assert Spoken(words=(3, 4), log_likelihood=-3.0, ended=True).per_word == -1.0
    assert Spoken(words=(3, 4), log_likelihood=-3.0, ended=False).per_word == -1.5
    assert Spoken(words=(), log_likelihood=-2.0, ended=True).per_word == -2


@pytest.mark.parametrize(
    ('changed', 'message'),
    [
        ({'size': (250, 192)}, r'multiples of 32, got \[250, 192\]'),
        ({'grid': (3, 1)}, r'divide the 2x1 cells of the encoder, got \[3, 1\]'),
        ({'memory': 0}, 'got 6, 0, 4 and'),
        ({'dropout': 1.0}, r'got 1\.0'),
        ({'words': ('a', 'a')}, r"each once .* got 2: \['a', 'a'\]"),
        ({'words': ('<end>',)}, 'each once'),
    ],
)
def test_a_configuration_is_checked(changed, message):
    with pytest.raises(ValueError, match=message):
        replace(TINY, **changed)


def test_a_beam_is_checked(network, codes):
    with pytest.raises(ValueError, match='got 0 and 60'):
        beam_search(network, codes, beams=0)
