"""The processes of a plan, where there is no ROS launch to start them."""

from __future__ import annotations

import sys

from dlcv.bringup.plan import COMPOSED, Plan, in_namespace, members
from dlcv.bringup.supervisor import Command, Job


def job_of(plan: Plan, player: str = 'player') -> Job:
    """Return what is to run together.

    Args:
        plan: What is started.
        player: What the lines of the player begin with.
    """

    def python(name: str, arguments: tuple[str, ...]) -> Command | None:
        return (
            Command(name=name, argv=(sys.executable, *arguments), ours=True) if arguments else None
        )

    return Job(
        services=_composed(plan) if plan.composed else _separate(plan),
        recorder=python('recorder', plan.recorder),
        player=python(player, plan.player),
        report=python('report', plan.report),
    )


def _separate(plan: Plan) -> tuple[Command, ...]:
    return tuple(
        Command(
            name=node.spec.name,
            argv=(sys.executable, '-m', node.spec.module, *node.arguments),
            respawn_delay=plan.respawn_delay,
            ours=True,
        )
        for node in plan.nodes
    )


def _composed(plan: Plan) -> tuple[Command, ...]:
    first = plan.nodes[0]
    for_all = ('--ros-args', *in_namespace(plan.namespace), '--log-level', first.log_level)
    module = ('-m', f'dlcv.ros.nodes.{COMPOSED}')
    together = Command(
        name=COMPOSED,
        argv=(sys.executable, *module, *members(plan.nodes), *for_all),
        respawn_delay=plan.respawn_delay,
        ours=True,
        nodes=tuple(node.spec.name for node in plan.nodes),
    )
    return (together,)
