from __future__ import annotations

import numpy as np

from dlcv.classes import NUMBER, UNLABELLED
from dlcv.metrics.baselines.segmentation import nearest_neighbours, usual
from dlcv.types import LabelledPicture

SKY, ROAD, CAR = (NUMBER[name] for name in ('sky', 'road', 'vehicle'))


def street(column):
    """Grey road under a blue sky, a red car at a column."""
    labels = np.full((48, 64), SKY, np.uint8)
    labels[24:] = ROAD
    labels[20:30, column : column + 10] = CAR
    image = np.zeros((48, 64, 3), np.uint8)
    for number, colour in ((SKY, (90, 130, 250)), (ROAD, (100, 100, 100)), (CAR, (200, 20, 10))):
        image[labels == number] = colour
    labels[0, 0] = UNLABELLED
    return LabelledPicture(image=image, labels=labels)


def test_the_usual_class_has_no_eyes():
    label = usual([street(column) for column in (5, 25, 45)])
    found = label(street(30).image)
    assert (found[1:24] == SKY).all()
    assert (found[24:] == ROAD).all()
    assert label(np.zeros((96, 160, 3), np.uint8)).shape == (96, 160)


def test_neighbours_go_by_colour_and_place():
    label = nearest_neighbours([street(column) for column in (5, 25, 45)])
    shown = street(33)
    found = label(shown.image)
    assert (found == shown.labels)[1:].mean() > 0.97
    assert (found[22:28, 35:41] == CAR).all()
    assert UNLABELLED not in found
