"""Which calibration an image gets."""

import threading
from types import SimpleNamespace
from typing import Any

import pytest

from dlcv.ros.calibration import Calibration


def _info(stamp_ns: int = 0, width: int = 64, height: int = 48, f: float = 50.0) -> Any:
    stamp = SimpleNamespace(sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9)
    return SimpleNamespace(
        header=SimpleNamespace(stamp=stamp, frame_id='camera'),
        width=width,
        height=height,
        distortion_model='plumb_bob',
        d=[],
        k=[f, 0, width / 2, 0, f, height / 2, 0, 0, 1],
        p=[2 * f, 0, width / 2, 0, 0, 2 * f, height / 2, 0, 0, 0, 1, 0],
        binning_x=0,
        binning_y=0,
        roi=SimpleNamespace(x_offset=0, y_offset=0, width=0, height=0),
    )


def test_an_older_one_of_the_same_size_serves_without_waiting() -> None:
    calibration = Calibration()
    calibration.update(_info(5))
    camera = calibration.of(1000, 64, 48, patience=60)
    assert camera is not None
    assert camera.fx == 50


def test_rectified_images_get_the_rectified_camera() -> None:
    calibration = Calibration()
    calibration.rectified = True
    calibration.update(_info(5))
    camera = calibration.of(5, 64, 48, patience=60)
    assert camera is not None
    assert camera.fx == 100


def test_waits_for_the_one_that_is_on_its_way() -> None:
    calibration = Calibration()
    timer = threading.Timer(0.05, calibration.update, (_info(7),))
    timer.start()
    assert calibration.of(7, 64, 48, patience=60) is not None
    timer.join()


def test_the_images_own_ends_the_wait_whatever_it_says() -> None:
    calibration = Calibration()
    calibration.update(_info(7, width=32))
    assert calibration.of(7, 64, 48, patience=60) is None
    assert 'of 32x48 pixels, the image of 64x48' in calibration.complaint(64, 48)


@pytest.mark.parametrize(
    ('info', 'words'),
    [
        (_info(f=float('nan')), 'finite'),
        (_info(f=0.0), 'K is zero'),
        (_info(width=0), 'positive size'),
    ],
)
def test_a_broken_one_is_the_complaint(info: Any, words: str) -> None:
    calibration = Calibration()
    calibration.update(info)
    assert calibration.of(0, 64, 48, patience=60) is None
    assert words in calibration.complaint(64, 48)


def test_gives_up_when_patience_ends() -> None:
    calibration = Calibration()
    assert calibration.of(7, 64, 48, patience=0.01) is None
    assert 'no camera_info' in calibration.complaint(64, 48)


def test_close_ends_the_wait_and_clear_opens_again() -> None:
    calibration = Calibration()
    timer = threading.Timer(0.05, calibration.close)
    timer.start()
    assert calibration.of(7, 64, 48, patience=60) is None
    timer.join()
    calibration.clear()
    calibration.update(_info())
    assert calibration.of(7, 64, 48, patience=0) is not None
