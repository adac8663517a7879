"""Parameter files: what we ship fits the tables, what a user writes is read as ROS reads it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest

from dlcv.interface import files
from dlcv.interface.nodes import NODES
from dlcv.interface.parameters import ParameterError, describe

CONFIG = Path(__file__).parents[2] / 'config'
SPEC = NODES['superpoint']


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / 'params.yaml'
    path.write_text(text)
    return path


@pytest.mark.parametrize('spec', NODES.values(), ids=list(NODES))
def test_shipped_file_of_each_node_is_the_table(spec):
    assert (CONFIG / f'{spec.name}.yaml').read_text() == files.to_yaml(spec), 'run `make docs`'


@pytest.mark.parametrize('name', NODES)
def test_shipped_file_of_each_node_holds_its_defaults(name):
    given = files.read(CONFIG / f'{name}.yaml', f'/any/where/{name}')
    assert given == {p.name: p.default for p in describe(NODES[name].parameters)}
    assert {k: type(v) for k, v in given.items()} == {
        p.name: type(p.default) for p in describe(NODES[name].parameters)
    }


@pytest.mark.parametrize('path', sorted(CONFIG.glob('*.yaml')), ids=lambda p: p.stem)
@pytest.mark.parametrize('spec', NODES.values(), ids=list(NODES))
def test_every_shipped_file_passes_the_nodes_checks(path, spec):
    files.check(path, spec, f'/{spec.name}')


@pytest.mark.parametrize('name', NODES)
def test_vo_yaml_differs_from_the_defaults_and_from_nothing_else(name):
    default = asdict(NODES[name].parameters())
    given = files.read(CONFIG / 'vo.yaml', f'/{name}')
    assert given
    assert [key for key, value in given.items() if default[key] == value] == []


@pytest.mark.parametrize(
    ('pattern', 'fits'),
    [
        ('/**', True),
        ('/**/superpoint', True),
        ('/front/superpoint', True),
        ('/*/superpoint', True),
        ('/**/super*', True),
        ('superpoint', False),
        ('/front', False),
        ('/*', False),
        ('/front/*/superpoint', False),
        ('/**/deepvo', False),
    ],
)
def test_which_sections_are_a_nodes(tmp_path, pattern, fits):
    path = write(tmp_path, f'{pattern}:\n  ros__parameters: {{nms_radius: 7}}\n')
    assert files.read(path, '/front/superpoint') == ({'nms_radius': 7} if fits else {})


def test_a_section_may_lie_under_its_namespace(tmp_path):
    path = write(tmp_path, 'front:\n  superpoint:\n    ros__parameters: {nms_radius: 7}\n')
    assert files.read(path, '/front/superpoint') == {'nms_radius': 7}


def test_a_later_section_goes_before_an_earlier(tmp_path):
    text = (
        '/**:\n  ros__parameters: {device: cpu}\n/**/superpoint:\n  ros__parameters: {device: cuda}'
    )
    assert files.read(write(tmp_path, text), '/superpoint') == {'device': 'cuda'}


def test_exponents_are_numbers_as_for_ros(tmp_path):
    path = write(tmp_path, '/**:\n  ros__parameters: {detection_threshold: 1e-3}\n')
    assert files.check(path, SPEC, '/superpoint').settings.detection_threshold == 1e-3


def test_whole_numbers_are_doubles_where_they_are_wanted(tmp_path):
    text = '/**:\n  ros__parameters: {max_input_age: 1, twist_stddev: [1, 1, 1, 1, 1, 1]}\n'
    found = files.check(write(tmp_path, text), NODES['deepvo'], '/deepvo').settings
    assert (repr(found.max_input_age), found.twist_stddev) == ('1.0', (1.0,) * 6)


def test_parameters_of_sister_nodes_and_of_ros_are_let_through(tmp_path):
    text = '/**:\n  ros__parameters: {use_sim_time: true, lost_policy: inflate, qos_overrides: {}}'
    assert files.check(write(tmp_path, text), SPEC, '/superpoint').settings == SPEC.parameters()


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        *(
            (f'{own}:\n  ros__parameters: {{nms_radios: 3}}', "'nms_radios'; did you mean 'nms_rad")
            for own in ('/**/superpoint', 'superpoint', '/**/super*')
        ),
        ('/**:\n  ros__parameters: {nms_radius: 65}', 'nms_radius: 65 is outside 0..64 px'),
        ('/**:\n  ros__parameters: {max_rate: "5"}', "max_rate: expected double, got the text '5'"),
        ('/**:\n  ros__parameters: {autostart: "true"}', 'write true without quotes'),
        ('/**:\n  nms_radius: 3', 'expected a mapping under ros__parameters'),
        ('/**/superpoint: 3', 'expected a mapping under ros__parameters'),
        ('- 1', 'expected node names'),
        ('a: [', 'no YAML'),
    ],
)  # fmt: skip
def test_what_a_node_would_refuse_is_refused(tmp_path, text, message):
    path = write(tmp_path, text)
    with pytest.raises(ParameterError, match=message) as refusal:
        files.check(path, SPEC, '/superpoint')
    assert str(path) in str(refusal.value)
    assert '\n' not in str(refusal.value)


FOREIGN = '{pattern}: {{ros__parameters: {{robot_radius: 0.3, plugins: {{a: 1}}, max_rate: 5.0}}}}'


@pytest.mark.parametrize('pattern', ['/**', '/*/**', '/front/**', '/front/*', '/*/*', 'front/**'])
def test_what_a_robot_tells_all_its_nodes_is_passed_over_and_named(tmp_path, pattern):
    path = write(tmp_path, FOREIGN.format(pattern=pattern))
    assert files.check(path, SPEC, '/front/superpoint').settings.max_rate == 5
    found = files.strangers(files.sections(path), '/front/superpoint')
    assert found == ['robot_radius', 'plugins']


@pytest.mark.parametrize('pattern', ['/**/superpoint', '/front/superpoint', '/*/superpoint'])
def test_in_its_own_section_it_is_a_mistake(tmp_path, pattern):
    path = write(tmp_path, FOREIGN.format(pattern=pattern))
    assert files.strangers(files.sections(path), '/front/superpoint') == []
    with pytest.raises(ParameterError, match="superpoint has no parameter 'robot_radius'"):
        files.check(path, SPEC, '/front/superpoint')


def test_in_its_own_section_and_in_one_for_all_it_is_a_mistake(tmp_path):
    text = '/**: {ros__parameters: {speed: 1}}\n/superpoint: {ros__parameters: {speed: 1}}\n'
    with pytest.raises(ParameterError, match="superpoint has no parameter 'speed'"):
        files.check(write(tmp_path, text), SPEC, '/superpoint')


def test_a_warning_names_what_was_perhaps_meant():
    words = files.warning(['robot_radius', 'nms_radios'], 'superpoint', ['nms_radius'])
    assert words.endswith("'robot_radius', 'nms_radios' (did you mean 'nms_radius'?)")
    assert 'superpoint' in words


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ParameterError, match=r'nix\.yaml: no such parameter file'):
        files.read(tmp_path / 'nix.yaml', '/superpoint')


@pytest.mark.parametrize(
    'value', ["it's", '', 'cuda:0', 'true', '1', '~', True, 3, 0.5, (0.1, 2.0)]
)
def test_a_written_scalar_is_read_back(tmp_path, value):
    path = write(tmp_path, f'/**:\n  ros__parameters:\n    x: {files.scalar(value)}\n')
    back = files.read(path, '/n')['x']
    assert back == value
    assert type(back) is type(value)
