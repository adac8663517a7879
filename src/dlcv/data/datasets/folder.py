"""A recording whose pictures lie in files, and how a caller may change its reading."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path

from dlcv.data.datasets.errors import DatasetError
from dlcv.data.datasets.files import every, read_depth, read_picture
from dlcv.types import ByteImage, Camera, FloatArray, Frame, Snapshot


@dataclass(frozen=True, kw_only=True, slots=True)
class FolderOptions:
    """What a caller says about a folder; None is the data set's own.

    Attributes:
        camera: Calibration.
        rate: Pictures per second, for sets without times.
        groundtruth: File of camera-to-world poses in the format of TUM or KITTI.
        sequence: Which one, for folders that hold several.
        depth: Whether to read the true depth.
        depth_scale: Units per metre of the depth pictures.
        depth_folder: Where the depth is that does not lie beside the pictures: for KITTI the depth
            benchmark's, with ``train`` and ``val`` or the drives in it.
    """

    camera: Camera | None = None
    rate: float | None = None
    groundtruth: Path | None = None
    sequence: str | None = None
    depth: bool = True
    depth_scale: float | None = None
    depth_folder: Path | None = None

    def __post_init__(self) -> None:
        if self.rate is not None and not 0 < self.rate < inf:
            raise DatasetError(f'the rate must be positive and finite, got {self.rate} Hz')
        if self.depth_scale is not None and not 0 < self.depth_scale < inf:
            raise DatasetError(
                f'the depth scale must be positive and finite, got {self.depth_scale}'
            )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Item:
    """The files of one moment.

    Attributes:
        stamp_ns: When.
        picture: The (left) picture.
        right: The right picture.
        depth: The depth picture.
        world_from_camera: ``(4, 4)`` true pose.
    """

    stamp_ns: int
    picture: Path
    right: Path | None = None
    depth: Path | None = None
    world_from_camera: FloatArray | None = None


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class FolderRecording:
    """A sequence in files; they are read while it is iterated.

    Attributes:
        name: Short name, for titles.
        items: The moments in order.
        calibration: Of the (left) camera, when known.
        right_calibration: Of the right camera.
        baseline: Metres to the right camera; 0 without one.
        depth_scale: Units per metre of the depth pictures.
        unknown_depth: Values of the depth pictures that mean no depth.
        notes: What a reader should know: where times come from, what is there and not used.
    """

    name: str
    items: tuple[Item, ...]
    calibration: Camera | None
    right_calibration: Camera | None = None
    baseline: float = 0.0
    depth_scale: float = 1000.0
    unknown_depth: tuple[int, ...] = (0,)
    notes: tuple[str, ...] = ()

    @property
    def camera(self) -> Camera:
        """Intrinsics of the (left) camera.

        Raises:
            DatasetError: They are not known.
        """
        if self.calibration is None:
            raise DatasetError(f'{self.name}: the camera is not calibrated; give its calibration')
        return self.calibration

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Snapshot]:
        size: tuple[int, int] | None = None
        for item in self.items:
            frame = self._frame(item.stamp_ns, item.picture, self.calibration)
            size = size or (frame.width, frame.height)
            if (frame.width, frame.height) != size:
                raise DatasetError(
                    f'{item.picture}: the picture is {frame.width}x{frame.height}, those before '
                    f'are {size[0]}x{size[1]}; a camera has one size'
                )
            right = item.right and self._frame(item.stamp_ns, item.right, self.right_calibration)
            yield Snapshot(
                frame=frame,
                world_from_camera=item.world_from_camera,
                depth=self._depth(item, frame.image),
                right=right or None,
            )

    def cut(self, *, start: int = 0, count: int | None = None, stride: int = 1) -> FolderRecording:
        """Return every ``stride``-th moment from ``start`` on, at most ``count`` of them."""
        items = every(
            self.items, start=start, count=count, stride=stride, what='pictures', name=self.name
        )
        return replace(self, items=items)

    def shifted(self, offset_ns: int) -> FolderRecording:
        """Return the recording with ``offset_ns`` added to every time."""
        items = (replace(item, stamp_ns=item.stamp_ns + offset_ns) for item in self.items)
        return replace(self, items=tuple(items))

    def turned(self, new_from_old: FloatArray) -> FolderRecording:
        """Return the recording with poses in another world: ``new_from_old @ pose``."""
        items = (
            item
            if item.world_from_camera is None
            else replace(item, world_from_camera=new_from_old @ item.world_from_camera)
            for item in self.items
        )
        return replace(self, items=tuple(items))

    def _frame(self, stamp_ns: int, path: Path, camera: Camera | None) -> Frame:
        image = read_picture(path)
        if camera is not None and image.shape[:2] != (camera.height, camera.width):
            raise DatasetError(
                f'{path}: the picture is {image.shape[1]}x{image.shape[0]}, the calibration is '
                f'for {camera.width}x{camera.height}'
            )
        return Frame(stamp_ns=stamp_ns, image=image, camera=camera)

    def _depth(self, item: Item, image: ByteImage) -> FloatArray | None:
        if item.depth is None:
            return None
        depth = read_depth(item.depth, self.depth_scale, self.unknown_depth)
        if depth.shape != image.shape[:2]:
            raise DatasetError(
                f'{item.depth}: the depth is {depth.shape[1]}x{depth.shape[0]}, its picture '
                f'{image.shape[1]}x{image.shape[0]}'
            )
        return depth
