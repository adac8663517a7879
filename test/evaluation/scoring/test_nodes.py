"""Availability: which images were answered, and how long nobody answered."""

from __future__ import annotations

import numpy as np
import pytest

from dlcv.evaluation.replay.job import NodeFacts
from dlcv.evaluation.replay.log import Handled
from dlcv.evaluation.scoring.nodes import Tally, longest_gap, tallies
from dlcv.interface.handled import Outcome

SECOND = 10**9
STAMPS = [second * SECOND for second in range(10, 21)]  # 10 s to 20 s


def seconds(*times: float) -> list[int]:
    return [round(time * SECOND) for time in times]


@pytest.mark.parametrize(
    ('answered', 'gap'),
    [
        ((10, 11, 12, 20), 8.0),  # in the middle
        ((17, 18, 19, 20), 7.0),  # from the first image on
        ((10, 12, 14), 6.0),  # to the last image
        ((), 10.0),  # never
        (range(10, 21), 1.0),
    ],
)
def test_the_longest_gap_counts_the_ends(answered, gap):
    assert longest_gap(seconds(*answered), STAMPS) == gap


def test_no_image_has_no_gap():
    assert longest_gap([], []) == 0.0


def line(second, text, node='deepvo', age=None):
    return Handled(node, second * SECOND, Outcome.parse(text), age)


def test_only_the_output_that_answers_is_an_answer():
    lines = [
        line(10, 'processed inference_ms=4.000 sent='),  # the first image has no flow
        line(11, 'processed inference_ms=2.000 sent=~/odometry,~/path', age=9.0),
        line(12, 'superseded', age=100.0),
        line(13, 'processed inference_ms=3.000 sent=~/path', age=5.0),
        line(13, 'processed inference_ms=1.000 sent=~/keypoints', node='superpoint'),
    ]
    found = tallies(lines, {'deepvo': '~/odometry', 'superpoint': '~/keypoints'})
    facts = NodeFacts(trained=False, cpu=0.5, weights_sha256='ab')
    result = found['deepvo'].result('deepvo', STAMPS, facts)
    assert (result.images, result.answered, result.longest_gap) == (11, 1, 9.0)
    assert result.outcomes == {'processed': 3, 'superseded': 1}
    assert result.inference_ms == pytest.approx(np.quantile([2, 3, 4], (0.5, 0.95, 0.99, 1)))
    assert result.age_ms[0] == 7.0  # of a dropped image there is no answer to age
    assert result.age_ms[-1] == 9.0
    assert (result.trained, result.cpu, result.weights_sha256) == (False, 0.5, 'ab')
    assert found['superpoint'].result('superpoint', STAMPS, facts).answered == 1


def test_an_image_answered_twice_is_one():
    tally = Tally()
    for _ in range(2):
        tally.add(line(15, 'processed inference_ms=1.000 sent=~/odometry'), sends=True)
    assert tally.result('deepvo', STAMPS, NodeFacts()).answered == 1


def test_a_node_that_never_said_anything():
    result = Tally().result('dsac', STAMPS, NodeFacts())
    assert (result.answered, result.longest_gap, result.inference_ms) == (0, 10.0, ())
    assert result.trained is None
