"""Sentences about pictures: what can be said, in which words, and whether it is true of a view."""

from dlcv.data.captions.facts import (
    DISTANCES,
    PLACES,
    SIDES,
    PlaceSaid,
    Statement,
    Thing,
    ThingsSaid,
    View,
    holds,
    places_of,
)
from dlcv.data.captions.grammar import GRAMMAR_WORDS, KINDS, phrasings, statements_of
from dlcv.data.captions.telling import Teller

__all__ = [
    'DISTANCES',
    'GRAMMAR_WORDS',
    'KINDS',
    'PLACES',
    'SIDES',
    'PlaceSaid',
    'Statement',
    'Teller',
    'Thing',
    'ThingsSaid',
    'View',
    'holds',
    'phrasings',
    'places_of',
    'statements_of',
]
