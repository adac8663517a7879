"""Values that travel between the rooms of this suite; NumPy only, no torch, no ROS.

Conventions, once for all of them:

* Pixel ``(0, 0)`` is the centre of the first pixel; ``x`` runs right, ``y`` runs down.
* Camera axes are the optical ones: x right, y down, z forward. Lengths are metres.
* ``b_from_a`` maps coordinates in frame a to coordinates in frame b: ``x_b = b_from_a @ x_a``.
* Time is integer nanoseconds (``stamp_ns``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from math import nan
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.floating[Any]]
ByteImage = npt.NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True, slots=True)
class Camera:
    """Pinhole intrinsics of an image of ``width`` x ``height`` pixels, with lens distortion.

    Attributes:
        width: Image width in pixels.
        height: Image height in pixels.
        fx: Horizontal focal length in pixels.
        fy: Vertical focal length in pixels.
        cx: Principal point, x in pixels.
        cy: Principal point, y in pixels.
        distortion: Coefficients in the order of ``sensor_msgs/CameraInfo.d``; empty for none.
        distortion_model: ``plumb_bob``, ``rational_polynomial`` or ``equidistant``.
    """

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    distortion: tuple[float, ...] = ()
    distortion_model: str = 'plumb_bob'

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1:
            raise ValueError(f'a camera needs a positive size, got {self.width}x{self.height}')
        values = (self.fx, self.fy, self.cx, self.cy, *self.distortion)
        if not np.all(np.isfinite(values)) or self.fx <= 0 or self.fy <= 0:
            raise ValueError(
                f'a camera needs finite intrinsics and positive focal lengths, got fx={self.fx} '
                f'fy={self.fy} cx={self.cx} cy={self.cy} d={list(self.distortion)}'
            )

    @property
    def matrix(self) -> npt.NDArray[np.float64]:
        """The calibration matrix K, ``(3, 3)``."""
        return np.array([[self.fx, 0, self.cx], [0, self.fy, self.cy], [0, 0, 1]], np.float64)

    @property
    def focal(self) -> float:
        """Pixels per unit of x/z and y/z, on average."""
        return (self.fx + self.fy) / 2

    @property
    def distorted(self) -> bool:
        """Whether any distortion coefficient differs from zero."""
        return any(self.distortion)

    def scaled(self, width: int, height: int) -> Camera:
        """Return the camera of the same picture resized to ``width`` x ``height`` pixels."""
        sx, sy = width / self.width, height / self.height
        return replace(
            self,
            width=width,
            height=height,
            fx=self.fx * sx,
            fy=self.fy * sy,
            cx=(self.cx + 0.5) * sx - 0.5,  # pixel centres, not corners, are integers
            cy=(self.cy + 0.5) * sy - 0.5,
        )

    def cropped(self, left: int, top: int, width: int, height: int) -> Camera:
        """Return the camera of a window whose first pixel is ``(left, top)``; may pad."""
        return replace(self, width=width, height=height, cx=self.cx - left, cy=self.cy - top)

    def undistorted(self) -> Camera:
        """Return the ideal camera with the same K and no distortion: a plumb_bob of zeros."""
        return replace(self, distortion=(), distortion_model='plumb_bob')


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Frame:
    """One picture of a camera.

    Attributes:
        stamp_ns: Capture time in nanoseconds.
        image: ``(H, W)`` grey or ``(H, W, 3)`` RGB, uint8; may be a read-only view.
        camera: Its intrinsics, when known; of the same size as the image.
        frame_id: Name of the optical frame.
    """

    stamp_ns: int
    image: ByteImage
    camera: Camera | None = None
    frame_id: str = 'camera'

    @property
    def height(self) -> int:
        """Rows of the image."""
        return int(self.image.shape[0])

    @property
    def width(self) -> int:
        """Columns of the image."""
        return int(self.image.shape[1])


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Keypoints:
    """Interest points of one image, strongest first.

    Attributes:
        stamp_ns: Time of the image.
        xy: ``(N, 2)`` float32 pixel positions in the input image.
        scores: ``(N,)`` float32 detector confidence in [0, 1].
        descriptors: ``(N, D)`` float32, each of length 1.
        rays: ``(N, 3)`` float32 viewing rays with z = 1 in the optical frame; None if uncalibrated.
        place: ``(M,)`` float32 descriptor of the whole image, of length 1; None where nobody asked.
    """

    stamp_ns: int
    xy: FloatArray
    scores: FloatArray
    descriptors: FloatArray
    rays: FloatArray | None = None
    place: FloatArray | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Caption:
    """What is said of an image.

    Attributes:
        stamp_ns: Time of the image.
        words: What is said, word by word, stops and commas being words; empty for nothing.
        confidence: Geometric mean of the probabilities of its words, by the network's own
            judgement, in [0, 1]; NaN where none was asked.
        reason: Why nothing is said, in words for a person; empty where something is.
    """

    stamp_ns: int
    words: tuple[str, ...]
    confidence: float = nan
    reason: str = ''

    @property
    def text(self) -> str:
        """The words as people write them."""
        sentences = ' '.join(self.words).replace(' ,', ',').split(' .')
        return ' '.join(f'{one.strip().capitalize()}.' for one in sentences if one.strip())


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Recognition:
    """What an image is, as a place, and which known places it is like, likeliest first.

    Attributes:
        stamp_ns: Time of the image.
        descriptor: ``(N,)`` float32 of length 1.
        places: ``(K,)`` int64 numbers of known places.
        similarity: ``(K,)`` float32 cosines of their descriptors with this one.
        map_from_camera: ``(K, 4, 4)`` poses of the camera there, in metres.
        names: Of the pictures of these places.
    """

    stamp_ns: int
    descriptor: FloatArray
    places: npt.NDArray[np.int64]
    similarity: FloatArray
    map_from_camera: FloatArray
    names: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Matches:
    """Mutual nearest neighbours between the keypoints of two images.

    Attributes:
        stamp_ns: Time of the second image.
        previous_stamp_ns: Time of the first image.
        previous_xy: ``(M, 2)`` pixels in the first image.
        xy: ``(M, 2)`` pixels in the second image.
        scores: ``(M,)`` cosine similarity of the descriptors.
    """

    stamp_ns: int
    previous_stamp_ns: int
    previous_xy: FloatArray
    xy: FloatArray
    scores: FloatArray


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class FlowField:
    """Dense optical flow from the previous image to the current one.

    Attributes:
        stamp_ns: Time of the current image.
        previous_stamp_ns: Time of the previous image.
        flow: ``(h, w, 2)`` float32, (u right, v down) in pixels of the full-size input image; a
            point at x in the previous image is at x + flow in the current one. NaN is invalid.
        stride: Full-size pixels between two samples of ``flow``.
        confidence: ``(h, w)`` float32 in [0, 1], when it was asked for.
        camera: Intrinsics of the ``(h, w)`` grid, when the camera is known.
    """

    stamp_ns: int
    previous_stamp_ns: int
    flow: FloatArray
    stride: int = 1
    confidence: FloatArray | None = None
    camera: Camera | None = None


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class DepthMap:
    """Depth of every pixel of a rectified image.

    Attributes:
        stamp_ns: Time of the image.
        disparity: ``(H, W)`` float32, as a fraction of the image width.
        depth: ``(H, W)`` float32 metres along z; NaN where unknown, +inf beyond the maximum,
            -inf nearer than the minimum (REP 117). None when the camera is unknown.
        confidence: ``(H, W)`` float32 in [0, 1], when it was asked for.
        camera: Intrinsics of the rectified image, when known.
        baseline: Metres between the two cameras whose disparity it is; 0 for one camera.
        reason: Why no depth is known anywhere, in words for a person; empty where some is.
    """

    stamp_ns: int
    disparity: FloatArray
    depth: FloatArray | None = None
    confidence: FloatArray | None = None
    camera: Camera | None = None
    baseline: float = 0.0
    reason: str = ''


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Labels:
    """What each pixel of an image shows.

    Attributes:
        stamp_ns: Time of the image.
        labels: ``(H, W)`` uint8 numbers of `dlcv.classes`, 255 where nobody knows.
        reason: Why nothing is known anywhere, in words for a person; empty where something is.
    """

    stamp_ns: int
    labels: ByteImage
    reason: str = ''


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Detections:
    """The N things that are found in an image, the surest first.

    Attributes:
        stamp_ns: Time of the image.
        kind: ``(N,)`` uint8 numbers of `dlcv.things`.
        box: ``(N, 4)`` float32 left, top, right, bottom edge in pixels; see `Objects`.
        score: ``(N,)`` float32 in [0, 1].
        reason: Why nothing could be found, in words for a person; empty where something could.
    """

    stamp_ns: int
    kind: ByteImage
    box: FloatArray
    score: FloatArray
    reason: str = ''

    def __len__(self) -> int:
        return len(self.kind)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Motion:
    """Motion of the camera between two images, and where it led.

    Attributes:
        stamp_ns: Time of the newer image.
        previous_stamp_ns: Time of the older image.
        previous_from_current: ``(4, 4)`` float64, metres: pose of the newer camera in the older.
        odom_from_camera: ``(4, 4)`` float64, metres: product of all motions since the start.
        covariance: ``(6, 6)`` of ``previous_from_current`` as (x, y, z, rx, ry, rz), m and rad,
            expressed in the older camera's axes.
        scale_stddev: Standard deviation of the metre as a share of it, part of ``covariance``: one
            error common to all motions, which adds up in full.
    """

    stamp_ns: int
    previous_stamp_ns: int
    previous_from_current: FloatArray
    odom_from_camera: FloatArray
    covariance: FloatArray
    scale_stddev: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Lost:
    """There is no motion to this frame that could be believed.

    Attributes:
        stamp_ns: Time of the frame.
        previous_stamp_ns: Time of the frame before that a motion would have begun at.
        reason: Why, in words for a person.
        odom_from_camera: ``(4, 4)`` last known pose; odometry goes on from it, without a jump.
        pose_covariance: ``(6, 6)`` of that pose, grown by the time since.
    """

    stamp_ns: int
    previous_stamp_ns: int
    reason: str
    odom_from_camera: FloatArray
    pose_covariance: FloatArray


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Aids:
    """What was measured beside a picture and helps odometry; each where it was to be had.

    Attributes:
        keypoints: Interest points of this very picture, so that they are not computed twice.
        right: The right camera's picture, rectified with the left one: rows correspond.
        baseline: Distance of the right camera in metres along +x.
        depth: Depth of the picture.
        depth_source: Who measured it: a depth camera, or a network, whose unit is doubtful.
        wheels: ``(4, 4)`` motion of the camera since the last picture by the wheels, metres.
        turn: ``(3, 3)`` rotation ``previous_from_current`` of the camera by a gyroscope.
        mask: ``(H, W)`` bool; False where the picture shows what does not stand still.
    """

    keypoints: Keypoints | None = None
    right: Frame | None = None
    baseline: float = 0.0
    depth: DepthMap | None = None
    depth_source: Literal['camera', 'network'] = 'camera'
    wheels: FloatArray | None = None
    turn: FloatArray | None = None
    mask: npt.NDArray[np.bool_] | None = None


TrackingState = Literal['starting', 'tracking', 'standing', 'turning', 'lost']


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Tracking:
    """What visual odometry knows of itself after a picture.

    Attributes:
        stamp_ns: Time of the picture.
        state: ``starting`` until a motion is known, ``turning`` where only the rotation is seen.
        reason: Why it is lost, in words for a person; empty while it is not.
        matches: Keypoints that were found again, before any check.
        inliers: Those that agree with the motion.
        scale_source: What the metre comes from: ``stereo``, ``depth``, ``network``, ``wheels``,
            ``camera_height`` or ``none``.
        scale: Metres per unit of the odometry's window.
        scale_stddev: Its standard deviation as a share of it.
        tracks: Where the inliers were in the last picture and are in this one.
        landmarks: ``(L, 3)`` points of the window in odom axes, metres.
        landmark_stddev: ``(L,)`` standard deviation of their depth as a share of it.
    """

    stamp_ns: int
    state: TrackingState
    reason: str = ''
    matches: int = 0
    inliers: int = 0
    scale_source: str = 'none'
    scale: float = 1.0
    scale_stddev: float = 0.0
    tracks: Matches | None = None
    landmarks: FloatArray = field(default_factory=lambda: np.empty((0, 3), np.float32))
    landmark_stddev: FloatArray = field(default_factory=lambda: np.empty(0, np.float32))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Localization:
    """Answer of the relocalizer for one image.

    Attributes:
        stamp_ns: Time of the image.
        accepted: Whether the pose passed every gate.
        reason: Why it was accepted or rejected, in words for a person.
        map_from_camera: ``(4, 4)`` float64, metres; best hypothesis even when rejected, or None.
        covariance: ``(6, 6)`` of the pose as (x, y, z, rx, ry, rz) in map axes, m and rad: by
            what the map knows of its own errors; as wide as the place when rejected.
        inliers: Number of scene coordinates within the threshold of the gates.
        inlier_ratio: Their share of all cells.
        scene_coordinates: ``(h, w, 3)`` float32 predicted map points in metres.
        hypotheses: ``(K, 4, 4)`` map_from_camera of the sampled hypotheses, best first.
        scores: ``(K,)`` their scores.
        tries: Minimal sets drawn.
    """

    stamp_ns: int
    accepted: bool
    reason: str
    map_from_camera: FloatArray | None
    covariance: FloatArray | None
    inliers: int
    inlier_ratio: float
    scene_coordinates: FloatArray
    hypotheses: FloatArray
    scores: FloatArray
    tries: int

    @property
    def accepted_pose(self) -> FloatArray | None:
        """``map_from_camera`` if it was accepted, else None."""
        return self.map_from_camera if self.accepted else None


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Snapshot:
    """One moment of a recording: the pictures and the truth that is known about them.

    Attributes:
        frame: The (left) camera's picture.
        world_from_camera: ``(4, 4)`` true pose in metres, when known.
        depth: ``(H, W)`` float32 true depth in metres, NaN where unknown; when known.
        flow: ``(H, W, 2)`` float32 true flow from the previous snapshot to this one; when known.
        right: The right camera's picture, for stereo recordings.
    """

    frame: Frame
    world_from_camera: FloatArray | None = None
    depth: FloatArray | None = None
    flow: FloatArray | None = None
    right: Frame | None = None


class Recording(Protocol):
    """A sequence of snapshots that a folder, a bag or the generated world can give."""

    @property
    def name(self) -> str:
        """Short name, for titles."""

    @property
    def camera(self) -> Camera:
        """Intrinsics of the (left) camera."""

    @property
    def baseline(self) -> float:
        """Distance of the right camera in metres along +x; 0 when there is none."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Snapshot]: ...


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Trajectory:
    """Poses over time.

    Attributes:
        stamps_ns: ``(T,)`` int64, increasing.
        world_from_body: ``(T, 4, 4)`` float64, metres.
        frame_id: Name of the fixed frame.
        child_frame_id: Name of the moving frame.
    """

    stamps_ns: npt.NDArray[np.int64]
    world_from_body: FloatArray
    frame_id: str = field(default='map')
    child_frame_id: str = field(default='camera')


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class FlowPair:
    """Two pictures and the true flow between them.

    Attributes:
        first: ``(H, W, 3)`` uint8 RGB.
        second: The same of the second picture.
        flow: ``(H, W, 2)`` float32, (u right, v down) in pixels: the point at x in ``first`` is at
            x + flow in ``second``; NaN where unknown.
        backward: The flow from ``second`` to ``first``, on the pixels of ``second``; when known.
        occluded: ``(H, W)`` bool; pixels of ``first`` whose point ``second`` does not show: hidden
            by something nearer, or out of the picture. When known.
        name: Where the pair comes from, for tables and messages.
    """

    first: ByteImage
    second: ByteImage
    flow: FloatArray
    backward: FloatArray | None = None
    occluded: npt.NDArray[np.bool_] | None = None
    name: str = ''


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class StereoPair:
    """Two rectified pictures and the true disparity between them.

    Attributes:
        left: ``(H, W, 3)`` uint8 RGB.
        right: The same of the right camera.
        disparity: ``(H, W)`` float32 pixels: the point at x in ``left`` is at x - disparity in
            ``right``; NaN where unknown.
        right_disparity: The same on the pixels of ``right``, whose point is at x + disparity in
            ``left``; when known.
        occluded: ``(H, W)`` bool; pixels of ``left`` whose point ``right`` does not show. When
            known.
        name: Where the pair comes from, for tables and messages.
    """

    left: ByteImage
    right: ByteImage
    disparity: FloatArray
    right_disparity: FloatArray | None = None
    occluded: npt.NDArray[np.bool_] | None = None
    name: str = ''


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class LabelledPicture:
    """A picture and what each pixel of it shows.

    Attributes:
        image: ``(H, W, 3)`` uint8 RGB.
        labels: ``(H, W)`` uint8 numbers of `dlcv.classes`, 255 where nobody knows.
        name: Where it comes from, for tables and messages.
    """

    image: ByteImage
    labels: ByteImage
    name: str = ''


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Objects:
    """The N things that a picture truly shows.

    A box is given by the edges of the pixels it holds: where only the first pixel of a picture
    shows a thing, it is (-0.5, -0.5, 0.5, 0.5), since (0, 0) is the middle of that pixel.

    Attributes:
        kind: ``(N,)`` uint8 numbers of `dlcv.things`.
        box: ``(N, 4)`` float32 left, top, right, bottom edge of what is seen of it, pixels.
        pixels: ``(N,)`` int64 how many pixels show it.
        share: ``(N,)`` float32 in [0, 1], how much of it is seen: of what would be if nothing hid
            it and the picture had no edge.
        distance: ``(N,)`` float32 metres from the camera to what is seen of it, the median.
        speed: ``(N,)`` float32 m/s over ground.
        thing: ``(N,)`` int64 number of the thing in its world, the same in all pictures of it.
    """

    kind: ByteImage
    box: FloatArray
    pixels: npt.NDArray[np.int64]
    share: FloatArray
    distance: FloatArray
    speed: FloatArray
    thing: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.kind)

    def __getitem__(self, which: npt.NDArray[Any]) -> Objects:
        """Return some of them, by their places or by a mask ``(N,)``."""
        return Objects(**{one.name: getattr(self, one.name)[which] for one in fields(self)})


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class BoxedPicture:
    """A picture and the things that it shows.

    Attributes:
        image: ``(H, W, 3)`` uint8 RGB.
        objects: What it shows.
        name: Where it comes from, for tables and messages.
    """

    image: ByteImage
    objects: Objects
    name: str = ''


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class HomographyPair:
    """Two pictures of one plane and the homography between them.

    Attributes:
        first: ``(H, W, 3)`` uint8 RGB.
        second: ``(h, w, 3)`` uint8 RGB.
        second_from_first: ``(3, 3)`` float64; maps pixels (x, y, 1) of ``first`` to ``second``.
        kind: What differs: ``viewpoint`` or ``illumination``.
        name: Where the pair comes from, for tables and messages.
    """

    first: ByteImage
    second: ByteImage
    second_from_first: FloatArray
    kind: str = 'viewpoint'
    name: str = ''
