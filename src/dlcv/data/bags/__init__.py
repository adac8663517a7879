"""Read and write rosbags without ROS."""

from dlcv.bags.errors import BagError, DamagedBagError
from dlcv.bags.layout import BagLayout
from dlcv.bags.reader import Bag
from dlcv.bags.recording import WriteOptions, Written, write_recording
from dlcv.bags.sources import RawMessage, Topic
from dlcv.bags.writer import BagWriter

__all__ = [
    'Bag',
    'BagError',
    'BagLayout',
    'BagWriter',
    'DamagedBagError',
    'RawMessage',
    'Topic',
    'WriteOptions',
    'Written',
    'write_recording',
]
