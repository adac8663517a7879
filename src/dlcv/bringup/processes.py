"""The processes of a plan, where there is no ROS launch to start them."""

from __future__ import annotations

import sys

from dlcv.bringup.plan import Plan
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
        services=tuple(
            Command(
                name=node.spec.name,
                argv=(sys.executable, '-m', node.spec.module, *node.arguments),
                respawn_delay=plan.respawn_delay,
                ours=True,
            )
            for node in plan.nodes
        ),
        recorder=python('recorder', plan.recorder),
        player=python(player, plan.player),
        report=python('report', plan.report),
    )
