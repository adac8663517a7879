from __future__ import annotations

import numpy as np
import torch

from dlcv.classes import CLASSES, NUMBER, UNLABELLED, colours, table_text
from dlcv.data.world import WorldRecording
from dlcv.data.world.recording import renderer_of, stage_of
from dlcv.data.world.scene import Light, SceneBuilder, Surface, place, shows
from dlcv.data.world.stage import Extras
from dlcv.things import KIND_NUMBER

LIVES = {
    'room': {'floor', 'wall', 'ceiling', 'furniture', 'window', 'vehicle', 'other'},
    'corridor': {'floor', 'wall', 'ceiling', 'door', 'sign', 'vehicle'},
    'street': {'road', 'pavement', 'ground', 'building', 'sky', 'vegetation', 'vehicle', 'sign'},
}


def test_the_inner_label_holds():
    @shows('vehicle')
    def car(builder):
        with builder.label('sign'):
            builder.quad((0, 0, 0), (1, 0, 0), (0, 0, 1), Surface(texture='grey'))
        builder.box(place(0, 0), (1, 1, 1), Surface(texture='grey'))

    builder = SceneBuilder({'grey': lambda rng: np.ones((8, 8, 3), np.float32)}, 0)
    car(builder)
    builder.quad((0, 0, 0), (1, 0, 0), (0, 0, 1), Surface(texture='grey'))
    names = [CLASSES[number].name for number in builder.build(Light()).label]
    assert names == ['sign', *['vehicle'] * 5, 'other']


def test_worlds_tell_what_their_surfaces_are(clip):
    recording, snapshots = clip
    scene = stage_of(recording.scene, 3, Extras()).scene
    found = {CLASSES[number].name for number in scene.label}
    assert found >= LIVES[recording.scene]
    assert (scene.label[scene.infinite] == NUMBER['sky']).all()
    level = np.isin(scene.label, [NUMBER[name] for name in ('road', 'ground')])
    assert (scene.normal[level][:, 2] > 0.99).all()
    if recording.scene == 'street':
        assert {CLASSES[i].name for i in scene.label[scene.body > 0]} == {'vehicle'}
    assert all(snapshot.labels is None for snapshot in snapshots)


def test_a_picture_has_labels_if_asked_for(room):
    plain, snapshots = room
    asked = WorldRecording('room', seed=3, camera=plain.camera, frames=2, labels=True, workers=1)
    for before, after in zip(snapshots, asked, strict=True):
        assert (before.frame.image == after.frame.image).all()
        assert after.labels is not None
        assert after.labels.dtype == np.uint8
        label = stage_of('room', 3, Extras()).scene.label
        assert (after.labels == label[after.patch]).all()


def test_nothing_is_unlabelled():
    renderer = renderer_of('room', 3, Extras(), 'cpu', 0)
    assert renderer.labels(torch.tensor([[-1, 0]])).tolist()[0][0] == UNLABELLED


def test_the_table_says_who_moves():
    lines = table_text().splitlines()
    assert lines[NUMBER['person']].split()[1:] == ['person', '220', '20', '60', 'moves']
    assert lines[NUMBER['road']].endswith('traversable')
    assert len({tuple(c) for c in colours()[: len(CLASSES)].tolist()}) == len(CLASSES) <= 16


def test_people_change_nothing_else():
    empty, peopled = (stage_of('room', 3, Extras(people=n)) for n in (0, 2))
    person = peopled.scene.label == NUMBER['person']
    assert person.any()
    assert set(peopled.scene.body[person]) == {empty.scene.bodies + 1, empty.scene.bodies + 2}
    assert set(peopled.scene.kinds[peopled.scene.thing[person]]) == {KIND_NUMBER['person']}
    assert (peopled.scene.origin[~person] == empty.scene.origin).all()
    assert (peopled.scene.uv_offset[~person] == empty.scene.uv_offset).all()
    assert peopled.scene.origin[person][:, 2].max() < 2.0
    moves = peopled.world_from_rest(np.array([0.0, 1.0]))
    assert (moves[0, -2:] != moves[1, -2:]).any((1, 2)).all()
