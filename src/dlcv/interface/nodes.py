"""The nodes, one `NodeSpec` each: what they are called, run, subscribe, publish and serve.

A system is in the suite when its node is in `NODES`; docs/extending.md walks through it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from dlcv.interface.odometry_parameters import DeepVOParameters, VisualOdometryParameters
from dlcv.interface.parameters import (
    CaptionParameters,
    CommonParameters,
    DsacParameters,
    FlowNetParameters,
    LocalizationParameters,
    MonodepthParameters,
    NetVLADParameters,
    SegmentationParameters,
    StereoParameters,
    SuperPointParameters,
)
from dlcv.interface.slam_parameters import SlamParameters

Qos = Literal['image', 'sensor', 'stream', 'R1', 'R10', 'latched', 'tf', 'tf_static']
Beside = Literal['', 'moment', 'span', 'latest']
QOS_TEXT: dict[Qos, str] = {
    'image': 'parameters image_qos, image_qos_depth',
    'sensor': 'best effort, volatile, depth 1',
    'stream': 'best effort, volatile, depth 100',
    'R1': 'reliable, volatile, depth 1',
    'R10': 'reliable, volatile, depth 10',
    'latched': 'reliable, transient local, depth 1',
    'tf': 'reliable, volatile, depth 100',
    'tf_static': 'reliable, transient local, depth 100',
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Topic:
    """One topic of a node.

    Attributes:
        name: Relative (``image``), private (``~/flow``) or global (``/tf``) name.
        type: Message type as ``package/msg/Name``.
        qos: Key of `QOS_TEXT`.
        doc: What is on it, with units.
        when: When it is there; empty for always.
        beside: Of an input beside the camera, which of its messages belong to an image: the one of
            its moment, all since the last image, or the latest; empty for those that belong to
            none.
    """

    name: str
    type: str
    qos: Qos
    doc: str
    when: str = ''
    beside: Beside = ''


@dataclass(frozen=True, kw_only=True, slots=True)
class Service:
    """One service of a node (the five of a lifecycle node go without saying)."""

    name: str
    type: str
    doc: str


@dataclass(frozen=True, kw_only=True, slots=True)
class NodeSpec:
    """One node: how it is started and what it offers.

    Attributes:
        name: Node name, and that of its system in every wing.
        doc: One sentence.
        task: Class of what it does with a picture, as ``module:Name`` in `dlcv.estimation.tasks`:
            a text, so that the table imports nothing that it lists.
        parameters: Dataclass of its parameters.
        inputs: Topics it subscribes to.
        outputs: Topics it publishes.
        services: Services it offers.
        answer: Name of the output that answers an image.
        weights: Names of the weights that are shipped for it; the first is taken when none is
            named.
        starts: Whether it is among those that are started when nobody names any.
    """

    name: str
    doc: str
    task: str
    parameters: type[CommonParameters]
    inputs: tuple[Topic, ...]
    outputs: tuple[Topic, ...]
    services: tuple[Service, ...] = field(default=())
    answer: str
    weights: tuple[str, ...]
    starts: bool = True

    @property
    def executable(self) -> str:
        """Console script, for ``ros2 run dlcv_bringup EXECUTABLE``; setup.py makes it."""
        return f'{self.name}_node'

    @property
    def module(self) -> str:
        """Python module whose ``main`` is the executable."""
        return f'dlcv.ros.nodes.{self.name}'


IMAGE = Topic(name='image', type='sensor_msgs/msg/Image', qos='image', doc='The camera.')
COMPRESSED = Topic(
    name='image/compressed',
    type='sensor_msgs/msg/CompressedImage',
    qos='image',
    doc='The camera, JPEG or PNG.',
    when='image_transport is compressed (instead of image)',
)
CAMERA_INFO = Topic(
    name='camera_info',
    type='sensor_msgs/msg/CameraInfo',
    qos='sensor',
    doc='Its calibration, of the same size as the image (or binned, REP 104).',
)
CAMERA = (IMAGE, COMPRESSED, CAMERA_INFO)
TF_STATIC = Topic(
    name='/tf_static',
    type='tf2_msgs/msg/TFMessage',
    qos='tf_static',
    doc='Where the camera sits on base_frame; identity to REP 103 axes when nobody says.',
)
DIAGNOSTICS = Topic(
    name='/diagnostics',
    type='diagnostic_msgs/msg/DiagnosticArray',
    qos='R10',
    doc='State, rates, counters and latencies of the node and whom it has found, every '
    'diagnostic_period and when somebody is found or lost.',
)
HANDLED = Topic(
    name='~/handled',
    type='sensor_msgs/msg/TimeReference',
    qos='R10',
    doc='What became of each image, at last: header of the image, time_ref when, source such as '
    '"processed inference_ms=12.3 sent=~/flow,~/camera_info" or "superseded".',
)
RESET = Service(name='~/reset', type='std_srvs/srv/Trigger', doc='Forget all history and counters.')
SET_ENABLED = Service(
    name='~/set_enabled', type='std_srvs/srv/SetBool', doc='Pause (false) or go on (true).'
)
COMMON_SERVICES = (RESET, SET_ENABLED)


SET_POSE = Topic(
    name='~/set_pose',
    type='geometry_msgs/msg/PoseWithCovarianceStamped',
    qos='R10',
    doc='Continue from this pose of base_frame in odom_frame.',
)
BODY = Topic(
    name='/tf',
    type='tf2_msgs/msg/TFMessage',
    qos='tf',
    doc='odom_frame -> base_frame, to go on from, until the first image; and where the camera sits '
    'at the moment of each image, as long as /tf_static does not say.',
)


def _out(name: str, kind: str, qos: Qos, doc: str, when: str = '') -> Topic:
    return Topic(name=name, type=kind, qos=qos, doc=doc, when=when)


SUPERPOINT = NodeSpec(
    name='superpoint',
    doc='Interest points and their descriptors (SuperPoint).',
    task='superpoint:FeatureTask',
    parameters=SuperPointParameters,
    inputs=CAMERA,
    outputs=(
        _out(
            '~/keypoints', 'sensor_msgs/msg/PointCloud2', 'R1',
            'x y z: ray with z = 1 in the image frame (NaN without calibration); u v: pixels; '
            'score; descriptor[256].',
        ),
        _out(
            '~/matches', 'sensor_msgs/msg/PointCloud2', 'R1',
            'u0 v0: pixels in the previous image; u v: pixels in this one; score: cosine.',
        ),
        _out('~/markers', 'visualization_msgs/msg/ImageMarker', 'R1', 'Keypoints as POINTS.'),
        _out('~/overlay', 'sensor_msgs/msg/Image', 'R1', 'rgb8: keypoints and matches drawn.'),
        HANDLED,
        DIAGNOSTICS,
    ),
    services=COMMON_SERVICES,
    answer='~/keypoints',
    weights=('superpoint',),
)  # fmt: skip
FLOWNET = NodeSpec(
    name='flownet',
    doc='Dense optical flow between consecutive images (FlowNetS, FlowNetC).',
    task='flownet:FlowTask',
    parameters=FlowNetParameters,
    inputs=CAMERA,
    outputs=(
        _out(
            '~/flow', 'sensor_msgs/msg/Image', 'R1',
            '32FC2: u right, v down, in pixels of the full image, from the previous image to this '
            'one; NaN is invalid.',
        ),
        _out('~/camera_info', 'sensor_msgs/msg/CameraInfo', 'R1', 'Calibration, binned as ~/flow.'),
        _out(
            '~/flow_interval', 'sensor_msgs/msg/TimeReference', 'R1',
            'header.stamp: this image; time_ref: the previous one.',
        ),
        _out('~/confidence', 'sensor_msgs/msg/Image', 'R1', '32FC1 in [0, 1].'),
        _out('~/color', 'sensor_msgs/msg/Image', 'R1', 'rgb8: flow on the colour wheel.'),
        HANDLED,
        DIAGNOSTICS,
    ),
    services=COMMON_SERVICES,
    answer='~/flow',
    weights=('flownet_s', 'flownet_c'),
)  # fmt: skip
DEPTH_OUTPUTS = (
    _out(
        'depth/image_rect', 'sensor_msgs/msg/Image', 'R1',
        '32FC1 metres along z of the rectified image; NaN unknown, +inf far, -inf near.',
    ),
    _out(
        'depth/camera_info', 'sensor_msgs/msg/CameraInfo', 'R1',
        'Calibration of depth/image_rect, without distortion.',
    ),
    _out('depth/image_raw', 'sensor_msgs/msg/Image', 'R1', '16UC1 millimetres, 0 is invalid.'),
    _out('depth/confidence', 'sensor_msgs/msg/Image', 'R1', '32FC1 in [0, 1].'),
    _out('depth/color', 'sensor_msgs/msg/Image', 'R1', 'rgb8: near is warm, far is cold.'),
)  # fmt: skip
"""What nodes of depth publish."""
MONODEPTH = NodeSpec(
    name='monodepth',
    doc='Depth of every pixel from one image (monodepth).',
    task='monodepth:DepthTask',
    parameters=MonodepthParameters,
    inputs=CAMERA,
    outputs=(
        *DEPTH_OUTPUTS,
        HANDLED,
        DIAGNOSTICS,
    ),
    services=COMMON_SERVICES,
    answer='depth/image_rect',
    weights=('monodepth',),
)
STEREO = NodeSpec(
    name='stereo',
    doc='Disparity and depth of every pixel from a stereo pair (DispNetC, PSMNet).',
    task='stereo:StereoTask',
    parameters=StereoParameters,
    inputs=(
        IMAGE,
        COMPRESSED,
        replace(
            CAMERA_INFO,
            doc=f'{CAMERA_INFO.doc} Of images that are not rectified, R and P say how they are.',
            beside='latest',
        ),
        Topic(
            name='right/image',
            type='sensor_msgs/msg/Image',
            qos='image',
            doc='The right camera, rectified where the left one is.',
            beside='moment',
        ),
        Topic(
            name='right/camera_info',
            type='sensor_msgs/msg/CameraInfo',
            qos='sensor',
            doc='Its calibration; P tells the baseline.',
            beside='latest',
        ),
    ),
    outputs=(
        _out(
            '~/disparity', 'stereo_msgs/msg/DisparityImage', 'R1',
            'Pixels of the rectified left image; what is below min_disparity is unknown.',
        ),
        *DEPTH_OUTPUTS,
        HANDLED,
        DIAGNOSTICS,
    ),
    services=COMMON_SERVICES,
    answer='depth/image_rect',
    weights=('dispnet',),
    starts=False,  # it needs two cameras, and stands in for monodepth
)  # fmt: skip
SEGMENTATION = NodeSpec(
    name='segmentation',
    doc='What each pixel shows: floor, wall, person, vehicle ... (FCN).',
    task='segmentation:SegmentationTask',
    parameters=SegmentationParameters,
    inputs=CAMERA,
    outputs=(
        _out(
            '~/labels', 'sensor_msgs/msg/Image', 'R1',
            'mono8: number of the class of each pixel, as ~/classes has it; 255 unknown.',
        ),
        _out(
            '~/classes', 'std_msgs/msg/String', 'latched',
            'A line for each class: number, name, red, green, blue, and what holds of it: moves, '
            'traversable.',
        ),
        _out('~/color', 'sensor_msgs/msg/Image', 'R1', 'rgb8: the image under the classes.'),
        _out(
            '~/movers', 'sensor_msgs/msg/Image', 'R1',
            'mono8: 0 where something can move, by movers_margin around it too, else 255: a mask '
            'for visual_odometry and slam.',
        ),
        _out(
            '~/traversable', 'sensor_msgs/msg/Image', 'R1',
            'mono8: 255 where a robot on wheels can go, else 0.',
        ),
        HANDLED,
        DIAGNOSTICS,
    ),
    services=COMMON_SERVICES,
    answer='~/labels',
    weights=('fcn',),
    starts=False,  # what it masks costs as much as it helps where nothing moves
)  # fmt: skip
LOCALIZATION = NodeSpec(
    name='localization',
    doc='Boxes around the things in an image: person, vehicle, chair, door ... (FCOS).',
    task='localization:LocalizationTask',
    parameters=LocalizationParameters,
    inputs=CAMERA,
    outputs=(
        _out(
            '~/detections', 'vision_msgs/msg/Detection2DArray', 'R1',
            'A box each: its middle and size (px), the name of its kind, its score in [0, 1]. '
            'Where vision_msgs is installed.',
        ),
        _out(
            '~/markers', 'visualization_msgs/msg/ImageMarker', 'R1',
            'The boxes as LINE_LIST, four lines each, in the colours of their kinds.',
        ),
        _out('~/overlay', 'sensor_msgs/msg/Image', 'R1', 'rgb8: the image with the boxes.'),
        HANDLED,
        DIAGNOSTICS,
    ),
    services=COMMON_SERVICES,
    answer='~/markers',  # always there
    weights=('fcos',),
    starts=False,  # nothing in the suite listens to it
)  # fmt: skip
DESCRIBE = Service(
    name='~/describe',
    type='std_srvs/srv/Trigger',
    doc='Tell of the next image, and answer with the sentences: success when something is said, '
    'else message is the reason.',
)
CAPTION = NodeSpec(
    name='caption',
    doc='What an image shows, in sentences: place, things, sides, distances (Show and Tell).',
    task='caption:CaptionTask',
    parameters=CaptionParameters,
    inputs=CAMERA,
    outputs=(
        _out(
            '~/caption', 'std_msgs/msg/String', 'latched',
            'Sentences in English, when they change; empty where nothing is to be said: the image '
            'is black, covered or noise, or min_confidence is not reached.',
        ),
        HANDLED,
        DIAGNOSTICS,
    ),
    services=(*COMMON_SERVICES, DESCRIBE),
    answer='~/caption',
    weights=('caption',),
    starts=False,  # it is for people and their tools, not for other nodes
)  # fmt: skip
ODOMETRY = (
    _out(
        '~/odometry', 'nav_msgs/msg/Odometry', 'R10',
        'Pose of base_frame in odom_frame (m), twist in base_frame (m/s, rad/s), both with '
        'covariance.',
    ),
    _out('~/path', 'nav_msgs/msg/Path', 'latched', 'The poses so far, at 2 Hz.'),
    _out('/tf', 'tf2_msgs/msg/TFMessage', 'tf', 'odom_frame -> base_frame.', 'publish_tf'),
)  # fmt: skip
KEYPOINTS = Topic(
    name='keypoints',
    type='sensor_msgs/msg/PointCloud2',
    qos='R10',
    doc='~/keypoints of the superpoint node, so that they are not computed twice.',
    when='keypoints is not own',
    beside='moment',
)
RIGHT = Topic(
    name='right/image',
    type='sensor_msgs/msg/Image',
    qos='image',
    doc='The right camera of a stereo pair; both rectified.',
    when='scale_source is auto or stereo',
    beside='moment',
)
RIGHT_INFO = Topic(
    name='right/camera_info',
    type='sensor_msgs/msg/CameraInfo',
    qos='sensor',
    doc='Its calibration; P tells the baseline.',
    when='scale_source is auto or stereo',
    beside='latest',
)
DEPTH = Topic(
    name='depth/image',
    type='sensor_msgs/msg/Image',
    qos='image',
    doc='Depth of the pixels of the image: 32FC1 in metres or 16UC1 in millimetres.',
    when='scale_source is auto, depth or network, and depth_source is not own',
    beside='moment',
)
DEPTH_INFO = Topic(
    name='depth/camera_info',
    type='sensor_msgs/msg/CameraInfo',
    qos='sensor',
    doc='Its calibration; that of the image where there is none and the sizes agree.',
    when='scale_source is auto, depth or network, and depth_source is not own',
    beside='latest',
)
MASK = Topic(
    name='mask',
    type='sensor_msgs/msg/Image',
    qos='image',
    doc='mono8 of the size of the image; where it is 0, nothing is looked at. One without '
    'a stamp holds until the next.',
    beside='moment',
)
VISUAL_ODOMETRY = NodeSpec(
    name='visual_odometry',
    doc='Visual odometry by learned features and geometry between them.',
    task='visual_odometry:VisualOdometryTask',
    parameters=VisualOdometryParameters,
    inputs=(
        *CAMERA,
        KEYPOINTS,
        RIGHT,
        RIGHT_INFO,
        DEPTH,
        DEPTH_INFO,
        Topic(
            name='wheel/odometry',
            type='nav_msgs/msg/Odometry',
            qos='stream',
            doc='Odometry of the base by its wheels.',
            when='scale_source is auto or wheels',
            beside='span',
        ),
        Topic(
            name='imu',
            type='sensor_msgs/msg/Imu',
            qos='stream',
            doc='Its angular velocity turns the camera between two images.',
            beside='span',
        ),
        MASK,
        SET_POSE,
        TF_STATIC,
        BODY,
    ),
    outputs=(
        *ODOMETRY,
        _out(
            '~/landmarks', 'sensor_msgs/msg/PointCloud2', 'R1',
            'x y z: points of the window in odom_frame (m); stddev: of their depth, as a share of '
            'it.',
        ),
        _out('~/tracks', 'sensor_msgs/msg/Image', 'R1', 'rgb8: where what is seen came from.'),
        _out(
            '~/info', 'diagnostic_msgs/msg/DiagnosticStatus', 'R10',
            'Of each image: stamp (s), state (starting, tracking, standing, turning, lost), '
            'matches, inliers, scale_source, scale, scale_stddev (share), reason, and what was '
            'used beside it.',
        ),
        HANDLED,
        DIAGNOSTICS,
    ),
    services=COMMON_SERVICES,
    answer='~/odometry',
    weights=('superpoint',),
)  # fmt: skip
DEEPVO = NodeSpec(
    name='deepvo',
    doc='Visual odometry from one camera (DeepVO).',
    task='deepvo:DeepVOTask',
    parameters=DeepVOParameters,
    inputs=(*CAMERA, SET_POSE, TF_STATIC, BODY),
    outputs=(*ODOMETRY, HANDLED, DIAGNOSTICS),
    services=COMMON_SERVICES,
    answer='~/odometry',
    weights=('deepvo',),
)  # fmt: skip
DSAC = NodeSpec(
    name='dsac',
    doc='Pose in a known scene from one image (DSAC, DSAC*); the weights are the map.',
    task='dsac:RelocalizationTask',
    parameters=DsacParameters,
    inputs=(
        *CAMERA,
        Topic(
            name='initial_pose',
            type='geometry_msgs/msg/PoseWithCovarianceStamped',
            qos='R10',
            doc='Where the robot is believed to be, for prior_gate_distance.',
        ),
        TF_STATIC,
        Topic(
            name='/tf',
            type='tf2_msgs/msg/TFMessage',
            qos='tf',
            doc='odom_frame -> base_frame, to publish map_frame -> odom_frame.',
            when='publish_tf',
        ),
    ),
    outputs=(
        _out(
            '~/pose', 'geometry_msgs/msg/PoseWithCovarianceStamped', 'R10',
            'Pose of base_frame in map_frame at the time of the image; accepted ones only.',
        ),
        _out(
            '~/hypotheses', 'geometry_msgs/msg/PoseArray', 'R1',
            'Camera poses in map_frame, best first, also of rejected images.',
        ),
        _out(
            'initialpose', 'geometry_msgs/msg/PoseWithCovarianceStamped', 'R10',
            'Accepted poses, for AMCL: the first, those asked for, those far from the last.',
            'publish_initialpose',
        ),
        _out('/tf', 'tf2_msgs/msg/TFMessage', 'tf', 'map_frame -> odom_frame.', 'publish_tf'),
        HANDLED,
        DIAGNOSTICS,
    ),
    services=(
        *COMMON_SERVICES,
        Service(
            name='~/trigger',
            type='std_srvs/srv/Trigger',
            doc='Relocalize on the next image; the answer says accepted or rejected, and why.',
        ),
    ),
    answer='~/hypotheses',
    weights=('dsac',),
    starts=False,  # without a map it has nothing to say
)  # fmt: skip

NETVLAD = NodeSpec(
    name='netvlad',
    doc='Which known place an image shows (NetVLAD).',
    task='netvlad:PlaceTask',
    parameters=NetVLADParameters,
    inputs=CAMERA,
    outputs=(
        _out(
            '~/candidates', 'geometry_msgs/msg/PoseArray', 'R1',
            'Camera poses in map_frame of the places that the image is most like, likeliest first.',
        ),
        _out(
            '~/descriptor', 'std_msgs/msg/Float32MultiArray', 'R1',
            'Descriptor of the image, of length 1.',
        ),
        _out(
            '~/info', 'diagnostic_msgs/msg/DiagnosticStatus', 'R10',
            'Of each image: stamp (s), places, their names, and similarities (cosines).',
        ),
        HANDLED,
        DIAGNOSTICS,
    ),
    services=COMMON_SERVICES,
    answer='~/candidates',
    weights=('netvlad',),
    starts=False,  # without places it has little to say
)  # fmt: skip

_DEPTH_WHEN = 'scale_source is auto or depth'
SLAM = NodeSpec(
    name='slam',
    doc='A map of landmarks from visual odometry, its loops, and where the robot is in it.',
    task='slam:SlamTask',
    parameters=SlamParameters,
    inputs=(
        *CAMERA,
        Topic(
            name='odometry',
            type='nav_msgs/msg/Odometry',
            qos='R10',
            doc='~/odometry of visual_odometry, or any other of base_frame.',
            beside='span',
        ),
        KEYPOINTS,
        RIGHT,
        RIGHT_INFO,
        replace(DEPTH, when=_DEPTH_WHEN),
        replace(DEPTH_INFO, when=_DEPTH_WHEN),
        MASK,
        TF_STATIC,
    ),
    outputs=(
        _out(
            '~/pose', 'geometry_msgs/msg/PoseWithCovarianceStamped', 'R10',
            'Pose of base_frame in map_frame at the time of the image, while it is known.',
        ),
        _out(
            '~/path', 'nav_msgs/msg/Path', 'latched',
            'The way of this run by the map as it is now, once a second.',
        ),
        _out(
            '~/landmarks', 'sensor_msgs/msg/PointCloud2', 'R1',
            'x y z: landmarks in map_frame (m), every two seconds.',
        ),
        _out(
            '~/graph', 'visualization_msgs/msg/MarkerArray', 'R1',
            'Keyframes, the way between them, loops that are believed (green) and others (red).',
        ),
        _out(
            '~/info', 'diagnostic_msgs/msg/DiagnosticStatus', 'R10',
            'Of each image: stamp (s), state (mapping, paused, localizing, lost), reason, '
            'keyframes, sessions, loops, jumps, and refused: why what is how often.',
        ),
        _out(
            'map', 'nav_msgs/msg/OccupancyGrid', 'latched',
            'What depth/image shows of the ground, from above: 0 free, 100 occupied, -1 unknown.',
            'publish_grid',
        ),
        _out('/tf', 'tf2_msgs/msg/TFMessage', 'tf', 'map_frame -> odom_frame.', 'publish_tf'),
        HANDLED,
        DIAGNOSTICS,
    ),
    services=(
        *COMMON_SERVICES,
        Service(
            name='~/save',
            type='std_srvs/srv/Trigger',
            doc='Write the map to map_file, whole or not at all, and the grid beside it.',
        ),
        Service(
            name='~/load',
            type='std_srvs/srv/Trigger',
            doc='Go on with the map of map_file, in which the robot is looked for.',
        ),
        Service(
            name='~/pause_mapping',
            type='std_srvs/srv/SetBool',
            doc='Map nothing for a while (true), or go on (false).',
        ),
        Service(
            name='~/localize_only',
            type='std_srvs/srv/SetBool',
            doc='Change nothing of the map any more (true), or go on mapping (false).',
        ),
    ),
    answer='~/pose',
    weights=('superpoint',),
    starts=False,  # a map is made when somebody wants one
)  # fmt: skip

NODES: dict[str, NodeSpec] = {
    n.name: n
    for n in (
        SUPERPOINT,
        FLOWNET,
        MONODEPTH,
        STEREO,
        SEGMENTATION,
        LOCALIZATION,
        CAPTION,
        VISUAL_ODOMETRY,
        DEEPVO,
        DSAC,
        NETVLAD,
        SLAM,
    )
}

DEPTH_NODES = (MONODEPTH, STEREO)
"""Those whose answer is depth, on the same topic: one of them runs in a namespace."""
ODOMETRY_NODES = (VISUAL_ODOMETRY, DEEPVO)
"""Those whose answer is odometry; of those that are started, the first owns the transform."""
FILTERED_ODOMETRY = 'camera_odom'
"""Where the owner's odometry goes that is meant for a filter, such as Nav2's."""
