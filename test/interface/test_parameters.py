"""Each parameter checks itself, whoever sets it; the contract agrees with its own tables."""

from __future__ import annotations

import pytest

from dlcv.interface.nodes import NODES, QOS_TEXT
from dlcv.interface.odometry_parameters import DeepVOParameters
from dlcv.interface.parameters import (
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
        (FlowNetParameters, {'resize_long_side': 63}, r'63 is outside 64\.\.4096'),
        (FlowNetParameters, {'resize_long_side': 4097}, r'4097 is outside 0\.\.4096'),
        (FlowNetParameters, {'output_stride': 3}, '3 is none of 1, 2, 4'),
        (MonodepthParameters, {'min_depth': 5.0, 'max_depth': 4.0}, 'is not below max_depth'),
        (DeepVOParameters, {'twist_stddev': (1.0,)}, 'expected 6 numbers, got 1'),
        (DeepVOParameters, {'twist_stddev': ('1',) * 6}, r'expected double\[\]'),
        (DeepVOParameters, {'twist_stddev': (True,) * 6}, r'expected double\[\]'),
        (DeepVOParameters, {'twist_stddev': 'flat'}, r"expected double\[\], got the text 'flat'"),
        (SuperPointParameters, {'max_rate': True}, 'max_rate: expected double, got True'),
        (SuperPointParameters, {'max_rate': 10**400}, 'max_rate: expected double, got 1000'),
        (
            SuperPointParameters,
            {'max_rate': '5'},
            "expected double, got the text '5': write 5.0 without quotes",
        ),
        (
            SuperPointParameters,
            {'nms_radius': '5'},
            "expected int, got the text '5': write 5 without quotes",
        ),
        (SuperPointParameters, {'nms_radius': 'wide'}, "expected int, got the text 'wide'$"),
        (
            DeepVOParameters,
            {'publish_tf': 'True'},
            "publish_tf: expected bool, got the text 'True': write true without quotes",
        ),
        (DeepVOParameters, {'publish_tf': 'maybe'}, "got the text 'maybe': it is true or false"),
        (DeepVOParameters, {'publish_tf': 1}, 'publish_tf: expected bool, got 1'),
    ],
)
def test_a_refused_value_is_named_with_its_range(cls, values, words):
    with pytest.raises(ParameterError, match=words):
        cls(**values)


@pytest.mark.parametrize(('spec', 'p'), ALL, ids=lambda x: x.name)
def test_a_whole_number_is_a_double_where_one_is_wanted(spec, p):
    whole = {float: 1, tuple: (1,) * 6}.get(type(p.default))
    if whole is None:
        return
    values = {'min_depth': 0.5, 'max_depth': 5.0} if spec.name == 'monodepth' else {}
    taken = getattr(spec.parameters(**{**values, p.name: whole}), p.name)
    assert taken == whole
    assert all(type(v) is float for v in (taken if isinstance(taken, tuple) else [taken]))


@pytest.mark.parametrize('device', ['auto', 'cpu', 'cuda', 'cuda:0', 'cuda:12'])
def test_devices(device):
    assert SuperPointParameters(device=device).device == device


def test_frames_have_no_leading_slash():
    p = DeepVOParameters(odom_frame='/odom', base_frame='/base_link', camera_frame='/camera')
    assert (p.odom_frame, p.base_frame, p.camera_frame) == ('odom', 'base_link', 'camera')
