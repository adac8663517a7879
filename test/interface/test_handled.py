"""What a node says of an image survives its text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlcv.interface.handled import Outcome, OutcomeError


@given(
    name=st.sampled_from(['processed', 'failed', 'rejected_age']),
    milliseconds=st.none() | st.floats(0, 1e6).map(lambda value: round(value, 3)),
    sent=st.lists(st.from_regex(r'~?/?[a-z_]+(/[a-z_]+)?', fullmatch=True), max_size=4),
)
def test_an_outcome_survives_its_text(name, milliseconds, sent):
    outcome = Outcome(name, milliseconds, tuple(sent) if milliseconds is not None else ())
    assert Outcome.parse(str(outcome)) == outcome


def test_another_text_is_refused():
    with pytest.raises(OutcomeError, match="'two words' is not what a node says of an image"):
        Outcome.parse('two words')
