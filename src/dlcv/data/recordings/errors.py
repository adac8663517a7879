"""The one exception of this room."""

from __future__ import annotations


class RecordingError(ValueError):
    """A bag or a truth lacks something that is needed; the message says what there is."""
