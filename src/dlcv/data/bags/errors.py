"""The exceptions of this room."""


class BagError(ValueError):
    """A bag that cannot be read or written as asked; the message says what there is instead."""


class DamagedBagError(BagError):
    """A bag that is damaged, but not beyond reading; the message says how much can be read."""
