"""The RViz and Foxglove layouts show what the nodes publish, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from dlcv.interface.launch import full_name
from dlcv.interface.nodes import NODES

CONFIG = Path(__file__).parents[2] / 'config'
OUTPUTS = {full_name(t.name, s.name, ''): t.type for s in NODES.values() for t in s.outputs}
OTHERS = {'/camera/image_raw', '/camera/camera_info', '/depth/points', '/initial_pose'}
DRAWN = (  # what a person looks at; the rest is for programs, or the same in other units
    '/superpoint/overlay', '/superpoint/keypoints', '/flownet/color', '/depth/color',
    '/visual_odometry/odometry', '/visual_odometry/path', '/visual_odometry/landmarks',
    '/visual_odometry/tracks', '/deepvo/path', '/dsac/pose', '/dsac/hypotheses',
    '/map', '/slam/path', '/slam/graph', '/slam/landmarks', '/slam/pose',
)  # fmt: skip


def rviz_topics() -> list[str]:
    view = yaml.safe_load((CONFIG / 'vo.rviz').read_text())
    displays = view['Visualization Manager']['Displays']
    return ['/' + d['Topic']['Value'] for d in displays if 'Topic' in d]


def foxglove_topics() -> list[str]:
    def walk(node):
        if isinstance(node, dict):
            for key, value in node.items():
                yield key
                yield from walk(value)
        elif isinstance(node, list):
            for value in node:
                yield from walk(value)
        else:
            yield node

    layout = json.loads((CONFIG / 'foxglove.json').read_text())
    texts = (text for text in walk(layout) if isinstance(text, str) and text.startswith('/'))
    return [text.partition('.')[0] for text in texts]


@pytest.mark.parametrize('topics', [rviz_topics(), foxglove_topics()], ids=['rviz', 'foxglove'])
def test_all_outputs_are_shown(topics):
    assert set(topics) <= {*OUTPUTS, *OTHERS}
    assert set(DRAWN) <= set(topics)


def test_diagnostics_are_shown_where_there_is_a_panel_for_them():
    assert '/diagnostics' in foxglove_topics()


def test_the_displays_of_rviz_fit_the_types():
    view = yaml.safe_load((CONFIG / 'vo.rviz').read_text())
    for display in view['Visualization Manager']['Displays']:
        topic = '/' + display.get('Topic', {}).get('Value', '')
        if topic in OUTPUTS:
            kind = display['Class'].removeprefix('rviz_default_plugins/')
            kind = {'Map': 'OccupancyGrid'}.get(kind, kind)
            assert OUTPUTS[topic].rpartition('/')[2].startswith(kind), display['Name']


def test_every_panel_of_foxglove_is_in_its_layout():
    layout = json.loads((CONFIG / 'foxglove.json').read_text())
    placed = json.dumps(layout['layout'])
    assert [panel for panel in layout['configById'] if f'"{panel}"' not in placed] == []
