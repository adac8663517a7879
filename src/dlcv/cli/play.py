"""``dlcv play``: publish the messages of a bag."""

from __future__ import annotations

import argparse
import sys

from dlcv.cli.extras import need
from dlcv.files import expanded

SUMMARY = 'Publish the messages of a bag on ROS topics, at their own pace.'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``dlcv play``."""
    parser.add_argument(
        'bag', type=expanded, metavar='BAG', help='rosbag2 folder, .mcap, .db3 or ROS 1 .bag'
    )
    parser.add_argument(
        '--rate',
        type=float,
        default=1.0,
        metavar='R',
        help='speed; 2 is twice as fast (default: 1)',
    )
    parser.add_argument('--loop', action='store_true', help='begin anew at the end')
    parser.add_argument('--clock', action='store_true', help='publish /clock for use_sim_time')
    parser.add_argument('--topics', nargs='+', default=[], metavar='TOPIC', help='only these')
    parser.add_argument(
        '--wait-subscribers', type=int, default=0, metavar='N',
        help='begin when an image topic has N subscribers',
    )  # fmt: skip
    parser.add_argument(
        '--wait-for-recorder', action='store_true', help='begin when the recorder is ready'
    )
    parser.add_argument(
        '--patience',
        type=float,
        default=120.0,
        metavar='S',
        help='seconds to wait at most (default: 120)',
    )
    parser.add_argument(
        '--linger', type=float, default=0.0, metavar='S',
        help='seconds for which the clock runs on at the end (default: 0)',
    )  # fmt: skip
    parser.add_argument(
        '--damaged', action='store_true', help='of a damaged bag, play what can be read'
    )


def run(args: argparse.Namespace) -> int:
    """Play the bag."""
    need('rclpy', 'rosbags')
    from dlcv.ros.play import PlayOptions, play

    options = PlayOptions(
        rate=args.rate,
        loop=args.loop,
        clock=args.clock,
        topics=tuple(args.topics),
        wait_subscribers=args.wait_subscribers,
        wait_for_recorder=args.wait_for_recorder,
        patience=args.patience,
        linger=args.linger,
        damaged=args.damaged,
    )
    sent = play(args.bag, options, _progress if sys.stderr.isatty() else None)
    sys.stderr.write(f'{args.bag}: {sent} messages published\n')
    return 0


def _progress(seconds: float, total: float) -> None:
    sys.stderr.write(f'\r{seconds:8.1f} of {total:.1f} s ')
    sys.stderr.flush()
