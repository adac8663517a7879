"""How good descriptions are: BLEU, CIDEr, and the share of what they state that is true.

BLEU and CIDEr compare a sentence with what others said of the same picture. Whether it is true
can only be told where all is known of the picture, as in a generated world, and where the sentence
is understood, as `dlcv.data.captions.statements_of` does.

A text is words separated by blanks; punctuation does not count as words.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from dlcv.data.captions import ThingsSaid, View, holds, places_of, statements_of
from dlcv.metrics.quantity import Quantity

_PAPINENI = 'Papineni et al., ACL 2002'
_WORLD = 'the world that made the picture'
QUANTITIES = (
    Quantity(
        name='BLEU-1',
        better='high',
        doc='words that a reference has, with the penalty of what is too short',
        source=_PAPINENI,
    ),
    Quantity(
        name='BLEU-4',
        better='high',
        doc='geometric mean of the same of one to four words in a row',
        source=_PAPINENI,
    ),
    Quantity(
        name='CIDEr',
        better='high',
        digits=2,
        doc='cosine with the references in rows of one to four words, rare ones counting more; '
        'times 10, words not stemmed',
        source='Vedantam et al., CVPR 2015',
    ),
    Quantity(
        name='true',
        unit='%',
        better='high',
        digits=1,
        doc='descriptions in which every statement is true',
        source=_WORLD,
    ),
    Quantity(
        name='statements',
        unit='%',
        better='high',
        digits=1,
        doc='statements of which every fact is true',
        source=_WORLD,
    ),
    Quantity(
        name='facts',
        unit='%',
        better='high',
        digits=1,
        doc='facts (thing, side, count, distance, motion, place, light) that are true',
        source=_WORLD,
    ),
    Quantity(
        name='told',
        unit='%',
        better='high',
        digits=1,
        doc='of the kinds of things seen well on each side, those that are named there',
        source=_WORLD,
    ),
)
"""In the order of `figures`."""

LONGEST = 4  # words in a row
_PUNCTUATION = frozenset('.,')

Gram = tuple[str, ...]


class CaptionMetricError(ValueError):
    """Descriptions and references that do not fit each other; the message says how many."""


def bleu(texts: Sequence[str], references: Sequence[Sequence[str]]) -> tuple[float, ...]:
    """Return BLEU-1 to BLEU-4 of all texts together, in [0, 1].

    The geometric mean of the clipped precisions of 1 to N words in a row, times the penalty
    ``exp(1 - r / c)`` where the texts' length c is below r, the sum of the lengths of those
    references that are nearest in length (the shorter of two).

    Args:
        texts: One for each picture.
        references: What others said of each, one or more.

    Raises:
        CaptionMetricError: If the numbers differ, or there are no references.
    """
    _check(texts, references)
    right, total = Counter[int](), Counter[int]()
    length = wanted = 0
    for text, others in zip(texts, references, strict=True):
        words = _words(text)
        lengths = [len(_words(other)) for other in others]
        length += len(words)
        wanted += min(lengths, key=lambda n: (abs(n - len(words)), n))
        most: Counter[Gram] = Counter()
        for other in others:
            most |= _grams(other)
        for gram, count in _grams(text).items():
            right[len(gram)] += min(count, most[gram])
            total[len(gram)] += count
    penalty = 1.0 if length > wanted else math.exp(1 - wanted / max(length, 1e-9))
    found, logs = [], 0.0
    for size in range(1, LONGEST + 1):
        share = right[size] / total[size] if total[size] else 0.0
        logs += math.log(share) if share else -math.inf
        found.append(penalty * math.exp(logs / size))
    return tuple(found)


def cider(texts: Sequence[str], references: Sequence[Sequence[str]]) -> tuple[float, ...]:
    """Return CIDEr of each text, 10 times the mean over 1 to 4 words in a row.

    Of each size it is the mean over the references of the cosine of two vectors: how often each
    row of words occurs, as a share of all, times the logarithm of the number of pictures over that
    of those in whose references it occurs. Where neither vector has anything that tells pictures
    apart the cosine is 0. Words are not stemmed.

    Args:
        texts: One for each picture.
        references: What others said of each, one or more; they say which words are rare.

    Raises:
        CaptionMetricError: If the numbers differ, or there are no references.
    """
    _check(texts, references)
    pictures = [[_grams(other) for other in others] for others in references]
    seen: Counter[Gram] = Counter()
    for others in pictures:
        seen.update({gram for other in others for gram in other})
    rarity = {gram: math.log(len(texts) / count) for gram, count in seen.items()}
    unseen = math.log(len(texts))
    found = []
    for text, others in zip(texts, pictures, strict=True):
        own = _weighed(_grams(text), rarity, unseen)
        cosines = [
            _cosine(mine, theirs)
            for other in others
            for mine, theirs in zip(own, _weighed(other, rarity, unseen), strict=True)
        ]
        found.append(10 * sum(cosines) / len(cosines))
    return tuple(found)


@dataclass(kw_only=True, slots=True)
class Truth:
    """How much of what was said is true: counts that are added to.

    Attributes:
        texts: Number of descriptions.
        true_texts: Those that say something and of which every statement is true.
        statements: Number of statements; what is not understood is one, and false.
        true_statements: Those of which every fact is true.
        facts: Number of facts by name.
        true_facts: Those that are true.
        places: Number of kinds of things on sides.
        told: Those that are named there.
    """

    texts: int = 0
    true_texts: int = 0
    statements: int = 0
    true_statements: int = 0
    facts: Counter[str]
    true_facts: Counter[str]
    places: int = 0
    told: int = 0

    @classmethod
    def none(cls) -> Truth:
        """Return counts of nothing."""
        return cls(facts=Counter(), true_facts=Counter())

    def add(self, text: str, view: View) -> None:
        """Count a description of a view."""
        said = statements_of(text)
        true = 0
        for statement in said:
            facts = holds(statement, view) if statement else {'understood': False}
            true += all(facts.values())
            self.facts.update(facts.keys())
            self.true_facts.update(name for name, so in facts.items() if so)
        self.texts += 1
        self.true_texts += bool(said) and true == len(said)
        self.statements += len(said)
        self.true_statements += true
        there = places_of(view)
        named = {(one.kind, one.side) for one in said if isinstance(one, ThingsSaid)}
        self.places += len(there)
        self.told += len(there & named)

    def shares(self) -> tuple[float, float, float, float]:
        """Return the shares of true descriptions, statements and facts, and of what is told.

        NaN where there was none.
        """
        return (
            _share(self.true_texts, self.texts),
            _share(self.true_statements, self.statements),
            _share(self.true_facts.total(), self.facts.total()),
            _share(self.told, self.places),
        )

    def by_fact(self) -> dict[str, float]:
        """Return the share of the facts of each name that are true."""
        return {
            name: _share(self.true_facts[name], count) for name, count in sorted(self.facts.items())
        }


def figures(
    texts: Sequence[str], references: Sequence[Sequence[str]], views: Sequence[View]
) -> tuple[float, ...]:
    """Return the figures of descriptions in the order of `QUANTITIES`, shares as per cent."""
    truth = Truth.none()
    for text, view in zip(texts, views, strict=True):
        truth.add(text, view)
    return figures_of(texts, references, truth)


def figures_of(
    texts: Sequence[str], references: Sequence[Sequence[str]], truth: Truth
) -> tuple[float, ...]:
    """Return the same of descriptions of which the truth is counted already."""
    first, _, _, fourth = bleu(texts, references)
    each = cider(texts, references)
    shares = (100 * share for share in truth.shares())
    return (first, fourth, sum(each) / len(each), *shares)


def _check(texts: Sequence[str], references: Sequence[Sequence[str]]) -> None:
    if not texts or len(texts) != len(references) or not all(references):
        raise CaptionMetricError(
            'texts need as many sets of references, none of them empty; got '
            f'{len(texts)} texts and references of sizes {[len(one) for one in references]}'
        )


def _words(text: str) -> list[str]:
    return [word for word in text.split() if word not in _PUNCTUATION]


def _grams(text: str) -> Counter[Gram]:
    """Return how often each row of 1 to `LONGEST` words occurs."""
    words = _words(text)
    rows: Iterable[Gram] = (
        tuple(words[i : i + size])
        for size in range(1, LONGEST + 1)
        for i in range(len(words) - size + 1)
    )
    return Counter(rows)


def _weighed(
    grams: Counter[Gram], rarity: Mapping[Gram, float], unseen: float
) -> list[dict[Gram, float]]:
    """Return the vector of each size; a common factor of all counts does not change a cosine."""
    found: list[dict[Gram, float]] = [{} for _ in range(LONGEST)]
    for gram, count in grams.items():
        found[len(gram) - 1][gram] = count * rarity.get(gram, unseen)
    return found


def _cosine(one: Mapping[Gram, float], other: Mapping[Gram, float]) -> float:
    lengths = [math.sqrt(sum(value**2 for value in side.values())) for side in (one, other)]
    if not all(lengths):
        return 0.0
    return sum(value * other.get(gram, 0.0) for gram, value in one.items()) / math.prod(lengths)


def _share(part: int, whole: int) -> float:
    return part / whole if whole else math.nan
