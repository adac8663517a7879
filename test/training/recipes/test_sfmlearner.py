"""SfMLearner's recipe: its clips, what it learns from them, its unit, what it is judged by."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor, nn

from dlcv.data.augment.snippets import SnippetChanges
from dlcv.data.world import SampleConfig, WorldSamples
from dlcv.estimation.load import load_depth
from dlcv.estimation.monodepth import metric_depth
from dlcv.networks.losses.view_synthesis import (
    ViewSynthesisConfig,
    motion_matrices,
    view_synthesis_loss,
)
from dlcv.networks.monodepth import Monodepth, MonodepthConfig
from dlcv.networks.sfmlearner import DispNetS, DispNetSConfig, Motions, PoseExpNetConfig
from dlcv.networks.weights import load_network, save_network
from dlcv.training.depth import depth_figures
from dlcv.training.recipe import TrainError
from dlcv.training.recipes import sfmlearner
from dlcv.training.recipes.sfmlearner import DepthAndPose, SfMLearnerRecipe, moving_cut
from dlcv.types import Frame

SIZE = (128, 128)
STILL = SnippetChanges(mirror=0, enlarge=1)


@pytest.fixture(scope='module')
def recipe() -> SfMLearnerRecipe:
    return SfMLearnerRecipe(
        monodepth=MonodepthConfig(width=1 / 16, input_size=(128, 128), baseline=0.01),
        pose=PoseExpNetConfig(width=1 / 4),
        worlds=SampleConfig(
            frames=5, size=SIZE, scenes=('room',), traffic=False, flyers=0, per_world=8, finest=2
        ),
        strides=(1, 2),
        unit_pictures=3,
        validation_clips=3,
    )


@pytest.fixture
def network(recipe: SfMLearnerRecipe) -> DepthAndPose:
    torch.manual_seed(0)
    return recipe.network().eval()


def batch_of(recipe: SfMLearnerRecipe, count: int = 2) -> dict[str, Tensor]:
    samples = recipe.samples(0)
    drawn = [samples[i] for i in range(count)]
    return {key: torch.from_numpy(np.stack([s[key] for s in drawn])) for key in drawn[0]}


class Knowing(nn.Module):
    """Answers with the true disparity and motion of the first clips, in the recipe's unit."""

    def __init__(self, recipe: SfMLearnerRecipe, count: int, *, unit: float, depth: float) -> None:
        super().__init__()
        samples = WorldSamples(recipe.worlds, 0)
        disparities, motions = [], []
        for index in range(count):
            recording = samples.recording(index)
            clip = list(recording)
            world_from = recording.world_from_camera
            true = np.stack([np.linalg.inv(world_from[i]) @ world_from[2] for i in (0, 4)])
            angles = Rotation.from_matrix(true[:, :3, :3]).as_euler('XYZ')
            motions.append(np.concatenate((unit * true[:, :3, 3], angles), axis=1))
            assert clip[2].depth is not None
            phi = recording.camera.fx / recording.camera.width
            disparities.append(phi * recipe.depth.baseline / (unit * depth * clip[2].depth[None]))
        full = torch.from_numpy(np.stack(disparities).astype(np.float32))
        self.pyramid = tuple(nn.functional.avg_pool2d(full, 2**i) for i in range(4))
        self.motions = torch.from_numpy(np.stack(motions).astype(np.float32))

    def forward(self, _target: Tensor, _sources: Tensor) -> sfmlearner.Answer:
        return self.pyramid, self.motions, ()


@pytest.mark.slow
def test_the_truth_is_cheaper_than_other_depths_whatever_the_unit(recipe: SfMLearnerRecipe) -> None:
    recipe = replace(recipe, changes=STILL, strides=(2,))
    batch = batch_of(recipe, 4)
    assert len(set(batch['intrinsics'][:, 0, 0].tolist())) == 4  # cameras vary

    def cost(unit: float, depth: float) -> float:
        network = Knowing(recipe, 4, unit=unit, depth=depth)
        return float(recipe.loss(network, batch, 0)['photometric'])

    right = cost(1.0, 1.0)
    assert right < 0.9 * min(cost(1.0, 0.6), cost(1.0, 1.7))
    assert cost(0.1, 1.0) == pytest.approx(right, rel=1e-3)


@pytest.mark.slow
def test_a_sample_is_a_function_of_seed_and_number(recipe: SfMLearnerRecipe) -> None:
    one, same, other = recipe.samples(1)[3], recipe.samples(1)[3], recipe.samples(2)[3]
    assert all(np.array_equal(one[key], same[key]) for key in one)
    assert not np.array_equal(one['target'], other['target'])
    assert set(one) == {'target', 'sources', 'intrinsics'}  # no truth
    assert one['target'].shape == (3, 128, 128)
    assert one['sources'].shape == (2, 3, 128, 128)
    assert one['target'].dtype == one['sources'].dtype == np.uint8


def test_the_target_is_in_the_middle_of_its_sources(recipe: SfMLearnerRecipe) -> None:
    sample = replace(recipe, changes=STILL, strides=(2,)).samples(0)[1]
    recording = WorldSamples(recipe.worlds, 0).recording(1)
    frames = [view.frame.image.transpose(2, 0, 1) for view in recording]
    assert np.array_equal(sample['target'], frames[2])
    assert np.array_equal(sample['sources'], (frames[0], frames[4]))
    assert np.allclose(sample['intrinsics'], recording.camera.matrix)


def test_five_pictures_are_possible(recipe: SfMLearnerRecipe) -> None:
    longer = replace(recipe, pose=replace(recipe.pose, references=4), strides=(1,))
    assert longer.target == 2
    batch = batch_of(longer)
    assert batch['sources'].shape == (2, 4, 3, 128, 128)
    assert longer.loss(longer.network(), batch, 0)['loss'].isfinite()


def test_changed_samples_know_their_intrinsics(recipe: SfMLearnerRecipe) -> None:
    plain, changed = (
        replace(recipe, changes=changes).samples(0)[0]['intrinsics']
        for changes in (STILL, SnippetChanges(mirror=1, enlarge=1.15))
    )
    assert (changed[(0, 1), (0, 1)] >= plain[(0, 1), (0, 1)]).all()
    assert not np.array_equal(changed, plain)


def test_kept_clips_are_the_rendered_ones(recipe: SfMLearnerRecipe, tmp_path: Path) -> None:
    stored = replace(recipe, clips=4, clips_folder=str(tmp_path))
    a, b = stored.samples(1)[2], recipe.samples(1)[2]
    assert all(np.array_equal(a[key], b[key]) for key in a)
    with pytest.raises(TrainError, match='made in another way'):
        stored.samples(2)[0]


class TestCuts:
    """A camera that rests for five frames, moves for three, and rests again."""

    POSITIONS = np.zeros((12, 3))
    POSITIONS[:, 0] = np.interp(np.arange(12), (4, 7), (0, 3))

    def drawn(self, positions, strides, least):
        rng = np.random.default_rng(0)
        cuts = (moving_cut(positions, 2, strides, least, rng) for _ in range(200))
        return {tuple(range(12)[cut]) for cut in cuts}

    def test_those_at_rest_are_dropped(self) -> None:
        assert self.drawn(self.POSITIONS, (1,), 0.5) == {(4, 5, 6), (5, 6, 7)}
        with_2 = self.drawn(self.POSITIONS, (1, 2), 0.5)
        assert with_2 == {(4, 5, 6), (5, 6, 7), (3, 5, 7), (4, 6, 8)}

    def test_where_none_moves_enough_it_is_the_one_that_moves_most(self) -> None:
        positions = np.zeros((8, 3))
        positions[:, 2] = np.cumsum((0, 0, 0, 0.5, 1.0, 0.8, 0, 0))
        assert self.drawn(positions, (1,), 2.0) == {(3, 4, 5)}

    def test_all_are_drawn_where_all_move(self) -> None:
        steady = np.arange(36.0).reshape(12, 3)
        assert len(self.drawn(steady, (1, 2, 3), 0.1)) == 10 + 8 + 6


def test_the_loss_is_the_papers(recipe: SfMLearnerRecipe, network: DepthAndPose) -> None:
    batch = batch_of(recipe)
    target, sources = batch['target'].float() / 255, batch['sources'].float() / 255
    camera = batch['intrinsics']
    motions = network.pose(target, sources).motions
    phi = camera[:, 0, 0] / 128
    depths = [0.01 * phi[:, None, None, None] / d[:, :1] for d in network.depth(target)]
    wanted = view_synthesis_loss(depths, motion_matrices(motions), target, sources, camera)
    got = recipe.loss(network, batch, 0)
    assert set(got) == {'loss', 'photometric', 'smooth'}
    assert float(got['loss'].detach()) == pytest.approx(float(wanted.total.detach()), rel=1e-5)
    got['loss'].backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


def test_cameras_are_learned_from_the_pictures_alone(recipe: SfMLearnerRecipe) -> None:
    torch.manual_seed(0)
    learned = replace(recipe, pose=replace(recipe.pose, intrinsics=True))
    network, batch = learned.network(), batch_of(learned)
    losses = learned.loss(network, batch, 0)
    losses['loss'].backward()
    gradient = network.pose.get_parameter('intrinsics_pred.weight').grad
    assert gradient is not None
    assert all(gradient[i].any() for i in range(4))
    blind = learned.loss(network, batch | {'intrinsics': torch.zeros(2, 3, 3)}, 0)
    assert float(blind['loss'].detach()) == float(losses['loss'].detach())


def test_learned_cameras_are_judged_beside_the_usual_one(recipe: SfMLearnerRecipe) -> None:
    one = replace(recipe, pose=replace(recipe.pose, intrinsics=True), validation_clips=1)
    network, views = one.network().eval(), sfmlearner._held_out(recipe)[:1]
    with torch.no_grad():
        network.pose.intrinsics_pred.weight.zero_()
        network.pose.intrinsics_pred.bias.zero_()
        usual = one._camera_figures(network, views)
        network.pose.intrinsics_pred.bias[2:] += 0.25
        off = one._camera_figures(network, views)
    camera = views[0].camera
    focal = [abs(128 * np.log(2) / f - 1) for f in (camera.fx, camera.fy)]
    assert usual['focal_of_usual'] == pytest.approx(np.mean(focal))
    assert usual['focal'] == pytest.approx(usual['focal_of_usual'], abs=1e-6)
    assert usual['centre'] == pytest.approx(usual['centre_of_usual'], abs=1e-6)
    assert off['focal'] == usual['focal']
    assert abs(off['centre'] - usual['centre']) > 0.1


def test_masks_are_learned_where_they_are_asked_for(recipe: SfMLearnerRecipe) -> None:
    masked = replace(recipe, pose=replace(recipe.pose, explainability=True))
    network, batch = masked.network(), batch_of(masked)
    losses = masked.loss(network, batch, 0)
    terms = masked.terms
    total = losses['photometric'] + terms.smooth * losses['smooth'] + 0.2 * losses['explain']
    assert float(losses['explain']) > 0
    assert float(losses['loss'].detach()) == pytest.approx(float(total))
    losses['loss'].backward()
    assert network.pose.get_parameter('predict_mask4.weight').grad.any()


def test_it_starts_with_depths_near_one(recipe: SfMLearnerRecipe, network: DepthAndPose) -> None:
    batch = batch_of(recipe)
    with torch.no_grad():
        disparities, seen = network(*(batch[k].float() / 255 for k in ('target', 'sources')))
    depth = 0.01 * 0.6 / disparities[0]
    assert 0.1 < float(depth.mean()) < 1
    assert float(seen.motions.abs().max()) < 0.05


class TestFigures:
    @pytest.mark.slow
    def test_depth_and_motion_are_judged_beside_what_sees_nothing(self, recipe, network) -> None:
        with torch.no_grad():
            figures = recipe.validate(network)
        depth = {f'{name}{kind}' for name in ('abs_rel', 'rmse', 'a1')
                 for kind in ('', '_scaled', '_of_mean', '_of_mean_scaled')}  # fmt: skip
        motion = {'ate', 'ate_of_rest', 'ate_of_ahead', 'degrees', 'degrees_of_rest'}
        assert set(figures) == depth | motion
        assert all(np.isfinite(value) for value in figures.values())
        assert figures['ate_of_rest'] > 0

    def test_they_do_not_depend_on_the_unit(self, recipe, network) -> None:
        twice = replace(recipe, monodepth=replace(recipe.monodepth, baseline=0.02))
        other = twice.network().eval()
        other.load_state_dict(network.state_dict())
        with torch.no_grad():
            first, second = recipe.validate(network), twice.validate(other)
        assert second == pytest.approx(first, rel=1e-4)

    def test_a_pose_network_that_says_nothing_moves_is_a_camera_at_rest(
        self, recipe, network
    ) -> None:
        with torch.no_grad():
            for parameter in network.pose.parameters():
                parameter.zero_()
            figures = recipe.validate(network)
        assert figures['ate'] == pytest.approx(figures['ate_of_rest'])
        assert figures['degrees'] == pytest.approx(figures['degrees_of_rest'])

    def test_the_true_motion_in_any_unit_has_no_error(self, recipe, network) -> None:
        views = iter(sfmlearner._held_out(recipe))

        def knows(_target: Tensor, _sources: Tensor) -> Motions:
            poses = next(views).world_from_camera
            true = np.stack([np.linalg.inv(poses[i]) @ poses[1] for i in (0, 2)])
            angles = Rotation.from_matrix(true[:, :3, :3]).as_euler('XYZ')
            vectors = np.concatenate((0.3 * true[:, :3, 3], angles), axis=1)
            return Motions(torch.from_numpy(vectors)[None], (), None)

        network.pose.forward = knows
        with torch.no_grad():
            figures = recipe.validate(network)
        assert figures['ate'] == pytest.approx(0, abs=1e-6)
        assert figures['degrees'] == pytest.approx(0, abs=1e-4)

    def test_the_trajectory_error_is_the_published_one(self) -> None:
        rng = np.random.default_rng(0)
        found, truth = (np.tile(np.eye(4), (3, 1, 1)) for _ in range(2))
        found[1:, :3, 3], truth[1:, :3, 3] = rng.normal(size=(2, 2, 3))
        mine, true = found[:, :3, 3], truth[:, :3, 3]
        scale = np.sum(true * mine) / np.sum(mine**2)
        wanted = np.sqrt(np.sum((true - scale * mine) ** 2)) / 3
        assert sfmlearner._trajectory_error([found], [truth]) == pytest.approx(wanted)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_depth_and_motion_are_learned_from_a_few_clips(recipe: SfMLearnerRecipe) -> None:
    """Nothing tells the depth of these pictures but how they are drawn from their neighbours."""
    few = replace(
        recipe,
        monodepth=replace(recipe.monodepth, width=1 / 8),
        pose=replace(recipe.pose, width=1 / 2, unit=0.05),
        worlds=replace(recipe.worlds, frames=3, rate_hz=(6, 8)),
        strides=(1,),
        changes=STILL,
        terms=ViewSynthesisConfig(smooth_of='disparity', normalised=True),
    )
    torch.manual_seed(0)
    network, batch = few.network(), batch_of(few, 4)
    views = [list(WorldSamples(few.worlds, 0).recording(i))[1] for i in range(4)]
    optimiser = torch.optim.Adam(network.parameters(), lr=5e-4)
    costs = []
    for step in range(300):
        optimiser.zero_grad()
        losses = few.loss(network, batch, step)
        losses['loss'].backward()
        optimiser.step()
        costs.append(float(losses['photometric']))
    with torch.no_grad():
        found = [few._seen(network.depth, v.frame.image, v.frame.camera) for v in views]
    truths = [view.depth for view in views]
    flat = [np.ones_like(truth) for truth in truths]
    learned, constant = (
        depth_figures(depths, truths, '', median_scaling=True)['abs_rel']
        for depths in (found, flat)
    )
    assert costs[-1] < 0.5 * costs[0]
    assert learned < 0.6 * constant


class TestExport:
    def test_it_is_a_monodepth_with_the_unit_of_worlds(self, recipe, network) -> None:
        exported = recipe.export(network)
        assert isinstance(exported, Monodepth)
        assert not exported.training
        for a, b in zip(exported.parameters(), network.depth.parameters(), strict=True):
            assert torch.equal(a, b)
        ratios = []
        for image, camera, truth in sfmlearner._known(recipe.worlds, 3):
            with torch.no_grad():
                picture = torch.from_numpy(image).permute(2, 0, 1)[None] / 255
                disparity = exported(picture)[0][0, 0].numpy()
            depth = metric_depth(disparity, camera, exported.config.baseline)
            ratios.append(np.median(truth) / np.median(depth))
        assert np.median(ratios) == pytest.approx(1, rel=1e-4)
        assert exported.config.baseline != recipe.monodepth.baseline

    def test_its_unit_may_be_left_alone(self, recipe, network) -> None:
        exported = replace(recipe, unit_pictures=0).export(network)
        assert exported.config == recipe.monodepth

    def test_the_estimator_runs_it(self, recipe, network, tmp_path: Path) -> None:
        path = save_network(recipe.export(network), tmp_path / 'depth.safetensors')
        image, camera, _ = sfmlearner._known(recipe.worlds, 3)[0]
        found = load_depth(path, device='cpu').push(Frame(stamp_ns=0, image=image, camera=camera))
        with torch.no_grad():
            unit = recipe._unit(network.depth)
            wanted = unit * recipe._seen(network.depth, image, camera)
        assert found.depth is not None
        assert np.allclose(found.depth, wanted, rtol=1e-4)

    def test_the_papers_network_can_be_learned_and_shipped(self, recipe, tmp_path: Path) -> None:
        papers = replace(recipe, dispnet=DispNetSConfig(width=1 / 16, input_size=(128, 128)))
        network = papers.network()
        assert isinstance(network.depth, DispNetS)
        losses = papers.loss(network, batch_of(papers), 0)
        assert losses['loss'].isfinite()
        path = save_network(papers.export(network), tmp_path / 'depth.safetensors')
        loaded = load_network('sfmlearner', path)
        assert isinstance(loaded, DispNetS)
        assert loaded.config.baseline != 1


def test_pictures_show_the_neighbours_as_they_are_drawn(recipe, network) -> None:
    batch = batch_of(recipe)
    with torch.no_grad():
        picture = recipe.pictures(network, batch)['clips']
    assert picture.shape == (2 * 128, 6 * 128, 3)
    assert np.array_equal(picture[:128, :128], batch['target'][0].permute(1, 2, 0).numpy())
    assert np.array_equal(picture[128:, 128:256], batch['sources'][1, 0].permute(1, 2, 0).numpy())


class TestStart:
    def test_it_goes_on_from_the_depth_of_stereo_pairs(self, recipe, tmp_path: Path) -> None:
        before = Monodepth(recipe.monodepth)
        path = save_network(before.eval(), tmp_path / 'a.safetensors')
        network = replace(recipe, start=path).network()
        for a, b in zip(network.depth.parameters(), before.parameters(), strict=True):
            assert torch.equal(a, b)

    def test_it_goes_on_from_a_checkpoint_of_both(self, recipe, network, tmp_path: Path) -> None:
        path = tmp_path / 'checkpoint.pt'
        torch.save({'average': None, 'network': network.state_dict(), 'step': 3}, path)
        again = replace(recipe, start=path).network()
        for a, b in zip(again.parameters(), network.parameters(), strict=True):
            assert torch.equal(a, b)


@pytest.mark.parametrize(
    ('change', 'said'),
    [
        ({'size': (256, 128)}, r'size \[128, 128\], got stereo False and size \[256, 128\]'),
        ({'stereo': True}, 'without stereo'),
        ({'frames': 4}, '3 pictures, each 2 frames after .* clips of 4 frames'),
    ],
)
def test_worlds_that_do_not_fit_are_refused(recipe, change, said) -> None:
    with pytest.raises(TrainError, match=said):
        replace(recipe, worlds=replace(recipe.worlds, **change))


@pytest.mark.parametrize(
    ('change', 'said'),
    [
        ({'strides': ()}, 'strides'),
        ({'strides': (0, 1)}, r'strides >= 1, got \[0, 1\]'),
        ({'validation_clips': 0}, 'validation_clips >= 1'),
        ({'unit_pictures': -1}, 'unit_pictures >= 0, got 3 and -1'),
    ],
)
def test_what_cannot_be_is_refused(recipe, change, said) -> None:
    with pytest.raises(TrainError, match=said):
        replace(recipe, **change)
