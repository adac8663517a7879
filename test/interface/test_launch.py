"""Launch arguments become nodes, parameters, names and variables in one place."""

from __future__ import annotations

import pytest
import yaml

from dlcv.interface import launch
from dlcv.interface.arguments import ARGUMENTS, LaunchError, checked
from dlcv.interface.nodes import NODES
from dlcv.interface.share import share_file


def test_every_argument_is_described_and_its_default_allowed():
    for argument in ARGUMENTS:
        assert argument.doc.endswith('.')
        assert not argument.choices or argument.default in argument.choices


def test_dsac_starts_with_a_map_only():
    assert [n.name for n in launch.selected('', '')] == list(launch.DEFAULT_NODES)
    assert [n.name for n in launch.selected('', 'x')] == [*launch.DEFAULT_NODES, 'dsac']
    assert [n.name for n in launch.selected(' dsac, flownet,dsac', '')] == ['dsac', 'flownet']


def test_an_unknown_node_is_answered_with_the_known():
    with pytest.raises(LaunchError, match="no node 'orb'; there are superpoint, flownet"):
        launch.selected('orb', '')


def test_stereo_takes_the_place_of_monodepth():
    names = [n.name for n in launch.selected('', '', stereo=True)]
    assert 'stereo' in names
    assert 'monodepth' not in names
    asked = [n.name for n in launch.selected('visual_odometry', '', stereo=True)]
    assert asked == ['visual_odometry', 'stereo']
    with pytest.raises(LaunchError, match='both publish depth/image_rect; name one of them'):
        launch.selected('monodepth,stereo', '')


def test_visual_odometry_takes_the_depth_of_stereo():
    values = {'stereo': 'true', 'right_image_topic': 'right/image_rect'}
    odometry, stereo = NODES['visual_odometry'], NODES['stereo']
    set_by = launch.overrides(odometry, values)
    settings = odometry.parameters(**set_by)
    assert (settings.depth_source, settings.scale_source) == ('stereo', 'depth')
    names = dict(launch.remappings(odometry, values, settings))
    assert names['depth/image'] == stereo.answer
    names = dict(launch.remappings(stereo, values))
    assert names['right/image'] == 'right/image_rect'
    assert names['right/camera_info'] == 'right/camera_info'
    camera = launch.overrides(odometry, {**values, 'depth_topic': 'tof/depth'})
    assert camera['depth_source'] == 'camera'


def test_segmentation_masks_what_can_move():
    values = {'segmentation': 'true', 'nodes': 'visual_odometry,slam'}
    names = [spec.name for spec in launch.chosen(values)]
    assert names == ['visual_odometry', 'slam', 'segmentation']
    assert launch.MOVERS.replace('segmentation', '~') in {
        topic.name for topic in NODES['segmentation'].outputs
    }
    for name in names[:2]:
        spec = NODES[name]
        assert dict(launch.remappings(spec, values))['mask'] == launch.MOVERS
        assert dict(launch.remappings(spec, {**values, 'mask_topic': 'm'}))['mask'] == 'm'
        assert 'mask' not in dict(launch.remappings(spec, {'nodes': name}))


def test_only_parameters_that_a_node_has_are_set():
    values = {'odom_frame': 'odom2', 'autostart': 'true', 'device': ''}
    assert launch.overrides(NODES['flownet'], values) == {'autostart': True}
    assert launch.overrides(NODES['deepvo'], values)['odom_frame'] == 'odom2'


def test_publish_tf_is_the_odometrys():
    values = {'publish_tf': 'true'}
    assert 'publish_tf' not in launch.overrides(NODES['dsac'], values)
    assert launch.overrides(NODES['visual_odometry'], values)['publish_tf'] is True


def test_nav2_takes_the_transform_away_and_renames_the_odometry():
    values = {'publish_tf': 'true', 'nav2': 'true'}
    spec = NODES['visual_odometry']
    assert launch.overrides(spec, values)['publish_tf'] is False
    assert ('~/odometry', 'camera_odom') in launch.remappings(spec, values)


def test_a_bag_means_simulated_time():
    assert launch.overrides(NODES['flownet'], {'bag': 'x'})['use_sim_time'] is True


def test_topics_of_the_camera_and_their_exceptions():
    names = dict(launch.remappings(NODES['flownet'], {'camera': 'left', 'image_topic': ''}))
    assert names['image'] == 'left/image_raw'
    assert names['image/compressed'] == 'left/image_raw/compressed'
    names = dict(launch.remappings(NODES['flownet'], {'image_topic': '/x', 'camera': 'left'}))
    assert (names['image'], names['camera_info']) == ('/x', 'left/camera_info')


@pytest.mark.parametrize(
    ('name', 'namespace', 'full'),
    [
        ('~/flow', '', '/flownet/flow'),
        ('~/flow', 'robot', '/robot/flownet/flow'),
        ('depth/color', '/robot/', '/robot/depth/color'),
        ('/diagnostics', 'robot', '/diagnostics'),
    ],
)
def test_full_names(name, namespace, full):
    assert launch.full_name(name, 'flownet', namespace) == full


def test_a_profile_of_the_user_is_kept():
    ours = launch.environment({}, 'ours.xml', colour=False)
    assert ours['FASTRTPS_DEFAULT_PROFILES_FILE'] == 'ours.xml'
    kept = launch.environment({'FASTDDS_DEFAULT_PROFILES_FILE': 'mine'}, 'ours.xml', colour=False)
    assert not any(name.startswith('FAST') for name in kept)
    assert 'MALLOC_MMAP_MAX_' in kept


def test_neither_true_nor_false_is_refused():
    with pytest.raises(LaunchError, match="'yes' is neither true nor false"):
        launch.overrides(NODES['deepvo'], {'publish_tf': 'yes'})


def test_image_qos_is_that_of_every_node():
    for name, spec in NODES.items():
        alone = {'nodes': name}
        given = launch.overrides(spec, alone | {'image_qos': 'reliable'})
        assert given == {'image_qos': 'reliable'}
        assert launch.overrides(spec, alone | {'image_qos': ''}) == {}


BOTH = {'nodes': 'deepvo,visual_odometry'}


def test_of_two_odometries_one_publishes_the_transform():
    for given in ({}, {'publish_tf': 'true'}):
        values = BOTH | given
        assert launch.owner(values) is NODES['visual_odometry']
        assert launch.overrides(NODES['deepvo'], values)['publish_tf'] is False
        assert launch.overrides(NODES['visual_odometry'], values).get('publish_tf', True) is True
    nav2 = BOTH | {'nav2': 'true'}
    for name in ('deepvo', 'visual_odometry'):
        assert launch.overrides(NODES[name], nav2)['publish_tf'] is False


def test_alone_deepvo_publishes_the_transform():
    values = {'nodes': 'deepvo,flownet'}
    assert launch.owner(values) is NODES['deepvo']
    assert 'publish_tf' not in launch.overrides(NODES['deepvo'], values)
    assert launch.owner({'nodes': 'flownet'}) is None


def test_the_owners_odometry_is_that_for_others():
    values = BOTH | {'odom_topic': '/odom'}
    assert ('~/odometry', '/odom') in launch.remappings(NODES['visual_odometry'], values)
    assert '~/odometry' not in dict(launch.remappings(NODES['deepvo'], values))


def test_what_helps_visual_odometry_has_its_topics():
    spec = NODES['visual_odometry']
    names = dict(launch.remappings(spec, BOTH))
    assert names['keypoints'] == 'superpoint/keypoints'
    assert names['depth/image'] == 'depth/image_rect'  # that of monodepth
    assert names['depth/camera_info'] == 'depth/camera_info'
    assert not {'right/image', 'wheel/odometry', 'imu', 'mask'} & set(names)
    given = {
        'depth_topic': '/cam/depth/image_raw', 'right_image_topic': '/cam/right/image_rect',
        'wheel_topic': '/diff_drive/odom', 'imu_topic': 'imu/data', 'mask_topic': 'mask/raw',
    }  # fmt: skip
    names = dict(launch.remappings(spec, BOTH | given))
    assert names['depth/image'] == '/cam/depth/image_raw'
    assert names['depth/camera_info'] == '/cam/depth/camera_info'
    assert names['right/image'] == '/cam/right/image_rect'
    assert names['right/camera_info'] == '/cam/right/camera_info'
    assert (names['wheel/odometry'], names['imu']) == ('/diff_drive/odom', 'imu/data')
    assert names['mask'] == 'mask/raw'
    assert not set(names) & {'keypoints', 'imu'} & set(launch.remappings(NODES['deepvo'], BOTH))


def test_depth_that_is_named_is_a_cameras():
    spec = NODES['visual_odometry']
    assert 'depth_source' not in launch.overrides(spec, BOTH)
    named = BOTH | {'depth_topic': '/cam/depth'}
    assert launch.overrides(spec, named)['depth_source'] == 'camera'
    camera = spec.parameters(depth_source='camera')  # as a parameter file says
    assert 'depth/image' not in dict(launch.remappings(spec, BOTH, camera))


def test_the_height_of_the_camera_is_a_number():
    spec = NODES['visual_odometry']
    assert launch.overrides(spec, {'camera_height': '1.65'})['camera_height'] == 1.65
    with pytest.raises(LaunchError, match="camera_height: 'tall' is no number"):
        checked(ARGUMENTS, {'camera_height': 'tall'})


@pytest.mark.parametrize('localize_only', [True, False])
def test_a_map_that_is_named_is_written_unless_it_is_only_looked_at(localize_only):
    given = launch.overrides(
        NODES['slam'], {'map': 'a.safetensors', 'localize_only': str(localize_only).lower()}
    )
    assert given['map_file'] == 'a.safetensors'
    assert given['save_on_exit'] is not localize_only
    assert 'save_on_exit' not in launch.overrides(NODES['slam'], {})


def test_slam_goes_by_the_odometry_that_is_started_wherever_that_goes():
    spec = NODES['slam']

    def odometry(**values):
        return dict(launch.remappings(spec, values)).get('odometry')

    assert odometry(nodes='slam') is None
    assert odometry(nodes='visual_odometry,slam') == 'visual_odometry/odometry'
    assert odometry(nodes='deepvo,slam') == 'deepvo/odometry'
    assert odometry(nodes='visual_odometry,slam', nav2='true') == 'camera_odom'
    assert odometry(nodes='visual_odometry,slam', odom_topic='/odom') == '/odom'
    assert odometry(nodes='slam', odom_topic='/wheel/odom') == '/wheel/odom'
    given = launch.overrides(spec, {'nodes': launch.SLAM_NODES, 'stereo': 'true'})
    assert (given['depth_source'], given['scale_source']) == ('stereo', 'depth')
    dense = spec.parameters(depth_source='stereo')
    assert dict(launch.remappings(spec, {}, dense))['depth/image'] == NODES['stereo'].answer
    names = dict(launch.remappings(spec, {'depth_topic': '/d/image', 'imu_topic': '/imu'}))
    assert names['depth/image'] == '/d/image'
    assert names['depth/camera_info'] == '/d/camera_info'
    assert 'imu' not in names


def test_the_file_for_nav2_fits_what_slam_publishes():
    spec, nav2 = NODES['slam'], yaml.safe_load(share_file('config/nav2.yaml').read_text())
    given = {name: one.get('ros__parameters') for name, one in nav2.items()}
    whole, near = (nav2[f'{name}_costmap'][f'{name}_costmap']['ros__parameters']
                   for name in ('global', 'local'))  # fmt: skip
    p = spec.parameters()
    assert whole['grid']['map_topic'] in {f'/{topic.name}' for topic in spec.outputs}
    assert (whole['global_frame'], near['global_frame']) == (p.map_frame, p.odom_frame)
    assert {whole['robot_base_frame'], near['robot_base_frame']} == {p.base_frame}
    for one in (whole, near):
        assert one['transform_tolerance'] > p.transform_tolerance
        assert set(one['plugins']) <= set(one)
        seen = one['obstacles']['depth']
        assert (seen['min_obstacle_height'], seen['max_obstacle_height']) == (
            p.grid_lowest, p.grid_highest,
        )  # fmt: skip
    asked = {one['odom_topic'] for one in given.values() if one and 'odom_topic' in one}
    assert asked == {'/odom'}
