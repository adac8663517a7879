"""DeepVO's recipe: its clips, its camera, its labels, what it starts from and is judged by."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from dlcv.data.augment.clips import ClipChanges
from dlcv.data.world import GaitShares, SampleConfig, WorldSamples
from dlcv.geometry.camera import back_project
from dlcv.networks.deepvo import DeepVO, DeepVOConfig
from dlcv.networks.flownet import FlowNet, FlowNetConfig
from dlcv.networks.losses.deepvo import integrate, motions, pair_labels, window_labels
from dlcv.networks.weights import save_network
from dlcv.training.recipe import TrainError
from dlcv.training.recipes.deepvo import ClipSamples, DeepVORecipe

STILL = ClipChanges(mirror=0, reverse=0, narrow=0)


@pytest.fixture(scope='module')
def recipe() -> DeepVORecipe:
    return DeepVORecipe(
        deepvo=DeepVOConfig(
            input_size=(64, 128), focal=(0.6, 1.2), width=1 / 16, memory=8, batch_norm=False,
            labels='pair', sequence='stateful', memory_dropout=0.0, dropout=0.0,
        ),
        worlds=SampleConfig(frames=7, scenes=('room',), per_world=8),
        motions=3,
        strides=(1, 2),
        validation_clips=2,
    )  # fmt: skip


def batch_of(recipe: DeepVORecipe, count: int = 2) -> dict[str, torch.Tensor]:
    samples = recipe.samples(0)
    drawn = [samples[i] for i in range(count)]
    return {key: torch.from_numpy(np.stack([s[key] for s in drawn])) for key in drawn[0]}


def test_all_clips_are_seen_through_the_networks_camera(recipe: DeepVORecipe) -> None:
    for index in range(3):
        camera = WorldSamples(recipe.seen, 5).recording(index).camera
        assert (camera.width, camera.height) == (128, 64)
        assert camera.fx == pytest.approx(0.6 * 128)
        assert camera.fy == pytest.approx(1.2 * 64)
        assert (camera.cx, camera.cy) == (63.5, 31.5)


def test_motions_are_those_between_the_frames_of_the_sample(recipe: DeepVORecipe) -> None:
    sample = replace(recipe, changes=STILL, strides=(2,)).samples(0)[1]
    recording = WorldSamples(recipe.seen, 0).recording(1)
    views = list(recording)
    (start,) = (
        i for i, view in enumerate(views)
        if np.array_equal(view.frame.image.transpose(2, 0, 1), sample['frames'][0])
    )  # fmt: skip
    poses = recording.world_from_camera[start : start + 7 : 2]
    assert np.allclose(sample['motions'], pair_labels(poses), atol=1e-6)
    assert np.allclose(poses[0] @ integrate(sample['motions'])[-1], poses[-1], atol=1e-5)
    for frame, view in zip(sample['frames'], views[start::2], strict=False):
        assert np.array_equal(frame, view.frame.image.transpose(2, 0, 1))


def test_motions_carry_points_from_frame_to_frame(recipe: DeepVORecipe) -> None:
    """The label is older_from_newer: the newer camera's points in the older one's axes."""
    recording = WorldSamples(recipe.seen, 0).recording(2)
    _, after = list(recording)[:2]
    assert after.depth is not None
    label = motions(pair_labels(recording.world_from_camera[:2]))[0]
    points = back_project(recording.camera, after.depth)[30, 60]
    older = label[:3, :3] @ points + label[:3, 3]
    u = recording.camera.fx * older[0] / older[2] + recording.camera.cx
    v = recording.camera.fy * older[1] / older[2] + recording.camera.cy
    assert after.backward is not None
    assert np.allclose((u - 60, v - 30), after.backward[30, 60], atol=1e-2)


def test_the_public_codes_labels_may_be_asked_for(recipe: DeepVORecipe) -> None:
    windowed = replace(recipe, deepvo=replace(recipe.deepvo, labels='window'))
    poses = WorldSamples(recipe.seen, 0).recording(0).world_from_camera
    assert np.array_equal(windowed.labels(poses), window_labels(poses))
    assert np.array_equal(recipe.labels(poses), pair_labels(poses))


@pytest.mark.slow
def test_a_sample_is_a_function_of_seed_and_number(recipe: DeepVORecipe) -> None:
    one, same, other = recipe.samples(1)[3], recipe.samples(1)[3], recipe.samples(2)[3]
    assert all(np.array_equal(one[key], same[key]) for key in one)
    assert not np.array_equal(one['frames'], other['frames'])
    assert one['frames'].shape == (4, 3, 64, 128)
    assert one['frames'].dtype == np.uint8
    assert one['motions'].shape == (3, 6)


def test_kept_clips_are_the_rendered_ones(recipe: DeepVORecipe, tmp_path: Path) -> None:
    stored = replace(recipe, clips=4, clips_folder=str(tmp_path))
    a, b = stored.samples(1)[2], recipe.samples(1)[2]
    assert all(np.array_equal(a[key], b[key]) for key in a)
    with pytest.raises(TrainError, match='made in another way'):
        stored.samples(2)[0]


def test_the_loss_is_the_papers(recipe: DeepVORecipe) -> None:
    torch.manual_seed(0)
    network, batch = recipe.network(), batch_of(recipe)
    answer, _ = network(batch['frames'].float() / 255)
    error = (answer - batch['motions']).detach().square()
    wanted = float(100 * error[..., :3].mean() + error[..., 3:].mean())
    got = recipe.loss(network, batch, 0)
    assert float(got['loss'].detach()) == pytest.approx(wanted, rel=1e-5)
    got['loss'].backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


def test_relative_errors_count_a_walk_as_much_as_a_drive(recipe: DeepVORecipe) -> None:
    network, batch = recipe.network(), batch_of(recipe)

    def cost(factor: float, relative: float) -> float:
        far = batch['motions'] * torch.tensor((0, 0, 0, factor, factor, factor))
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.zero_()  # it answers with rest
            losses = replace(recipe, relative=relative).loss(network, {**batch, 'motions': far}, 0)
        return float(losses['loss'])

    assert cost(100, 1e-6) == pytest.approx(cost(1, 1e-6), rel=1e-2)
    assert cost(100, 0) > 1000 * cost(1, 0)


class Clips:
    """Clips of noise, seen by cameras that move on by one metre a frame."""

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        rng = np.random.default_rng(index)
        poses = np.tile(np.eye(4), (7, 1, 1))
        poses[:, 2, 3] = np.arange(7)
        return {'frames': rng.integers(100, 156, (7, 64, 128, 3), dtype=np.uint8), 'poses': poses}


def stacked(samples: ClipSamples, count: int) -> dict[str, torch.Tensor]:
    drawn = [samples[i] for i in range(count)]
    return {key: torch.from_numpy(np.stack([s[key] for s in drawn])) for key in drawn[0]}


def test_motions_from_and_to_frames_that_say_nothing_do_not_count(recipe: DeepVORecipe) -> None:
    calm = replace(recipe, changes=STILL, strides=(1,))
    heard = stacked(ClipSamples(Clips(), calm, 0), 16)
    mute = stacked(ClipSamples(Clips(), replace(calm, speechless=0.999), 0), 16)
    assert heard['speaks'].all()
    same = (heard['frames'] == mute['frames']).flatten(2).all(dim=2)  # (B, T+1)
    assert torch.equal(mute['speaks'], same[:, 1:] & same[:, :-1])
    assert not same.all(dim=1).any()
    assert mute['speaks'].any()
    assert torch.equal(mute['motions'], heard['motions'])
    torch.manual_seed(0)
    network = calm.network()
    with torch.no_grad():
        losses = calm.loss(network, mute, 0)
        answer = network(mute['frames'].float() / 255)[0]
    error = (answer - mute['motions'])[mute['speaks']].square()
    wanted = float(100 * error[:, :3].mean() + error[:, 3:].mean())
    assert float(losses['loss']) == pytest.approx(wanted, rel=1e-5)


def test_a_batch_that_says_nothing_teaches_nothing(recipe: DeepVORecipe) -> None:
    batch = stacked(ClipSamples(Clips(), recipe, 0), 2)
    batch['speaks'] = torch.zeros_like(batch['speaks'])
    network = recipe.network()
    losses = recipe.loss(network, batch, 0)
    losses['loss'].backward()
    assert float(losses['loss'].detach()) == 0
    assert not any(p.grad.any() for p in network.parameters() if p.grad is not None)


def test_cameras_that_stand_are_drawn_and_taught_and_judged(recipe: DeepVORecipe) -> None:
    still = replace(
        recipe, worlds=replace(recipe.worlds, gaits=GaitShares(still=1.0)), validation_clips=1
    )
    sample = replace(still, changes=STILL).samples(0)[0]
    assert not sample['motions'].any()
    assert np.any(sample['frames'][0] != sample['frames'][1])  # the sensor's noise
    network = still.network().eval()
    with torch.no_grad():
        figures = still.validate(network)
    assert 'way_still' not in figures
    assert figures['metres_still'] == figures['metres'] < np.inf
    losses = still.loss(network, batch_of(still, 1), 0)
    assert all(value.isfinite() for value in losses.values())


def test_clips_may_be_renewed(recipe: DeepVORecipe, tmp_path: Path) -> None:
    renewed = replace(
        recipe, worlds=replace(recipe.worlds, per_world=2), window=1, uses=2,
        clips_folder=str(tmp_path),
    )  # fmt: skip
    sample = renewed.samples(1)[0]
    assert [path.name for path in tmp_path.iterdir()] == ['000000.safetensors']
    assert np.array_equal(renewed.samples(1)[0]['frames'], sample['frames'])
    for change in ({'window': -1}, {'uses': 0}, {'speechless': 1.0}):
        with pytest.raises(TrainError, match='window >= 0, uses >= 1 and speechless in'):
            replace(recipe, **change)


def test_it_starts_with_the_encoder_of_flownet(recipe: DeepVORecipe, tmp_path: Path) -> None:
    flownet = FlowNet(FlowNetConfig(variant='s', width=1 / 16))
    path = save_network(flownet.eval(), tmp_path / 'flownet.safetensors')
    network = replace(recipe, start=path).network()
    for stage in ('conv1', 'conv3_1', 'conv6'):
        for name in ('0.weight', '0.bias'):
            key = f'{stage}.{name}'
            assert torch.equal(network.state_dict()[key], flownet.state_dict()[key])


@pytest.mark.parametrize('change', [{'variant': 'c'}, {'width': 1 / 8}, {'batch_norm': True}])
def test_an_encoder_that_does_not_fit_is_refused(
    recipe: DeepVORecipe, tmp_path: Path, change: dict
) -> None:
    config = replace(FlowNetConfig(variant='s', width=1 / 16), **change)
    path = save_network(FlowNet(config).eval(), tmp_path / 'other.safetensors')
    with pytest.raises(TrainError, match=r'does not fit.*wanted is FlowNetS of width'):
        replace(recipe, start=path).network()


def test_it_goes_on_from_weights(recipe: DeepVORecipe, tmp_path: Path) -> None:
    before = DeepVO(recipe.deepvo)
    path = save_network(before.eval(), tmp_path / 'deepvo.safetensors')
    network = replace(recipe, start=path).network()
    for a, b in zip(network.parameters(), before.parameters(), strict=True):
        assert torch.equal(a, b)


def test_figures_are_means_over_held_out_clips_by_motion(recipe: DeepVORecipe) -> None:
    network = recipe.network().eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        figures = recipe.validate(network)
    assert figures['way'] == pytest.approx(1)
    assert figures['degrees'] == pytest.approx(figures['degrees_of_none'])
    kinds = {name.removeprefix('way_') for name in figures if name.startswith('way_')}
    assert kinds <= {'walk', 'robot', 'drone'}
    assert kinds


@pytest.mark.parametrize(
    ('change', 'word'),
    [
        ({'motions': 4}, '4 motions of 2 frames do not fit into clips of 7'),
        ({'strides': ()}, 'strides'),
        ({'validation_clips': 0}, 'validation_clips'),
    ],
)
def test_clips_that_do_not_fit_are_refused(recipe: DeepVORecipe, change: dict, word: str) -> None:
    with pytest.raises(TrainError, match=word):
        replace(recipe, **change)
    with pytest.raises(TrainError, match='focal'):
        replace(recipe, deepvo=replace(recipe.deepvo, focal=None))


def test_what_is_exported_knows_how_far_off_it_is(recipe: DeepVORecipe) -> None:
    few = replace(recipe, calibration_clips=4)
    network = few.network().eval()
    exported = few.export(network)
    assert isinstance(exported, DeepVO)
    assert exported.config.spread is not None
    assert min(exported.config.spread.rest) > 0
    assert network.config.spread is None
    for mine, theirs in zip(exported.parameters(), network.parameters(), strict=True):
        assert torch.equal(mine, theirs)
