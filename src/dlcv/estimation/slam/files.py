"""A map of a place as one file: safetensors, written whole or not at all, the same bytes each time.

Keypoints of all keyframes stand one after the other; ``keyframe.count`` says how many are whose.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.numpy

from dlcv.config import ConfigError, from_dict, to_dict
from dlcv.estimation.slam.place import Edge, Keyframe, Landmarks, PlaceMap
from dlcv.files import first_line, write_whole
from dlcv.types import Camera

VERSION = 1
OWN = 'dlcv.place'
"""Name of the entry in the header that makes a safetensors file a map of a place."""

_HEAD = 'head.file'  # bytes of a weight file, where the map has one

Arrays = dict[str, npt.NDArray[Any]]

_KINDS: dict[str, tuple[str, tuple[int, ...]]] = {
    'keyframe.stamp': ('i8', ()),
    'keyframe.session': ('i4', ()),
    'keyframe.camera': ('i4', ()),
    'keyframe.count': ('i4', ()),
    'keyframe.pose': ('f8', (4, 4)),
    'keyframe.log_scale': ('f8', ()),
    'keyframe.odometry': ('f8', (4, 4)),
    'keyframe.place': ('f4', (-1,)),
    'keypoint.xy': ('f4', (2,)),
    'keypoint.code': ('i1', (-1,)),
    'keypoint.inverse_depth': ('f4', ()),
    'keypoint.inverse_stddev': ('f4', ()),
    'keypoint.landmark': ('i8', ()),
    'edge.ends': ('i4', (2,)),
    'edge.motion': ('f8', (4, 4)),
    'edge.log_scale': ('f8', ()),
    'edge.covariance': ('f8', (7, 7)),
    'edge.loop': ('u1', ()),
    'edge.trusted': ('u1', ()),
    'landmark.name': ('i8', ()),
    'landmark.point': ('f8', (3,)),
    'landmark.covariance': ('f8', (3, 3)),
    'landmark.sightings': ('i4', ()),
}
"""Type of each array, and its shape after the first number; -1 is any."""


class PlaceError(ValueError):
    """A file is no map of a place, or not one that can be read; the message says why."""


def save_place(place: PlaceMap, path: Path) -> None:
    """Write a map; a reader never sees half of one.

    Raises:
        PlaceError: The name does not end in ``.safetensors``.
        OSError: It cannot be written.
    """
    if path.suffix != '.safetensors':
        raise PlaceError(f'{path}: the name of a map ends in .safetensors')
    cameras = list(dict.fromkeys(one.camera for one in place.keyframes))
    header = {
        'version': VERSION,
        'frame': place.frame,
        'source': place.source,
        'described': place.described,
        'scaled': place.scaled,
        'named': place.named,
        'common': place.common,
        'cameras': [to_dict(camera) for camera in cameras],
    }
    arrays = _arrays(place, cameras)
    typed = {
        name: np.ascontiguousarray(values, kind) for (name, values), (kind, _) in
        zip(arrays.items(), _KINDS.values(), strict=True)
    }  # fmt: skip
    if place.head:
        typed[_HEAD] = np.frombuffer(place.head, np.uint8)
    text = json.dumps(header, ensure_ascii=False, allow_nan=False, sort_keys=True)
    write_whole(path, safetensors.numpy.save(typed, {OWN: text}))


def load_place(path: Path) -> PlaceMap:
    """Read a map.

    Raises:
        PlaceError: The file is missing, damaged, or no map of this version.
    """
    if not path.is_file():
        raise PlaceError(f'{path}: there is no such map')
    try:
        return _read(path)
    except PlaceError as err:
        raise PlaceError(f'{path}: {err}') from None
    except (safetensors.SafetensorError, ConfigError, ValueError, LookupError, TypeError) as err:
        raise PlaceError(f'{path}: damaged or cut short ({first_line(err)[:160]})') from None
    except OSError as err:
        raise PlaceError(f'{path}: cannot be read ({err.strerror or err})') from None


def _read(path: Path) -> PlaceMap:
    with safetensors.safe_open(path, 'numpy') as file:
        text = (file.metadata() or {}).get(OWN)
        if text is None:
            raise PlaceError('is no map of a place made by dlcv map')
        header = json.loads(text)
        if header.get('version') != VERSION:
            raise PlaceError(
                f'is a map of version {header.get("version")}; version {VERSION} is read here'
            )
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    head = arrays.pop(_HEAD, np.empty(0, np.uint8)).tobytes()
    _check(arrays)
    return replace(_place(header, arrays), head=head)


def is_place(path: Path) -> bool:
    """Whether a file is a map of a place, of any version."""
    try:
        with safetensors.safe_open(path, 'numpy') as file:
            return OWN in (file.metadata() or {})
    except (OSError, safetensors.SafetensorError):
        return False


def _arrays(place: PlaceMap, cameras: list[Camera]) -> Arrays:
    """Return all arrays, in the order of the table."""
    frames, marks, edges = place.keyframes, place.landmarks, place.edges

    def every(name: str, width: int | None = None) -> npt.NDArray[Any]:
        parts = [getattr(one, name) for one in frames]
        shape = (0,) if width is None else (0, width)
        return np.concatenate(parts) if parts else np.empty(shape)

    graph = place.graph()
    return {
        'keyframe.stamp': np.array([one.stamp_ns for one in frames], np.int64),
        'keyframe.session': np.array([one.session for one in frames]),
        'keyframe.camera': np.array([cameras.index(one.camera) for one in frames]),
        'keyframe.count': np.array([len(one) for one in frames]),
        'keyframe.pose': place.poses,
        'keyframe.log_scale': place.log_scale,
        'keyframe.odometry': np.array([o.odom_from_camera for o in frames]).reshape(-1, 4, 4),
        'keyframe.place': place.places().reshape(len(frames), -1 if frames else 0),
        'keypoint.xy': every('xy', 2),
        'keypoint.code': every('codes', 0),
        'keypoint.inverse_depth': every('inverse_depth'),
        'keypoint.inverse_stddev': every('inverse_stddev'),
        'keypoint.landmark': every('landmark'),
        'edge.ends': np.stack((graph.older, graph.newer), 1),
        'edge.motion': graph.motion,
        'edge.log_scale': graph.log_scale,
        'edge.covariance': graph.covariance,
        'edge.loop': np.array([edge.loop for edge in edges]),
        'edge.trusted': np.array(place.trusted),
        'landmark.name': marks.name,
        'landmark.point': marks.points,
        'landmark.covariance': marks.covariance,
        'landmark.sightings': marks.sightings,
    }


def _check(arrays: Arrays) -> None:
    """Refuse arrays that are missing, of another type, or do not belong together."""
    lengths: dict[str, int] = {}
    for name, (kind, rest) in _KINDS.items():
        if name not in arrays:
            raise PlaceError(f'it has no {name}')
        array = arrays[name]
        wanted = tuple(have if want < 0 else want for want, have in
                       zip(rest, array.shape[1:], strict=False))  # fmt: skip
        if (
            array.dtype != np.dtype(kind)
            or array.ndim != 1 + len(rest)
            or array.shape[1:] != wanted
        ):
            raise PlaceError(f'{name} is {array.dtype} {array.shape}, not {kind} {rest}')
        group = name.split('.')[0]
        if lengths.setdefault(group, len(array)) != len(array):
            raise PlaceError(f'{name} has {len(array)} rows, others of {group} {lengths[group]}')
    if (total := int(arrays['keyframe.count'].sum())) != lengths['keypoint']:
        raise PlaceError(f'its keyframes have {total} keypoints, the file {lengths["keypoint"]}')
    ends = arrays['edge.ends']
    if len(ends) and not (ends.min() >= 0 and ends.max() < lengths['keyframe']):
        raise PlaceError(f'an edge ends beyond its {lengths["keyframe"]} keyframes')


def _place(header: dict[str, Any], arrays: Arrays) -> PlaceMap:
    cameras = [
        from_dict({**one, 'distortion': tuple(one['distortion'])}, Camera)
        for one in header['cameras']
    ]
    ends = np.cumsum(arrays['keyframe.count'])
    parts = {
        name: np.split(arrays[f'keypoint.{name}'], ends[:-1])
        for name in ('xy', 'code', 'inverse_depth', 'inverse_stddev', 'landmark')
    }
    frames = [
        Keyframe(
            stamp_ns=int(arrays['keyframe.stamp'][k]),
            session=int(arrays['keyframe.session'][k]),
            camera=cameras[int(arrays['keyframe.camera'][k])],
            odom_from_camera=arrays['keyframe.odometry'][k],
            xy=parts['xy'][k],
            codes=parts['code'][k],
            inverse_depth=parts['inverse_depth'][k],
            inverse_stddev=parts['inverse_stddev'][k],
            landmark=parts['landmark'][k].copy(),
            place=arrays['keyframe.place'][k],
        )
        for k in range(len(ends))
    ]
    edges = [
        Edge(
            older=int(older),
            newer=int(newer),
            motion=arrays['edge.motion'][k],
            log_scale=float(arrays['edge.log_scale'][k]),
            covariance=arrays['edge.covariance'][k],
            loop=bool(arrays['edge.loop'][k]),
        )
        for k, (older, newer) in enumerate(arrays['edge.ends'])
    ]
    return PlaceMap(
        frame=str(header['frame']),
        source=str(header['source']),
        described=str(header['described']),
        scaled=bool(header['scaled']),
        common=float(header.get('common', 0.0)),  # not in files of before it was measured
        keyframes=frames,
        poses=arrays['keyframe.pose'],
        log_scale=arrays['keyframe.log_scale'],
        edges=edges,
        trusted=[bool(one) for one in arrays['edge.trusted']],
        landmarks=Landmarks(
            name=arrays['landmark.name'],
            points=arrays['landmark.point'],
            covariance=arrays['landmark.covariance'],
            sightings=arrays['landmark.sightings'].astype(np.int64),
        ),
        named=int(header['named']),
    )
