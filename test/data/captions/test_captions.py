from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dlcv.data.captions import (
    GRAMMAR_WORDS,
    PlaceSaid,
    Teller,
    Thing,
    ThingsSaid,
    View,
    holds,
    phrasings,
    statements_of,
)
from dlcv.data.captions.facts import CLEAR, VISIBLE
from dlcv.data.captions.grammar import _all_statements


def any_view(rng: np.random.Generator) -> View:
    kinds = rng.choice(('person', 'vehicle', 'chair', 'box'), 8)
    things = tuple(
        Thing(
            kind=str(kind),
            x=rng.random(),
            distance=float(np.exp(rng.uniform(-1, 4))),
            share=float(np.exp(rng.uniform(np.log(VISIBLE / 2), np.log(0.2)))),
            moves=bool(kind in ('person', 'vehicle') and rng.random() < 0.5),
        )
        for kind in kinds
    )
    return View(place='street', light='sunny', things=things)


def test_every_phrase_means_one_thing():
    said = {}
    for statement in _all_statements():
        for text in phrasings(statement):
            assert said.setdefault(text, statement) is statement
            assert set(text.split()) <= set(GRAMMAR_WORDS)
    assert len(said) > 4000


def test_what_is_told_is_true_and_is_understood():
    told = set()
    for seed in range(200):
        rng = np.random.default_rng(seed)
        view = any_view(rng)
        text = Teller()(view, rng)
        said = statements_of(text)
        assert None not in said
        assert all(all(holds(one, view).values()) for one in said)
        assert len(said) <= 4
        told.add(text)
    assert len(told) > 190
    again = np.random.default_rng(7)
    assert Teller()(any_view(again), again) in told


def test_a_mirrored_view_is_told_with_left_for_right():
    view = any_view(np.random.default_rng(3))
    other = view.mirrored()
    for statement in _all_statements():
        if isinstance(statement, ThingsSaid):
            turned = {'left': 'right', 'right': 'left'}.get(statement.side, 'middle')
            mirrored = replace(statement, side=turned)
            assert holds(statement, view) == holds(mirrored, other)


def test_facts_by_hand():
    chair = Thing(kind='chair', x=0.1, distance=1.5, share=0.05)
    walker = Thing(kind='person', x=0.9, distance=8.0, share=0.05, moves=True)
    view = View(place='street', light='sunny', things=(chair, chair, walker))
    said = ThingsSaid(kind='chair', side='left', count=2, step=0)
    assert holds(said, view) == {'thing': True, 'side': True, 'count': True, 'distance': True}
    assert not holds(replace(said, count=1), view)['count']
    assert not holds(replace(said, step=1), view)['distance']
    elsewhere = holds(replace(said, side='right'), view)
    assert elsewhere == {'thing': True, 'side': False, 'count': False, 'distance': False}
    assert not any(holds(replace(said, kind='table'), view).values())
    walks = ThingsSaid(kind='person', side='right', count=1, step=2, moves=True)
    assert all(holds(walks, view).values())
    assert holds(replace(walks, moves=False), view) == {
        'thing': True, 'side': True, 'motion': False, 'count': False, 'distance': False
    }  # fmt: skip
    assert holds(PlaceSaid(place='street', light='overcast'), view) == {
        'place': True, 'light': False
    }  # fmt: skip


def test_where_the_truth_has_no_edge_both_are_true():
    between = Thing(kind='box', x=1 / 3 + 0.01, distance=2.05, share=0.05)
    faint = replace(between, x=0.5, share=(CLEAR + VISIBLE) / 2)
    hidden = replace(between, x=0.5, share=VISIBLE / 2)
    view = View(place='room', things=(between, faint, hidden))
    for side, count, step, true in (
        ('left', 1, 0, True), ('left', 1, 1, True), ('left', 2, 1, False), ('left', 1, 2, False),
        ('middle', 1, 0, True), ('middle', 2, 0, True), ('middle', 3, 0, False),
        ('right', 1, 0, False),
    ):  # fmt: skip
        said = ThingsSaid(kind='box', side=side, count=count, step=step)
        assert all(holds(said, view).values()) is true, said


@pytest.mark.parametrize(
    'text', ['a chairs on the left .', 'two chair on the left .', 'on the left .', '.', 'a room']
)
def test_other_talk_is_not_understood(text):
    assert statements_of(text) == [None]
    assert statements_of('') == []


def test_a_teller_is_checked():
    with pytest.raises(ValueError, match=r'got 3, 0.6, 1.5 and 0.8'):
        Teller(light=1.5)
