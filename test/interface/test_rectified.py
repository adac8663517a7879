from __future__ import annotations

import pytest

from dlcv.interface.rectified import is_rectified


@pytest.mark.parametrize(
    'topic',
    [
        '/camera/image_rect',
        '/camera/image_rect/compressed',
        '/camera/image_rect_color',
        '/stereo/left/image_rect_color/compressed',
        '/zed/zed_node/left/image_rect_color/ffmpeg',
        '/camera/infra1/image_rect_raw',
        '/camera/image_rectified',
        '/camera/image_mono_rect',
        '/camera/rgb/rect/image',
        '/left_rectified/image',
        '/camera/imageRect',
        '/cam0/image_undistorted',
    ],
)
def test_names_of_rectified_pictures(topic):
    assert is_rectified(topic)
    assert is_rectified(topic, 'always')
    assert not is_rectified(topic, 'never')


@pytest.mark.parametrize(
    'topic',
    [
        '/camera/image_raw',
        '/camera/image_raw/compressed',
        '/image',
        '/camera/image_color',
        '/zed/zed_node/rgb_raw/image_raw_color',
        '/camera/direct/image',
        '/camera/rectangle/image',
        '/camera/image_unrectified',
        '/camera/not_rectified/image',
        '/camera_rect/image_raw',
        '',
    ],
)
def test_names_of_pictures_as_the_lens_made_them(topic):
    assert not is_rectified(topic)
    assert is_rectified(topic, 'always')
