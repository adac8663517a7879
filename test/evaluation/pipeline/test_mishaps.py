"""What went wrong with images, in words."""

from __future__ import annotations

from dlcv.evaluation.pipeline.mishaps import mishaps
from dlcv.evaluation.replay.log import Handled
from dlcv.interface.handled import Outcome


def log(**outcomes):
    return [
        Handled(node, stamp, Outcome(name))
        for node, names in outcomes.items()
        for stamp, name in enumerate(names)
    ]


def test_nodes_that_fared_alike_share_a_line():
    broken, fine = 'rejected_invalid', 'processed'
    lines = mishaps(
        log(a=[broken, fine, fine], b=[fine, broken, fine], c=[broken, broken], d=[fine, fine])
    )
    assert lines == (
        'a, b: 1 of 3 images are broken (rejected_invalid)',
        'c: 2 of 2 images are broken (rejected_invalid)',
    )


def test_a_lack_of_time_is_no_mishap():
    assert mishaps(log(a=['superseded', 'rejected_age', 'processed'])) == ()
