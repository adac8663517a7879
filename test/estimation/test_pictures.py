"""The one law of the mapping: what is seen at a pixel comes back to that pixel."""

from __future__ import annotations

import numpy as np
import pytest

from dlcv.estimation.pictures import Fit, MappingError, View, colour, grey
from dlcv.geometry.camera import pixel_rays
from dlcv.types import Camera, Frame

SOURCE = (101, 67)  # odd sizes: nothing divides
FITS = {
    'native': Fit.native(SOURCE),
    'padded': Fit.native(SOURCE, 64),
    'smaller': Fit.exact(SOURCE, 48, 40),
    'larger': Fit.exact(SOURCE, 160, 96),
    'stretched': Fit.exact(SOURCE, 128, 32),
    'long side': Fit.long_side(SOURCE, 64, 8),
    'height': Fit.to_height(SOURCE, 120, 8),
}


@pytest.fixture(params=FITS, ids=str)
def fit(request):
    return FITS[request.param]


@pytest.mark.parametrize(
    ('made', 'resized', 'padded'),
    [
        (Fit.native((640, 480), 64), (640, 480), (640, 512)),
        (Fit.long_side((1241, 376), 640, 8), (640, 194), (640, 200)),
        (Fit.long_side((376, 1241), 640, 8), (194, 640), (200, 640)),
        (Fit.long_side((320, 240), 640, 8), (320, 240), (320, 240)),
        (Fit.long_side((1241, 376), 0), (1241, 376), (1241, 376)),
        (Fit.to_height((640, 360), 480), (853, 480), (853, 480)),
        (Fit.exact((640, 480), 512, 256), (512, 256), (512, 256)),
    ],
)
def test_sizes_by_hand(made, resized, padded):
    assert made.resized == resized
    assert made.padded == padded


def ramp(xy):
    """An affine picture of two channels: its value tells its pixel."""
    return np.stack((0.5 * xy[..., 0] + 7, 0.25 * xy[..., 1] + 0.125 * xy[..., 0]), -1)


def grid(width, height):
    return np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1).astype(np.float32)


def test_points_go_there_and_back(fit):
    xy = np.random.default_rng(0).uniform(0, 60, (20, 2))
    np.testing.assert_allclose(fit.to_source(fit.to_network(xy)), xy, atol=1e-9)


@pytest.mark.parametrize('model', ['plumb_bob', 'rational_polynomial', 'equidistant'])
@pytest.mark.parametrize('coefficient', [0.0, 0.02])
def test_the_camera_of_a_rectified_picture_has_no_lens(model, coefficient):
    counts = {'plumb_bob': 5, 'rational_polynomial': 8, 'equidistant': 4}
    d = (coefficient,) * counts[model]
    lens = Camera(
        width=32, height=24, fx=30, fy=31, cx=15, cy=11, distortion=d, distortion_model=model
    )
    frame = Frame(stamp_ns=0, image=np.zeros((24, 32), np.uint8), camera=lens)
    _, camera, _ = View().rectified(frame)
    assert camera == Camera(width=32, height=24, fx=30, fy=31, cx=15, cy=11)


def test_corners_of_the_picture_stay_corners(fit):
    corners = np.array([[-0.5, -0.5], [SOURCE[0] - 0.5, SOURCE[1] - 0.5]])
    want = np.array([[-0.5, -0.5], [fit.resized[0] - 0.5, fit.resized[1] - 0.5]])
    np.testing.assert_allclose(fit.to_network(corners), want, atol=1e-9)


def test_a_dense_map_lands_on_the_pixels_of_the_picture(fit):
    seen = ramp(fit.to_source(grid(*fit.padded))).astype(np.float32)
    back = fit.dense(seen)
    margin = int(np.ceil(max(1 / s for s in fit.scale)))  # where there is no neighbour to blend
    inner = (slice(margin, -margin), slice(margin, -margin))
    assert back.shape == (SOURCE[1], SOURCE[0], 2)
    np.testing.assert_allclose(back[inner], ramp(grid(*SOURCE))[inner], atol=1e-3)


def test_a_picture_and_its_points_move_together(fit):
    """A bright spot of the picture is found in the network's input where its pixel maps to."""
    x, y = 60.0, 33.0
    blob = np.exp(-np.square(grid(*SOURCE) - (x, y)).sum(-1) / (2 * 6**2))
    made = fit.image((255 * blob).astype(np.uint8)).astype(float)
    found = (made[..., None] * grid(*fit.padded)).sum((0, 1)) / made.sum()
    np.testing.assert_allclose(found, fit.to_network(np.array([x, y])), atol=0.1)
    assert made.shape == fit.padded[::-1]


def test_flow_is_scaled_back_to_pixels_of_the_picture(fit):
    """The flow of a zoom about a point, u = 0.1 (x - 30), v = -0.2 (y - 20)."""

    def zoom(xy):
        return (xy - (30, 20)) * (0.1, -0.2)

    at = grid(*fit.padded)
    start = fit.to_source(at)
    network_flow = (fit.to_network(start + zoom(start)) - at).astype(np.float32)
    back = fit.flow(network_flow)
    margin = int(np.ceil(max(1 / s for s in fit.scale)))
    inner = (slice(margin, -margin), slice(margin, -margin))
    np.testing.assert_allclose(back[inner], zoom(grid(*SOURCE))[inner], atol=1e-3)


def test_the_camera_of_the_input_sees_the_same_rays(fit):
    camera = Camera(width=101, height=67, fx=80.0, fy=82.0, cx=49.0, cy=35.0)
    xy = np.array([[0.0, 0.0], [50.0, 20.0], [100.0, 66.0]])
    made = fit.camera(camera)
    assert (made.width, made.height) == fit.padded
    np.testing.assert_allclose(
        pixel_rays(made, fit.to_network(xy)), pixel_rays(camera, xy), atol=1e-6
    )


def test_a_camera_of_another_size_is_refused():
    camera = Camera(width=50, height=67, fx=80.0, fy=82.0, cx=49.0, cy=35.0)
    with pytest.raises(MappingError, match='image is 101x67, its camera 50x67'):
        Fit.native(SOURCE).camera(camera)
    frame = Frame(stamp_ns=0, image=np.zeros((67, 101), np.uint8), camera=camera)
    with pytest.raises(MappingError, match='image is 101x67, its camera 50x67'):
        View().rectified(frame)


def test_padding_repeats_the_edge():
    image = np.arange(6, dtype=np.uint8).reshape(2, 3)
    made = Fit.native((3, 2), 4).image(image)
    np.testing.assert_array_equal(made, [[0, 1, 2, 2], [3, 4, 5, 5], [3, 4, 5, 5], [3, 4, 5, 5]])


def test_nothing_is_copied_when_nothing_changes():
    image = np.zeros((480, 640, 3), np.uint8)
    assert Fit.native((640, 480), 8).image(image) is image
    assert colour(image) is image


def test_grey_and_colour():
    image = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255]]], np.uint8)
    np.testing.assert_allclose(grey(image), [[76, 150, 29]], atol=1)
    assert colour(grey(image)).shape == (1, 3, 3)
    assert grey(grey(image)).shape == (1, 3)


@pytest.mark.parametrize(
    'image',
    [
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4)),
        np.zeros((0, 4), np.uint8),
        np.zeros(4, 'u1'),
    ],
)
def test_what_is_no_picture_is_refused(image):
    for convert in (grey, colour):
        with pytest.raises(MappingError, match='a frame needs an image'):
            convert(image)


def test_a_view_makes_its_maps_once():
    lens = Camera(width=64, height=48, fx=50.0, fy=50.0, cx=31.5, cy=23.5, distortion=(-0.2,) * 4)
    frame = Frame(stamp_ns=0, image=np.full((48, 64, 3), 90, np.uint8), camera=lens)
    view = View()
    image, camera, first = view.rectified(frame)
    assert camera == lens.undistorted()
    assert image.shape == frame.image.shape
    assert view.rectified(frame)[2] is first


def test_an_ideal_camera_needs_no_rectifying():
    ideal = Camera(width=64, height=48, fx=50.0, fy=50.0, cx=31.5, cy=23.5)
    frame = Frame(stamp_ns=0, image=np.zeros((48, 64), np.uint8), camera=ideal)
    image, camera, rectifier = View().rectified(frame)
    assert image is frame.image
    assert camera == ideal
    assert rectifier is None
