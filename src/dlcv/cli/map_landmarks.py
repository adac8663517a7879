"""``dlcv map`` where recordings have no poses: maps of landmarks, and what is done with them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from dlcv.cli.main import CommandError
from dlcv.files import expanded
from dlcv.progress import bars

if TYPE_CHECKING:
    from dlcv.types import Recording


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what is about maps of landmarks alone."""
    group = parser.add_argument_group('maps of landmarks, where nobody says where the camera was')
    add = group.add_argument
    add('--landmarks', action='store_true',
        help='make one also of recordings with poses, from these')  # fmt: skip
    add('--own-odometry', action='store_true', help='make one, and take no poses')
    add('--add-to', type=expanded, metavar='MAP', help='go on with this map of landmarks')
    add('--right', default='', metavar='TOPIC', help='right pictures of a bag, rectified (none)')
    add('--camera-height', type=float, default=0.0, metavar='M',
        help='of the camera over flat ground, for the metre (not known)')  # fmt: skip


def wanted(args: argparse.Namespace) -> bool:
    """Whether options ask for a map of landmarks."""
    return bool(args.landmarks or args.own_odometry or args.add_to)


def posed(recordings: list[Recording]) -> bool:
    """Whether anybody says where the cameras of all recordings were."""
    for one in recordings:
        trajectory = getattr(one, 'trajectory', None)
        items = getattr(one, 'items', ())
        if trajectory is None and not any(item.world_from_camera is not None for item in items):
            return False
    return True


def make(args: argparse.Namespace, recordings: list[Recording]) -> int:
    """Make a map of landmarks, write it, and tell what it is worth."""
    from dlcv.estimation.slam.files import load_place
    from dlcv.estimation.slam.places import HashedVlad
    from dlcv.training.maps.survey import SurveyConfig, survey
    from dlcv.training.maps.surveyed import survey_summary, write_survey

    if len(recordings) > 1:
        raise CommandError(
            f'{len(recordings)} recordings without poses: make a map of the first, and add the '
            'others to it, each with --add-to'
        )
    config = SurveyConfig(
        frame=args.frame,
        every=args.every,
        camera_height=args.camera_height,
        given=not args.own_odometry,
    )
    place = load_place(args.add_to) if args.add_to else None
    with bars(lines=True) as progress:
        found = survey(
            recordings[0], HashedVlad(), config, progress, place=place, device=args.device
        )
        report = write_survey(args.output, found)
    sys.stdout.write(survey_summary(report, args.output))
    return 0


def info(paths: list[Path]) -> int:
    """Say what maps hold."""
    from dlcv.estimation.slam.files import load_place

    for path in paths:
        place = load_place(path)
        points = sum(len(one) for one in place.keyframes)
        many = int((place.landmarks.sightings > 2).sum())
        scale = 'each keyframe has a unit of its own' if place.scaled else 'metres'
        sys.stdout.write(
            f'{path}: a map of landmarks in the frame {place.frame!r}, made of {place.source}\n'
            f'  {len(place)} keyframes of {place.sessions} recordings, {points} keypoints, '
            f'{len(place.landmarks)} landmarks ({many} seen by three keyframes or more)\n'
            f'  {len(place.loops)} loops, {len(place.trusted) - sum(place.trusted)} found wrong; '
            f'{scale}; places by {place.described}; {path.stat().st_size / 1e6:.1f} MB'
            f'{"; with scene coordinates" if place.head else ""}\n'
        )
    return 0


def prune(args: argparse.Namespace, paths: list[Path]) -> int:
    """Write a map without the keypoints that help to find nothing."""
    from dlcv.estimation.slam.files import load_place, save_place
    from dlcv.estimation.slam.prune import pruned

    if len(paths) != 1:
        raise CommandError(f'prune takes one map, got {len(paths)}')
    place = load_place(paths[0])
    smaller = pruned(place)
    save_place(smaller, args.output)
    before, after = (sum(len(one) for one in p.keyframes) for p in (place, smaller))
    sys.stdout.write(
        f'{after} of {before} keypoints and {len(smaller.landmarks)} of {len(place.landmarks)} '
        f'landmarks kept\nwrote {args.output}\n'
    )
    return 0


def merge(args: argparse.Namespace, paths: list[Path]) -> int:
    """Write two maps as one."""
    from dlcv.estimation.slam.files import load_place, save_place
    from dlcv.estimation.slam.loops import LoopSettings
    from dlcv.estimation.slam.merge import merged
    from dlcv.estimation.slam.places import HashedVlad

    if len(paths) != 2:
        raise CommandError(f'merge takes two maps, got {len(paths)}')
    one, other = (load_place(path) for path in paths)
    settings = LoopSettings(likeness=HashedVlad.likeness)
    with bars(lines=True) as progress:
        place, joints = merged(one, other, settings, progress)
    save_place(place, args.output)
    sys.stdout.write(
        f'joined where {len(joints)} keyframes of {paths[1]} show what {paths[0]} knows: '
        f'{len(place)} keyframes, {len(place.landmarks)} landmarks (of {len(one.landmarks)} and '
        f'{len(other.landmarks)})\nwrote {args.output}\n'
    )
    return 0


def head(args: argparse.Namespace, paths: list[Path]) -> int:
    """Write a map of landmarks with a map of scene coordinates of the same place in it."""
    from dataclasses import replace

    from dlcv.estimation.slam.files import load_place, save_place
    from dlcv.training.maps.calibrate import open_map

    if len(paths) != 2:
        raise CommandError(
            f'head takes a map of landmarks and one of scene coordinates, got {len(paths)}'
        )
    known, (_, place) = load_place(paths[0]), open_map(paths[1])
    if problem := place.frame_misfit(known.frame):
        raise CommandError(f'{paths[1]}: {problem}')
    save_place(replace(known, head=paths[1].read_bytes()), args.output)
    sys.stdout.write(f'wrote {args.output}, with the scene coordinates of {paths[1]}\n')
    return 0


ACTIONS: dict[str, Callable[[argparse.Namespace, list[Path]], int]] = {
    'info': lambda _args, paths: info(paths),
    'prune': prune,
    'merge': merge,
    'head': head,
}
"""What ``dlcv map ACTION MAP...`` does instead of making one."""
