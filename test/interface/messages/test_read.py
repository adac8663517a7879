"""Image decoding against slow references and cv_bridge's rules; calibration; bad messages."""

from __future__ import annotations

import array
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from dlcv.interface import messages

HEADER = SimpleNamespace(stamp=SimpleNamespace(sec=3, nanosec=5), frame_id='cam')
ROI = SimpleNamespace(x_offset=0, y_offset=0, width=0, height=0)
H, W = 6, 8


def image(kind, pixels, *, padding=0, bigendian=False, **changes):
    """Build a message by hand; `pixels` is (H, W) or (H, W, C), row padding is filled with 0xAB."""
    height, width = pixels.shape[:2]
    rows = pixels.astype(pixels.dtype.newbyteorder('>' if bigendian else '<'))
    rows = np.frombuffer(rows.tobytes(), np.uint8).reshape(height, -1)
    rows = np.pad(rows, ((0, 0), (0, padding)), constant_values=0xAB)
    fields = {
        'header': HEADER,
        'height': height,
        'width': width,
        'encoding': kind,
        'is_bigendian': int(bigendian),
        'step': rows.shape[1],
        'data': array.array('B', rows.tobytes()),
    }
    return SimpleNamespace(**(fields | changes))


def pixels(channels=None, dtype=np.uint8, seed=0):
    shape = (H, W) if channels is None else (H, W, channels)
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


def slow_rgb(encoding, raw):
    """Pixel by pixel, from the definition of the encoding."""
    order = {'rgb8': (0, 1, 2), 'bgr8': (2, 1, 0), '8UC3': (2, 1, 0)}
    order |= {'rgba8': (0, 1, 2), 'bgra8': (2, 1, 0)}
    out = np.empty((H, W, 3), np.uint8)
    for y in range(H):
        for x in range(W):
            out[y, x] = [raw[y, x, c] for c in order[encoding]]
    return out


@pytest.mark.parametrize('padding', [0, 5])
@pytest.mark.parametrize('encoding', ['rgb8', 'bgr8', '8UC3', 'rgba8', 'bgra8'])
def test_colour_is_rgb(encoding, padding):
    raw = pixels(4 if 'a8' in encoding else 3)
    decoded = messages.decode(image(encoding, raw, padding=padding))
    np.testing.assert_array_equal(decoded, slow_rgb(encoding, raw))


@pytest.mark.parametrize('encoding', ['mono8', '8UC1'])
def test_grey_is_itself_without_the_padding(encoding):
    raw = pixels()
    np.testing.assert_array_equal(messages.decode(image(encoding, raw, padding=3)), raw)


@pytest.mark.parametrize('bigendian', [False, True])
def test_mono16_is_scaled_to_8_bit_as_cv_bridge_does(bigendian):
    raw = pixels(dtype=np.uint16)
    raw[0, :3] = 0, 65535, 32768
    decoded = messages.decode(image('mono16', raw, bigendian=bigendian, padding=2))
    np.testing.assert_array_equal(decoded, cv2.convertScaleAbs(raw, alpha=255.0 / 65535.0))
    assert decoded[0, :2].tolist() == [0, 255]


@pytest.mark.parametrize(
    ('encoding', 'red_at', 'blue_at'),
    [
        ('bayer_rggb8', (0, 0), (1, 1)),
        ('bayer_bggr8', (1, 1), (0, 0)),
        ('bayer_gbrg8', (1, 0), (0, 1)),
        ('bayer_grbg8', (0, 1), (1, 0)),
    ],
)
def test_bayer_finds_the_colour_of_a_uniform_scene(encoding, red_at, blue_at):
    raw = np.full((16, 16), 60, np.uint8)  # green everywhere else
    raw[red_at[0] :: 2, red_at[1] :: 2] = 200
    raw[blue_at[0] :: 2, blue_at[1] :: 2] = 20
    decoded = messages.decode(image(encoding, raw, padding=1))
    assert (decoded[4:-4, 4:-4] == [200, 60, 20]).all()


@pytest.mark.parametrize(
    ('encoding', 'order'), [('yuv422', 'uyvy'), ('yuv422_yuy2', 'yuyv'), ('uyvy', 'uyvy')]
)
def test_yuv422_of_a_uniform_scene(encoding, order):
    y, u, v = 145, 54, 34  # ITU-R BT.601 pure green, studio range
    values = {'y': y, 'u': u, 'v': v}
    row = np.array([values[c] for c in order] * (W // 2), np.uint8).reshape(W, 2)
    decoded = messages.decode(image(encoding, np.stack([row] * H)))
    assert np.abs(decoded.astype(int) - [0, 255, 0]).max() <= 2


@pytest.mark.parametrize('bigendian', [False, True])
@pytest.mark.parametrize(
    ('deep', 'plain'),
    [
        ('rgb16', 'rgb8'),
        ('bgr16', 'bgr8'),
        ('16UC3', '8UC3'),
        ('rgba16', 'rgba8'),
        ('bgra16', 'bgra8'),
        ('16UC4', '8UC4'),
        ('16UC1', '8UC1'),
        ('bayer_rggb16', 'bayer_rggb8'),
        ('bayer_grbg16', 'bayer_grbg8'),
        ('bayer_gbrg16', 'bayer_gbrg8'),
        ('bayer_bggr16', 'bayer_bggr8'),
    ],
)
def test_16_bit_pictures_are_those_of_8_bit(deep, plain, bigendian):
    channels = {'rgba': 4, 'bgra': 4, '16UC4': 4, '16UC1': None, 'baye': None}
    raw = pixels(channels.get(deep[:5], channels.get(deep[:4], 3)))
    wide = raw.astype(np.uint16) * 257  # 255 becomes 65535
    decoded = messages.decode(image(deep, wide, padding=2, bigendian=bigendian))
    wanted = messages.decode(image(plain, raw))
    assert decoded.dtype == np.uint8
    assert np.abs(decoded.astype(int) - wanted).max() <= 1  # demosaicing rounds less


@pytest.mark.parametrize(('encoding', 'order'), [('nv12', 'uv'), ('nv21', 'vu')])
def test_chroma_below_the_picture_colours_it(encoding, order):
    values = {'u': 54, 'v': 34}  # with y = 145 ITU-R BT.601 pure green, studio range
    below = np.array([values[c] for c in order] * 4, np.uint8)
    raw = np.concatenate([np.full((6, 8), 145), np.tile(below, (3, 1))]).astype(np.uint8)
    decoded = messages.decode(image(encoding, raw, padding=3, height=6))
    assert decoded.shape == (6, 8, 3)
    assert np.abs(decoded.astype(int) - [0, 255, 0]).max() <= 2
    with pytest.raises(messages.MessageError, match=f'66 bytes of data; 8x6 {encoding} .* has 99'):
        messages.decode(image(encoding, raw[:6], padding=3, height=6))
    with pytest.raises(messages.MessageError, match='even sides, got 8x5'):
        messages.decode(image(encoding, raw, height=5))


@pytest.mark.parametrize('encoding', ['rgb8', 'mono8'])
def test_common_encodings_are_not_copied(encoding):
    raw = pixels(3 if encoding == 'rgb8' else None)
    msg = image(encoding, raw, padding=4)
    decoded = messages.decode(msg)
    msg.data[0] ^= 0xFF
    assert decoded.flat[0] == raw.flat[0] ^ 0xFF


def test_agrees_with_ros_cv_bridge_where_it_is_installed():
    cv_bridge = pytest.importorskip('cv_bridge', reason='ROS cv_bridge is not installed')
    sensor_msgs = pytest.importorskip('sensor_msgs.msg', reason='no sensor_msgs')
    bridge = cv_bridge.CvBridge()
    for name, encoding in messages.ENCODINGS.items():
        if 'UC' in name or name.startswith(('uyvy', 'yuyv', 'nv')):
            continue  # cv_bridge does not take these for colours
        if name.startswith('bayer') and name.endswith('16'):
            continue  # cv_bridge goes to 8 bit first: a rounding apart
        wide = np.uint16 if encoding.dtype == 'u2' else np.uint8
        raw = pixels(None if encoding.channels == 1 else encoding.channels, wide)
        source = image(name, raw, padding=6)
        msg = sensor_msgs.Image(height=H, width=W, encoding=name, step=source.step)
        msg.data = source.data
        decoded = messages.decode(msg)
        wanted = 'mono8' if decoded.ndim == 2 else 'rgb8'
        np.testing.assert_array_equal(decoded, bridge.imgmsg_to_cv2(msg, wanted), err_msg=name)


@pytest.mark.parametrize(
    ('changes', 'words'),
    [
        ({'encoding': '32FC1'}, "encoding '32FC1' is not read; known are mono8"),
        ({'encoding': ''}, "encoding '' is not read"),
        ({'height': 0}, 'an image of 8x0 pixels'),
        ({'width': 0, 'step': 0}, 'an image of 0x6 pixels'),
        ({'width': 10**9}, 'an image of 1000000000x6 pixels'),
        ({'step': 7}, 'step 7 is shorter than a row: 8 pixels of mono8 are 8 bytes'),
        ({'data': array.array('B', b'123')}, '3 bytes of data; 8x6 mono8 with step 8 has 48'),
    ],
)
def test_a_broken_image_is_refused_by_name(changes, words):
    with pytest.raises(messages.MessageError, match=words):
        messages.decode(image('mono8', pixels(), **changes))


def test_an_odd_width_of_yuv422_is_refused():
    with pytest.raises(messages.MessageError, match='do not fit'):
        messages.decode(image('yuv422', np.zeros((4, 7, 2), np.uint8)))


def compressed(data, kind='jpeg'):
    return SimpleNamespace(header=HEADER, format=kind, data=array.array('B', data))


def test_compressed_png_comes_back_as_rgb():
    raw = pixels(3)
    data = cv2.imencode('.png', raw[..., ::-1])[1].tobytes()
    np.testing.assert_array_equal(messages.decode_compressed(compressed(data, 'png')), raw)


def test_compressed_16_bit_grey_keeps_its_range():
    raw = np.array([[0, 65535]], np.uint16)
    data = cv2.imencode('.png', raw)[1].tobytes()
    decoded = messages.decode_compressed(compressed(data, 'mono16; png compressed '))
    assert decoded.tolist() == [[0, 255]]


@pytest.mark.parametrize('data', [b'', b'not a picture', b'\xff\xd8\xff\xe0truncated'])
def test_broken_compressed_data_is_refused(data):
    with pytest.raises(messages.MessageError, match=f'{len(data)} bytes'):
        messages.decode_compressed(compressed(data))


@pytest.mark.parametrize('kind', ['h264', 'H.265', 'theora', 'bgr8; ffmpeg av1'])
def test_video_is_no_picture(kind):
    with pytest.raises(messages.UnsupportedEncodingError, match=f'{kind}.* is video; jpeg or png'):
        messages.decode_compressed(compressed(b'\0\0\0\1', kind))


def info(**changes):
    fields = {
        'header': HEADER,
        'height': 480,
        'width': 640,
        'distortion_model': 'plumb_bob',
        'd': [0.1, 0, 0, 0, 0],
        'k': [500.0, 0, 319.5, 0, 510.0, 239.5, 0, 0, 1],
        'p': [400.0, 0, 300.5, -40.0, 0, 410.0, 230.5, 0, 0, 0, 1, 0],
        'binning_x': 0,
        'binning_y': 0,
        'roi': ROI,
    }
    return SimpleNamespace(**(fields | changes))


def test_camera_of_a_plain_message():
    camera = messages.camera(info())
    assert (camera.width, camera.height, camera.fx, camera.fy) == (640, 480, 500.0, 510.0)
    assert (camera.cx, camera.cy) == (319.5, 239.5)
    assert camera.distorted


def test_rectified_pictures_are_of_the_camera_in_p():
    camera = messages.camera(info(distortion_model='none known'), rectified=True)
    assert (camera.fx, camera.fy, camera.cx, camera.cy) == (400.0, 410.0, 300.5, 230.5)
    assert not camera.distorted
    roi = SimpleNamespace(x_offset=100, y_offset=50, width=320, height=240)
    cut = messages.camera(info(roi=roi, binning_x=2, binning_y=2), rectified=True)
    assert (cut.width, cut.fx, cut.cx) == (160, 200.0, (200.5 + 0.5) / 2 - 0.5)


def test_without_p_rectified_pictures_are_of_k():
    camera = messages.camera(info(p=[0.0] * 12), rectified=True)
    assert (camera.fx, camera.cx, camera.distorted) == (500.0, 319.5, False)


def test_binning_keeps_the_viewing_rays():
    full, binned = messages.camera(info()), messages.camera(info(binning_x=2, binning_y=2))
    assert (binned.width, binned.height) == (320, 240)
    # the centre of binned pixel 10 lies between full pixels 20 and 21
    assert (10 - binned.cx) / binned.fx == pytest.approx((20.5 - full.cx) / full.fx)


def test_region_of_interest_moves_the_principal_point():
    roi = SimpleNamespace(x_offset=100, y_offset=50, width=320, height=240)
    camera = messages.camera(info(roi=roi))
    assert (camera.width, camera.height, camera.cx, camera.cy) == (320, 240, 219.5, 189.5)


def test_an_uncalibrated_camera_is_none():
    assert messages.camera(info(k=[0.0] * 9)) is None


@pytest.mark.parametrize(
    ('changes', 'words'),
    [
        ({'k': [float('nan')] * 9}, 'finite intrinsics'),
        ({'k': [500.0, 0, 1, 0, -1.0, 1, 0, 0, 1]}, 'positive focal lengths'),
        ({'d': [float('inf')]}, 'finite intrinsics'),
        ({'width': 0}, 'positive size, got 0x480'),
        ({'k': [1.0, 2.0]}, '2 numbers in K'),
    ],
)
def test_broken_calibration_is_refused_by_name(changes, words):
    with pytest.raises(messages.MessageError, match=words):
        messages.camera(info(**changes))


def test_a_frame_carries_stamp_and_camera():
    camera = messages.camera(info(width=W, height=H))
    frame = messages.frame(image('mono8', pixels()), camera)
    assert (frame.stamp_ns, frame.frame_id) == (3_000_000_005, 'cam')
    assert (frame.width, frame.height) == (W, H)
    assert frame.camera is camera


def test_calibration_of_another_size_is_refused_with_both_sizes():
    with pytest.raises(messages.MessageError, match='640x480 pixels, the image of 8x6'):
        messages.frame(image('mono8', pixels()), messages.camera(info()))
