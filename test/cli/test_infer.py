"""`dlcv infer`: arrays, pictures, exit codes and messages, on pictures made here."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys

import cv2
import numpy as np
import pytest

from dlcv.classes import CLASSES
from dlcv.cli.infer import NETWORKS
from dlcv.cli.infer.images import image_files, read_image, stamps_of
from dlcv.cli.main import CommandError, main
from dlcv.estimation.places import PlaceIndex
from dlcv.geometry.camera import read_camera, write_camera
from dlcv.networks.caption import END, CaptionConfig, ShowAndTell
from dlcv.networks.deepvo import DeepVO, DeepVOConfig
from dlcv.networks.dispnet import DispNet, DispNetConfig
from dlcv.networks.dsac import DsacConfig, SceneCoordinateNet
from dlcv.networks.fcn import FCNConfig, fcn
from dlcv.networks.fcos import FCOS, FCOSConfig
from dlcv.networks.flownet import FlowNet, FlowNetConfig
from dlcv.networks.monodepth import Monodepth, MonodepthConfig
from dlcv.networks.netvlad import NetVLAD, NetVLADConfig
from dlcv.networks.superpoint import SuperPoint, SuperPointConfig
from dlcv.things import KINDS
from dlcv.types import Camera

WIDTH, HEIGHT = 96, 64


def tiny(name):
    import torch

    torch.manual_seed(0)
    match name:
        case 'superpoint' | 'visual_odometry':
            return SuperPoint(SuperPointConfig(width=0.125))
        case 'flownet':
            return FlowNet(FlowNetConfig(width=0.0625))
        case 'monodepth':
            return Monodepth(MonodepthConfig(width=0.0625, input_size=(128, 128)))
        case 'stereo':
            return DispNet(DispNetConfig(width=0.0625, max_disparity=32, spread=True))
        case 'deepvo':
            network = DeepVO(DeepVOConfig(input_size=(64, 96), width=0.0625, memory=8))
            torch.nn.init.normal_(network.linear.weight, std=1e-3)  # a motion that is believed
            return network
        case 'dsac':
            return SceneCoordinateNet(DsacConfig(variant='tiny', width=0.0625, input_height=64))
        case 'segmentation':
            return fcn(FCNConfig(encoder='light', width=0.125, fused=8))
        case 'localization':
            return FCOS(FCOSConfig(width=0.125, channels=8))
        case 'caption':
            config = CaptionConfig(
                size=(64, 32), width=0.125, grid=(2, 1), words=('.', 'a', 'room')
            )
            told = ShowAndTell(config)
            told.next.bias.data[END] = -9  # it does speak
            return told
        case 'netvlad':
            return NetVLAD(NetVLADConfig(encoder='superpoint', width=0.125, clusters=3, whitened=6))


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Three pictures, a calibration and a weight file for each network."""
    from dlcv.networks.weights import save_network

    path = tmp_path_factory.mktemp('infer')
    rng = np.random.default_rng(0)
    (path / 'rgb').mkdir()
    for i in range(3):
        noise = rng.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
        cv2.imwrite(str(path / 'rgb' / f'{i}.png'), cv2.GaussianBlur(noise, (0, 0), 2))
    camera = Camera(
        width=WIDTH, height=HEIGHT, fx=80.0, fy=80.0, cx=47.5, cy=31.5,
        distortion=(-0.1, 0.01, 0.0, 0.0, 0.0),
    )  # fmt: skip
    write_camera(camera, path / 'camera.yaml')
    for name in NETWORKS:
        save_network(tiny(name), path / f'{name}.safetensors', trained=name != 'flownet')
    return path


@pytest.fixture
def infer(folder, tmp_path):
    """Run a network on the first ``count`` pictures; return exit code, arrays and pictures."""

    def run(name, *more, count=1, camera=True):
        images = [str(folder / 'rgb' / f'{i}.png') for i in range(count)]
        given = ['--camera', str(folder / 'camera.yaml')] if camera else []
        weights = ['--weights', str(folder / f'{name}.safetensors'), '--device', 'cpu']
        output, view = tmp_path / 'out.npz', tmp_path / 'view.png'
        arguments = ['infer', name, *images, '-o', str(output), '--view', str(view)]
        code = main([*arguments, *weights, *given, *map(str, more)])
        arrays = dict(np.load(output)) if output.exists() else {}
        return code, arrays, [cv2.imread(str(p)) for p in sorted(tmp_path.glob('view*.png'))]

    return run


def shapes(arrays):
    return {key: value.shape for key, value in arrays.items()}


def test_superpoint(infer, capsys):
    code, arrays, pictures = infer('superpoint', '--detection-threshold', 0, '--max-keypoints', 9)
    assert code == 0
    assert shapes(arrays) == {
        'keypoints': (9, 2), 'scores': (9,), 'descriptors': (9, 32), 'rays': (9, 3),
    }  # fmt: skip
    assert capsys.readouterr().out == 'image 0: 9 keypoints\n'
    (picture,) = pictures
    assert picture.shape == (HEIGHT, WIDTH, 3)


def test_superpoint_on_several_images_numbers_its_arrays(infer):
    code, arrays, pictures = infer('superpoint', '--detection-threshold', 0, count=2, camera=False)
    assert code == 0
    assert set(arrays) == {
        'keypoints_0', 'scores_0', 'descriptors_0',
        'keypoints_1', 'scores_1', 'descriptors_1', 'matches_1',
    }  # fmt: skip
    assert arrays['matches_1'].shape[1] == 4
    assert len(pictures) == 2


def test_flownet(infer):
    code, arrays, pictures = infer('flownet', '--confidence', count=2)
    assert code == 0
    assert shapes(arrays) == {'flow': (HEIGHT, WIDTH, 2), 'confidence': (HEIGHT, WIDTH)}
    (picture,) = pictures
    assert picture.shape == (HEIGHT, 2 * WIDTH, 3)


def test_flownet_on_three_images_gives_two_flows(infer):
    _, arrays, pictures = infer('flownet', '--output-stride', 4, count=3, camera=False)
    assert shapes(arrays) == {'flow': (2, HEIGHT // 4, WIDTH // 4, 2)}
    assert len(pictures) == 2


def test_monodepth(infer, capsys):
    code, arrays, pictures = infer('monodepth', '--pp', '--confidence')
    assert code == 0
    assert shapes(arrays) == dict.fromkeys(('disparity', 'depth', 'confidence'), (HEIGHT, WIDTH))
    depth = 80 * 0.54 / (arrays['disparity'] * WIDTH)
    np.testing.assert_allclose(arrays['depth'], depth, rtol=1e-4)
    assert 'depth' in capsys.readouterr().out
    assert len(pictures) == 1


def test_monodepth_without_a_camera_says_what_is_missing(infer, capsys):
    code, arrays, _ = infer('monodepth', count=2, camera=False)
    assert code == 0
    assert shapes(arrays) == {'disparity': (2, HEIGHT, WIDTH)}
    assert 'no --camera: disparity only, no depth in metres' in capsys.readouterr().err


def test_stereo(infer, capsys):
    rectified = ('--rectified', '--baseline', 0.2, '--confidence')
    code, arrays, pictures = infer('stereo', *rectified, count=2)
    assert code == 0
    assert shapes(arrays) == dict.fromkeys(('disparity', 'depth', 'confidence'), (HEIGHT, WIDTH))
    finite = np.isfinite(arrays['depth'])
    depth = 80 * 0.2 / arrays['disparity']
    np.testing.assert_allclose(arrays['depth'][finite], depth[finite], rtol=1e-4)
    assert 'px in the median, depth' in capsys.readouterr().out
    assert len(pictures) == 1


def test_stereo_says_what_it_lacks(infer, capsys):
    assert infer('stereo', count=3)[0] == 2
    assert 'as many right images as left ones, got 3' in capsys.readouterr().err
    assert infer('stereo', count=2)[0] == 2
    assert 'stereo needs rectified images' in capsys.readouterr().err
    code, arrays, _ = infer('stereo', count=2, camera=False)
    assert code == 0
    assert set(arrays) == {'disparity'}
    assert 'no --camera with --baseline: disparity only' in capsys.readouterr().err


def test_deepvo(infer, capsys):
    code, arrays, pictures = infer('deepvo', count=3)
    assert code == 0
    assert shapes(arrays) == {'poses': (3, 4, 4), 'motions': (2, 4, 4), 'stamps': (3,)}
    np.testing.assert_array_equal(arrays['poses'][0], np.eye(4))
    np.testing.assert_allclose(arrays['poses'][2], arrays['motions'][0] @ arrays['motions'][1])
    assert '3 poses over' in capsys.readouterr().out
    assert len(pictures) == 1


def test_deepvo_says_what_it_does_not_believe(infer, capsys):
    code, arrays, _ = infer('deepvo', '--max-linear-speed', 0.1, '--rate', 1e5, count=2)
    assert code == 0
    assert np.isnan(arrays['motions']).all()
    np.testing.assert_array_equal(arrays['poses'][1], np.eye(4))
    assert 'image 1: lost: a motion of' in capsys.readouterr().err


def test_dsac(infer, capsys):
    code, arrays, pictures = infer('dsac', '--max-tries', 20)
    assert code == 0
    assert arrays['scene_coordinates'].shape == (HEIGHT // 8, WIDTH // 8, 3)
    assert arrays['pose'].shape == (4, 4)
    assert not arrays['accepted']
    assert 'image 0: rejected: ' in capsys.readouterr().out
    assert len(pictures) == 1


def test_a_folder_stands_for_its_images(folder, tmp_path, capsys):
    output = tmp_path / 'out.npz'
    weights = str(folder / 'superpoint.safetensors')
    main(['infer', 'superpoint', str(folder / 'rgb'), '-o', str(output), '--weights', weights])
    assert len(capsys.readouterr().out.splitlines()) == 3


def test_untrained_weights_are_named_in_plain_sight(infer, capsys):
    infer('flownet', count=2)
    assert 'WARNING: UNTRAINED NETWORK' in capsys.readouterr().err
    infer('superpoint')
    assert 'UNTRAINED' not in capsys.readouterr().err


@pytest.mark.parametrize(
    ('name', 'more', 'count', 'message'),
    [
        ('flownet', (), 1, 'flownet needs 2 images or more, got 1'),
        ('deepvo', (), 1, 'deepvo needs 2 images or more, got 1'),
        ('superpoint', ('--weights', 'nothing.pth'), 1, 'nothing.pth'),
        ('superpoint', ('--camera', 'nothing.yaml'), 1, 'nothing.yaml: cannot be read'),
        ('superpoint', ('-o', 'no/such/out.npz'), 1, 'there is no folder no/such'),
        ('superpoint', ('--view', 'no/such/view.png'), 1, 'there is no folder no/such'),
        ('superpoint', ('-o', 'out'), 1, 'out: arrays go to a file named .npz'),
        ('superpoint', ('--view', 'view'), 1, "view: '' is no picture format; there are .png"),
        ('superpoint', ('--device', 'tpu'), 1, "device: 'tpu' is none of auto, cpu"),
        ('superpoint', ('--device', 'cuda:99'), 1, "device 'cuda:99' is not there"),
        ('superpoint', ('--threads', -3), 1, 'num_threads: -3 is outside 0..256'),
        ('superpoint', ('--max-keypoints', 0), 1, 'max_keypoints: 0 is outside 1..8192'),
        ('superpoint', ('--detection-threshold', 'nan'), 1, 'nan is outside 0..1'),
        ('superpoint', ('--resize-long-side', 5), 1, '5 is outside 64..4096 px'),
        ('flownet', ('--resize-long-side', 5), 2, '5 is outside 64..4096 px'),
        ('flownet', ('--max-displacement', -1), 2, 'max_displacement: -1.0 is outside 0..1000'),
        ('monodepth', ('--min-depth', 5, '--max-depth', 2), 1, 'is not below max_depth: 2.0 m'),
        ('deepvo', ('--sequence-length', 0), 2, 'sequence_length: 0 is outside 2..32'),
        ('dsac', ('--hypotheses', -3), 1, 'hypotheses: -3 is outside 1..4096'),
        ('superpoint', ('--precision', 'fp16'), 1, "precision 'fp16' needs a CUDA device"),
    ],
)
def test_what_cannot_be_done_is_said(infer, capsys, name, more, count, message):
    code, arrays, _ = infer(name, *more, count=count)
    assert code == 2
    assert arrays == {}
    assert message in capsys.readouterr().err


def test_what_needs_a_camera_says_so(infer, capsys):
    assert infer('dsac', camera=False)[0] == 2
    assert 'dsac needs --camera' in capsys.readouterr().err
    assert infer('monodepth', '--scale-mode', 'camera_height', camera=False)[0] == 2
    assert 'depth in metres, which needs --camera' in capsys.readouterr().err


def test_a_scale_is_used_when_it_is_given(infer):
    plain = infer('monodepth')[1]['depth']
    np.testing.assert_allclose(infer('monodepth', '--scale', 2)[1]['depth'], 2 * plain, rtol=1e-5)


def test_nothing_that_is_read_is_overwritten(folder, tmp_path, capsys):
    image, weights = tmp_path / 'photo.png', tmp_path / 'weights.npz'
    image.write_bytes((folder / 'rgb' / '0.png').read_bytes())
    weights.write_bytes(b'weights')
    read = ['infer', 'superpoint', str(image), '--weights', str(weights)]
    for output, view in ((weights, tmp_path / 'view.png'), (tmp_path / 'out.npz', image)):
        before = image.read_bytes(), weights.read_bytes()
        assert main([*read, '-o', str(output), '--view', str(view)]) == 2
        assert 'is read here, so it is not overwritten' in capsys.readouterr().err
        assert (image.read_bytes(), weights.read_bytes()) == before


def test_a_digest_without_a_file_is_not_passed_over(folder, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr('dlcv.estimation.load.chosen', lambda *_: None)
    given = [str(folder / 'rgb' / '0.png'), '-o', str(tmp_path / 'out.npz'), '--sha256', 'a' * 64]
    assert main(['infer', 'superpoint', *given]) == 2
    assert 'aaaa is asked for, but there is no weight file to have it' in capsys.readouterr().err


@pytest.mark.parametrize('size', [(1, 1), (7, 7), (40, 9)])
@pytest.mark.parametrize('name', ['superpoint', 'flownet', 'monodepth'])
def test_very_small_pictures_are_answered(folder, tmp_path, name, size):
    small, output, view = tmp_path / 'small.png', tmp_path / 'out.npz', tmp_path / 'view.png'
    cv2.imwrite(str(small), np.full((*size, 3), 99, np.uint8))
    weights = ['--weights', str(folder / f'{name}.safetensors')]
    given = [str(small), str(small), '-o', str(output), '--view', str(view)]
    assert main(['infer', name, *given, *weights]) == 0
    assert output.exists()


@pytest.mark.parametrize(
    'pixels',
    [
        pytest.param(np.full((64, 96), 99, np.uint8), id='grey'),
        pytest.param(np.full((64, 96), 25_443, np.uint16), id='grey of 16 bits'),
        pytest.param(np.full((64, 96, 3), 25_443, np.uint16), id='colour of 16 bits'),
        pytest.param(np.full((64, 96, 4), 99, np.uint8), id='with alpha'),
    ],
)
def test_every_kind_of_picture_is_read_as_eight_bit_colour(tmp_path, pixels):
    path = tmp_path / 'picture.png'
    cv2.imwrite(str(path), pixels)
    np.testing.assert_array_equal(read_image(path), np.full((64, 96, 3), 99))


def test_images_that_are_none_are_refused_by_name(folder, tmp_path, capsys):
    output = str(tmp_path / 'out.npz')
    text, empty = tmp_path / 'text.png', tmp_path / 'empty'
    text.write_text('no picture')
    empty.mkdir()
    for path, message in (
        (text, 'text.png: is no image'),
        (empty, 'empty: no images in this folder'),
        (tmp_path / 'nothing.png', 'nothing.png: no such file'),
    ):
        assert main(['infer', 'superpoint', str(path), '-o', output]) == 2
        assert message in capsys.readouterr().err


def test_sizes_must_fit(folder, tmp_path, capsys):
    small = tmp_path / 'small.png'
    cv2.imwrite(str(small), np.zeros((32, 48, 3), np.uint8))
    output, first = str(tmp_path / 'out.npz'), str(folder / 'rgb' / '0.png')
    camera = ['--camera', str(folder / 'camera.yaml')]
    assert main(['infer', 'superpoint', str(small), '-o', output, *camera]) == 2
    assert f'camera.yaml is for {WIDTH}x{HEIGHT}' in capsys.readouterr().err
    assert main(['infer', 'flownet', first, str(small), '-o', output]) == 2
    assert 'flownet takes images of one size' in capsys.readouterr().err


def test_every_option_is_a_setting_of_its_estimator():
    from dlcv.estimation import caption, localization, segmentation, stereo
    from dlcv.estimation import deepvo as odometry
    from dlcv.estimation import dsac as relocalization
    from dlcv.estimation import flownet as flow
    from dlcv.estimation import monodepth as depth
    from dlcv.estimation import netvlad as places
    from dlcv.estimation import superpoint as features
    from dlcv.estimation import visual_odometry as geometry

    settings = {
        'superpoint': features.FeatureSettings,
        'flownet': flow.FlowSettings,
        'monodepth': depth.DepthSettings,
        'stereo': stereo.StereoSettings,
        'segmentation': segmentation.SegmentationSettings,
        'localization': localization.LocalizationSettings,
        'caption': caption.CaptionSettings,
        'visual_odometry': geometry.VisualOdometrySettings,
        'deepvo': odometry.OdometrySettings,
        'dsac': relocalization.RelocalizationSettings,
        'netvlad': places.PlaceSettings,
    }
    for name, network in NETWORKS.items():
        defaults = {f.name: f.default for f in dataclasses.fields(settings[name])}
        for option in network.OPTIONS:
            assert option.name in defaults
            default = defaults[option.name]
            if isinstance(default, int | float) and not isinstance(default, bool):
                assert option.doc.endswith(f'({default:g})')


def test_segmentation_names_what_its_numbers_are(infer, capsys):
    code, arrays, pictures = infer('segmentation', count=2, camera=False)
    assert code == 0
    assert shapes(arrays) == {'labels': (2, HEIGHT, WIDTH), 'names': (len(CLASSES),)}
    most = arrays['names'][np.bincount(arrays['labels'][0].ravel()).argmax()]
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith(f'image 0: {most} ')
    assert second.startswith('image 1: ')
    assert [picture.shape for picture in pictures] == [(HEIGHT, 2 * WIDTH, 3)] * 2
    shrunk = infer('segmentation', '--resize-long-side', 64, camera=False)[1]
    assert shrunk['labels'].shape == (HEIGHT, WIDTH)


def test_localization_tells_the_boxes_of_all_images(infer, capsys):
    most = '--detection-threshold', 0, '--max-detections', 4, '--kinds', 'door'
    code, arrays, pictures = infer('localization', *most, count=2, camera=False)
    assert code == 0
    assert shapes(arrays) == {
        'box': (8, 4), 'kind': (8,), 'score': (8,), 'image': (8,), 'names': (len(KINDS),),
    }  # fmt: skip
    assert arrays['image'].tolist() == [0] * 4 + [1] * 4
    assert set(arrays['names'][arrays['kind']]) == {'door'}
    first, second = capsys.readouterr().out.splitlines()
    assert first == 'image 0: ' + ', '.join(f'door {score:.2f}' for score in arrays['score'][:4])
    assert second.startswith('image 1: door ')
    assert [picture.shape for picture in pictures] == [(HEIGHT, 2 * WIDTH, 3)] * 2
    assert infer('localization', '--kinds', 'cat', camera=False)[0] == 2
    assert 'no kind cat; there are person' in capsys.readouterr().err
    nothing = infer('localization', '--detection-threshold', 1, camera=False)[1]
    assert nothing['box'].shape == (0, 4)
    assert capsys.readouterr().out == 'image 0: nothing found\n'


def test_captions_are_printed_and_drawn(infer, capsys):
    code, arrays, pictures = infer('caption', '--beams', 2, '--longest', 4, count=2, camera=False)
    assert code == 0
    assert shapes(arrays) == {'captions': (2,), 'confidence': (2,)}
    assert ((arrays['confidence'] > 0) & (arrays['confidence'] < 1)).all()
    lines = capsys.readouterr().out.splitlines()
    assert lines == [f'image {i}: {text}' for i, text in enumerate(arrays['captions'])]
    assert [picture.shape for picture in pictures] == [(HEIGHT, WIDTH, 3)] * 2
    code, arrays, _ = infer('caption', '--min-confidence', 1, camera=False)
    assert code == 0
    assert arrays['captions'].tolist() == ['']
    assert 'the network is unsure' in capsys.readouterr().out


def test_netvlad_names_the_image_that_is_alike(infer, capsys):
    code, arrays, pictures = infer('netvlad', count=3, camera=False)
    assert code == 0
    assert shapes(arrays) == {'descriptor': (3, 6)}
    np.testing.assert_allclose(np.linalg.norm(arrays['descriptor'], axis=1), 1, rtol=1e-5)
    cosine = arrays['descriptor'][2] @ arrays['descriptor'][:2].T
    out = capsys.readouterr().out.splitlines()
    wanted = f'most like image {cosine.argmax()} of those before ({cosine.max():.3f})'
    assert out[2] == f'image 2: {wanted}'
    assert len(pictures) == 3


def test_netvlad_names_known_places(infer, folder, tmp_path, capsys):
    known = PlaceIndex(6)
    descriptor = infer('netvlad', camera=False)[1]['descriptor']
    for sign, name in ((-1, 'there'), (1, 'here')):
        pose = np.eye(4)
        pose[0, 3] = sign
        known.add(sign * descriptor, pose, name)
    known.save(tmp_path / 'places.safetensors')
    code, arrays, _ = infer('netvlad', '--places', tmp_path / 'places.safetensors', camera=False)
    assert code == 0
    assert arrays['places'].tolist() == [1]  # the other is not alike at all
    assert arrays['poses'][0, 0, 3] == 1
    assert 'like place 1 here (1.000)' in capsys.readouterr().out


def test_help_needs_neither_torch_nor_opencv():
    code = (
        'import sys\nfrom dlcv.cli.main import main\n'
        'try: main(["infer", "monodepth", "--help"])\nexcept SystemExit: pass\n'
        'print([m for m in ("torch", "cv2", "rclpy") if m in sys.modules])'
    )
    ran = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert ran.stdout.endswith('[]\n')
    assert 'disparity (H,W), a fraction of the image width' in ' '.join(ran.stdout.split())


def test_a_full_disk_leaves_no_half_file_and_is_named(infer, capsys, monkeypatch, tmp_path):
    def full(file, **_arrays):
        file.write(b'PK half of it')
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr('numpy.savez', full)
    code, arrays, pictures = infer('superpoint')
    assert (code, arrays, pictures) == (2, {}, [])
    said = capsys.readouterr().err.splitlines()[-1]
    assert said == f'dlcv infer: {tmp_path / "out.npz"}: No space left on device'
    assert not list(tmp_path.iterdir())


# Pictures: which, in which order, at which times


def named(folder, names):
    for name in names:
        (folder / name).touch()
    return [folder / name for name in names]


def test_a_folder_and_a_shells_list_are_put_in_the_order_of_numbers(tmp_path, capsys):
    wanted = named(tmp_path, ['1.png', '2.png', '9.png', '10.png', '11.png'])
    named(tmp_path, ['._1.png', 'Thumbs.db'])
    assert image_files([tmp_path]) == wanted
    assert capsys.readouterr().err == ''
    assert image_files(sorted(wanted, key=str)) == wanted
    assert 'in the order of their numbers: 1.png, 2.png, 9.png, ...' in capsys.readouterr().err
    other = [wanted[i] for i in (3, 0, 2, 1)]
    assert image_files(other) == other
    assert image_files([tmp_path / '1*.png']) == [wanted[0], *wanted[3:]]
    with pytest.raises(CommandError, match=r'x\*\.png: no images are named so'):
        image_files([tmp_path / 'x*.png'])
    assert image_files([wanted[3], wanted[2]]) == [wanted[3], wanted[2]]
    assert capsys.readouterr().err == ''


def test_times_are_those_of_names_unless_a_rate_is_given(tmp_path, capsys):
    paths = named(tmp_path, ['1305031102.95.png', '1305031102.9833.png', '1305031103.1.png'])
    assert stamps_of(paths, None) == [
        1305031102_950000000, 1305031102_983300000, 1305031103_100000000,
    ]  # fmt: skip
    assert 'times are those in the names of the pictures, in seconds' in capsys.readouterr().err
    assert stamps_of(paths, 2.0) == [0, 500_000_000, 10**9]
    paths = named(tmp_path, ['1.png', '2.png'])
    assert stamps_of(paths, None) == [0, 100_000_000]
    assert 'no times: they are taken to come at 10 Hz' in capsys.readouterr().err


def test_monodepth_does_what_the_node_does(infer):
    from dlcv.interface.parameters import MonodepthParameters

    assert MonodepthParameters().pp
    _, plain, _ = infer('monodepth')
    _, mirrored, _ = infer('monodepth', '--pp')
    _, alone, _ = infer('monodepth', '--no-pp')
    assert np.array_equal(plain['disparity'], mirrored['disparity'])
    assert not np.array_equal(plain['disparity'], alone['disparity'])


def test_dsac_ends_with_a_summary(infer, capsys):
    assert infer('dsac', '--max-tries', 20)[0] == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert re.fullmatch(r'relocalized \d of \d images \(\d+ %\).*; \d+ ms an image', last)


def test_pictures_that_are_rectified_are_not_rectified_again(infer, folder):
    _, distorted, _ = infer('superpoint')
    _, rectified, _ = infer('superpoint', '--rectified')
    xy, rays = rectified['keypoints'], rectified['rays']
    k = read_camera(folder / 'camera.yaml', rectified=True)
    np.testing.assert_allclose(rays[:, 0], (xy[:, 0] - k.cx) / k.fx, atol=1e-5)
    assert len(distorted['keypoints']) == len(xy)
