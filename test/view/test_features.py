"""Overlays: what is drawn where."""

from __future__ import annotations

import numpy as np

from dlcv.view.features import draw_keypoints, draw_matches, draw_tracks

GREY = np.full((60, 80), 100, np.uint8)


def changed(image, background=100):
    return np.any(image != background, axis=-1)


def test_circles_surround_their_points_and_touch_nothing_else():
    drawn = changed(draw_keypoints(GREY, np.array([[20.0, 30.0], [60.0, 10.0]])))
    ys, xs = np.nonzero(drawn)
    near = np.minimum(np.hypot(xs - 20, ys - 30), np.hypot(xs - 60, ys - 10))
    assert drawn.any()
    assert near.max() <= 4
    assert not drawn[30, 20]  # a circle, not a disc: the corner itself stays visible


def test_strong_points_are_greener_than_weak_ones():
    xy = np.array([[20.0, 30.0], [60.0, 30.0]])
    drawn = draw_keypoints(GREY, xy, np.array([0.9, 0.1])).astype(int)
    greenness = drawn[..., 1] - drawn[..., 0]
    assert greenness[:, :40].max() > 100 > greenness[:, 40:].max()
    assert greenness[:, 40:].min() < -100


def test_drawing_leaves_the_input_alone_and_survives_no_points():
    none = np.empty((0, 2))
    frozen = GREY.copy()
    frozen.flags.writeable = False
    for drawn in (
        draw_keypoints(frozen, none, np.empty(0)),
        draw_tracks(frozen, none, none),
        draw_matches(frozen, frozen, none, none),
    ):
        assert drawn.dtype == np.uint8
        assert not changed(drawn).any()


def test_points_outside_the_picture_are_no_error():
    draw_keypoints(GREY, np.array([[-50.0, 1e4]]))


def test_a_track_ends_at_the_current_point():
    drawn = changed(draw_tracks(GREY, np.array([[10.0, 30.0]]), np.array([[50.0, 30.0]])))
    assert drawn[30, 10:51].all()
    assert not drawn[:25].any()


def test_a_match_spans_both_pictures():
    xy = np.array([[40.0, 20.0]])
    drawn = draw_matches(GREY, GREY, xy, xy)
    assert drawn.shape == (60, 160, 3)
    assert changed(drawn)[20, 40:121].all()
