"""The graph of a map as markers for a viewer."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from dlcv.interface.messages.compose import Composer
from dlcv.types import FloatArray

_LINES, _POINTS, _ADD = 5, 8, 0  # of visualization_msgs/Marker
_COLOURS = {
    'keyframes': (0.2, 0.5, 1.0, 1.0),
    'way': (0.6, 0.6, 0.6, 0.8),
    'loops': (0.1, 0.9, 0.2, 1.0),
    'refused': (0.9, 0.1, 0.1, 1.0),
}
_POINT, _LINE = 0.08, 0.02  # metres


def graph_markers(
    make: Composer, header: Any, positions: FloatArray, edges: dict[str, npt.NDArray[np.int64]]
) -> Any:
    """Make a visualization_msgs/MarkerArray: the keyframes, and the edges between them.

    Args:
        make: Makes the messages.
        header: The map's frame and the time.
        positions: ``(K, 3)`` of keyframes, metres.
        edges: Kind (``way``, ``loops``, ``refused``) -> ``(E, 2)`` numbers of keyframes.
    """
    markers = [_marker(make, header, 0, 'keyframes', positions)]
    for number, (kind, ends) in enumerate(edges.items(), 1):
        markers.append(_marker(make, header, number, kind, positions[ends.reshape(-1)]))
    return make.make('visualization_msgs/msg/MarkerArray', markers=markers)


def _marker(make: Composer, header: Any, number: int, kind: str, points: FloatArray) -> Any:
    dots = kind == 'keyframes'
    size = _POINT if dots else _LINE
    r, g, b, a = _COLOURS[kind]
    at = [
        make.make('geometry_msgs/msg/Point', x=x, y=y, z=z)
        for x, y, z in np.asarray(points, np.float64).tolist()
    ]
    picture = make.make(
        'sensor_msgs/msg/CompressedImage',
        header=header,
        format='',
        data=make.octets(np.empty(0, np.uint8)),
    )
    return make.make(
        'visualization_msgs/msg/Marker',
        header=header,
        ns=kind,
        id=number,
        type=_POINTS if dots else _LINES,
        action=_ADD,
        pose=make.pose(np.eye(4)),
        scale=make.make('geometry_msgs/msg/Vector3', x=size, y=size if dots else 0.0, z=0.0),
        color=make.make('std_msgs/msg/ColorRGBA', r=r, g=g, b=b, a=a),
        lifetime=make.make('builtin_interfaces/msg/Duration', sec=0, nanosec=0),
        frame_locked=False,
        points=at,
        colors=[],
        texture_resource='',
        texture=picture,
        uv_coordinates=[],
        text='',
        mesh_resource='',
        mesh_file=make.make(
            'visualization_msgs/msg/MeshFile',
            filename='',
            data=make.octets(np.empty(0, np.uint8)),
        ),
        mesh_use_embedded_materials=False,
    )
