"""The recipe of captions: what becomes of a picture and its sentence, its loss, what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from dlcv.data.augment.photometric import OFF
from dlcv.data.captions import (
    GRAMMAR_WORDS,
    KINDS,
    Teller,
    Thing,
    View,
    holds,
    phrasings,
    statements_of,
)
from dlcv.data.captions.worlds import view_of
from dlcv.data.world import SampleConfig, WorldSamples
from dlcv.networks.caption import END, MARKS, START, CaptionConfig
from dlcv.networks.fcn import FCNConfig, fcn
from dlcv.networks.losses.caption import NO_WORD
from dlcv.networks.weights import save_network
from dlcv.things import KINDS as THINGS
from dlcv.training.caption_samples import CaptionChanges, CaptionSamples, ToldPictures, view_in
from dlcv.training.recipe import TrainError
from dlcv.training.recipes import caption
from dlcv.training.recipes.caption import CaptionRecipe

RECIPE = CaptionRecipe(
    caption=CaptionConfig(size=(64, 32), width=1 / 8, reduced=4, grid=(2, 1), memory=8),
    worlds=SampleConfig(frames=1, objects=True, size=(64, 32), scenes=('room',), per_world=2),
    encoder='',
    validation_pictures=1,
)
VOCABULARY = (*MARKS, *GRAMMAR_WORDS)


class Halves:
    """Pictures that are dark on the left, where a chair is told to stand."""

    def __getitem__(self, index):
        image = np.full((32, 64, 3), 200, np.uint8)
        image[:, :32] = 20
        things = np.full((4, 6), -1, np.float32)
        things[0] = (list(KINDS).index('chair'), 0.2, 1.0, 0.3, 1.0, 0)
        return {'image': image, 'scene': np.array([0, 0]), 'things': things}


def _samples(**changes):
    config = CaptionChanges(light=OFF, **changes)
    return CaptionSamples(Halves(), config, Teller(), vocabulary=VOCABULARY, longest=20, seed=3)


def _text(words):
    assert words[0] == START
    end = list(words).index(END)
    assert set(words[end + 1 :]) <= {NO_WORD}
    return ' '.join(VOCABULARY[word] for word in words[1:end])


def test_what_is_said_is_true_of_the_picture_mirrored_or_not():
    sides = []
    for index in range(20):
        sample = _samples()[index]
        dark_left = bool(sample['image'][0, 0, 0] < sample['image'][0, 0, -1])
        view = View(
            place='room',
            things=(Thing(kind='chair', x=0.2 if dark_left else 0.8, distance=1.0, share=0.3),),
        )
        said = statements_of(_text(sample['words']))
        assert len(said) == 2
        assert all(all(holds(one, view).values()) for one in said)
        sides.append(dark_left)
        assert (_samples()[index]['words'] == sample['words']).all()
    assert 3 < sum(sides) < 17


def test_features_are_asked_for_once_for_each_way_to_change_a_picture():
    asked = []

    def features(image):
        asked.append(image)
        return image[:, ::8, ::8].astype(np.float32) / 255

    made = CaptionSamples(
        Halves(), CaptionChanges(), Teller(),
        vocabulary=VOCABULARY, longest=20, seed=3, features=features, ways=4,
    )  # fmt: skip
    samples = [made[index] for index in range(40)]
    assert len(asked) == 4
    assert samples[0]['features'].dtype == np.float16
    assert len({_text(sample['words']) for sample in samples}) > 8
    for sample in samples:
        dark_left = sample['features'][0, :, :4].mean() < sample['features'][0, :, 4:].mean()
        side = 'left' if dark_left else 'right'
        assert [one.side for one in statements_of(_text(sample['words']))[1:]] == [side]
    again = CaptionSamples(
        Halves(), CaptionChanges(), Teller(),
        vocabulary=VOCABULARY, longest=20, seed=3, features=features, ways=4,
    )[33]  # fmt: skip
    assert (again['features'] == samples[33]['features']).all()
    assert (again['words'] == samples[33]['words']).all()


def test_an_encoder_that_never_learns_is_asked_beforehand(tmp_path, monkeypatch):
    torch.manual_seed(0)
    file = save_network(RECIPE.network(), tmp_path / 'caption.safetensors', half=False)
    recipe = replace(RECIPE, ways=2, start=file)
    monkeypatch.setattr(caption, 'renewed_of_worlds', lambda *_, **__: Halves())
    sample = recipe.samples(0)[0]
    network = recipe.network().train()
    batch = {name: torch.from_numpy(np.stack([value])) for name, value in sample.items()}
    found = recipe.loss(network, batch, 0)
    found['loss'].backward()
    assert network.stem[0].weight.grad is None
    assert network.picture.weight.grad is not None
    assert recipe.pictures(network, batch) == {}
    with pytest.raises(TrainError, match=r'never learns \(ways 2\) needs weights'):
        replace(RECIPE, ways=2)


def test_a_long_sentence_is_cut_off():
    made = CaptionSamples(
        Halves(), CaptionChanges(), Teller(), vocabulary=VOCABULARY, longest=4, seed=3
    )
    assert made[0]['words'].shape == (4,)
    assert END not in made[0]['words']


def test_a_world_is_told_as_it_is():
    worlds = WorldSamples(RECIPE.worlds, 3)
    recording = worlds.recording(1)
    (snapshot,) = recording
    view = view_of(recording, snapshot)
    sample = ToldPictures(worlds)[1]
    again = view_in(sample)
    assert again.place == view.place == 'room'
    assert len(again.things) == len(snapshot.objects) > 0
    assert {thing.kind for thing in view.things} <= set(KINDS)
    assert sum(thing.share for thing in view.things) <= 1
    for text in (Teller(light=1.0)(again, np.random.default_rng(seed)) for seed in range(5)):
        assert all(all(holds(one, view).values()) for one in statements_of(text))


def test_all_things_of_worlds_have_words():
    assert [one.name for one in THINGS] == list(KINDS)
    assert phrasings(statements_of('two boxes on the left .')[0])


def test_the_loss_is_that_of_words_and_the_encoder_waits():
    torch.manual_seed(0)
    recipe = replace(RECIPE, frozen=1)
    network = recipe.network().train()
    sample = _samples()[0]
    batch = {name: torch.from_numpy(np.stack([value])) for name, value in sample.items()}
    said = int((sample['words'] >= 0).sum()) - 1
    for step, learns in ((0, False), (1, True)):
        found = recipe.loss(network, batch, step)
        assert float(found['loss'].detach()) == pytest.approx(
            said * np.log(len(VOCABULARY)), rel=0.3
        )
        network.zero_grad()
        found['loss'].backward()
        gradient = network.stem[0].weight.grad
        assert (gradient is not None) is learns
        assert network.stem[1].training is learns


def test_figures_are_those_of_held_out_worlds(monkeypatch):
    view = View(place='room')
    held_out = [(np.zeros((32, 64, 3), np.uint8), view, ['a room .'])] * 2
    monkeypatch.setattr(caption, '_held_out', lambda *_: held_out)
    monkeypatch.setattr(caption, '_told', lambda *_: 'a room .')
    found = RECIPE.validate(RECIPE.network())
    assert found['BLEU-1'] == pytest.approx(1)
    assert found['true'] == 100


def test_the_encoder_begins_with_what_fcn_has_learned(tmp_path):
    theirs = fcn(FCNConfig(encoder='light', width=1 / 8, fused=8))
    file = save_network(theirs, tmp_path / 'fcn.safetensors', half=False)
    network = replace(RECIPE, encoder=str(file)).network()
    assert torch.equal(network.stem[0].weight, theirs.stem[0].weight)
    wide = replace(RECIPE, caption=replace(RECIPE.caption, width=1 / 4), encoder=str(file))
    with pytest.raises(TrainError, match=r'another encoder than the light one of width 0\.25'):
        wide.network()


@pytest.mark.parametrize(
    ('changed', 'message'),
    [
        ({'worlds': SampleConfig(frames=1)}, 'got frames 1 and objects False'),
        (
            {'worlds': SampleConfig(frames=1, objects=True)},
            r"the network's size, \[64, 32\], got \[320, 240\]",
        ),
        ({'beams': 0}, r'got \(0, 1\), 56, 0 and 0'),
    ],
)
def test_what_cannot_be_done_is_refused(changed, message):
    with pytest.raises(TrainError, match=message):
        replace(RECIPE, **changed)
    with pytest.raises(TrainError, match='mirror in'):
        CaptionChanges(mirror=2)
