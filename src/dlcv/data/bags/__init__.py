"""Read and write rosbags without ROS."""

from dlcv.data.bags.errors import BagError, DamagedBagError
from dlcv.data.bags.layout import BagLayout
from dlcv.data.bags.reader import Bag
from dlcv.data.bags.recording import WriteOptions, Written, write_recording
from dlcv.data.bags.sources import RawMessage, Topic
from dlcv.data.bags.writer import BagWriter

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
