from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from dlcv.data.captions import Thing, View, holds, statements_of
from dlcv.evaluation.bench import captions_sets


def test_what_the_world_says_of_its_pictures_is_true(monkeypatch):
    def views(number):
        box = Thing(kind='box', x=0.1 + 0.2 * number, distance=1.0 + 4 * number, share=0.1)
        image = np.full((6, 8, 3), number, np.uint8)
        yield SimpleNamespace(frame=SimpleNamespace(image=image)), View(place='room', things=(box,))

    worlds = SimpleNamespace(recording=lambda index: index)
    monkeypatch.setattr(captions_sets, 'WorldSamples', lambda *_: worlds)
    monkeypatch.setattr(captions_sets, 'views_of', views)
    pictures = captions_sets.worlds(1, 3)
    shown = list(pictures.read())
    assert [int(one.image[0, 0, 0]) for one in shown] == [0, 1, 2]
    for one in shown:
        assert len(one.references) == captions_sets.REFERENCES
        for text in (*one.references, one.another):
            assert all(all(holds(said, one.view).values()) for said in statements_of(text))
    assert [one.references for one in pictures.read()] == [one.references for one in shown]
    assert len({one.another for one in shown}) == 3
    assert captions_sets.WORLD_SEED != captions_sets.LESSON_SEED
