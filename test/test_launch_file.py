"""The launch file starts what `dlcv up` starts, and describes every argument."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

pytest.importorskip('launch_ros', reason="ROS's launch_ros is not installed")

from launch import LaunchContext, LaunchDescription, LaunchService
from launch.actions import (
    DeclareLaunchArgument,
    ExecuteProcess,
    SetEnvironmentVariable,
    Shutdown,
)
from launch.utilities import perform_substitutions
from launch_ros.actions import ComposableNodeContainer, Node

from dlcv.bringup import make_plan, replay
from dlcv.bringup.plan import members
from dlcv.data.bags import write_recording
from dlcv.data.world import WorldRecording, ideal_camera
from dlcv.interface.arguments import ARGUMENTS
from dlcv.interface.launch import environment
from dlcv.interface.nodes import NODES
from dlcv.ros.launching import python, then

ROOT = Path(__file__).parents[1]
FILE = ROOT / 'launch/vo.launch.py'
REPLAY = ROOT / 'launch/replay.launch.py'
CASES = {
    'nothing': {},
    'all nodes': {'nodes': ','.join(name for name in NODES if name != 'stereo')},
    'a stereo pair': {'stereo': 'true', 'right_image_topic': '/right/image_rect'},
    'another robot': {
        'namespace': 'robot', 'camera': '/front', 'device': 'cpu', 'base_frame': '007',
        'log_level': 'debug', 'params_file': str(ROOT / 'config/demo.yaml'),
    },
    'with a filter': {'nav2': 'true', 'use_sim_time': 'true', 'nodes': 'deepvo'},
    'respawned': {'use_respawn': 'true', 'respawn_delay': '0.5', 'autostart': 'false'},
    'recorded': {'record': 'nowhere.mcap'},
}  # fmt: skip


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch):
    for name in environment({}, 'any', colour=False):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def description():
    return described(FILE)


def described(file):
    """Return the launch description of a launch file."""
    spec = importlib.util.spec_from_file_location(file.name.replace('.', '_'), file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.generate_launch_description()


def evaluated(description, given):
    """Return the actions for some launch arguments, and the context they were made in."""
    context = LaunchContext()
    context.launch_configurations.update(given)
    actions = []
    for entity in description.entities:
        actions += entity.visit(context) or []
    return actions, context


def command_of(node: Node, context: LaunchContext) -> list[str]:
    node._perform_substitutions(context)
    fixed = {
        'name': f'__node:={node._Node__node_name}',
        'ns': f'__ns:={node.expanded_node_namespace}',
    }
    context.extend_locals({'ros_specific_arguments': fixed})  # as Node.execute does
    return [perform_substitutions(context, part) for part in node.cmd]


def options(words, flag):
    return [value for key, value in pairwise(words) if key == flag]


def given_parameters(words):
    """Merge parameter files and rules in their order, as far as they are not the first file."""
    values, first = {}, options(words, '--params-file')[0]
    for flag, word in pairwise(words):
        if flag == '--params-file' and word != first:
            (section,) = yaml.safe_load(Path(word).read_text()).values()  # written by launch
            values |= section['ros__parameters']
        elif flag == '-p':
            name, _, text = word.partition(':=')
            values[name] = yaml.safe_load(text)
    return values


@pytest.mark.parametrize('given', CASES.values(), ids=list(CASES))
def test_launch_and_up_start_the_same(description, given):
    actions, context = evaluated(description, given)
    nodes = [a for a in actions if isinstance(a, Node)]
    plan = make_plan(given, context.environment, colour=False)
    assert [n.node_executable for n in nodes] == [n.spec.executable for n in plan.nodes]
    for action, start in zip(nodes, plan.nodes, strict=True):
        launched, upped = command_of(action, context), list(start.arguments)
        remapped = {*options(launched, '-r')} - {f'__node:={start.spec.name}', '__ns:=/'}
        assert remapped == {*options(upped, '-r')}
        assert options(launched, '--params-file')[0] == options(upped, '--params-file')[0]
        assert given_parameters(launched) == given_parameters(upped) == start.parameters
        assert options(launched, '--log-level') == options(upped, '--log-level')


def test_composed_nodes_are_one_action_with_the_arguments_of_up(description):
    given = {'composed': 'true', 'nodes': 'superpoint,deepvo', 'namespace': 'robot'}
    actions, context = evaluated(description, given)
    (action,) = [a for a in actions if isinstance(a, Node)]
    words = command_of(action, context)
    assert words[0].endswith('composed_node')
    plan = make_plan(given, context.environment, colour=False)
    as_launch_adds_it = ['--ros-args', '-r', '__ns:=/robot']
    for_all = ['--ros-args', '--log-level', 'info', *as_launch_adds_it]
    assert words[1:] == [*members(plan.nodes), *for_all]


def test_the_environment_is_the_plans(description):
    actions, context = evaluated(description, {'nodes': 'deepvo'})
    variables = {}
    for action in actions:
        if isinstance(action, SetEnvironmentVariable):
            name = perform_substitutions(context, action.name)
            variables[name] = perform_substitutions(context, action.value)
    assert 'MALLOC_MMAP_MAX_' in variables
    assert Path(variables['FASTRTPS_DEFAULT_PROFILES_FILE']).is_file()


def test_every_argument_is_described(description):
    declared = [e for e in description.entities if isinstance(e, DeclareLaunchArgument)]
    assert [d.name for d in declared] == [a.name for a in ARGUMENTS]
    assert [d.name for d in declared if not d.description] == []
    assert {d.name: d.choices for d in declared if d.choices} == {
        a.name: [*a.choices, *(('True', 'False') if a.boolean else ())]
        for a in ARGUMENTS
        if a.choices
    }


def test_extras_come_only_when_asked_for(description):
    def kinds(**given):
        actions, _ = evaluated(description, given)
        return {type(a) for a in actions}, [a for a in actions if type(a) is ExecuteProcess]

    plain, processes = kinds()
    assert ComposableNodeContainer not in plain
    assert processes == []
    assert ComposableNodeContainer in kinds(points='true')[0]
    assert len(kinds(record='nowhere.mcap')[1]) == 1


def test_rviz_opens_our_view(description):
    actions, context = evaluated(description, {'rviz': 'true', 'nodes': 'deepvo'})
    (rviz,) = [a for a in actions if isinstance(a, Node) and a.node_package == 'rviz2']
    assert 'config/vo.rviz' in ' '.join(
        perform_substitutions(context, part) for part in rviz.cmd[1:3]
    )


def test_nonsense_is_refused_before_anything_starts(description):
    with pytest.raises(ValueError, match="no node 'orb'"):
        evaluated(description, {'nodes': 'orb'})


@pytest.mark.parametrize('evaluate', ['true', 'false'])
def test_a_replay_starts_the_nodes_and_shows_them_the_bag(tmp_path, evaluate):
    camera = ideal_camera(96, 64, 70)
    walk = WorldRecording('room', seed=5, frames=2, rate_hz=5, camera=camera, workers=1)
    write_recording(walk, tmp_path / 'walk.mcap')
    description = described(REPLAY)
    declared = [e for e in description.entities if isinstance(e, DeclareLaunchArgument)]
    assert [d.name for d in declared] == [a.name for a in replay.ARGUMENTS]
    assert all(d.description for d in declared)
    given = {a.name: a.default for a in replay.ARGUMENTS} | {
        'bag': str(tmp_path / 'walk.mcap'), 'output': str(tmp_path / 'out'),
        'nodes': 'flownet,deepvo', 'evaluate': evaluate,
    }  # fmt: skip
    actions, context = evaluated(description, given)
    nodes = [a for a in actions if isinstance(a, Node)]
    assert [n.node_executable for n in nodes] == ['flownet_node', 'deepvo_node']
    for action in nodes:
        parameters = given_parameters(command_of(action, context))
        changed = replay.changes('lock-step', action.node_executable.removesuffix('_node'))
        assert {name: parameters[name] for name in changed} == changed
    (shown,) = (a for a in actions if type(a) is ExecuteProcess)
    words = [perform_substitutions(context, part) for part in shown.cmd]
    assert words[1:] == ['-m', 'dlcv.ros.replay', str(tmp_path / 'out' / 'job.json')]
    assert (tmp_path / 'out' / 'job.json').is_file()
    assert replay.evaluation_of(given)[:5] == (
        '-m', 'dlcv', 'evaluate', '--again', str(tmp_path / 'out'),
    )  # fmt: skip


@pytest.mark.parametrize(
    ('replayed', 'reported', 'code'),
    [(0, 0, 0), (1, 0, 1), (0, 2, 1)],
    ids=['all is well', 'a replay that broke off', 'no report'],
)
def test_the_end_of_a_launch_says_whether_all_went_well(tmp_path, replayed, reported, code):
    """As in replay.launch.py: the report comes anyhow, the exit code tells of both."""
    first = python('replay', ['-c', f'raise SystemExit({replayed})'])
    mark = f'open({str(tmp_path / "report")!r}, "w"); raise SystemExit({reported})'
    second = python('evaluate', ['-c', mark])
    chain = [then(first, second, anyhow=True), then(second, Shutdown(), earlier=[first])]
    service = LaunchService(noninteractive=True)
    service.include_launch_description(LaunchDescription([*chain, first]))
    assert service.run() == code
    assert (tmp_path / 'report').exists()


def test_an_interrupt_waits_until_python_has_started(description):
    """Else Ctrl-C in the first moments is answered with a traceback of Python's own start."""
    actions, context = evaluated(description, {'nodes': 'deepvo', 'record': 'nowhere.mcap'})
    ours = [a for a in actions if isinstance(a, ExecuteProcess)]
    assert len(ours) == 2
    show = 'import signal; print(signal.pthread_sigmask(signal.SIG_BLOCK, []))'
    for action in ours:
        before = perform_substitutions(context, action.process_description.prefix).split()
        command = [*before, sys.executable, '-c', show]
        shown = subprocess.run(command, capture_output=True, text=True, check=True)
        assert 'SIGINT' in shown.stdout


def test_a_node_s_lines_carry_its_name_in_the_log(description):
    entities, context = evaluated(description, {'nodes': 'deepvo'})
    (action,) = (entity for entity in entities if isinstance(entity, Node))
    assert perform_substitutions(context, action.process_description.name) == 'deepvo_node'


def test_the_users_own_prefix_is_left(description):
    given = {'nodes': 'deepvo', 'launch-prefix': 'gdb --args', 'launch-prefix-filter': 'x'}
    actions, context = evaluated(description, given)
    (action,) = (a for a in actions if isinstance(a, Node))
    prefix = perform_substitutions(context, action.process_description.prefix)
    assert prefix == 'gdb --args'
    assert action.process_description._Executable__prefix_filter is not None


def test_slam_and_localize_start_odometry_with_a_map_that_grows_or_stays(tmp_path):
    new, old = tmp_path / 'new.safetensors', tmp_path / 'old.safetensors'
    old.touch()
    for name, path, only in (('slam', new, None), ('slam', old, None), ('localize', old, True)):
        description = described(ROOT / f'launch/{name}.launch.py')
        defaults = {
            e.name: perform_substitutions(LaunchContext(), e.default_value)
            for e in description.entities
            if isinstance(e, DeclareLaunchArgument)
        }
        actions, context = evaluated(description, {**defaults, 'map': str(path), 'camera': '/a'})
        nodes = [a for a in actions if isinstance(a, Node)]
        assert [n.node_executable for n in nodes] == [
            'superpoint_node', 'visual_odometry_node', 'slam_node',
        ]  # fmt: skip
        words = command_of(nodes[-1], context)
        parameters = given_parameters(words)
        assert parameters['map_file'] == str(path)
        assert parameters.get('localize_only') is only
        assert {'odometry:=visual_odometry/odometry', 'keypoints:=superpoint/keypoints'} <= {
            *options(words, '-r')
        }
    with pytest.raises(ValueError, match='map: no file'):
        evaluated(description, {**defaults, 'map': str(new)})
    with pytest.raises(ValueError, match='map_file: localize_only needs a map'):
        evaluated(description, defaults)
