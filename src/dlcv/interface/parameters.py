"""The parameters of each node: one frozen dataclass, one field for each parameter.

A field's metadata carries its description, unit, range and whether it may change while the node
runs. The dataclass checks itself, so a value from YAML, from the command line and from
``ros2 param set`` meet the same check.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, fields
from typing import Any

from dlcv.geometry.frames import frame_name
from dlcv.interface.engines import ENGINES, PRECISIONS
from dlcv.interface.rectified import CHOICES
from dlcv.things import KIND_NUMBER, kinds_of

Value = bool | int | float | str | tuple[float, ...]
_META = 'dlcv.parameter'
IMAGE_QOS = ('auto', 'reliable', 'sensor_data', 'default', 'system_default')


class ParameterError(ValueError):
    """A parameter value is refused; the message names the parameter, the value and the range."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Parameter:
    """How one parameter is described to a user.

    Attributes:
        name: ROS name.
        default: Value when nothing is given; its type is the parameter's type.
        doc: One sentence for ``ros2 param describe`` and the README.
        unit: ``s``, ``m``, ``px``, ``Hz`` ...; empty for none.
        low: Smallest allowed number.
        high: Largest allowed number.
        choices: All allowed strings; empty for any.
        dynamic: Whether it may be set while the node runs.
    """

    name: str
    default: Value
    doc: str
    unit: str = ''
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    dynamic: bool = False

    def check(self, value: Any) -> None:
        """Raise a ParameterError unless ``value`` has the right type and lies in the range."""
        if not _same_type(value, self.default):
            kind = _type_name(self.default)
            got = f'the text {value!r}' if isinstance(value, str) else repr(value)
            hint = _unquoted(value, self.default)
            raise ParameterError(f'{self.name}: expected {kind}, got {got}{hint}')
        if self.choices and not self._chosen(value):
            raise ParameterError(f'{self.name}: {value!r} is none of {", ".join(self.choices)}')
        numbers = value if isinstance(value, tuple) else (value,)
        if self.low is not None and not all(self._inside(number) for number in numbers):
            raise ParameterError(f'{self.name}: {value!r} is outside {self.range_text}')
        if isinstance(value, tuple) and len(value) != len(self.default):  # type: ignore[arg-type]
            raise ParameterError(
                f'{self.name}: expected {len(self.default)} numbers, got {len(value)}'  # type: ignore[arg-type]
            )

    def taken(self, value: Any) -> Any:
        """Return a value as the parameter's type: whole numbers, ``5``, are doubles too, ``5.0``.

        What is of no use stays as it is, for `check` to refuse.
        """
        if isinstance(self.default, float) and _whole(value):
            return _double(value)
        if isinstance(self.default, tuple) and isinstance(value, list | tuple):
            return tuple(_double(v) if _whole(v) else v for v in value)
        return value

    @property
    def range_text(self) -> str:
        """The allowed values in words: ``1..8192 px``, ``auto, cpu, cuda``, or empty."""
        if self.choices:
            return ', '.join(self.choices)
        if self.low is None or self.high is None:
            return self.unit
        return f'{self.low:g}..{self.high:g} {self.unit}'.rstrip()

    def _inside(self, number: float) -> bool:
        assert self.low is not None and self.high is not None
        return self.low <= number <= self.high  # False for NaN

    def _chosen(self, value: str) -> bool:
        return any(
            value == choice or (choice.endswith(':N') and _indexed(value, choice[:-1]))
            for choice in self.choices
        )


def _indexed(value: str, prefix: str) -> bool:
    return value.startswith(prefix) and value[len(prefix) :].isdigit()


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _double(value: int) -> float | int:
    try:
        return float(value)
    except OverflowError:  # outside of every range
        return value


def _unquoted(value: Any, default: Value) -> str:
    """Return what is to be said of a number or a truth value that came as a text."""
    if not isinstance(value, str) or isinstance(default, tuple):
        return ''
    if isinstance(default, bool):
        meant = value.strip().lower() in ('true', 'false')
    else:
        with suppress(ValueError):
            return f': write {type(default)(value)} without quotes'
        return ''
    return f': write {value.strip().lower()} without quotes' if meant else ': it is true or false'


def _same_type(value: Any, default: Value) -> bool:
    if isinstance(default, bool) or isinstance(value, bool):
        return isinstance(default, bool) and isinstance(value, bool)
    if isinstance(default, tuple):
        return isinstance(value, tuple) and all(isinstance(v, float) for v in value)
    return isinstance(value, type(default))


def _type_name(default: Value) -> str:
    return 'double[]' if isinstance(default, tuple) else TYPE_NAMES[type(default)]


TYPE_NAMES: dict[type, str] = {bool: 'bool', int: 'int', float: 'double', str: 'string'}


def parameter(default: Value, doc: str, unit: str = '', **limits: Any) -> Any:
    """Return a dataclass field that describes one parameter (see `Parameter`)."""
    described = Parameter(name='', default=default, doc=doc, unit=unit, **limits)
    return field(default=default, metadata={_META: described})


def describe(cls: type[CommonParameters]) -> Iterator[Parameter]:
    """Yield the parameters of a node in the order of its class, common ones first."""
    for f in fields(cls):
        p: Parameter = f.metadata[_META]
        yield Parameter(
            name=f.name,
            default=p.default,
            doc=p.doc,
            unit=p.unit,
            low=p.low,
            high=p.high,
            choices=p.choices,
            dynamic=p.dynamic,
        )


@dataclass(frozen=True, kw_only=True)
class CommonParameters:
    """Parameters that every node has."""

    autostart: bool = parameter(
        False, 'Configure and activate at start, without a lifecycle manager.'
    )
    device: str = parameter(
        'auto', 'Where the network runs; auto takes CUDA when there is one.',
        choices=('auto', 'cpu', 'cuda', 'cuda:N'),
    )  # fmt: skip
    engine: str = parameter(
        'auto', 'What runs the network; auto takes the fastest that is installed.',
        choices=ENGINES,
    )  # fmt: skip
    precision: str = parameter(
        'auto',
        'Arithmetic of the network; auto: fp32, on CPUs the fastest that was measured to serve as '
        'well. fp16 is for GPUs, bf16 for them and openvino, int8 for engines and weights with '
        'measured ranges (SuperPoint).',
        choices=PRECISIONS,
    )  # fmt: skip
    num_threads: int = parameter(
        0, 'CPU threads of the network; 0 takes half of the cores.', low=0, high=256
    )
    weights: str = parameter(
        '',
        'Weight file (.safetensors, or a public .pth or .npz) or the name of shipped weights; '
        'empty takes the shipped ones.',
    )
    weights_sha256: str = parameter('', 'SHA-256 that the weight file must have; empty for any.')
    allow_random_weights: bool = parameter(
        False, 'Run an untrained network when no weights are shipped; for tests, warns while true.'
    )
    image_transport: str = parameter(
        'raw', 'Subscribe to image (sensor_msgs/Image) or image/compressed (CompressedImage).',
        choices=('raw', 'compressed'),
    )  # fmt: skip
    rectified: str = parameter(
        'auto', 'Whether the images are rectified already, so that P of camera_info holds and no '
        'distortion; auto goes by the name of their topic (image_rect).',
        choices=CHOICES,
    )  # fmt: skip
    image_qos: str = parameter(
        'auto',
        'QoS of the image subscription; auto: reliable while every publisher is, else best effort; '
        'sensor_data: best effort; default: reliable.',
        choices=IMAGE_QOS,
    )
    image_qos_depth: int = parameter(
        1, 'Queue of the image subscription; 1 keeps the newest frame.', low=1, high=100
    )
    max_rate: float = parameter(
        0.0, 'Most frames processed in a second; 0 for all.', 'Hz', low=0, high=1000, dynamic=True
    )
    max_input_age: float = parameter(
        0.5, 'Frames older than this are dropped; 0 keeps all.', 's', low=0, high=60, dynamic=True
    )
    max_output_age: float = parameter(
        2.0,
        'Results older than this are late and not published; at least max_input_age; 0 in either '
        'publishes all.',
        's', low=0, high=60, dynamic=True,
    )  # fmt: skip
    input_timeout: float = parameter(
        1.0, 'Without an image for this long, diagnostics report an error.', 's',
        low=0.05, high=60, dynamic=True,
    )  # fmt: skip
    inference_timeout: float = parameter(
        10.0, 'A frame that takes longer deactivates the node.', 's',
        low=0.05, high=600, dynamic=True,
    )  # fmt: skip
    on_gpu_error: str = parameter(
        'fail', 'After a CUDA error: fail (deactivate), or go on on the cpu.',
        choices=('fail', 'cpu'),
    )  # fmt: skip
    time_jump_back_threshold: float = parameter(
        0.1, 'When time jumps back by more than this, all history is forgotten.', 's',
        low=0, high=60, dynamic=True,
    )  # fmt: skip
    diagnostic_period: float = parameter(
        1.0, 'Time between two messages on /diagnostics.', 's', low=0.1, high=10
    )

    @property
    def output_age_limit(self) -> float:
        """Age in seconds over which a result is not published; 0 for none."""
        if not (self.max_input_age and self.max_output_age):
            return 0.0
        return max(self.max_input_age, self.max_output_age)

    def __post_init__(self) -> None:
        for p in describe(type(self)):
            value = p.taken(getattr(self, p.name))
            p.check(value)
            if p.name.endswith('_frame'):  # tf2 takes no leading slash, as ROS 1 had it
                value = frame_name(value)
            object.__setattr__(self, p.name, value)  # frozen for all but its own making
        digest = self.weights_sha256
        if digest and (len(digest) != 64 or set(digest.lower()) - set('0123456789abcdef')):
            raise ParameterError(f'weights_sha256: expected 64 hex digits, got {digest!r}')


def _resize_long_side(default: int = 640) -> Any:
    """Return the field of a parameter that several networks have."""
    return parameter(
        default,
        'Images are shrunk to this before the network; 0 for never.',
        'px',
        low=0,
        high=4096,
    )


def aid_tolerance() -> Any:
    """Return the field of a parameter of all that take what was measured beside an image."""
    return parameter(
        0.02,
        'What belongs to an image differs from it by no more, nor by over half the time between '
        'two images; the right image by no more than 5 ms, keypoints not at all.',
        's', low=0, high=1, dynamic=True,
    )  # fmt: skip


def aid_patience() -> Any:
    """Return the field of the other one that all of these have."""
    return parameter(
        0.1, 'Each image waits at most so long for what belongs to it and is on its way.', 's',
        low=0, high=5, dynamic=True,
    )  # fmt: skip


def _check_long_side(pixels: int) -> None:
    if 0 < pixels < 64:
        raise ParameterError(f'resize_long_side: {pixels} is outside 64..4096 px')


@dataclass(frozen=True, kw_only=True)
class SuperPointParameters(CommonParameters):
    """Parameters of `superpoint`."""

    max_keypoints: int = parameter(
        1024, 'Most keypoints of an image; the strongest are kept.',
        low=1, high=8192, dynamic=True,
    )  # fmt: skip
    detection_threshold: float = parameter(
        0.005, 'Smallest score of a keypoint.', low=0, high=1, dynamic=True
    )
    nms_radius: int = parameter(
        4, 'Distance within which only the strongest keypoint stays.', 'px',
        low=0, high=64, dynamic=True,
    )  # fmt: skip
    remove_borders: int = parameter(
        4, 'Margin without keypoints.', 'px', low=0, high=128, dynamic=True
    )
    resize_long_side: int = _resize_long_side()
    descriptor_format: str = parameter(
        'int8', 'Descriptors in the cloud: int8 is the unit vector times 127.',
        choices=('float32', 'int8', 'none'),
    )  # fmt: skip
    match_ratio: float = parameter(
        0.9, 'Largest ratio of best to second-best distance of a match; 1 for no test.',
        low=0, high=1, dynamic=True,
    )  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_long_side(self.resize_long_side)


@dataclass(frozen=True, kw_only=True)
class FlowNetParameters(CommonParameters):
    """Parameters of `flownet`."""

    resize_long_side: int = _resize_long_side()
    output_stride: int = parameter(
        4, 'Full-size pixels between two samples of the published flow: 1, 2 or 4.', low=1, high=4
    )
    max_interval: float = parameter(
        0.5, 'No flow is computed over a longer pause.', 's', low=0.01, high=10, dynamic=True
    )
    consistency_threshold: float = parameter(
        1.0, 'Forward-backward difference at which confidence is one half; 0 for no check.',
        'px', low=0, high=100, dynamic=True,
    )  # fmt: skip
    refinement: str = parameter(
        'none', 'What follows the network: nothing, or a variational method on the CPU.',
        choices=('none', 'variational'), dynamic=True,
    )  # fmt: skip
    max_displacement: float = parameter(
        0.0, 'Displacement of full colour in the picture; 0 takes the largest of each.',
        'px', low=0, high=1000, dynamic=True,
    )  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_long_side(self.resize_long_side)
        if self.output_stride not in (1, 2, 4):
            raise ParameterError(f'output_stride: {self.output_stride} is none of 1, 2, 4')


@dataclass(frozen=True, kw_only=True)
class DepthParameters(CommonParameters):
    """Parameters of all that publish depth."""

    min_depth: float = parameter(
        0.1, 'Nearer depth is published as -inf (REP 117).', 'm',
        low=0.001, high=10, dynamic=True,
    )  # fmt: skip
    max_depth: float = parameter(
        80.0, 'Farther depth is published as +inf (REP 117).', 'm',
        low=0.5, high=1000, dynamic=True,
    )  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.min_depth >= self.max_depth:
            raise ParameterError(
                f'min_depth: {self.min_depth} m is not below max_depth: {self.max_depth} m'
            )


@dataclass(frozen=True, kw_only=True)
class MonodepthParameters(DepthParameters):
    """Parameters of `monodepth`."""

    scale_mode: str = parameter(
        'fixed',
        'metric: as the weights say; fixed: times scale; camera_height: from the ground plane.',
        choices=('metric', 'fixed', 'camera_height'),
    )
    scale: float = parameter(
        1.0, 'Factor of scale_mode fixed; 5.4 for stereo-trained KITTI weights.',
        low=1e-6, high=1000, dynamic=True,
    )  # fmt: skip
    camera_height: float = parameter(
        1.5, 'Height of the camera over the ground, for scale_mode camera_height.', 'm',
        low=0.05, high=10, dynamic=True,
    )  # fmt: skip
    confidence_threshold: float = parameter(
        0.0, 'Depth of lower confidence is published as NaN; 0 for all.',
        low=0, high=1, dynamic=True,
    )  # fmt: skip
    pp: bool = parameter(
        True, 'Blend with the depth of the mirrored image, for half as much more work.',
        dynamic=True,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class StereoParameters(DepthParameters):
    """Parameters of `stereo`."""

    resize_long_side: int = _resize_long_side()
    confidence_source: str = parameter(
        'left_right',
        'left_right: how well the disparity of the right image agrees, at twice the work, while '
        'somebody listens; spread: by the error that the network expects.',
        choices=('left_right', 'spread'), dynamic=True,
    )  # fmt: skip
    consistency_threshold: float = parameter(
        1.0, 'Difference of the two disparities at which the confidence is one half.', 'px',
        low=0.01, high=100, dynamic=True,
    )  # fmt: skip
    confidence_threshold: float = parameter(
        0.0, 'Disparity and depth of lower confidence are published as unknown; 0 for all.',
        low=0, high=1, dynamic=True,
    )  # fmt: skip
    sync_tolerance: float = parameter(
        0.005, 'A right image belongs to a left one when their stamps differ by no more.', 's',
        low=0, high=1, dynamic=True,
    )  # fmt: skip
    sync_patience: float = parameter(
        0.1, 'Each left image waits at most so long for a right one that is on its way.', 's',
        low=0, high=5, dynamic=True,
    )  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_long_side(self.resize_long_side)


@dataclass(frozen=True, kw_only=True)
class SegmentationParameters(CommonParameters):
    """Parameters of `segmentation`."""

    resize_long_side: int = _resize_long_side(320)  # what the shipped weights learned from
    movers_margin: int = parameter(
        4, 'What lies so near to something that can move is masked too.', 'px',
        low=0, high=100, dynamic=True,
    )  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_long_side(self.resize_long_side)


@dataclass(frozen=True, kw_only=True)
class LocalizationParameters(CommonParameters):
    """Parameters of `localization`."""

    resize_long_side: int = _resize_long_side(320)  # what the shipped weights learned from
    detection_threshold: float = parameter(
        0.45, 'Smallest score of a box.', low=0, high=1, dynamic=True
    )
    nms_overlap: float = parameter(
        0.5, 'Intersection over union above which the weaker of two boxes of a kind goes.',
        low=0, high=1, dynamic=True,
    )  # fmt: skip
    max_detections: int = parameter(
        100, 'Most boxes of an image; the surest are kept.', low=1, high=1000, dynamic=True
    )
    kinds: str = parameter(
        '', f'Kinds that are told, between commas, of {", ".join(KIND_NUMBER)}; empty for all.',
        dynamic=True,
    )  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_long_side(self.resize_long_side)
        try:
            kinds_of(self.kinds)
        except ValueError as err:
            raise ParameterError(f'kinds: {err}') from None


@dataclass(frozen=True, kw_only=True)
class CaptionParameters(CommonParameters):
    """Parameters of `caption`."""

    rate: float = parameter(
        1.0, 'Most images told of in a second, while somebody listens; 0 for all. Who calls '
        '~/describe is answered by the next image.', 'Hz',
        low=0, high=1000, dynamic=True,
    )  # fmt: skip
    beams: int = parameter(
        5, 'Beginnings of sentences that are followed; more take longer.',
        low=1, high=100, dynamic=True,
    )  # fmt: skip
    min_confidence: float = parameter(
        0.3, 'Nothing is said where the geometric mean of the probabilities of the words, by the '
        'network\'s own judgement, is lower.', low=0, high=1, dynamic=True,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class NetVLADParameters(CommonParameters):
    """Parameters of `netvlad`."""

    map_frame: str = parameter('map', 'Fixed frame of the places.')
    places: str = parameter(
        '', 'File of known places, as `dlcv places` makes it; empty for descriptors alone.'
    )
    candidates: int = parameter(
        5, 'Most places that are named for an image.', low=1, high=1000, dynamic=True
    )
    min_similarity: float = parameter(
        0.0, 'Cosine of the descriptors that a named place must have.', low=-1, high=1, dynamic=True
    )
    resize_long_side: int = parameter(
        0, 'Images are shrunk to this before the network; 0 for what the weights expect.', 'px',
        low=0, high=4096,
    )  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_long_side(self.resize_long_side)


@dataclass(frozen=True, kw_only=True)
class DsacParameters(CommonParameters):
    """Parameters of `dsac`."""

    map_frame: str = parameter('map', 'Fixed frame of the map.')
    odom_frame: str = parameter('odom', 'Frame of the odometry, for map_frame -> odom_frame.')
    base_frame: str = parameter('base_link', 'Body frame whose pose is published.')
    mode: str = parameter(
        'on_trigger', 'Relocalize when ~/trigger is called, or all the time at most at rate.',
        choices=('on_trigger', 'continuous'),
    )  # fmt: skip
    rate: float = parameter(
        1.0, 'Most relocalizations in a second in mode continuous.', 'Hz',
        low=0.05, high=1000, dynamic=True,
    )  # fmt: skip
    hypotheses: int = parameter(
        64, 'Poses sampled from minimal sets.', low=1, high=4096, dynamic=True
    )
    inlier_threshold: float = parameter(
        10.0,
        'Reprojection error of an inlier; for the gates in pixels of 480 rows.',
        'px',
        low=0.5,
        high=100,
        dynamic=True,
    )
    max_pixel_error: float = parameter(
        100.0, 'Reprojection errors are clamped here.', 'px', low=1, high=10000, dynamic=True
    )
    min_inliers: int = parameter(
        100, 'A pose with fewer inliers is rejected.', low=6, high=100000, dynamic=True
    )
    min_inlier_ratio: float = parameter(
        0.1,
        'A pose with a smaller share of inliers than this, or than the map asks for, is rejected.',
        low=0,
        high=1,
        dynamic=True,
    )
    max_tries: int = parameter(
        10000, 'Most minimal sets drawn for an image.', low=1, high=1000000, dynamic=True
    )
    time_budget: float = parameter(
        1.0, 'Sampling stops after this time.', 's', low=0.01, high=30, dynamic=True
    )
    prior_gate_distance: float = parameter(
        0.0, 'A pose farther from initial_pose is rejected; 0 for no gate.', 'm',
        low=0, high=1000, dynamic=True,
    )  # fmt: skip
    confirmations: int = parameter(
        2, 'Poses that must agree in a row before map -> odom moves.', low=1, high=10, dynamic=True
    )
    publish_tf: bool = parameter(False, 'Publish map_frame -> odom_frame on /tf.')
    transform_tolerance: float = parameter(
        0.1, 'The transform is dated this far into the future.', 's', low=0, high=5, dynamic=True
    )
    publish_initialpose: bool = parameter(
        False,
        'Publish on initialpose, for AMCL, which starts anew with each: the first accepted pose, '
        'those that ~/trigger asks for, and those far from the last one.',
    )
    initialpose_min_distance: float = parameter(
        1.0, 'So far from the last pose on initialpose, another one follows unasked.', 'm',
        low=0, high=10000, dynamic=True,
    )  # fmt: skip
    initialpose_min_angle: float = parameter(
        0.5, 'So far turned from the last pose on initialpose, another one follows unasked.', 'rad',
        low=0, high=10, dynamic=True,
    )  # fmt: skip
