"""Names and coefficients of lens distortion, as drivers and calibration tools write them.

OpenCV keeps the coefficients of plumb_bob and of rational_polynomial in one order, so there are two
models in fact: that family, and the equidistant one of fisheye lenses.
"""

from __future__ import annotations

# Numbers of coefficients that OpenCV takes for each of ROS's model names.
DISTORTION_SIZES: dict[str, tuple[int, ...]] = {
    'plumb_bob': (0, 4, 5),
    'rational_polynomial': (0, 8, 12, 14),
    'equidistant': (0, 4),
}
_POLYNOMIAL = (4, 5, 8, 12, 14)
_NAMES = {
    'plumb_bob': {
        '', 'plumb_bob', 'plumbbob', 'radtan', 'radial_tangential', 'brown_conrady', 'brown',
    },
    'rational_polynomial': {'rational_polynomial', 'rational', 'rational_polynomial_thin_prism'},
    'equidistant': {
        'equidistant', 'equi', 'fisheye', 'opencv_fisheye', 'kannala_brandt', 'kannala_brandt4',
        'kb4',
    },
}  # fmt: skip


class DistortionError(ValueError):
    """The coefficients are not zero and belong to no model that is known here."""


def known_distortion(model: str, coefficients: tuple[float, ...]) -> tuple[str, tuple[float, ...]]:
    """Return the model of `DISTORTION_SIZES` that a name and its coefficients mean.

    Where all coefficients are zero nothing is distorted, whatever the model is called. Other names
    of a model are taken (``fisheye``, ``radtan``); zeros at the end are dropped where there are
    more than the model takes; more coefficients than plumb_bob has are a rational_polynomial, as
    in ROS, which hands them to OpenCV whatever the name says.

    Args:
        model: Its name; empty is plumb_bob.
        coefficients: In the order of ``sensor_msgs/CameraInfo.d``.

    Raises:
        DistortionError: The name or the number of coefficients is none that is known.
    """
    plain = model.strip().lower().replace('-', '_').replace(' ', '_')
    known = next((name for name, names in _NAMES.items() if plain in names), '')
    if len(coefficients) in DISTORTION_SIZES.get(known, ()):
        return known, coefficients
    if not any(coefficients):
        return 'plumb_bob', ()
    if not known:
        names = sorted(set().union(*_NAMES.values()) - {''})
        raise DistortionError(f'distortion model {model!r}; known are {", ".join(names)}')
    sizes = (4,) if known == 'equidistant' else _POLYNOMIAL
    size = _size(coefficients, sizes)
    if size is None:
        raise DistortionError(
            f'distortion model {model!r} takes {", ".join(map(str, sizes))} coefficients, '
            f'got {len(coefficients)}: {list(coefficients)}'
        )
    if known != 'equidistant':
        known = 'plumb_bob' if size <= 5 else 'rational_polynomial'
    return known, coefficients[:size]


def _size(coefficients: tuple[float, ...], sizes: tuple[int, ...]) -> int | None:
    """Return how many of the coefficients are taken; None where that would lose one."""
    used = max(i + 1 for i, value in enumerate(coefficients) if value)
    return next((size for size in sizes if used <= size <= len(coefficients)), None)
