"""What the networks' commands share: options, what a run gives, pictures beside pictures."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import TYPE_CHECKING, Any

import numpy as np

from dlcv.types import ByteImage, Frame

if TYPE_CHECKING:
    from dlcv.estimation.base import Estimator
    from dlcv.estimation.landmark_relocalizer import LandmarkRelocalizer

_MODE_OF = {'scale': 'fixed', 'camera_height': 'camera_height'}  # the scale mode each is for
Arrays = dict[str, np.ndarray[Any, Any]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Option:
    """A setting of an estimator as a command-line option; ``name`` is the setting's."""

    name: str
    kind: Callable[[str], Any] | None
    doc: str
    choices: tuple[Any, ...] = ()


@dataclass(kw_only=True, slots=True)
class Outcome:
    """What one run gives.

    Attributes:
        arrays: For the .npz.
        pictures: For --view, in the order of the images.
        lines: What is said on standard output.
    """

    arrays: Arrays = field(default_factory=dict)
    pictures: list[ByteImage] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)


def option(name: str, kind: Callable[[str], Any] | None, doc: str, *choices: Any) -> Option:
    """Return an option; see `Option`."""
    return Option(name=name, kind=kind, doc=doc, choices=choices)


def add_option(parser: argparse.ArgumentParser, option: Option) -> None:
    """Add a setting to a command."""
    flag = f'--{option.name.replace("_", "-")}'
    if option.kind is None:
        parser.add_argument(flag, action='store_true', default=argparse.SUPPRESS, help=option.doc)
        return
    parser.add_argument(
        flag,
        type=option.kind,
        default=argparse.SUPPRESS,  # the estimator's own default counts
        choices=option.choices or None,
        metavar=None if option.choices else 'N' if option.kind is int else 'X',
        help=option.doc,
    )


def add_confidence(parser: argparse.ArgumentParser) -> None:
    """Add the option of the networks that say how sure they are."""
    parser.add_argument(
        '--confidence', action='store_true', help='estimate it too, at twice the work'
    )


def positive(text: str) -> float:
    """Return a positive number of the command line."""
    value = _finite(text)
    if not value > 0:
        raise argparse.ArgumentTypeError(f'{text} is not positive')
    return value


def _finite(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f'{text!r} is no number') from None
    if not isfinite(value):
        raise argparse.ArgumentTypeError(f'{text} is not finite')
    return value


def loading(args: argparse.Namespace) -> dict[str, Any]:
    """Return the arguments that all loaders share."""
    return {
        'weights': args.weights,
        'device': args.device,
        'precision': args.precision,
        'engine': args.engine,
        'sha256': args.sha256,
        'allow_untrained': True,
    }


def settings_of(args: argparse.Namespace) -> dict[str, Any]:
    """Return the settings of an estimator that are given, and what they mean together."""
    names = [option.name for option in args.options]
    settings = {name: getattr(args, name) for name in names if hasattr(args, name)}
    if args.network == 'monodepth' and 'scale_mode' not in settings:
        for key, mode in _MODE_OF.items():
            if key in settings:
                settings['scale_mode'] = mode
    return settings


def warn_untrained(
    args: argparse.Namespace, estimator: Estimator[Any] | LandmarkRelocalizer
) -> None:
    """Say in plain sight that the results mean nothing, where they do."""
    if not estimator.origin.trained:
        note(
            f'WARNING: UNTRAINED NETWORK. There are no trained {args.network} weights here; the '
            'results mean nothing. Give --weights FILE.'
        )


def note(text: str) -> None:
    """Say something beside the results."""
    sys.stderr.write(f'dlcv infer: {text}\n')


def stack(items: Sequence[np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
    """Return the only item as it is, several stacked along a new first axis."""
    return items[0] if len(items) == 1 else np.stack(items)


def enlarged(picture: ByteImage, frame: Frame) -> ByteImage:
    """Return a picture in the size of a frame."""
    import cv2

    size = (frame.width, frame.height)
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_NEAREST), np.uint8)


def beside(image: ByteImage, picture: ByteImage) -> ByteImage:
    """Return both, one above the other when they are wide."""
    from dlcv.view.panel import side_by_side, stacked

    return (stacked if image.shape[1] > 1.8 * image.shape[0] else side_by_side)(image, picture)
