"""What of a bag is shown to the nodes."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from dlcv.data.bags import Bag
from dlcv.interface import messages


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """A camera of a bag.

    Attributes:
        bag: The bag.
        image_topic: Its pictures.
        camera_info_topic: Their calibration; empty for the one beside it, if any.
        kept: Topics of the bag that are kept beside the answers, such as the truth.
        most: Images that are shown at most; 0 for all.
        keep_damaged: Show what is readable of a damaged bag.
    """

    bag: Path
    image_topic: str
    camera_info_topic: str = ''
    kept: tuple[str, ...] = ()
    most: int = 0
    keep_damaged: bool = False

    def count(self, bag: Bag) -> int:
        """Return how many images are shown."""
        there = bag.topic(self.image_topic).count
        return min(there, self.most) if self.most else there

    def stamps(self, bag: Bag) -> list[int]:
        """Return the header stamps of the images that are shown, in nanoseconds, ascending."""
        images = islice(bag.raw([self.image_topic]), self.most or None)
        return sorted({messages.header_stamp_ns(raw.data) for raw in images})
