"""The one exception of this room."""


class BagError(ValueError):
    """A bag that cannot be read or written as asked; the message says what there is instead."""
