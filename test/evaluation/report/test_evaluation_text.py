"""The table for the terminal, and the words it shares with the page."""

from __future__ import annotations

import pytest

from dlcv.evaluation.report import wording
from dlcv.evaluation.report.evaluation_text import text_table
from dlcv.evaluation.scoring.model import Evaluation, Metric, NodeResult, Section

NONE = '\N{EN DASH}'


def node(name, answered, images=200, **more):
    return NodeResult(name=name, images=images, answered=answered, longest_gap=0.5, **more)


def evaluation(*nodes, sections=()):
    return Evaluation(title='a drive', mode='lock-step', facts={}, nodes=nodes, sections=sections)


def test_columns_are_aligned():
    odometry = Section(
        name='odometry',
        title='Odometry',
        metrics=(
            Metric(name='ATE (SE3)', value=3.21449, unit='m', better='low'),
            Metric(name='share', value=64.123, unit='%', digits=1, better='high'),
            Metric(name='t_rel', value=None, unit='%', why='no truth'),
        ),
        notes=('a note',),
    )
    nodes = (
        node('dsac', 200, inference_ms=(18.25, 22.0, 31.4, 180.0), trained=True),
        node('flow', 0, trained=False),
    )
    table = text_table(evaluation(*nodes, sections=(odometry,)))
    assert table.replace(NONE, '-').splitlines() == [
        'a drive',
        '1 of 2 nodes answered; no answer from flow.',
        '',
        'node    answered  availability  gap s              inference ms  age ms  weights',
        'dsac  200 of 200         100 %   0.50  18.2 / 22.0 / 31.4 / 180       -  trained',
        'flow    0 of 200           0 %   0.50                         -       -  UNTRAINED',
        '',
        'Odometry',
        '  ATE (SE3)  3.214  m         ↓',
        '  share       64.1  %         ↑',
        '  t_rel          -  no truth',
        '  a note',
    ]


def test_nothing_found_is_said_in_words():
    empty = Section(name='flow', title='Flow', metrics=())
    lines = text_table(evaluation(sections=(empty,))).splitlines()
    assert lines == ['a drive', 'No node took part.', '', 'Flow']


def test_warnings_stand_before_the_numbers():
    one = Evaluation(title='t', mode='lock-step', facts={}, nodes=(), warnings=('cut short',))
    assert text_table(one).splitlines()[-1] == 'warning: cut short'


@pytest.mark.parametrize(
    ('answered', 'said'),
    [
        ((200, 200), '2 of 2 nodes answered every image.'),
        ((200, 199), '2 of 2 nodes answered; least: b, 99.5 % of 200 images.'),
        ((0, 0), '0 of 2 nodes answered; no answer from a, b.'),
    ],
)
def test_the_verdict_names_who_answered_least(answered, said):
    nodes = map(node, 'ab', answered)
    assert wording.verdict(evaluation(*nodes)) == said


@pytest.mark.parametrize(
    ('share', 'said'),
    [
        (0.0, '0 %'),
        (1.0, '100 %'),
        (0.99999, '99.9 %'),
        (0.00001, '0.1 %'),
        (0.5, '50.0 %'),
        (float('nan'), NONE),
    ],
)
def test_only_all_is_all_and_only_nothing_is_nothing(share, said):
    assert wording.percent(share) == said


@pytest.mark.parametrize(
    ('value', 'said'),
    [(0.414, '0.41'), (12.34, '12.3'), (1234.5, '1234'), (None, NONE), (float('inf'), NONE)],
)
def test_about_three_digits(value, said):
    assert wording.short(value) == said
