"""From unconfigured to active and back, with everything that can go wrong on the way."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')

from lifecycle_msgs.srv import ChangeState, GetState
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter

from dlcv.interface.nodes import HANDLED
from dlcv.ros.nodes.superpoint import SuperPointNode

pytestmark = pytest.mark.ros
SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE


def _state(node: Any) -> str:
    return str(node._state_machine.current_state[1])


def _weights(tmp_path: Path, case: str) -> str:
    path = tmp_path / 'weights.safetensors'
    if case == 'corrupt':
        path.write_bytes(b'\xff' * 100)
    elif case == 'empty':
        path.write_bytes(b'')
    elif case == 'folder':
        path.mkdir()
    return str(path)


@pytest.mark.parametrize('case', ['missing', 'corrupt', 'empty', 'folder'])
def test_bad_weights_fail_configure_and_name_the_file(ros: Any, tmp_path: Path, case: str) -> None:
    node = ros.make(SuperPointNode, weights=_weights(tmp_path, case))
    assert node.trigger_configure() == FAILURE
    assert _state(node) == 'unconfigured'
    assert 'weights.safetensors' in node.fault
    assert 'allow_random_weights' in node.fault


def test_without_weights_configure_says_what_to_do(ros: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr('dlcv.estimation.load.chosen', lambda *_: None)
    node = ros.make(SuperPointNode, allow_random_weights=False)
    assert node.trigger_configure() == FAILURE
    assert 'allow_random_weights' in node.fault
    assert node.set_parameters([Parameter('allow_random_weights', value=True)])[0].successful
    assert node.trigger_configure() == SUCCESS
    assert not node.estimator.origin.trained


def test_a_wrong_digest_is_refused(ros: Any, tmp_path: Path) -> None:
    from dlcv.networks.weights import save_network, untrained

    path = save_network(untrained('superpoint'), tmp_path / 'ours.safetensors')
    node = ros.make(SuperPointNode, weights=str(path), weights_sha256='0' * 64)
    assert node.trigger_configure() == FAILURE
    assert '0' * 64 in node.fault
    node.set_parameters([Parameter('weights_sha256', value='')])
    assert node.trigger_configure() == SUCCESS
    digest = node.estimator.origin.sha256
    node.trigger_cleanup()
    node.set_parameters([Parameter('weights_sha256', value=digest)])
    assert node.trigger_configure() == SUCCESS


def test_a_digest_without_a_file_is_refused(ros: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr('dlcv.estimation.load.chosen', lambda *_: None)
    node = ros.make(SuperPointNode, weights_sha256='0' * 64)
    assert node.trigger_configure() == FAILURE
    assert 'no weight file' in node.fault


def test_weights_of_another_network_are_refused(ros: Any, tmp_path: Path) -> None:
    from dlcv.networks.weights import save_network, untrained

    path = save_network(untrained('flownet'), tmp_path / 'flow.safetensors', half=True)
    node = ros.make(SuperPointNode, weights=str(path))
    assert node.trigger_configure() == FAILURE
    assert 'flownet' in node.fault


def test_the_whole_cycle_twice(ros: Any, plain: Any) -> None:
    node = ros.make(plain)
    for index in (0, 10):
        assert node.trigger_configure() == SUCCESS
        assert node.trigger_activate() == SUCCESS
        ros.show(index)
        ros.until(lambda: len(node.results) == 1)
        assert node.trigger_deactivate() == SUCCESS
        assert node.trigger_activate() == SUCCESS
        ros.show(index + 1)
        ros.until(lambda: len(node.results) == 2)
        assert node.trigger_deactivate() == SUCCESS
        assert node.trigger_cleanup() == SUCCESS
        assert node.estimator is None
        node.results.clear()


def test_an_inactive_node_takes_no_images(ros: Any, plain: Any) -> None:
    node = ros.run(plain)
    ros.show(0)
    ros.until(lambda: node.results)
    node.trigger_deactivate()
    ros.until(lambda: ros.peer.count_subscribers('/image') == 0, 'the subscription to go')
    node.trigger_activate()
    assert node.health.values()['received'] == '0'


def test_services_drive_it_like_a_lifecycle_manager(ros: Any, plain: Any) -> None:
    node = ros.make(plain)
    for transition, state in ((1, 'inactive'), (3, 'active'), (4, 'inactive'), (2, 'unconfigured')):
        request = ChangeState.Request()
        request.transition.id = transition
        assert ros.call(ChangeState, f'/{node.get_name()}/change_state', request).success
        label = ros.call(GetState, f'/{node.get_name()}/get_state').current_state.label
        assert label == state


def test_shutdown_from_any_state(ros: Any, plain: Any) -> None:
    node = ros.run(plain)
    node.trigger_shutdown()
    assert _state(node) == 'finalized'


def test_a_frame_that_never_ends_deactivates(ros: Any, plain: Any) -> None:
    node = ros.run(plain, inference_timeout=0.2)
    release = threading.Event()
    node.estimator.answer = lambda frame: release.wait(60)
    try:
        ros.show(0)
        ros.until(lambda: _state(node) == 'inactive')
        assert 'a frame took over 0.2 s' in node.fault
        assert node.trigger_activate() == FAILURE  # the estimator is not free yet
        assert _state(node) == 'inactive'
    finally:
        release.set()
    ros.until(lambda: not node._stuck.alive)
    assert node.results == []  # what came too late is not published
    node.estimator.answer = lambda frame: frame
    assert node.trigger_activate() == SUCCESS
    ros.show(1)
    ros.until(lambda: node.results)


def test_the_end_of_ros_during_a_frame_is_no_fault(ros: Any, plain: Any, monkeypatch: Any) -> None:
    import rclpy

    raised: list[Any] = []
    monkeypatch.setattr(threading, 'excepthook', raised.append)
    node = ros.run(plain)
    ros.hears(node, '~/handled')
    begun, release = threading.Event(), threading.Event()

    def slow(frame: Any) -> Any:
        begun.set()
        release.wait(60)
        return frame

    node.estimator.answer = slow
    ros.show(0)
    ros.until(begun.is_set)
    rclpy.try_shutdown(context=ros.context)  # as a Ctrl-C does
    worker = node._worker
    release.set()
    node.destroy_node()
    assert not worker.alive
    assert raised == []
    assert node.health.values()['failed'] == '0'


def test_a_gpu_error_deactivates(ros: Any, plain: Any) -> None:
    node = ros.run(plain)

    def fail(frame: Any) -> Any:
        raise RuntimeError('CUDA error: an illegal memory access was encountered')

    node.estimator.answer = fail
    ros.show(0)
    ros.until(lambda: _state(node) == 'inactive')
    assert 'GPU error' in node.fault


def test_after_a_gpu_error_the_cpu_may_go_on(ros: Any, plain: Any) -> None:
    node = ros.run(plain, on_gpu_error='cpu')
    broken = node.estimator

    def fail(frame: Any) -> Any:
        raise type('OutOfMemoryError', (RuntimeError,), {})('no memory left')

    broken.answer = fail
    ros.show(0)
    ros.until(lambda: node.estimator is not broken)
    assert node.estimator.device == 'cpu'
    ros.show(1)
    ros.until(lambda: node.results)
    assert _state(node) == 'active'


def test_autostart_configures_and_activates(ros: Any, plain: Any) -> None:
    from dlcv.ros.start import autostart

    node = ros.make(plain, autostart=True)
    autostart(node)
    assert _state(node) == 'active'
    other = ros.make(plain, max_keypoints=-1, autostart=True)
    autostart(other)
    assert _state(other) == 'unconfigured'


def test_the_end_of_a_process_does_not_wait_for_a_long_frame(
    ros: Any, plain: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr('dlcv.ros.node.LAST_FRAME', 0.01)
    begun, may_end, failed = threading.Event(), threading.Event(), []
    monkeypatch.setattr(threading, 'excepthook', failed.append)

    class Slow(plain):  # type: ignore[misc]
        def infer(self, frame: Any) -> None:
            begun.set()
            may_end.wait(20)

    node = ros.run(Slow)
    ros.hears(node, HANDLED.name)
    ros.show(0)
    ros.until(begun.is_set)
    worker = node._worker
    ros.executor.remove_node(node)
    ros.nodes.remove(node)
    node.destroy_node()
    assert worker.alive
    may_end.set()
    worker.join(20)
    assert failed == []
