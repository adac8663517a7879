"""Replay a bag through the nodes, keep what they answer, and evaluate it.

    ros2 launch dlcv_bringup replay.launch.py bag:=drive.mcap evaluate:=true
    ros2 launch dlcv_bringup replay.launch.py bag:=drive.mcap mode:=real-time rate:=2 output:=out

The same as `dlcv evaluate`, with the nodes started by ROS's launch.
"""

import os
import sys

from launch import LaunchDescription
from launch.actions import OpaqueFunction, SetEnvironmentVariable, Shutdown

from dlcv.bringup.replay import ARGUMENTS, evaluation_of, options_of, plan_replay
from dlcv.ros.environment import see_its_packages
from dlcv.ros.launching import declared, given, nodes, patience, python, then


def generate_launch_description():
    return LaunchDescription([*map(declared, ARGUMENTS), OpaqueFunction(function=started)])


def started(context):
    see_its_packages()  # of the environment that the nodes run in: a bag is read here
    values = given(context, ARGUMENTS)
    colour = os.isatty(sys.stdout.fileno())
    planned = plan_replay(options_of(values), values, context.environment, colour=colour)
    prefix = patience(context)
    replay = python('replay', planned.plan.player, prefix)
    done = Shutdown(reason='the bag is done')
    if values['evaluate'] == 'true':  # also what a replay that broke off has left
        report = python('evaluate', evaluation_of(values), prefix)
        chain = [then(replay, report, anyhow=True), then(report, done, earlier=[replay])]
    else:
        chain = [then(replay, done)]
    return [
        *(SetEnvironmentVariable(*pair) for pair in planned.plan.environment.items()),
        *nodes(planned.plan, prefix),
        *chain,
        replay,
    ]
