"""What a node says of itself on ``/diagnostics``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.clock import Clock

from dlcv.estimation.tasks.base import Level, Verdict
from dlcv.interface.diagnostics import PUBLISHERS, SUBSCRIBERS, peers_text, status_name
from dlcv.interface.nodes import DIAGNOSTICS
from dlcv.ros.gaps import Missing
from dlcv.ros.health import usage, worst
from dlcv.ros.qos import profile

if TYPE_CHECKING:
    from dlcv.ros.node import VisionNode


class Reporter:
    """Sends the node's state each `diagnostic_period` and when a peer is found or lost.

    Attributes:
        condition: What the task says of itself; None for nothing.
    """

    def __init__(self, node: VisionNode, clock: Clock) -> None:
        """Begin to report, in the time of a clock that never stands still."""
        self._node = node
        self.condition: Verdict | None = None
        self._told: dict[str, str] = {}  # whom the node had found when it last said so
        self._publisher = node.create_publisher(
            DiagnosticArray, DIAGNOSTICS.name, profile(DIAGNOSTICS.qos)
        )
        self._timer = node.create_timer(node.parameters.diagnostic_period, self.report, clock=clock)

    def keep_period(self, seconds: float) -> None:
        """Report so often from now on."""
        self._timer.timer_period_ns = int(1e9 * seconds)
        self._timer.reset()  # or the old period would end first

    def report_new_peers(self) -> None:
        """Report at once if anybody was found or lost.

        Who waits for this node knows from its peers alone whether both sides have found each other:
        a publisher may see a subscription well before the subscription hears the publisher.
        """
        if self._peers() != self._told:
            self.report()

    def report(self) -> None:
        """Report now."""
        node, intake, estimator = self._node, self._node.intake, self._node.estimator
        missing = None if intake is None else intake.missing()
        verdict = self._judged(missing)
        self._told = peers = self._peers()
        origin = getattr(estimator, 'origin', None)
        values = {
            'state': node.state,
            'device': str(getattr(estimator, 'device', 'none')),
            **_running(estimator),
            'weights': str(getattr(origin, 'path', None) or ''),
            'weights_sha256': getattr(origin, 'sha256', ''),
            'trained': str(bool(origin and origin.trained)).lower(),
            **node.health.values(),
            **({} if intake is None else intake.values(missing)),
            **({} if estimator is None else node.task.values()),
            **usage(),
            'gpu_mem_mb': f'{_gpu_memory(estimator):.1f}',
            **peers,
        }
        status = DiagnosticStatus(
            level=bytes([verdict.level]),
            name=status_name(node.get_fully_qualified_name(), node.spec.doc),
            message=verdict.text,
            hardware_id=node.get_fully_qualified_name(),
            values=[KeyValue(key=key, value=value) for key, value in values.items()],
        )
        array = DiagnosticArray(status=[status])
        array.header.stamp = node.get_clock().now().to_msg()
        self._publisher.publish(array)

    def verdict(self) -> Verdict:
        """Return the worst of what is to be said."""
        intake = self._node.intake
        return self._judged(None if intake is None else intake.missing())

    def _judged(self, missing: Missing | None) -> Verdict:
        node, intake = self._node, self._node.intake
        if node.fault:
            return Verdict(Level.ERROR, node.fault)
        if intake is None:
            return Verdict(Level.OK, node.state)
        if not node.enabled:
            return Verdict(Level.OK, 'disabled')
        p = node.parameters
        verdicts = [node.health.verdict(p.input_timeout, p.max_input_age, intake.source())]
        lost = intake.verdict(missing)
        verdicts += [v for v in (lost, self.condition) if v is not None]
        if not node.estimator.origin.trained:
            verdicts.append(Verdict(Level.WARN, 'the network is untrained'))
        found = worst(verdicts)
        if lost is None or lost.level is found.level:
            return found
        return Verdict(found.level, f'{found.text}; {lost.text}')  # it may well be the cause

    def _peers(self) -> dict[str, str]:
        """Return whom the node itself has found, by topic."""
        intake = self._node.intake
        heard = {} if intake is None else intake.peers()
        return {PUBLISHERS: peers_text(heard), SUBSCRIBERS: peers_text(self._node.outputs.peers())}


def _running(estimator: Any) -> dict[str, str]:
    """Return in what the network runs, which is not always what was asked for."""
    choice = getattr(getattr(estimator, 'runner', None), 'choice', None)
    return {name: getattr(choice, name, 'none') for name in ('engine', 'precision')}


def _gpu_memory(estimator: Any) -> float:
    """Megabytes that torch holds on the estimator's GPU; 0 on a CPU."""
    device = getattr(estimator, 'device', None)
    if device is None or not str(device).startswith('cuda'):
        return 0.0
    import torch

    return torch.cuda.memory_allocated(device) / 2**20
