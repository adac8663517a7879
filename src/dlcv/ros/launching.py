"""What the launch files share: arguments, nodes and processes as actions of ROS's launch."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from typing import Any

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
from launch.launch_description import LaunchDescription
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import ComposableNodeContainer, Node
from launch_ros.descriptions import ComposableNode
from launch_ros.parameter_descriptions import ParameterValue

from dlcv.bringup.plan import COMPOSED, NodeStart, Plan, make_plan, members
from dlcv.interface.arguments import ARGUMENTS, SWITCH, Argument
from dlcv.ros.environment import interpreter, see_its_packages


def description(arguments: Iterable[Argument]) -> Any:
    """Return what a launch file describes that starts nodes by the launch arguments.

    Args:
        arguments: `dlcv.interface.arguments.ARGUMENTS`, or the same with other defaults.
    """
    return LaunchDescription([*map(declared, arguments), OpaqueFunction(function=_started)])


def declared(argument: Argument) -> Any:
    """Return the declaration of an argument."""
    return DeclareLaunchArgument(
        argument.name,
        default_value=argument.default,
        description=argument.doc,
        choices=_choices(argument),
    )


def _choices(argument: Argument) -> list[str] | None:
    # launch compares letter by letter, and people write True as in Python
    more = [choice.capitalize() for choice in SWITCH] if argument.boolean else []
    return [*argument.choices, *more] or None


def given(context: Any, arguments: Iterable[Argument]) -> dict[str, str]:
    """Return the values of arguments as they were given, ``True`` as ``true``."""
    return {a.name: a.taken(LaunchConfiguration(a.name).perform(context)) for a in arguments}


def nodes(plan: Plan, prefix: str | None = None) -> list[Any]:
    """Return the actions that start the nodes of a plan; with a prefix, see `patience`."""
    if plan.composed:
        return [_composed(plan, prefix)]
    return [_node(start, plan.respawn_delay, prefix) for start in plan.nodes]


def _node(start: NodeStart, respawn_delay: float | None, prefix: str | None) -> Any:
    # a managed node that manages itself (parameter autostart): a transition asked for from here
    # can go unanswered at start-up, and would not be asked for again after a respawn
    return Node(
        package='dlcv_bringup',
        executable=start.spec.executable,
        exec_name=start.spec.executable,  # or the log would name the prefix
        name=start.spec.name,
        namespace=start.namespace,
        parameters=[str(start.params_file), _typed(start.parameters)],
        remappings=list(start.remappings),
        ros_arguments=['--log-level', start.log_level],
        respawn=respawn_delay is not None,
        respawn_delay=respawn_delay,
        prefix=prefix,
        output='screen',
    )


def _composed(plan: Plan, prefix: str | None) -> Any:
    executable = f'{COMPOSED}_node'
    return Node(  # without a name: it would be that of every node
        package='dlcv_bringup',
        executable=executable,
        exec_name=executable,
        namespace=plan.namespace,
        arguments=list(members(plan.nodes)),
        ros_arguments=['--log-level', plan.nodes[0].log_level],
        respawn=plan.respawn_delay is not None,
        respawn_delay=plan.respawn_delay,
        prefix=prefix,
        output='screen',
    )


def python(name: str, arguments: Iterable[str], prefix: str | None = None) -> Any:
    """Return the action that runs the nodes' Python with arguments; with a prefix as a node."""
    command = [interpreter(), *arguments]
    return ExecuteProcess(cmd=command, name=name, prefix=prefix, output='screen')


def patience(context: Any) -> str | None:
    """Return what goes before a command of ours: an interrupt is to wait for `dlcv.process.begin`.

    Until Python has come that far it would answer with a traceback of its own start. None where the
    user asks for a prefix (launch-prefix), or where ``env`` cannot block signals.
    """
    if context.launch_configurations.get('launch-prefix'):
        return None
    env = ('env', '--block-signal=INT')  # of the coreutils since 8.31
    try:
        able = subprocess.run([*env, 'true'], capture_output=True, check=False).returncode == 0
    except OSError:
        able = False
    return ' '.join(env) if able else None


def then(action: Any, after: Any, *, anyhow: bool = False, earlier: Iterable[Any] = ()) -> Any:
    """Return the action that lets another one follow on the end of a process.

    Args:
        action: The process.
        after: What follows.
        anyhow: Whether it follows also when the process has failed; else the launch ends badly.
        earlier: Processes that have ended before, of which one that failed also lets it end badly.
    """

    def on_exit(event: Any, context: Any) -> Any:
        if context.is_shutdown:
            return None
        for process in () if anyhow else (*earlier, action):
            if process.return_code:
                name = process.process_details['name']
                raise RuntimeError(f'{name} failed: exit code {process.return_code}')
        return [LogInfo(msg=f'{event.process_name} is done'), after]

    return RegisterEventHandler(OnProcessExit(target_action=action, on_exit=on_exit))


def _typed(parameters: dict[str, Any]) -> dict[str, Any]:
    # or launch reads a text such as 007 as a number
    return {k: ParameterValue(v, value_type=type(v)) for k, v in parameters.items()}


def _started(context: Any) -> list[Any]:
    see_its_packages()  # of the environment that the nodes run in: a bag is read here
    values = given(context, ARGUMENTS)
    plan = make_plan(values, context.environment, colour=os.isatty(sys.stdout.fileno()))
    prefix = patience(context)
    return [
        *(SetEnvironmentVariable(name, value) for name, value in plan.environment.items()),
        # first what may not be installed: an error here comes before any process is started
        *([_points(plan)] if plan.points else []),
        *([_rviz(plan)] if plan.rviz else []),
        *nodes(plan, prefix),
        *_recording_and_replay(plan, prefix),
    ]


def _points(plan: Plan) -> Any:
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


def _rviz(plan: Plan) -> Any:
    return Node(
        package='rviz2',
        executable='rviz2',
        name='rviz',
        namespace=plan.namespace,
        arguments=['-d', str(plan.rviz)],
        remappings=[('camera/image_raw', plan.nodes[0].resolve('image'))],
    )


def _recording_and_replay(plan: Plan, prefix: str | None) -> list[Any]:
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
