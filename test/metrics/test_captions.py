from __future__ import annotations

from math import exp, isnan, log, sqrt

import pytest

from dlcv.data.captions import Thing, View
from dlcv.metrics.captions import CaptionMetricError, Truth, bleu, cider, figures


def test_bleu_by_hand():
    # 'the' may count twice, as in the first reference: the paper's own example
    (first, *_) = bleu(['the the the the the the the'], [['the cat is on the mat', 'a cat']])
    assert first == pytest.approx(2 / 7)
    found = bleu(['a dog runs here'], [['a dog runs over there', 'a cat sleeps over there']])
    penalty, shares = exp(1 - 5 / 4), (3 / 4, 3 / 4 * 2 / 3, 3 / 4 * 2 / 3 * 1 / 2)
    assert found[:3] == pytest.approx([penalty * s ** (1 / n) for n, s in enumerate(shares, 1)])
    assert found[3] == 0  # no four words in a row
    texts = ['a b c d e', 'f g h i']
    assert bleu(texts, [[text] for text in texts]) == pytest.approx((1, 1, 1, 1))


def test_bleu_is_of_all_texts_together_and_takes_the_nearest_length():
    found = bleu(['a b', 'c d e f'], [['a x', 'a b c d e f g'], ['c d e y']])
    assert found[0] == pytest.approx(5 / 6)  # not the mean of 1 and 3/4
    short = bleu(['a b c'], [['a b c d', 'a b']])  # both are one word away: the shorter counts
    assert short[0] == pytest.approx(1)


def test_cider_by_hand():
    texts, references = ['a red car', 'a blue car'], [['a red car'], ['a green car', 'a tree']]
    first, second = cider(texts, references)
    # what all pictures have ('a') weighs nothing; of one word 'red' and 'car' are left
    rare = log(2)
    assert first == pytest.approx(10 * (1 + 1 + 1 + 0) / 4)
    # 'car' is in both sets: 'blue' alone is left and is in no reference; nor is any longer row
    assert second == 0
    told = cider(['red bus', 'tree'], [['red red car'], ['tree']])[0]
    # one word: (red 1, bus 1) against (red 2, car 1), all of them of one rarity
    assert told == pytest.approx(10 / 4 * (2 * rare**2) / (sqrt(2) * rare * sqrt(5) * rare))


def test_truth_counts_what_is_not_understood_as_false():
    view = View(place='room', things=(Thing(kind='chair', x=0.1, distance=1.0, share=0.1),))
    truth = Truth.none()
    truth.add('a room . a chair on the left , close by .', view)
    truth.add('a street . a chair on the right .', view)
    truth.add('a room . chair chair left .', view)
    truth.add('', view)
    assert (truth.texts, truth.true_texts) == (4, 1)
    assert (truth.statements, truth.true_statements) == (6, 3)
    assert truth.by_fact() == {
        'count': 0.5, 'distance': 1.0, 'place': 2 / 3, 'side': 0.5, 'thing': 1.0, 'understood': 0.0
    }  # fmt: skip
    assert truth.shares()[3] == 1 / 4  # of four times one thing to be told
    assert all(isnan(share) for share in Truth.none().shares())


def test_figures_are_in_the_order_of_their_table():
    view = View(place='room')
    found = figures(['a room .'] * 2, [['a room .'], ['this is a street .']], [view] * 2)
    assert found[0] == pytest.approx(exp(1 - 6 / 4) * 3 / 4)
    assert found[3:6] == (100, 100, 100)


@pytest.mark.parametrize(('texts', 'references'), [([], []), (['a'], []), (['a'], [[]])])
def test_what_does_not_fit_is_refused(texts, references):
    for metric in (bleu, cider):
        with pytest.raises(CaptionMetricError, match='as many sets of references'):
            metric(texts, references)
