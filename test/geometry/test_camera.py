"""Camera maths: known answers, round trips, refusals."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import yaml

from dlcv.geometry import camera as cam
from dlcv.types import Camera

IDEAL = Camera(width=64, height=48, fx=50.0, fy=52.0, cx=31.0, cy=23.5)
LENSES = {
    'ideal': IDEAL,
    'plumb_bob': Camera(
        width=64, height=48, fx=50.0, fy=52.0, cx=31.0, cy=23.5,
        distortion=(-0.3, 0.1, 0.001, -0.002, -0.01),
    ),
    'rational': Camera(
        width=64, height=48, fx=50.0, fy=52.0, cx=31.0, cy=23.5,
        distortion=(0.4, -0.2, 0.001, 0.0, 0.01, 0.5, -0.1, 0.02),
        distortion_model='rational_polynomial',
    ),
    'equidistant': Camera(
        width=64, height=48, fx=50.0, fy=52.0, cx=31.0, cy=23.5,
        distortion=(0.02, -0.01, 0.003, 0.0), distortion_model='equidistant',
    ),
}  # fmt: skip


@pytest.fixture(params=LENSES, ids=str)
def camera(request):
    return LENSES[request.param]


def test_rays_and_projection_undo_each_other(camera):
    xy = np.random.default_rng(0).uniform((0, 0), (63, 47), (50, 2))
    rays = cam.pixel_rays(camera, xy)
    assert np.all(rays[:, 2] == 1)
    np.testing.assert_allclose(cam.project(camera, rays * 3.0), xy, atol=1e-3)


def test_rays_of_an_ideal_camera_by_hand():
    rays = cam.pixel_rays(IDEAL, np.array([[31.0, 23.5], [81.0, 23.5], [31.0, 75.5]]))
    np.testing.assert_allclose(rays, [[0, 0, 1], [1, 0, 1], [0, 1, 1]], atol=1e-7)


def test_grid_rays_are_the_rays_of_all_pixels(camera):
    grid = cam.grid_rays(camera)
    assert grid.shape == (48, 64, 3)
    xy = np.array([[0, 0], [63, 47], [10, 20]])
    np.testing.assert_allclose(grid[xy[:, 1], xy[:, 0]], cam.pixel_rays(camera, xy), atol=1e-6)


def test_back_projected_points_project_onto_their_pixels(camera):
    depth = np.random.default_rng(1).uniform(1, 9, (48, 64)).astype(np.float32)
    points = cam.back_project(camera, depth)
    np.testing.assert_array_equal(points[..., 2], depth)
    x, y = np.moveaxis(cam.project(camera, points), -1, 0)
    np.testing.assert_allclose(x, np.broadcast_to(np.arange(64), (48, 64)), atol=1e-3)
    np.testing.assert_allclose(y, np.broadcast_to(np.arange(48)[:, None], (48, 64)), atol=1e-3)


def test_points_behind_the_camera_are_nowhere():
    xy = cam.project(IDEAL, np.array([[0.0, 0, -1], [0, 0, 0], [0, 0, 2]]))
    assert np.isnan(xy[:2]).all()
    np.testing.assert_allclose(xy[2], (31.0, 23.5))


def test_maps_tell_where_a_rectified_pixel_was(camera):
    x, y = cam.rectify_maps(camera)
    rectified = np.array([[12.0, 7.0], [40.0, 30.0]])
    seen = cam.project(camera, cam.pixel_rays(camera.undistorted(), rectified))
    at = rectified.astype(int)
    np.testing.assert_allclose(np.stack((x, y), -1)[at[:, 1], at[:, 0]], seen, atol=1e-3)


def test_rectified_picture_is_the_one_an_ideal_camera_takes(camera):
    """A smooth picture in ray space, taken with and without the lens."""

    def picture(rays):
        return (127 + 60 * np.sin(6 * rays[..., 0]) + 60 * np.cos(6 * rays[..., 1])).astype('uint8')

    rectifier = cam.Rectifier(camera)
    taken = picture(cam.grid_rays(camera))
    ideal = picture(cam.grid_rays(camera.undistorted()))
    inside = cv2.erode(rectifier.valid.astype('uint8'), np.ones((3, 3))) > 0
    assert inside.mean() > 0.5
    error = np.abs(rectifier(taken).astype(int) - ideal)[inside]
    assert error.mean() < 1
    assert error.max() < 12
    assert rectifier.target == camera.undistorted()


def test_rectifying_into_another_camera_is_a_homography():
    target = Camera(width=32, height=20, fx=25.0, fy=26.0, cx=15.0, cy=9.0)
    x, y = cam.rectify_maps(IDEAL, target)
    homography = IDEAL.matrix @ np.linalg.inv(target.matrix)
    want = homography @ (7, 5, 1)
    np.testing.assert_allclose((x[5, 7], y[5, 7]), want[:2], atol=1e-4)


def test_pixels_the_source_does_not_see_are_black_and_invalid():
    wide = Camera(width=64, height=48, fx=10.0, fy=10.0, cx=31.5, cy=23.5)
    rectifier = cam.Rectifier(IDEAL, wide)
    result = rectifier(np.full((48, 64, 3), 200, np.uint8))
    assert not rectifier.valid[0, 0]
    assert (result[0, 0] == 0).all()
    assert rectifier.valid[23, 31]
    assert (result[23, 31] == 200).all()


def test_undistorted_points_lie_on_the_rectified_picture(camera):
    xy = np.array([[5.0, 6.0], [50.0, 40.0]])
    rectified = cam.undistort_points(camera, xy)
    ray = cam.pixel_rays(camera.undistorted(), rectified)
    np.testing.assert_allclose(cam.project(camera, ray), xy, atol=1e-3)


def test_no_points_give_no_rays(camera):
    assert cam.pixel_rays(camera, np.empty((0, 2))).shape == (0, 3)
    assert cam.project(camera, np.empty((0, 3))).shape == (0, 2)


def test_a_camera_survives_its_file(camera, tmp_path):
    path = tmp_path / 'camera.yaml'
    cam.write_camera(camera, path)
    assert cam.read_camera(path) == camera


def calibration(**changes):
    data = {
        'image_width': 64,
        'image_height': 48,
        'camera_matrix': {'rows': 3, 'cols': 3, 'data': [50.0, 0, 31, 0, 52, 23.5, 0, 0, 1]},
        'distortion_model': 'plumb_bob',
        'distortion_coefficients': {'rows': 1, 'cols': 5, 'data': [0, 0, 0, 0, 0]},
    }
    return {key: value for key, value in {**data, **changes}.items() if value is not None}


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'camera_matrix': None}, r"no 'camera_matrix'; the file has \['distortion_coeff"),
        ({'camera_matrix': {'data': [1, 2]}}, 'camera_matrix: expected 9 numbers, got 2'),
        ({'camera_matrix': {'data': ['a'] * 9}}, "camera_matrix: expected numbers, got 'a'"),
        ({'camera_matrix': {}}, 'camera_matrix: expected a list of numbers under data, got None'),
        ({'camera_matrix': {'data': [50, 3, 31, 0, 52, 23, 0, 0, 1]}}, r'expected \[fx 0 cx'),
        ({'camera_matrix': {'data': [float('nan'), 0, 31, 0, 52, 23, 0, 0, 1]}}, 'fx=nan'),
        ({'image_width': 0}, 'positive size, got 0x48'),
        ({'image_height': 'tall'}, "image_height: expected a whole number of pixels, got 'tall'"),
        (
            {'distortion_model': 'omni', 'distortion_coefficients': {'data': [0.1]}},
            "'omni'; known are .*plumb_bob",
        ),
        (
            {'distortion_coefficients': {'data': [1, 2, 3]}},
            'takes 4, 5, 8, 12, 14 coefficients, got 3',
        ),
    ],
)
def test_a_bad_calibration_is_refused_by_name(changes, message, tmp_path):
    path = tmp_path / 'bad.yaml'
    path.write_text(yaml.safe_dump(calibration(**changes)))
    with pytest.raises(cam.CameraError, match=message) as caught:
        cam.read_camera(path)
    assert str(caught.value).startswith(str(path))


def test_numbers_are_read_as_yaml_cpp_writes_them(tmp_path):
    path = tmp_path / 'camera.yaml'
    text = yaml.safe_dump(calibration(distortion_coefficients={'data': [0, 0, 'X', 0, 0]}))
    path.write_text(text.replace('X', '-1e-05'))  # a string to PyYAML
    assert cam.read_camera(path).distortion == (0, 0, -1e-05, 0, 0)


def test_a_number_beyond_all_floats_is_refused(tmp_path):
    path = tmp_path / 'camera.yaml'
    path.write_text(yaml.safe_dump(calibration(distortion_coefficients={'data': [10**400]})))
    with pytest.raises(
        cam.CameraError, match='distortion_coefficients: expected numbers, got 1000'
    ):
        cam.read_camera(path)


@pytest.mark.parametrize(
    ('text', 'message'), [('a: [', 'is no YAML'), ('- 1', 'keys of a camera'), ('', 'got None')]
)
def test_a_file_that_is_no_calibration_is_refused(text, message, tmp_path):
    path = tmp_path / 'bad.yaml'
    path.write_text(text)
    with pytest.raises(cam.CameraError, match=message):
        cam.read_camera(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(cam.CameraError, match=r'nothing\.yaml: cannot be read: No such file'):
        cam.read_camera(tmp_path / 'nothing.yaml')


def test_a_picture_of_another_size_is_refused():
    with pytest.raises(cam.CameraError, match='image is 32x24, its camera is calibrated for 64x48'):
        cam.Rectifier(IDEAL)(np.zeros((24, 32), np.uint8))
    with pytest.raises(cam.CameraError, match='depth is 32x24, its camera 64x48'):
        cam.back_project(IDEAL, np.zeros((24, 32)))


def test_rectified_pictures_are_of_the_camera_in_the_projection_matrix(tmp_path):
    path = tmp_path / 'camera.yaml'
    p = [40, 0, 30, -4, 0, 41, 22, 0, 0, 0, 1, 0]
    text = calibration(
        distortion_coefficients={'data': [0.1, 0, 0, 0, 0]}, projection_matrix={'data': p}
    )
    path.write_text(yaml.safe_dump(text))
    camera = cam.read_camera(path, rectified=True)
    assert (camera.fx, camera.fy, camera.cx, camera.cy) == (40, 41, 30, 22)
    assert not camera.distorted
    assert cam.read_camera(path).distorted
    del text['projection_matrix']
    path.write_text(yaml.safe_dump(text))
    assert cam.read_camera(path, rectified=True) == cam.read_camera(path).undistorted()
