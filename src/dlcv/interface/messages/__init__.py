"""What this suite reads of ROS messages, and how it makes them; neither ROS nor a bag is needed.

Live messages (rclpy) and recorded ones (rosbags) are different classes with the same fields.
`read` looks at the fields alone, `compose` is given the classes, so a node, a replay without ROS
and a converter share one decoder and one composer.
"""

from dlcv.interface.messages.compose import Composer, Vocabulary
from dlcv.interface.messages.graph import graph_markers
from dlcv.interface.messages.measured import (
    NUMBERS,
    angular_velocity,
    baseline,
    depth,
    keypoints,
    mask,
    numbers,
    rotation,
)
from dlcv.interface.messages.read import (
    AMBIGUOUS,
    ENCODINGS,
    MAX_SIDE,
    CameraInfo,
    CompressedImage,
    Header,
    Image,
    MessageError,
    UnsupportedEncodingError,
    camera,
    covariance_matrix,
    decode,
    decode_any,
    decode_compressed,
    frame,
    frame_of,
    header_stamp_ns,
    points_of,
    pose_matrix,
    restamped,
    stamp_ns,
    take_transforms,
    transform_matrix,
)

__all__ = [
    'AMBIGUOUS',
    'ENCODINGS',
    'MAX_SIDE',
    'NUMBERS',
    'CameraInfo',
    'Composer',
    'CompressedImage',
    'Header',
    'Image',
    'MessageError',
    'UnsupportedEncodingError',
    'Vocabulary',
    'angular_velocity',
    'baseline',
    'camera',
    'covariance_matrix',
    'decode',
    'decode_any',
    'decode_compressed',
    'depth',
    'frame',
    'frame_of',
    'graph_markers',
    'header_stamp_ns',
    'keypoints',
    'mask',
    'numbers',
    'points_of',
    'pose_matrix',
    'restamped',
    'rotation',
    'stamp_ns',
    'take_transforms',
    'transform_matrix',
]
