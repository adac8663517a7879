"""What the launch files share: arguments, nodes and processes as actions of ROS's launch."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from typing import Any

from launch.actions import DeclareLaunchArgument, ExecuteProcess, LogInfo, RegisterEventHandler
from launch.event_handlers import OnProcessExit
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from dlcv.bringup.plan import COMPOSED, NodeStart, Plan, members
from dlcv.interface.arguments import SWITCH, Argument
from dlcv.ros.environment import interpreter


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
