"""A Ray cluster of two workers on this machine: results, deaths, interruptions."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dlcv.evaluation.matrix import MatrixError, RayPool, Summary, load, run
from dlcv.evaluation.matrix.plan import Cluster as Asked

ray = pytest.importorskip('ray')
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

MEMORY = 100 << 20  # bytes of an object store
DRIVER = """
import sys
from pathlib import Path
from dlcv.evaluation.matrix import RayPool, load, run
address, matrix, out, *program = sys.argv[1:]
plan = load(Path(matrix))
pool = RayPool(address, plan.ray, program)
print('joined', flush=True)
say = lambda line: print(line, flush=True)
sys.exit(run(plan, Path(out), pool, say=say).exit_code)
"""


@pytest.fixture(autouse=True)
def environment(monkeypatch) -> None:
    """Of Ray's processes."""
    monkeypatch.setenv('RAY_AUTH_MODE', 'disabled')
    monkeypatch.setenv('RAY_USAGE_STATS_ENABLED', '0')
    monkeypatch.setenv('RAY_memory_monitor_refresh_ms', '0')  # others may fill this machine
    monkeypatch.setenv('PYTHONPATH', os.pathsep.join(p for p in sys.path if p))


@pytest.fixture
def cluster(environment) -> Iterator[Any]:
    """A head that runs nothing, and two workers of one core each."""
    from ray.cluster_utils import Cluster

    head = {'num_cpus': 0, 'object_store_memory': MEMORY, 'include_dashboard': False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    for _ in range(2):
        cluster.add_node(num_cpus=1, object_store_memory=MEMORY)
    cluster.wait_for_nodes()
    yield cluster
    ray.shutdown()
    cluster.shutdown()


def ran(desk, cluster, retries: int = 1, say=lambda line: None) -> Summary:
    plan = load(desk.matrix)
    pool = RayPool(cluster.address, plan.ray, desk.program)
    return run(plan, desk.out, pool, retries=retries, say=say)


def driver(desk, cluster) -> subprocess.Popen[str]:
    command = [sys.executable, '-c', DRIVER, cluster.address, desk.matrix, desk.out, *desk.program]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def states(summary: Summary) -> dict[str, tuple[str, int]]:
    return {r.cell.bag: (r.state, r.tries) for r in summary.results}


def wait_for(what) -> None:
    deadline = time.monotonic() + 60
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def process_of(desk, bag: str) -> int:
    """Return the process of the latest run of a bag."""
    return int(desk.begun(bag)[-1].split()[0])


def parent(pid: int) -> int:
    return int(Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[1])


def is_alive(pid: int) -> bool:
    try:
        return 'State:\tZ' not in Path(f'/proc/{pid}/status').read_text()
    except FileNotFoundError:
        return False


def test_cells_run_on_both_workers_and_their_files_come_back(desk, cluster):
    gate = desk.folder / 'gate'
    desk.write({'a': f'wait {gate}', 'b': f'wait {gate}', 'c': 'fail first 1', 'd': 'fail'})
    process = driver(desk, cluster)
    wait_for(lambda: desk.begun('a') and desk.begun('b'))
    workers = [parent(process_of(desk, bag)) for bag in 'ab']
    assert len({parent(worker) for worker in workers}) == 2  # raylets, one for each node
    gate.touch()
    assert process.wait() == 1
    told = json.loads((desk.out / 'matrix.json').read_text())['cells']
    assert [(cell['state'], cell['tries']) for cell in told] == [
        ('done', 1), ('done', 1), ('done', 2), ('failed', 3)
    ]  # fmt: skip
    assert told[3]['log'].endswith('the bag is bad')
    assert (desk.out / 'cells/a/default/page/large.bin').read_bytes() == bytes(100_000)
    assert (desk.out / 'failed/d/default/cell.log').exists()


def test_bags_are_shipped(desk, cluster):
    desk.write({'a': 'ok'}, 'configurations: {x: , y: {nodes: [deepvo]}}\nray: {ship: true}')
    assert ran(desk, cluster).exit_code == 0
    log = (desk.out / 'cells/a/y/cell.log').read_text()
    assert '/inputs/0/a.mcap' in log
    assert str(desk.folder / 'a.mcap') not in log


def test_a_worker_that_dies_costs_a_try(desk, cluster):
    gate = desk.folder / 'gate'
    desk.write({'a': f'wait {gate}', 'b': 'ok'})
    process = driver(desk, cluster)
    wait_for(lambda: desk.begun('a'))
    orphan = process_of(desk, 'a')
    os.kill(parent(orphan), signal.SIGKILL)
    wait_for(lambda: len(desk.begun('a')) == 2)
    wait_for(lambda: not is_alive(orphan))
    gate.touch()
    text, _ = process.communicate()
    assert process.returncode == 0, text
    assert 'a / default: WorkerCrashedError' in text
    assert 'a / default: done (try 2)' in text


def test_a_node_that_dies_costs_a_try_on_another(desk, cluster):
    gate = desk.folder / 'gate'
    desk.write({'a': f'wait {gate}'})
    process = driver(desk, cluster)
    wait_for(lambda: desk.begun('a'))
    raylet = parent(parent(process_of(desk, 'a')))
    (node,) = [
        n for n in cluster.worker_nodes if n.all_processes['raylet'][0].process.pid == raylet
    ]
    cluster.remove_node(node, allow_graceful=False)
    wait_for(lambda: len(desk.begun('a')) == 2)
    assert parent(parent(process_of(desk, 'a'))) != raylet
    gate.touch()
    text, _ = process.communicate()
    assert process.returncode == 0, text
    assert 'a / default: done (try 2)' in text


def test_nothing_finished_is_lost_when_the_driver_is_killed(desk, cluster):
    gate = desk.folder / 'gate'
    desk.write({'a': 'ok', 'b': f'wait {gate}'})
    process = driver(desk, cluster)
    wait_for(lambda: desk.begun('b') and (desk.out / 'cells/a/default').exists())
    orphan = process_of(desk, 'b')
    process.kill()
    process.wait()
    wait_for(lambda: not is_alive(orphan))
    gate.touch()
    assert states(ran(desk, cluster)) == {'a': ('skipped', 1), 'b': ('done', 1)}
    assert len(desk.begun('a')) == 1


def test_an_interrupted_driver_ends_its_cells(desk, cluster):
    desk.write({'a': 'ok', 'b': 'wait never'})
    process = driver(desk, cluster)
    wait_for(lambda: desk.begun('b') and (desk.out / 'cells/a/default').exists())
    process.send_signal(signal.SIGINT)
    text, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert '1 of 2 cells are finished and kept' in text
    assert not is_alive(process_of(desk, 'b'))


def test_more_than_any_node_has_is_refused(cluster):
    with pytest.raises(MatrixError, match='no node has the 2 CPUs and 0 GPUs that a cell needs'):
        RayPool(cluster.address, Asked(cpus=2))


def test_no_cluster_there():
    with pytest.raises(MatrixError, match=r'no Ray cluster at 127\.0\.0\.1:9'):
        RayPool('127.0.0.1:9', Asked())


def test_ray_client_is_refused():
    with pytest.raises(MatrixError, match='not through Ray Client'):
        RayPool('ray://head:10001', Asked())


def test_a_cluster_of_this_machine(desk):
    ray.init(num_cpus=2, object_store_memory=MEMORY, include_dashboard=False, log_to_driver=False)
    try:
        desk.write({'a': 'ok', 'b': 'ok'})
        plan = load(desk.matrix)
        pool = RayPool('auto', plan.ray, desk.program)
        assert run(plan, desk.out, pool, say=lambda line: None).exit_code == 0
        assert ray.is_initialized()  # it was not ours
    finally:
        ray.shutdown()
