"""Known places: descriptors of pictures with the poses of their camera, searched, kept in a file.

One matrix product answers. Places can be added while others are searched for, so that whoever maps
uses the same.

Letters in this file: n places, N values of a descriptor, K answers.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import safetensors.numpy
from safetensors import SafetensorError

from dlcv.files import expanded, write_whole
from dlcv.types import FloatArray

_KEY, _FORMAT = 'dlcv_places', 1
_ROUNDING = 1e-5  # of a cosine
_FIRST = 64  # places that there is room for at the beginning


class PlacesError(ValueError):
    """A file of places cannot be used; the message names it and says why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PlacesInfo:
    """What belongs to descriptors of places.

    Attributes:
        frame: Name of the frame of the poses.
        weights_sha256: Digest of the weights that described them; others know none of them.
        sources: What they were made of.
    """

    frame: str = 'map'
    weights_sha256: str = ''
    sources: tuple[str, ...] = ()


class PlaceIndex:
    """Places that are known.

    Args:
        size: Values N of a descriptor.
        info: What belongs to them.
    """

    def __init__(self, size: int, info: PlacesInfo | None = None) -> None:
        if size < 1:
            raise PlacesError(f'a descriptor has one value or more, got {size}')
        self.info = info or PlacesInfo()
        self._descriptors: FloatArray = np.zeros((_FIRST, size), np.float32)
        self._poses: FloatArray = np.zeros((_FIRST, 4, 4))
        self.names: list[str] = []

    def __len__(self) -> int:
        """Return the number n of places."""
        return len(self.names)

    @property
    def descriptors(self) -> FloatArray:
        """``(n, N)`` float32, each of length 1."""
        return self._descriptors[: len(self)]

    @property
    def poses(self) -> FloatArray:
        """``(n, 4, 4)`` map_from_camera in metres."""
        return self._poses[: len(self)]

    def add(self, descriptor: FloatArray, map_from_camera: FloatArray, name: str = '') -> int:
        """Add a place, and return its number.

        Raises:
            PlacesError: If the descriptor or the pose has another shape or is not finite.
        """
        size = self._descriptors.shape[1]
        if descriptor.shape != (size,) or map_from_camera.shape != (4, 4):
            raise PlacesError(
                f'a place has a descriptor ({size},) and a pose (4, 4), got {descriptor.shape} and '
                f'{map_from_camera.shape}'
            )
        if not (np.isfinite(descriptor).all() and np.isfinite(map_from_camera).all()):
            raise PlacesError(f'the descriptor or the pose of place {name!r} is not finite')
        number = len(self)
        if number == len(self._poses):  # room for twice as many
            self._descriptors = np.concatenate((self._descriptors, self._descriptors))
            self._poses = np.concatenate((self._poses, self._poses))
        self._descriptors[number], self._poses[number] = descriptor, map_from_camera
        self.names.append(name)
        return number

    def move(self, poses: FloatArray) -> None:
        """Put all places where they are now believed to be, ``(n, 4, 4)``."""
        if poses.shape != self.poses.shape:
            raise PlacesError(f'expected poses {self.poses.shape}, got {poses.shape}')
        self.poses[:] = poses

    def search(
        self,
        descriptor: FloatArray,
        count: int,
        least: float = -1.0,
        allowed: npt.NDArray[np.bool_] | None = None,
    ) -> tuple[npt.NDArray[np.int64], FloatArray]:
        """Return the places that are most like a picture.

        Args:
            descriptor: ``(N,)`` of length 1.
            count: Most of them.
            least: Cosine that each must have.
            allowed: ``(n,)`` bool: which may be answers, as when the last minute is left out.

        Returns:
            Numbers ``(K,)`` and cosines ``(K,)``, best first.

        Raises:
            PlacesError: If the descriptor has another size.
        """
        if descriptor.shape != self._descriptors.shape[1:]:
            raise PlacesError(
                f'the places have descriptors of {self._descriptors.shape[1]} values, this one has '
                f'shape {descriptor.shape}'
            )
        cosine = self.descriptors @ descriptor.astype(np.float32)
        if allowed is not None:
            cosine = np.where(allowed, cosine, -np.inf)
        kept = min(count, len(cosine))
        best = np.argpartition(-cosine, kept - 1)[:kept] if 0 < kept < len(cosine) else None
        chosen = np.arange(len(cosine)) if best is None else np.sort(best)
        order = chosen[np.argsort(-cosine[chosen], kind='stable')][:kept]
        order = order[cosine[order] >= least - _ROUNDING]  # -inf is not
        return order.astype(np.int64), cosine[order].astype(np.float32)

    def save(self, path: Path) -> None:
        """Write all places; a reader never sees half of a file.

        Raises:
            PlacesError: If the name does not end in ``.safetensors``.
            OSError: If it cannot be written.
        """
        if path.suffix != '.safetensors':
            raise PlacesError(f'{path}: the name of a file of places ends in .safetensors')
        said = json.dumps({'format': _FORMAT, 'names': self.names, **asdict(self.info)})
        arrays = {'descriptors': self.descriptors, 'poses': self.poses}
        arrays = {key: np.ascontiguousarray(value) for key, value in arrays.items()}
        write_whole(path, safetensors.numpy.save(arrays, {_KEY: said}))


def read_places(path: str | Path) -> PlaceIndex:
    """Read what `PlaceIndex.save` wrote.

    Raises:
        PlacesError: If it is no such file, of a newer format, or damaged.
    """
    path = expanded(path)
    if not path.is_file():
        raise PlacesError(f'{path}: there is no such file of places')
    data = path.read_bytes()
    try:
        arrays = safetensors.numpy.load(data)
        length = int.from_bytes(data[:8], 'little')
        said = json.loads(json.loads(data[8 : 8 + length])['__metadata__'][_KEY])
        if said['format'] != _FORMAT:
            raise PlacesError(f'{path}: format {said["format"]} is not {_FORMAT}, which is read')
        descriptors, poses, names = arrays['descriptors'], arrays['poses'], list(said['names'])
        info = PlacesInfo(
            frame=str(said['frame']),
            weights_sha256=str(said['weights_sha256']),
            sources=tuple(map(str, said['sources'])),
        )
    except (SafetensorError, ValueError, KeyError, TypeError) as err:
        if isinstance(err, PlacesError):
            raise
        raise PlacesError(
            f'{path} is no file of places, as `dlcv places` makes them, or damaged ({err!r})'
        ) from None
    if descriptors.ndim != 2 or poses.shape != (len(descriptors), 4, 4):
        raise PlacesError(f'{path}: descriptors {descriptors.shape} and poses {poses.shape}')
    if len(names) != len(descriptors):
        raise PlacesError(f'{path}: {len(descriptors)} places, but {len(names)} names')
    made = PlaceIndex(descriptors.shape[1], info)
    for descriptor, pose, name in zip(descriptors, poses, names, strict=True):
        made.add(descriptor, pose, str(name))
    return made
