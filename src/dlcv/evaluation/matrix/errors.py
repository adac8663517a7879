"""The error of this room."""

from __future__ import annotations


class MatrixError(ValueError):
    """A matrix cannot be run; the message names what was asked and what there is."""
