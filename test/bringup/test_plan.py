"""What launch arguments start, and what is refused before anything is started."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dlcv.bringup import make_plan
from dlcv.interface.arguments import ARGUMENTS, LaunchError
from dlcv.interface.nodes import NODES
from dlcv.interface.parameters import ParameterError
from dlcv.types import Camera, Frame, Snapshot

TRUTH = '/ground_truth/odometry'


def plan(**given):
    return make_plan(given, {}, colour=False)


def start(name, **given):
    (found,) = [node for node in plan(**given).nodes if node.spec.name == name]
    return found


def names(**given):
    return [node.spec.name for node in plan(**given).nodes]


class TwoPictures:
    """A black recording from a camera at rest."""

    name, baseline = 'two', 0.0
    camera = Camera(width=8, height=6, fx=5.0, fy=5.0, cx=3.5, cy=2.5)

    def __len__(self):
        return 2

    def __iter__(self):
        for stamp_ns in (10**9, 2 * 10**9):
            black = np.zeros((6, 8, 3), np.uint8)
            frame = Frame(stamp_ns=stamp_ns, image=black, camera=self.camera)
            yield Snapshot(frame=frame, world_from_camera=np.eye(4))


@pytest.fixture(scope='session')
def bag(tmp_path_factory):
    """A bag of two pictures with calibration and truth."""
    pytest.importorskip('rosbags', reason='rosbags is not installed')
    from dlcv.data.bags import write_recording

    path = tmp_path_factory.mktemp('bag') / 'two.mcap'
    write_recording(TwoPictures(), path)
    return str(path)


def test_without_arguments_all_nodes_but_the_localizer():
    assert names() == ['superpoint', 'flownet', 'monodepth', 'visual_odometry', 'deepvo']


def test_a_map_adds_the_localizer_and_is_its_weights(tmp_path):
    path = tmp_path / 'scene.safetensors'
    path.touch()
    assert start('dsac', map=str(path)).parameters['weights'] == str(path)
    assert names(map=str(path))[:-1] == names()


def test_a_subset_is_started_once_and_in_order():
    assert names(nodes='deepvo, superpoint,deepvo') == ['deepvo', 'superpoint']


def test_nodes_manage_themselves_unless_told_otherwise():
    assert start('superpoint').parameters == {'autostart': True}
    assert start('superpoint', autostart='false').parameters == {'autostart': False}


def test_what_a_robot_tells_all_its_nodes_is_passed_over_and_named(tmp_path):
    path = tmp_path / 'robot.yaml'
    path.write_text('/**: {ros__parameters: {robot_radius: 0.3}}')
    warnings = plan(params_file=str(path), nodes='superpoint,deepvo').warnings
    assert [text.partition(':')[0] for text in warnings] == ['superpoint', 'deepvo']
    assert all("'robot_radius'" in text for text in warnings)
    assert plan().warnings == []


@pytest.mark.parametrize('name', ['odom_frame', 'base_frame', 'publish_tf', 'device'])
def test_what_is_not_given_stays_as_the_file_says(name):
    assert name not in start('visual_odometry').parameters


def test_arguments_reach_the_nodes_that_have_them():
    given = {'odom_frame': 'o', 'map_frame': 'm', 'publish_tf': 'false', 'device': 'cuda:1'}
    assert start('deepvo', **given).parameters == {
        'autostart': True, 'device': 'cuda:1', 'odom_frame': 'o', 'publish_tf': False,
    }  # fmt: skip
    assert start('dsac', nodes='dsac', **given).parameters == {
        'autostart': True, 'device': 'cuda:1', 'odom_frame': 'o', 'map_frame': 'm',
    }  # fmt: skip
    assert start('flownet', **given).parameters == {'autostart': True, 'device': 'cuda:1'}


def test_all_nodes_listen_to_the_camera():
    for name in NODES:
        (node,) = plan(camera='/front', nodes=name).nodes
        assert node.resolve('image') == '/front/image_raw'
        assert node.resolve('image/compressed') == '/front/image_raw/compressed'
        assert node.resolve('camera_info') == '/front/camera_info'


def test_a_relative_camera_lies_in_the_namespace():
    assert start('deepvo', namespace='robot').resolve('image') == '/robot/camera/image_raw'


def test_topics_may_be_named_one_by_one():
    node = start('deepvo', image_topic='/a/rect', camera_info_topic='/b/info')
    assert (node.resolve('image'), node.resolve('camera_info')) == ('/a/rect', '/b/info')


def test_the_nav2_preset_leaves_the_transform_to_the_filter():
    node = start('visual_odometry', nav2='true', namespace='robot')
    assert node.parameters['publish_tf'] is False
    assert '/tf' not in node.outputs
    assert node.resolve('~/odometry') == '/robot/camera_odom'


@pytest.mark.parametrize(
    ('given', 'topic'),
    [
        ({'odom_topic': '/odom'}, '/odom'),
        ({'odom_topic': 'odom'}, '/robot/odom'),
        ({'odom_topic': 'vo/odom', 'nav2': 'true'}, '/robot/vo/odom'),
        ({'odom_topic': ''}, '/robot/visual_odometry/odometry'),
    ],
)
def test_the_odometry_may_go_where_nav2_listens(given, topic):
    node = start('visual_odometry', namespace='robot', **given)
    assert topic in node.outputs
    assert start('deepvo', namespace='robot', **given).resolve('~/odometry') == (
        '/robot/deepvo/odometry'
    )
    assert len([pair for pair in node.remappings if pair[0] == '~/odometry']) <= 1
    assert not any(pair[0] == '~/odometry' for pair in start('flownet', **given).remappings)


def test_the_report_knows_where_the_odometry_went(bag, tmp_path):
    given = {'bag': bag, 'record': str(tmp_path / 'o.mcap'), 'evaluate': TRUTH}
    moved = plan(**given, odom_topic='odom', namespace='robot', camera='/camera')
    assert '/robot/odom' in moved.recorder
    assert moved.report[moved.report.index('--odometry') + 1] == '/robot/odom'
    assert '--odometry' not in plan(**given).report
    assert '--odometry' not in plan(**given, odom_topic='odom', nodes='flownet').report


def test_the_arguments_of_a_node():
    node = start(
        'deepvo',
        nodes='deepvo',
        namespace='/robot/',
        params_file=str(config('demo.yaml')),
        nav2='true',
    )
    assert node.arguments == (
        '--ros-args', '-r', '__ns:=/robot', '--params-file', str(config('demo.yaml')),
        '-p', 'autostart:=true', '-p', 'publish_tf:=false',
        '-r', 'image:=camera/image_raw', '-r', 'image/compressed:=camera/image_raw/compressed',
        '-r', 'camera_info:=camera/camera_info', '-r', '~/odometry:=camera_odom',
        '--log-level', 'info',
    )  # fmt: skip


def config(name: str) -> Path:
    return Path(__file__).parents[2] / 'config' / name


def test_the_outputs_are_those_that_the_file_asks_for(tmp_path):
    node = start('dsac', nodes='dsac')
    assert node.outputs == ['/dsac/pose', '/dsac/hypotheses', '/dsac/handled', '/diagnostics']
    path = tmp_path / 'p.yaml'
    path.write_text('/**:\n  ros__parameters: {publish_tf: true, publish_initialpose: true}\n')
    node = start('dsac', nodes='dsac', params_file=str(path))
    assert {*node.outputs} >= {'/tf', '/initialpose'}


def test_a_bag_brings_its_time_and_its_player(bag):
    played = plan(bag=bag, bag_rate='2')
    assert all(node.parameters['use_sim_time'] for node in played.nodes)
    assert played.player[:7] == ('-m', 'dlcv', 'play', bag, '--clock', '--rate', '2')
    assert played.player[-2:] == ('--wait-subscribers', '5')
    assert (played.recorder, played.report) == ((), ())


def test_a_recording_holds_every_output_once_and_what_the_bag_adds(bag, tmp_path):
    out = str(tmp_path / 'out.mcap')
    recorded = plan(bag=bag, record=out, evaluate=TRUTH)
    topics = recorded.recorder[recorded.recorder.index('--topics') + 1 :]
    outputs = {name for node in recorded.nodes for name in node.outputs}
    assert {*topics} == {*outputs, '/tf_static', TRUTH}
    assert len(topics) == len({*topics})
    assert '--use-sim-time' in recorded.recorder
    assert '--wait-for-recorder' in recorded.player


def test_a_recording_of_inputs_is_enough_to_make_a_map_of(bag, tmp_path):
    for given in ({'bag': bag}, {}):
        recorded = plan(record=str(tmp_path / 'out.mcap'), record_inputs='true', **given)
        topics = recorded.recorder[recorded.recorder.index('--topics') + 1 :]
        assert {'/camera/image_raw', '/camera/camera_info', '/tf_static'} <= {*topics}
        assert '/visual_odometry/odometry' in topics
        assert len(topics) == len({*topics})


def test_the_report_lies_beside_the_recording(bag, tmp_path):
    out = tmp_path / 'out.mcap'
    given = {'namespace': '/robot/', 'camera': '/camera', 'evaluate': TRUTH}
    report = plan(bag=bag, record=str(out), **given).report
    options = dict(zip(report[4::2], report[5::2], strict=True))
    assert report[:4] == ('-m', 'dlcv', 'evaluate', bag)
    assert options == {
        '--answers': str(out), '-o': str(tmp_path / 'out_evaluation'), '--namespace': 'robot',
        '--images': '/camera/image_raw', '--truth': TRUTH,
    }  # fmt: skip


def test_the_truth_may_be_transforms_or_a_file(bag, tmp_path):
    poses = tmp_path / 'poses.txt'
    poses.touch()
    for truth in ('/tf', '/tf:world:base_link', str(poses)):
        report = plan(bag=bag, record=str(tmp_path / 'out.mcap'), evaluate=truth).report
        assert report[-2:] == ('--truth', truth)


def test_a_live_recording_needs_no_bag(tmp_path):
    recorded = plan(record=str(tmp_path / 'out'))
    assert '--use-sim-time' not in recorded.recorder
    assert '/tf_static' not in recorded.recorder


def test_respawn():
    assert plan().respawn_delay is None
    assert plan(use_respawn='true', respawn_delay='0.5').respawn_delay == 0.5


def test_environment_brings_the_profile_and_leaves_what_is_set():
    present = {'FASTRTPS_DEFAULT_PROFILES_FILE': '/mine.xml', 'MALLOC_TOP_PAD_': '1'}
    kept = make_plan({}, present, colour=True).environment
    assert not {*kept} & {*present, 'FASTDDS_DEFAULT_PROFILES_FILE'}
    assert kept['RCUTILS_COLORIZED_OUTPUT'] == '1'
    ours = plan().environment
    assert Path(ours['FASTRTPS_DEFAULT_PROFILES_FILE']).name == 'fastdds_shm.xml'
    assert ours['RCUTILS_COLORIZED_OUTPUT'] == '0'


def test_an_asked_for_profile_goes_before_one_that_is_set(tmp_path):
    path = tmp_path / 'p.xml'
    path.touch()
    present = {'FASTRTPS_DEFAULT_PROFILES_FILE': '/mine.xml'}
    made = make_plan({'fastdds_profile': str(path)}, present, colour=False)
    assert made.environment['FASTRTPS_DEFAULT_PROFILES_FILE'] == str(path)


@pytest.mark.parametrize(
    ('given', 'message'),
    [
        ({'nodes': 'superpoint,orb'}, "no node 'orb'; there are superpoint, flownet"),
        ({'map': 'nix'}, 'map: no file nix'),
        ({'fastdds_profile': 'nix'}, 'fastdds_profile: no file nix'),
        ({'use_respawn': 'maybe'}, "use_respawn: 'maybe' is none of true, false"),
        ({'log_level': 'loud'}, "log_level: 'loud' is none of debug, info, warn"),
        ({'use_respawn': 'true', 'respawn_delay': 'x'}, "respawn_delay: 'x' is no number"),
        ({'respawn_delay': '-3'}, 'respawn_delay: -3 is below 0'),
        ({'namespace': 'a b'}, "namespace: 'a b' is no ROS name"),
        ({'namespace': 'bad-ns'}, "namespace: 'bad-ns' is no ROS name"),
        ({'camera': 'bad-name'}, "camera: 'bad-name' is no ROS name, such as robot/front"),
        ({'camera': '/a//b'}, "camera: '/a//b' is no ROS name"),
        ({'camera': '2nd'}, "camera: '2nd' is no ROS name"),
        ({'image_topic': 'front image'}, "image_topic: 'front image' is no name of a topic"),
        ({'image_topic': 'front/'}, "image_topic: 'front/' is no name of a topic"),
        ({'camera_info_topic': '/a/b:c'}, "camera_info_topic: '/a/b:c' is no name of a topic"),
        ({'odom_topic': 'my odom'}, "odom_topic: 'my odom' is no name of a topic"),
        ({'odom_frame': 'my odom'}, "odom_frame: 'my odom' is no name of a frame"),
        ({'base_frame': 'base\tlink'}, 'base_frame: .* is no name of a frame'),
        ({'map_frame': 'a//b'}, "map_frame: 'a//b' is no name of a frame"),
        ({'respawn_delay': 'nan'}, 'respawn_delay: nan is not finite'),
        ({'respawn_delay': 'inf'}, 'respawn_delay: inf is not finite'),
        ({'bag_rate': 'fast'}, "bag_rate: 'fast' is no number"),
        ({'bag_rate': 'nan'}, 'bag_rate: nan is not finite'),
        ({'publish_tf': 'yes'}, "publish_tf: 'yes' is none of true, false"),
        ({'device': 'gpu'}, "superpoint: device: 'gpu' is none of auto, cpu, cuda, cuda:N"),
        ({'evaluate': '/t'}, 'evaluate: needs bag .* and record'),
        ({'record': '/'}, 'record: / is there already'),
        ({'record': 'out.db3'}, r'record: out\.db3: bags are written as NAME\.mcap'),
        ({'record': f'{__file__}/out.mcap'}, 'record: .* cannot be made in .*test_plan'),
        ({'record_inputs': 'true'}, 'record_inputs: needs record'),
    ],
)
def test_nonsense_is_refused(given, message):
    with pytest.raises(LaunchError, match=message):
        plan(**given)


@pytest.mark.parametrize('camera', ['/front/', 'front', 'robot_1/front', '/', '_x'])
def test_a_camera_may_be_any_namespace(camera):
    name = start('superpoint', camera=camera).resolve('image')
    assert name == f'/{camera.strip("/")}/image_raw'.replace('//', '/')


@pytest.mark.parametrize('text', ['True', 'TRUE', 'true'])
def test_switches_and_choices_may_have_capitals(text):
    assert start('deepvo', use_sim_time=text, log_level='INFO') == start(
        'deepvo', use_sim_time='true', log_level='info'
    )


def test_missing_weights_are_named_before_anything_runs(tmp_path):
    path = tmp_path / 'mine.yaml'
    path.write_text('superpoint:\n  ros__parameters:\n    weights: no/such.pth\n')
    with pytest.raises(LaunchError, match=r'superpoint: weights: no file no/such\.pth'):
        plan(params_file=str(path))


def test_weights_may_be_the_name_of_shipped_ones(tmp_path):
    path = tmp_path / 'mine.yaml'
    path.write_text('flownet:\n  ros__parameters:\n    weights: flownet_c\n')
    (node,) = plan(params_file=str(path), nodes='flownet').nodes
    assert node.settings.weights == 'flownet_c'
    path.write_text('flownet:\n  ros__parameters:\n    weights: flownet_x\n')
    with pytest.raises(LaunchError, match=r'no file flownet_x; .* are flownet_s, flownet_c'):
        plan(params_file=str(path), nodes='flownet')


def test_a_missing_parameter_file_is_refused():
    with pytest.raises(ParameterError, match=r'nix\.yaml: no such parameter file'):
        plan(params_file='nix.yaml')


def test_a_bag_without_the_cameras_images_says_where_they_are(bag):
    with pytest.raises(
        LaunchError, match=r'no images on /front/image_raw, .* /camera/image_raw: set'
    ):
        plan(bag=bag, camera='front')


@pytest.mark.parametrize(
    ('given', 'message'),
    [
        ({'evaluate': '/nix'}, 'no topic /nix'),
        ({'evaluate': '/camera/image_raw'}, 'image_raw is sensor_msgs'),
    ],
)
def test_a_bag_without_the_truth_is_refused(bag, tmp_path, given, message):
    from dlcv.data.bags import BagError

    with pytest.raises(BagError, match=message):
        plan(bag=bag, record=str(tmp_path / 'o'), **given)


def test_an_unreadable_bag_is_refused(tmp_path):
    pytest.importorskip('rosbags', reason='rosbags is not installed')
    from dlcv.data.bags import BagError

    path = tmp_path / 'broken.mcap'
    path.write_bytes(np.random.default_rng(0).bytes(1000))
    for name in (path, tmp_path / 'nix'):
        with pytest.raises(BagError, match=name.name):
            plan(bag=str(name))


def test_a_bag_that_stands_still_is_refused(bag):
    with pytest.raises(LaunchError, match='bag_rate: 0 is not above 0'):
        plan(bag=bag, bag_rate='0')


def test_every_argument_is_described():
    assert [a.name for a in ARGUMENTS if not a.doc.endswith('.')] == []
    assert len({a.name for a in ARGUMENTS}) == len(ARGUMENTS)


def test_a_tilde_is_the_home_in_every_path(tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    (tmp_path / 'a.safetensors').write_text('')
    made = plan(map='~/a.safetensors', record='~/out.mcap')
    (localizer,) = [node for node in made.nodes if node.spec.name == 'dsac']
    assert localizer.parameters['weights'] == str(tmp_path / 'a.safetensors')
    assert str(tmp_path / 'out.mcap') in made.recorder
    (tmp_path / 'a.yaml').write_text('/**:\n  ros__parameters: {weights: ~/none.pth}\n')
    with pytest.raises(LaunchError, match=r'superpoint: weights: no file ~/none\.pth'):
        plan(params_file='~/a.yaml', nodes='superpoint')


def test_a_bag_of_pictures_that_are_not_read_names_their_encoding(tmp_path):
    pytest.importorskip('rosbags', reason='rosbags is not installed')
    from dlcv.data.bags import BagError, BagWriter
    from dlcv.data.bags.vocabulary import COMPOSER, IMAGE

    with BagWriter(tmp_path / 'a.mcap') as bag:
        bag.add_topic('/camera/image_raw', IMAGE)
        image = COMPOSER.image(COMPOSER.header(1, 'c'), np.zeros((2, 2), np.uint8))
        image.encoding = 'nv24'
        bag.write('/camera/image_raw', 1, image)
    with pytest.raises(BagError, match=r"/camera/image_raw .* 'nv24'; read are mono8, "):
        plan(bag=str(tmp_path / 'a.mcap'))


def test_whether_pictures_are_rectified_goes_to_every_node():
    assert start('deepvo').settings.rectified == 'auto'
    for name in names():
        assert start(name, rectified='always').parameters['rectified'] == 'always'
    with pytest.raises(LaunchError, match="rectified: 'true' is none of auto, always, never"):
        plan(rectified='true')


def test_what_is_named_beside_the_camera_is_recorded_with_the_inputs(tmp_path):
    def recorded(**given):
        made = plan(record=str(tmp_path / 'o.mcap'), record_inputs='true', **given)
        return {*made.recorder[made.recorder.index('--topics') + 1 :]}

    given = {'nodes': 'visual_odometry', 'wheel_topic': '/wheels', 'depth_topic': '/cam/depth'}
    assert {'/wheels', '/cam/depth', '/cam/camera_info'} <= recorded(**given)
    alone = recorded(nodes='visual_odometry')
    assert not alone & {'/imu', '/depth/image_rect', '/superpoint/keypoints', '/right/image'}
