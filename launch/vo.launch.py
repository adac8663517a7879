"""Features, flow, depth, odometry and, with a map, relocalization from one camera.

    ros2 launch dlcv_bringup vo.launch.py camera:=/front params_file:=mine.yaml
    ros2 launch dlcv_bringup vo.launch.py bag:=drive.mcap record:=out.mcap evaluate:=/truth/odometry

The arguments, and what they start, come from the tables that `dlcv up` uses too.
"""

import os
import signal
import sys

from launch import LaunchDescription
from launch.actions import EmitEvent, OpaqueFunction, SetEnvironmentVariable, Shutdown
from launch.events import matches_action
from launch.events.process import SignalProcess
from launch_ros.actions import ComposableNodeContainer, Node
from launch_ros.descriptions import ComposableNode

from dlcv.bringup import make_plan
from dlcv.interface.arguments import ARGUMENTS
from dlcv.ros.environment import see_its_packages
from dlcv.ros.launching import declared, given, nodes, patience, python, then


def generate_launch_description():
    return LaunchDescription([*map(declared, ARGUMENTS), OpaqueFunction(function=started)])


def started(context):
    see_its_packages()  # of the environment that the nodes run in: a bag is read here
    values = given(context, ARGUMENTS)
    plan = make_plan(values, context.environment, colour=os.isatty(sys.stdout.fileno()))
    prefix = patience(context)
    return [
        *(SetEnvironmentVariable(name, value) for name, value in plan.environment.items()),
        # first what may not be installed: an error here comes before any process is started
        *([points(plan)] if plan.points else []),
        *([rviz(plan)] if plan.rviz else []),
        *nodes(plan, prefix),
        *recording_and_replay(plan, prefix),
    ]


def points(plan):
    names = [
        ('image_rect', 'depth/image_rect'),
        ('camera_info', 'depth/camera_info'),
        ('points', 'depth/points'),
    ]
    cloud = ComposableNode(
        package='depth_image_proc',
        plugin='depth_image_proc::PointCloudXyzNode',
        name='points',
        namespace=plan.namespace,
        remappings=names,
    )
    return ComposableNodeContainer(
        package='rclcpp_components',
        executable='component_container',
        name='points_container',
        namespace=plan.namespace,
        composable_node_descriptions=[cloud],
        output='screen',
    )


def rviz(plan):
    return Node(
        package='rviz2',
        executable='rviz2',
        name='rviz',
        namespace=plan.namespace,
        arguments=['-d', str(plan.rviz)],
        remappings=[('camera/image_raw', plan.nodes[0].resolve('image'))],
    )


def recording_and_replay(plan, prefix):
    """The bag's end ends the recording, that starts the report, and its end is everyone's."""
    recorder = python('recorder', plan.recorder, prefix)
    player = python('player', plan.player, prefix)
    report = python('report', plan.report, prefix)
    complete_recording = EmitEvent(
        event=SignalProcess(signal_number=signal.SIGINT, process_matcher=matches_action(recorder))
    )
    done = Shutdown(reason='the bag is done')
    chain = [
        (player, complete_recording if plan.recorder else done),
        (recorder, report if plan.report else done),
        (report, done),
    ]
    there = [player] * bool(plan.player) + [recorder] * bool(plan.recorder)
    return [*(then(action, after) for action, after in chain), *there]
