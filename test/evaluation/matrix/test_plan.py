"""Matrix files: what they say, and what is said of mistakes in them."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlcv.evaluation.matrix import MatrixError, load
from dlcv.interface import files
from dlcv.interface.nodes import NODES

WHOLE = """
bags:
  kitti: {bag: kitti.mcap, truth: /ground_truth/odometry, truth_frame: imu, time_offset: -0.5}
  kitchen: {bag: kitchen, truth: kitchen.txt, images: /cam/image, map: room.safetensors}
configurations:
  default:
  pp_off: {parameters: {monodepth: {pp: false}, /**: {num_threads: 1}}}
  flownet_c: {weights: {flownet: mine.safetensors}, nodes: [flownet, deepvo], mode: lock-step}
mode: in-process
arguments: [--max-frames, 500]
exclude: [{bag: kitchen, configuration: flownet_c}]
timeout: 60
columns: {odometry: [ATE (Sim3)]}
ray: {cpus: 2, ship: true}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / 'kitchen').mkdir()
    for name in ('kitti.mcap', 'kitchen.txt', 'room.safetensors', 'mine.safetensors'):
        (tmp_path / name).touch()
    return tmp_path


def written(folder: Path, text: str) -> Path:
    path = folder / 'matrix.yaml'
    path.write_text(text)
    return path


def test_all_cells_but_those_excluded(folder):
    matrix = load(written(folder, WHOLE))
    assert [cell.name for cell in matrix.cells] == [
        'kitti / default',
        'kitti / pp_off',
        'kitti / flownet_c',
        'kitchen / default',
        'kitchen / pp_off',
    ]
    assert (matrix.title, matrix.ray.cpus, matrix.ray.ship) == ('matrix', 2.0, True)
    assert {cell.timeout for cell in matrix.cells} == {60.0}


def test_arguments_of_dlcv_evaluate(folder):
    cells = {cell.name: cell for cell in load(written(folder, WHOLE)).cells}
    assert cells['kitti / flownet_c'].arguments == (
        folder / 'kitti.mcap',
        *('--truth', '/ground_truth/odometry', '--truth-frame', 'imu', '--time-offset', '-0.5'),
        *('--mode', 'lock-step', '--nodes', 'flownet,deepvo', '--max-frames', '500'),
    )
    assert cells['kitchen / default'].arguments == (
        folder / 'kitchen',
        *('--truth', folder / 'kitchen.txt', '--images', '/cam/image'),
        *('--mode', 'in-process', '--map', folder / 'room.safetensors', '--max-frames', '500'),
    )
    assert folder / 'mine.safetensors' in cells['kitti / flownet_c'].inputs


def test_parameters_are_those_of_the_shipped_file_and_what_differs(folder):
    cells = {cell.configuration: cell for cell in load(written(folder, WHOLE)).cells}
    shipped = files.merged(cells['default'].parameters.items(), '/monodepth')
    changed = files.merged(cells['pp_off'].parameters.items(), '/monodepth')
    assert shipped['image_qos_depth'] == 5
    assert changed == {**shipped, 'pp': False, 'num_threads': 1}


def test_parameters_go_before_those_of_a_file_of_ones_own(folder):
    base = folder / 'base.yaml'
    base.write_text('/**/deepvo: {ros__parameters: {scale: 2.0, two_d_mode: true}}\n')
    more = """
bags: {kitti: kitti.mcap}
configurations:
  mine:
    params: base.yaml
    parameters: {deepvo: {scale: 3.0, twist_stddev: [1., 1., 1., 1., 1., 1.5]}}
"""
    (cell,) = load(written(folder, more)).cells
    path = folder / 'parameters.yaml'
    path.write_text(cell.parameter_file({}))
    assert files.read(path, '/front/deepvo') == {
        'scale': 3.0,
        'two_d_mode': True,
        'twist_stddev': (1.0, 1.0, 1.0, 1.0, 1.0, 1.5),
    }


def test_what_a_file_tells_all_nodes_of_a_robot_is_no_mistake(folder):
    text = '/**: {ros__parameters: {robot_radius: 0.3, num_threads: 2}}'
    (folder / 'base.yaml').write_text(text)
    more = 'bags: {kitti: kitti.mcap}\nconfigurations: {mine: {params: base.yaml%s}}\n'
    (cell,) = load(written(folder, more % '')).cells
    assert files.merged(cell.parameters.items(), '/deepvo') == {'num_threads': 2}
    with pytest.raises(ValueError, match="no parameter 'robot_radius'"):
        load(written(folder, more % ', parameters: {/**: {robot_radius: 0.3}}'))


def test_shipped_weights_stay_names_and_files_become_paths(folder):
    name = NODES['flownet'].weights[0]
    text = f"""
bags: {{kitti: kitti.mcap}}
configurations: {{a: {{weights: {{flownet: {name}}}}}, b: {{weights: {{dsac: room.safetensors}}}}}}
"""
    a, b = load(written(folder, text)).cells
    assert files.merged(a.parameters.items(), '/flownet')['weights'] == name
    assert files.merged(b.parameters.items(), '/dsac')['weights'] == folder / 'room.safetensors'


@pytest.mark.parametrize('truth', ['none', '/tf:map:base_link', '/odometry'])
def test_a_truth_that_is_no_file_is_passed_on(folder, truth):
    text = f"bags: {{a: {{bag: kitti.mcap, truth: '{truth}'}}}}\nconfigurations: {{b: }}"
    (cell,) = load(written(folder, text)).cells
    assert cell.arguments[1:3] == ('--truth', truth)


MISTAKES = {
    'bags: {a: kitti.mcap}': "'configurations' is required",
    '- a': 'expected a mapping with bags and configurations',
    'bags: {a: kitti.mcap}\nconfigurations: {b: {weight: x}}': (
        "configurations.b: unknown key 'weight'; known are"
    ),
    'bags: {a: none.mcap}\nconfigurations: {b: }': 'bags.a.bag: there is no .*none.mcap',
    'bags: {00: kitti.mcap}\nconfigurations: {b: }': 'bags: name 0 is no text: put it in quotes',
    'bags: {a/b: kitti.mcap}\nconfigurations: {b: }': "bags: name 'a/b': expected letters",
    'bags: {a: {bag: kitti.mcap, truth: t.txt}}\nconfigurations: {b: }': (
        r'bags.a.truth: no file .*t.txt; names of topics begin with /'
    ),
    'bags: {a: kitti.mcap}\nconfigurations: {b: {nodes: [deepv]}}': (
        "configurations.b.nodes: no 'deepv'; there are superpoint"
    ),
    'bags: {a: kitti.mcap}\nconfigurations: {b: {weights: {flownet: flownet_x}}}': (
        'configurations.b.weights.flownet: no file .*; the names of shipped weights are flownet'
    ),
    'bags: {a: kitti.mcap}\nconfigurations: {b: {parameters: {monodepth: {ppp: 1}}}}': (
        "configurations.b: monodepth has no parameter 'ppp'; did you mean 'pp'"
    ),
    'bags: {a: kitti.mcap}\nconfigurations: {b: {parameters: {monodepth: {pp: 1}}}}': (
        'configurations.b: monodepth: pp: expected bool, got 1'
    ),
    'bags: {a: kitti.mcap}\nconfigurations: {b: {parameters: {mono: {pp: true}}}}': (
        r"configurations.b.parameters: no 'mono'; there are superpoint.*/\*\*"
    ),
    'bags: {a: kitti.mcap}\nconfigurations: {b: {arguments: [--mode=x]}}': (
        "configurations.b.arguments: '--mode=x': the matrix sets this itself"
    ),
    'bags: {a: kitti.mcap}\nconfigurations: {b: }\nexclude: [{bag: c}]': (
        "exclude: bag: no 'c'; there are a"
    ),
    'bags: {a: kitti.mcap}\nconfigurations: {b: }\nexclude: [{bag: a}]': 'no cell',
    'bags: {a: kitti.mcap}\nconfigurations: {b: }\nexclude: [{}]': 'name a bag, a configuration',
    'bags: {a: kitti.mcap}\nconfigurations: {b: }\nray: {cpus: -1}': 'must not be below 0',
    'bags: [': 'no YAML',
}


@pytest.mark.parametrize('text', MISTAKES)
def test_a_mistake_is_told_with_its_file_and_place(folder, text):
    with pytest.raises(MatrixError, match=rf'matrix\.yaml: .*{MISTAKES[text]}'):
        load(written(folder, text))


def test_no_file(tmp_path):
    with pytest.raises(MatrixError, match='no such matrix file'):
        load(tmp_path / 'none.yaml')
