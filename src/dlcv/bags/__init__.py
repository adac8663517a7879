"""Read and write rosbags without ROS."""

from dlcv.bags.errors import BagError
from dlcv.bags.layout import BagLayout
from dlcv.bags.recording import WriteOptions, Written, write_recording
from dlcv.bags.writer import BagWriter

__all__ = ['BagError', 'BagLayout', 'BagWriter', 'WriteOptions', 'Written', 'write_recording']
