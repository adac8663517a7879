"""What became of an image at a node: the text of ``~/handled``."""

from __future__ import annotations

import re
from dataclasses import dataclass

PROCESSED = 'processed'
_TEXT = re.compile(r'(?P<name>\w+)( inference_ms=(?P<ms>[\d.]+))?( sent=(?P<sent>\S*))?')


class OutcomeError(ValueError):
    """A text is none that a node says of an image; the message has it."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an image at a node.

    Attributes:
        name: ``processed``, or the counter of the diagnostics that it was added to.
        inference_ms: Time of inference; None where there was none.
        sent: Names of the outputs that were sent, as in the contract, in their order.
    """

    name: str
    inference_ms: float | None = None
    sent: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.inference_ms is None:
            return self.name
        return f'{self.name} inference_ms={self.inference_ms:.3f} sent={",".join(self.sent)}'

    @classmethod
    def parse(cls, text: str) -> Outcome:
        """Return the outcome of a text that another one gave.

        Raises:
            OutcomeError: If it is none.
        """
        match = _TEXT.fullmatch(text)
        if match is None:
            raise OutcomeError(f'{text!r} is not what a node says of an image')
        return cls(
            name=match['name'],
            inference_ms=None if match['ms'] is None else float(match['ms']),
            sent=tuple((match['sent'] or '').split(',')) if match['sent'] else (),
        )
