"""Each parameter checks itself, whoever sets it; the contract agrees with its own tables."""

from __future__ import annotations

import pytest

from dlcv.interface.nodes import NODES, QOS_TEXT
from dlcv.interface.parameters import (
    DeepVOParameters,
    FlowNetParameters,
    MonodepthParameters,
    ParameterError,
    SuperPointParameters,
    describe,
)

ALL = [(spec, p) for spec in NODES.values() for p in describe(spec.parameters)]


@pytest.mark.parametrize('spec', NODES.values(), ids=lambda spec: spec.name)
def test_defaults_are_allowed(spec):
    spec.parameters()


@pytest.mark.parametrize(('spec', 'p'), ALL, ids=lambda x: x.name)
def test_every_parameter_is_described_and_every_number_bounded(spec, p):
    assert p.doc.endswith('.')
    if isinstance(p.default, int | float) and not isinstance(p.default, bool):
        assert p.low is not None
        assert p.high is not None


@pytest.mark.parametrize('spec', NODES.values(), ids=lambda spec: spec.name)
def test_topics_have_known_qos_and_no_leading_slash_but_global_ones(spec):
    for topic in (*spec.inputs, *spec.outputs):
        assert topic.qos in QOS_TEXT
        assert topic.doc.endswith('.')
        assert not topic.name.startswith('/') or topic.name in ('/tf', '/tf_static', '/diagnostics')


def test_conditions_of_outputs_are_parameters():
    for spec in NODES.values():
        names = {p.name for p in describe(spec.parameters)}
        assert {t.when for t in spec.outputs if t.when} <= names


@pytest.mark.parametrize(
    ('cls', 'values', 'words'),
    [
        (SuperPointParameters, {'max_keypoints': 0}, r'max_keypoints: 0 is outside 1\.\.8192'),
        (SuperPointParameters, {'max_keypoints': 1.0}, 'max_keypoints: expected int, got 1.0'),
        (SuperPointParameters, {'max_keypoints': True}, 'max_keypoints: expected int, got True'),
        (SuperPointParameters, {'resize_long_side': 63}, r'63 is outside 64\.\.4096'),
        (SuperPointParameters, {'match_ratio': float('nan')}, 'match_ratio: nan is outside'),
        (SuperPointParameters, {'device': 'gpu'}, "device: 'gpu' is none of auto, cpu, cuda"),
        (SuperPointParameters, {'device': 'cuda:'}, "device: 'cuda:' is none of"),
        (SuperPointParameters, {'weights_sha256': 'ab'}, 'expected 64 hex digits'),
        (FlowNetParameters, {'output_stride': 3}, '3 is none of 1, 2, 4'),
        (MonodepthParameters, {'min_depth': 5.0, 'max_depth': 4.0}, 'is not below max_depth'),
        (DeepVOParameters, {'twist_stddev': (1.0,)}, 'expected 6 numbers, got 1'),
        (DeepVOParameters, {'twist_stddev': (1, 2, 3, 4, 5, 6)}, r'expected double\[\]'),
    ],
)
def test_a_refused_value_is_named_with_its_range(cls, values, words):
    with pytest.raises(ParameterError, match=words):
        cls(**values)


@pytest.mark.parametrize('device', ['auto', 'cpu', 'cuda', 'cuda:0', 'cuda:12'])
def test_devices(device):
    assert SuperPointParameters(device=device).device == device


def test_frames_have_no_leading_slash():
    p = DeepVOParameters(odom_frame='/odom', base_frame='/base_link', camera_frame='/camera')
    assert (p.odom_frame, p.base_frame, p.camera_frame) == ('odom', 'base_link', 'camera')
