"""Camera maths with OpenCV: calibration files, rectification, viewing rays, projection.

Pixel ``(0, 0)`` is the centre of the first pixel; camera axes are the optical ones (x right, y
down, z forward); lengths are metres. The rectified camera of a distorted one has the same size and
the same K and no distortion (``Camera.undistorted``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import yaml

from dlcv.config import load_yaml
from dlcv.files import TextError, expanded, read_text, write_whole
from dlcv.geometry.distortion import DISTORTION_SIZES as DISTORTION_SIZES  # its place of before
from dlcv.geometry.distortion import DistortionError, known_distortion
from dlcv.geometry.trajectory import moved
from dlcv.types import ByteImage, Camera, FloatArray


class CameraError(ValueError):
    """A calibration cannot be used; the message names what was asked and what there is."""


def read_camera(path: Path | str, *, rectified: bool = False) -> Camera:
    """Read a calibration file in the YAML layout of ROS's ``camera_info_manager``.

    Keys: ``image_width``, ``image_height``, ``camera_matrix.data`` (9 numbers), and, unless the
    camera is ideal, ``distortion_model`` and ``distortion_coefficients.data``.

    Args:
        path: The file.
        rectified: Whether the pictures are rectified already: then the camera is that of
            ``projection_matrix`` (12 numbers), or of ``camera_matrix`` where there is none, and
            nothing is distorted.

    Raises:
        CameraError: If the file is missing, is no YAML or describes no usable camera.
    """
    try:
        data = load_yaml(read_text(expanded(path)))
    except OSError as err:
        raise CameraError(f'{path}: cannot be read: {err.strerror}') from None
    except (yaml.YAMLError, TextError) as err:
        raise CameraError(f'{path}: is no YAML: {" ".join(str(err).split())}') from None
    try:
        return _from_mapping(data, rectified=rectified)
    except CameraError as err:
        raise CameraError(f'{path}: {err}') from None


def write_camera(camera: Camera, path: Path | str, name: str = 'camera') -> None:
    """Write ``camera`` as `read_camera` and ROS's ``camera_info_manager`` read it."""
    k = [float(v) for v in camera.matrix.ravel()]
    d = [float(v) for v in camera.distortion]
    data = {
        'image_width': camera.width,
        'image_height': camera.height,
        'camera_name': name,
        'camera_matrix': {'rows': 3, 'cols': 3, 'data': k},
        'distortion_model': camera.distortion_model,
        'distortion_coefficients': {'rows': 1, 'cols': len(d), 'data': d},
        'rectification_matrix': {'rows': 3, 'cols': 3, 'data': np.eye(3).ravel().tolist()},
        'projection_matrix': {
            'rows': 3,
            'cols': 4,
            'data': [*k[:3], 0.0, *k[3:6], 0.0, *k[6:], 0.0],
        },
    }
    write_whole(path, yaml.safe_dump(data, sort_keys=False))


def check_camera(camera: Camera) -> Camera:
    """Return ``camera`` with the name and number of coefficients that `known_distortion` gives it.

    Raises:
        CameraError: Its distortion is none that is known here.
    """
    try:
        model, distortion = known_distortion(camera.distortion_model, camera.distortion)
    except DistortionError as err:
        raise CameraError(str(err)) from None
    if (model, distortion) == (camera.distortion_model, camera.distortion):
        return camera
    return replace(camera, distortion_model=model, distortion=distortion)


def rectify_maps(
    source: Camera, target: Camera | None = None, rotation: FloatArray | None = None
) -> tuple[FloatArray, FloatArray]:
    """Return where in the picture of ``source`` each pixel of an ideal camera lies.

    Args:
        source: The camera that took the picture, distorted or not.
        target: The ideal camera to look through; default ``source.undistorted()``. Another focal
            length, principal point or size makes this the homography ``K_target K_source^-1``.
        rotation: ``(3, 3)`` target_from_source, such as R of a stereo camera; none when left out.

    Returns:
        x and y, each ``(target.height, target.width)`` float32 pixels, ready for ``cv2.remap``.
    """
    source = check_camera(source)
    to = target or source.undistorted()
    if to.distorted:
        raise CameraError(f'the target of a rectification must be ideal, got {to}')
    size = (to.width, to.height)
    d = np.asarray(source.distortion, np.float64)
    turn = np.eye(3) if rotation is None else np.asarray(rotation, np.float64)
    if source.distorted and source.distortion_model == 'equidistant':
        maps = cv2.fisheye.initUndistortRectifyMap(
            source.matrix, d, turn, to.matrix, size, cv2.CV_32FC1
        )
    else:
        maps = cv2.initUndistortRectifyMap(
            source.matrix, d if d.size else None, turn, to.matrix, size, cv2.CV_32FC1
        )
    return np.asarray(maps[0], np.float32), np.asarray(maps[1], np.float32)


class Rectifier:
    """Turns pictures of one camera into pictures of an ideal one; the maps are computed once.

    Attributes:
        source: The camera that takes the pictures.
        target: The ideal camera of the results.
        valid: ``(target.height, target.width)`` bool: whether the source sees this pixel.
    """

    def __init__(
        self, source: Camera, target: Camera | None = None, rotation: FloatArray | None = None
    ) -> None:
        self.source = source
        self.target = target or source.undistorted()
        x, y = rectify_maps(source, self.target, rotation)
        inside_x = (x >= -0.5) & (x <= source.width - 0.5)
        self.valid: npt.NDArray[np.bool_] = inside_x & (y >= -0.5) & (y <= source.height - 0.5)
        # Fixed-point maps: twice as fast as float ones, exact to 1/32 pixel.
        self._maps = cv2.convertMaps(x, y, cv2.CV_16SC2)

    def __call__(self, image: ByteImage) -> ByteImage:
        """Return ``image`` as the ideal camera sees it; black where the source sees nothing."""
        if image.shape[:2] != (self.source.height, self.source.width):
            raise CameraError(
                f'the image is {image.shape[1]}x{image.shape[0]}, its camera is calibrated for '
                f'{self.source.width}x{self.source.height}'
            )
        result = cv2.remap(image, *self._maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
        return np.asarray(result, np.uint8)


def pixel_rays(camera: Camera, xy: FloatArray) -> FloatArray:
    """Return the viewing ray of each pixel, distortion undone.

    Args:
        camera: The camera that took the picture.
        xy: ``(N, 2)`` pixels.

    Returns:
        ``(N, 3)`` float32 with z = 1, in optical axes.
    """
    xy = np.asarray(xy, np.float64).reshape(-1, 2)
    rays = np.ones((len(xy), 3), np.float32)
    rays[:, :2] = _normalised(check_camera(camera), xy)
    return rays


def undistort_points(camera: Camera, xy: FloatArray) -> FloatArray:
    """Return ``(N, 2)`` float32: where ``xy`` lie in the picture of ``camera.undistorted()``."""
    scale = np.array((camera.fx, camera.fy), np.float32)
    centre = np.array((camera.cx, camera.cy), np.float32)
    return np.asarray(pixel_rays(camera, xy)[:, :2] * scale + centre, np.float32)


def project(camera: Camera, points: FloatArray) -> FloatArray:
    """Project points into the picture, with distortion.

    Args:
        camera: Any camera.
        points: ``(..., 3)`` metres in optical axes.

    Returns:
        ``(..., 2)`` float64 pixels; NaN for points that are not in front of the camera.
    """
    camera = check_camera(camera)
    flat = np.asarray(points, np.float64).reshape(-1, 3)
    front = flat[:, 2] > 0
    xy = np.full((len(flat), 2), np.nan)
    if front.any():
        xy[front] = _project(camera, flat[front])
    return xy.reshape(*points.shape[:-1], 2)


def reprojection_errors(
    camera: Camera, camera_from_world: FloatArray, points: FloatArray, xy: FloatArray
) -> FloatArray:
    """Return how many pixels points are shown away from where they were seen.

    Args:
        camera: Any camera.
        camera_from_world: ``(4, 4)`` its pose.
        points: ``(N, 3)`` metres, in the world.
        xy: ``(N, 2)`` pixels.

    Returns:
        ``(N,)`` pixels; NaN for points that are not in front of the camera.
    """
    shown = project(camera, moved(camera_from_world, points))
    return np.asarray(np.linalg.norm(shown - xy, axis=1))


def grid_rays(camera: Camera) -> FloatArray:
    """Return ``(H, W, 3)`` float32 rays with z = 1 of every pixel of ``camera``."""
    if camera.distorted:
        grid = np.mgrid[: camera.height, : camera.width][::-1].reshape(2, -1).T
        return pixel_rays(camera, grid).reshape(camera.height, camera.width, 3)
    rays = np.ones((camera.height, camera.width, 3), np.float32)
    rays[..., 0] = (np.arange(camera.width) - camera.cx) / camera.fx
    rays[..., 1] = ((np.arange(camera.height) - camera.cy) / camera.fy)[:, None]
    return rays


def back_project(camera: Camera, depth: FloatArray) -> FloatArray:
    """Return the point that each pixel sees.

    Args:
        camera: Camera of the size of ``depth``.
        depth: ``(H, W)`` metres along z.

    Returns:
        ``(H, W, 3)`` float32 metres in optical axes; NaN and infinite depth stay so.
    """
    if depth.shape != (camera.height, camera.width):
        raise CameraError(
            f'the depth is {depth.shape[1]}x{depth.shape[0]}, '
            f'its camera {camera.width}x{camera.height}'
        )
    return grid_rays(camera) * np.asarray(depth, np.float32)[..., None]


def _from_mapping(data: Any, *, rectified: bool) -> Camera:
    if not isinstance(data, Mapping):
        raise CameraError(f'expected the keys of a camera calibration, got {data!r:.60}')
    k = _numbers(data, 'camera_matrix', 9)
    if k[1] or k[3] or list(k[6:]) != [0, 0, 1]:
        raise CameraError(f'camera_matrix: expected [fx 0 cx 0 fy cy 0 0 1], got {k}')
    if rectified and 'projection_matrix' in data:
        p = _numbers(data, 'projection_matrix', 12)
        k = (*p[:3], *p[4:7], *p[8:11]) if p[0] else k
    distorted = 'distortion_coefficients' in data and not rectified
    d = _numbers(data, 'distortion_coefficients') if distorted else ()
    try:
        camera = Camera(
            width=_size(data, 'image_width'),
            height=_size(data, 'image_height'),
            fx=k[0],
            fy=k[4],
            cx=k[2],
            cy=k[5],
            distortion=d,
            distortion_model=str(data.get('distortion_model') or 'plumb_bob'),
        )
    except CameraError:
        raise
    except ValueError as err:
        raise CameraError(str(err)) from None
    return check_camera(camera)


def _size(data: Mapping[Any, Any], key: str) -> int:
    value = data.get(key)
    if not isinstance(value, int) or isinstance(value, bool):
        raise CameraError(f'{key}: expected a whole number of pixels, got {value!r}')
    return value


def _numbers(data: Mapping[Any, Any], key: str, count: int | None = None) -> tuple[float, ...]:
    if key not in data:
        raise CameraError(f'no {key!r}; the file has {sorted(map(str, data))}')
    values = data[key].get('data') if isinstance(data[key], Mapping) else data[key]
    if not isinstance(values, list):
        raise CameraError(f'{key}: expected a list of numbers under data, got {values!r}')
    for value in values:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise CameraError(f'{key}: expected numbers, got {value!r}')
    if count is not None and len(values) != count:
        raise CameraError(f'{key}: expected {count} numbers, got {len(values)}')
    try:
        return tuple(map(float, values))
    except OverflowError:
        raise CameraError(f'{key}: expected numbers, got {max(values, key=abs)!r}') from None


def _normalised(camera: Camera, xy: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return x/z and y/z of the rays of pixels ``xy``, each ``(N, 2)``."""
    if not camera.distorted or not len(xy):
        return (xy - (camera.cx, camera.cy)) / (camera.fx, camera.fy)
    d = np.asarray(camera.distortion, np.float64)
    if camera.distortion_model == 'equidistant':
        undistorted = cv2.fisheye.undistortPoints(xy[:, None], camera.matrix, d)
    else:
        # OpenCV's plain call stops after 5 steps, which is off by pixels in wide lenses.
        criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 50, 1e-9)
        undistorted = cv2.undistortPointsIter(
            xy[:, None], camera.matrix, d, np.eye(3), np.eye(3), criteria
        )
    return np.asarray(undistorted, np.float64)[:, 0]


def _project(camera: Camera, points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    if not camera.distorted:
        scaled = points[:, :2] / points[:, 2:] * (camera.fx, camera.fy)
        return np.asarray(scaled + np.array((camera.cx, camera.cy)), np.float64)
    d, zero = np.asarray(camera.distortion, np.float64), np.zeros(3)
    if camera.distortion_model == 'equidistant':
        xy, _ = cv2.fisheye.projectPoints(points[:, None], zero, zero, camera.matrix, d)
    else:
        xy, _ = cv2.projectPoints(points[:, None], zero, zero, camera.matrix, d)
    return np.asarray(xy, np.float64).reshape(-1, 2)
