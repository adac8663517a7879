"""Features, flow, depth, odometry and, with a map, relocalization from one camera.

    ros2 launch dlcv_bringup vo.launch.py camera:=/front params_file:=mine.yaml
    ros2 launch dlcv_bringup vo.launch.py bag:=drive.mcap record:=out.mcap evaluate:=/truth/odometry

The arguments, and what they start, come from the tables that `dlcv up` uses too.
"""

import os
import signal
import sys

from launch import LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    ExecuteProcess,
    LogInfo,
    OpaqueFunction,
    RegisterEventHandler,
    SetEnvironmentVariable,
    Shutdown,
)
from launch.event_handlers import OnProcessExit
from launch.events import matches_action
from launch.events.process import SignalProcess
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import ComposableNodeContainer, Node
from launch_ros.descriptions import ComposableNode
from launch_ros.parameter_descriptions import ParameterValue

from dlcv.bringup import make_plan
from dlcv.contract.launch import ARGUMENTS


def generate_launch_description():
    return LaunchDescription([*map(declared, ARGUMENTS), OpaqueFunction(function=started)])


def declared(argument):
    return DeclareLaunchArgument(
        argument.name,
        default_value=argument.default,
        description=argument.doc,
        choices=list(argument.choices) or None,
    )


def started(context):
    given = {a.name: LaunchConfiguration(a.name).perform(context) for a in ARGUMENTS}
    plan = make_plan(given, context.environment, colour=os.isatty(sys.stdout.fileno()))
    return [
        *(SetEnvironmentVariable(name, value) for name, value in plan.environment.items()),
        # first what may not be installed: an error here comes before any process is started
        *([points(plan)] if plan.points else []),
        *([rviz(plan)] if plan.rviz else []),
        *(node(start, plan) for start in plan.nodes),
        *recording_and_replay(plan),
    ]


def node(start, plan):
    # a managed node that manages itself (parameter autostart): a transition asked for from here
    # can go unanswered at start-up, and would not be asked for again after a respawn
    return Node(
        package='dlcv_bringup',
        executable=start.spec.executable,
        name=start.spec.name,
        namespace=start.namespace,
        parameters=[str(start.params_file), typed(start.parameters)],
        remappings=list(start.remappings),
        ros_arguments=['--log-level', start.log_level],
        respawn=plan.respawn_delay is not None,
        respawn_delay=plan.respawn_delay,
        output='screen',
    )


def typed(parameters):
    # or launch reads a text such as 007 as a number
    return {k: ParameterValue(v, value_type=type(v)) for k, v in parameters.items()}


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


def recording_and_replay(plan):
    """The bag's end ends the recording, that starts the report, and its end is everyone's."""
    recorder = python('recorder', plan.recorder)
    player = python('player', plan.player)
    report = python('report', plan.report)
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
    return [*(RegisterEventHandler(then(action, after)) for action, after in chain), *there]


def then(action, after):
    def on_exit(event, context):
        if context.is_shutdown:
            return None
        if event.returncode != 0:
            raise RuntimeError(f'{event.process_name} failed: exit code {event.returncode}')
        return [LogInfo(msg=f'{event.process_name} is done'), after]

    return OnProcessExit(target_action=action, on_exit=on_exit)


def python(name, arguments):
    return ExecuteProcess(cmd=[sys.executable, *arguments], name=name, output='screen')
