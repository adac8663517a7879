"""Depth and motion learned together from the video of one moving camera (Zhou et al., CVPR 2017).

Neither is ever shown: a picture has to be drawn from its neighbours, by the depth that one network
sees in it and the motions that another sees between them.

The unit. As everywhere (see `dlcv.estimation.monodepth`), the depth of a picture taken with the
focal length phi of its width is ``phi b / d``, d being the network's answer. Video does not tell b:
all that was twice as far and twice as fast would look the same. While it learns, b is what the
configuration says; what is exported has the b with which depths of generated worlds are right by
their medians. That number is all that is taken from any truth.

Letters in this file: B clips, S pictures around the target (a clip has S + 1), L frames of a kept
clip, H W picture size in pixels.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torch import Tensor, nn

from dlcv.data.augment.snippets import SnippetChanges, change_snippet
from dlcv.data.world import SampleConfig, WorldSamples
from dlcv.estimation.monodepth import metric_depth
from dlcv.metrics.baselines.depth import mean_depth
from dlcv.metrics.depth import DepthCaps, depth_errors
from dlcv.metrics.trajectory import PosePairs, absolute_errors, rotation_degrees
from dlcv.networks.losses.view_synthesis import (
    ViewSynthesisConfig,
    motion_matrices,
    synthesise,
    view_synthesis_loss,
)
from dlcv.networks.monodepth import Monodepth, MonodepthConfig, small
from dlcv.networks.registry import build
from dlcv.networks.sfmlearner import DispNetS, DispNetSConfig, Motions, PoseExpNet, PoseExpNetConfig
from dlcv.training.depth import depth_figures, with_small_disparity
from dlcv.training.recipe import Batch, Sample, Samples, TrainError
from dlcv.training.shards import kept_of_worlds
from dlcv.training.start import filled
from dlcv.types import ByteImage, Camera, FloatArray
from dlcv.view.depth import disparity_colours

_HELD_OUT = 20170425  # seed of the validation's worlds; no run has it
_UNIT = 20170426  # seed of the worlds that give exported weights their unit; no run has it
_SHARD = 4  # clips of one file

Answer = tuple[tuple[Tensor, ...], Motions]
"""Disparities ``(B, 1, h, w)``, finest first, and what the pose network says."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SfMLearnerRecipe:
    """Depth and motion without their truth; build it from ``config/train/sfmlearner.yaml``.

    Attributes:
        monodepth: The depth network, of which the left disparity is used; what is exported runs in
            ``monodepth_node``. Its ``baseline`` is any unit: depths near 1 suit motions that
            start near 0.
        dispnet: The paper's depth network, which takes the place of ``monodepth``; no node runs
            it.
        pose: The pose network, which is only there while depth is learned. With ``intrinsics`` the
            cameras are learned too, and those of the samples are not looked at.
        worlds: The clips, in the depth network's size; longer ones than a sample, so that one clip
            gives many samples.
        clips: How many different ones, where they are kept.
        clips_folder: Where they are kept once they are rendered; empty for clips that never repeat.
        strides: Frames of a clip from one picture of a sample to the next.
        least_step: Metres. Samples in which the camera moves less from one picture to the next are
            dropped, as there is nothing to see in them.
        changes: How samples are changed.
        terms: Weights of the loss.
        photos: Folders of photos for the walls; without, they are painted.
        start: Weights of the depth network, or ``checkpoint.pt`` of both to go on from.
        unit_pictures: How many pictures give exported weights their unit; 0 leaves it as it is.
        validation_clips: How many clips of held-out worlds it is validated on.
    """

    monodepth: MonodepthConfig = field(default_factory=small)
    dispnet: DispNetSConfig | None = None
    pose: PoseExpNetConfig = field(default_factory=PoseExpNetConfig)
    worlds: SampleConfig = field(default_factory=lambda: SampleConfig(frames=9))
    clips: int = 2048
    clips_folder: str = ''
    strides: tuple[int, ...] = (1, 2, 3)
    least_step: float = 0.02
    changes: SnippetChanges = field(default_factory=SnippetChanges)
    terms: ViewSynthesisConfig = field(default_factory=ViewSynthesisConfig)
    photos: tuple[Path, ...] = ()
    start: Path | None = None
    unit_pictures: int = 32
    validation_clips: int = 32

    def __post_init__(self) -> None:
        worlds, (height, width) = self.worlds, self.depth.input_size
        if worlds.stereo or worlds.size != (width, height):
            raise TrainError(
                f'SfMLearner needs worlds without stereo and of size {[width, height]}, got '
                f'stereo {worlds.stereo} and size {list(worlds.size)}'
            )
        if not self.strides or min(self.strides) < 1:
            raise TrainError(f'SfMLearner needs strides >= 1, got {list(self.strides)}')
        if worlds.frames <= self.pose.references * max(self.strides):
            raise TrainError(
                f'{self.pose.references + 1} pictures, each {max(self.strides)} frames after the '
                f'one before it, do not fit into clips of {worlds.frames} frames'
            )
        if self.validation_clips < 1 or self.unit_pictures < 0:
            raise TrainError(
                'SfMLearner needs validation_clips >= 1 and unit_pictures >= 0, got '
                f'{self.validation_clips} and {self.unit_pictures}'
            )

    @property
    def name(self) -> str:
        """Name of the run's weights, which are those of a monodepth unless ``dispnet`` is given."""
        return 'sfmlearner'

    @property
    def depth(self) -> MonodepthConfig | DispNetSConfig:
        """The depth network."""
        return self.dispnet or self.monodepth

    @property
    def target(self) -> int:
        """Which picture of a sample the others are drawn as: the middle one."""
        return self.pose.references // 2

    def network(self) -> DepthAndPose:
        """Return both networks.

        Raises:
            TrainError: If ``start`` does not fit.
        """
        depth = build(self.depth)
        assert isinstance(depth, Monodepth | DispNetS)
        if isinstance(depth, Monodepth):
            with_small_disparity(depth)
        both = DepthAndPose(depth, PoseExpNet(self.pose))
        if self.start is not None and self.start.suffix == '.pt':
            return filled(both, self.start, self.name)
        if self.start is not None:
            filled(depth, self.start, 'sfmlearner' if self.dispnet else 'monodepth')
        return both

    def samples(self, seed: int) -> Samples:
        """Return short clips; see `Snippets`."""
        clips = kept_of_worlds(
            WorldVideos,
            self.worlds,
            self.photos,
            seed,
            count=self.clips,
            per_shard=_SHARD,
            folder=self.clips_folder,
        )
        return Snippets(clips, self, seed)

    def loss(self, network: nn.Module, batch: Batch, step: int) -> dict[str, Tensor]:
        """Return the paper's loss and its unweighted terms."""
        del step
        target, sources = batch['target'].float() / 255, batch['sources'].float() / 255
        disparities, seen = network(target, sources)
        cameras = _cameras(seen, batch)
        loss = view_synthesis_loss(
            [self._depth(maps.float(), cameras) for maps in disparities],
            motion_matrices(seen.motions.float()),
            target,
            sources,
            cameras,
            [mask.float() for mask in seen.masks],
            self.terms,
        )
        explain = {'explain': loss.explain.detach()} if seen.masks else {}
        return {
            'loss': loss.total,
            'photometric': loss.photometric.detach(),
            'smooth': loss.smooth.detach(),
            **explain,
        }

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Return errors of depth and of motion in held-out worlds, and of what sees nothing.

        * Depth with one factor for all pictures, which is the ratio of the medians of other worlds,
          and after median scaling of each picture (``_scaled``); the same of the mean depth
          (``_of_mean``).
        * ``ate``: the paper's absolute trajectory error in metres, after the best scale of each
          clip; ``_of_rest`` of a camera that does not move, ``_of_ahead`` of one that moves
          straight ahead. ``degrees``: mean error of the rotations.
        * ``focal``: where intrinsics are learned, the mean error of the focal lengths as a share of
          the true ones, and ``centre``, of the centre as a share of the picture's size;
          ``_of_usual`` of a camera that sees 72 degrees around the middle.
        """
        assert isinstance(network, DepthAndPose)
        views = _held_out(self)
        caps = DepthCaps()
        mean = np.float32(mean_depth([v.depth for v in views], caps.nearest, caps.farthest))
        truths = [view.depth for view in views]
        found = [self._seen(network.depth, view.frames[self.target], view.camera) for view in views]
        unit = np.float32(self._unit(network.depth))
        constant = [np.full_like(truth, mean) for truth in truths]
        return {
            **depth_figures([unit * depth for depth in found], truths, ''),
            **depth_figures(found, truths, '_scaled', median_scaling=True),
            **depth_figures(constant, truths, '_of_mean'),
            **depth_figures(constant, truths, '_of_mean_scaled', median_scaling=True),
            **self._motion_figures(network, views),
            **(self._camera_figures(network, views) if self.pose.intrinsics else {}),
        }

    def pictures(self, network: nn.Module, batch: Batch) -> dict[str, ByteImage]:
        """Return targets, four at most, their neighbours, both drawn as them, and the disparity."""
        assert isinstance(network, DepthAndPose)
        target, sources = batch['target'][:4].float() / 255, batch['sources'][:4].float() / 255
        disparities, seen = network(target, sources)
        cameras = _cameras(seen, batch)[:4]
        depth = self._depth(disparities[0].float(), cameras)
        matrices = motion_matrices(seen.motions.float())
        columns = [_shown(target)]
        for i in range(sources.shape[1]):
            drawn, _ = synthesise(sources[:, i], depth, matrices[:, i], cameras)
            columns += [_shown(sources[:, i]), _shown(drawn)]
        colours = [disparity_colours(maps[0].float().cpu().numpy()) for maps in disparities[0]]
        return {'clips': np.hstack([*columns, np.vstack(colours)])}

    def smoke(self) -> SfMLearnerRecipe:
        """Return a version with tiny networks and short clips of painted rooms."""
        size, width = (128, 128), 1 / 16
        return replace(
            self,
            monodepth=replace(self.monodepth, width=width, input_size=size),
            dispnet=self.dispnet and replace(self.dispnet, width=width, input_size=size),
            pose=replace(self.pose, width=1 / 4),
            worlds=replace(
                self.worlds, size=size, scenes=('room',), frames=self.pose.references + 1
            ),
            strides=(1,),
            clips_folder='',
            photos=(),
            start=None,
            unit_pictures=2,
            validation_clips=2,
        )

    def export(self, network: nn.Module) -> nn.Module:
        """Return the depth network, its unit that of the worlds."""
        assert isinstance(network, DepthAndPose)
        config = network.depth.config
        shipped = build(replace(config, baseline=config.baseline * self._unit(network.depth)))
        shipped.load_state_dict(network.depth.state_dict())
        return shipped.eval()

    def _depth(self, disparity: Tensor, intrinsics: Tensor) -> Tensor:
        """Return depths ``(B, 1, h, w)`` of cameras ``(B, 3, 3)`` of the full size."""
        phi = intrinsics[:, 0, 0] / self.worlds.size[0]
        return (phi * self.depth.baseline)[:, None, None, None] / disparity

    def _seen(self, network: Monodepth | DispNetS, image: ByteImage, camera: Camera) -> FloatArray:
        """Return the depth ``(H, W)`` of a picture."""
        disparity = network(_tensor(image, network)[None])[0][0, 0].float().cpu().numpy()
        return metric_depth(disparity, camera, network.config.baseline)

    @torch.no_grad()
    def _unit(self, network: Monodepth | DispNetS) -> float:
        """Return what depths are to be multiplied with."""
        if not self.unit_pictures:
            return 1.0
        errors = [
            depth_errors(self._seen(network, image, camera), truth, median_scaling=True)
            for image, camera, truth in _known(self.worlds, self.unit_pictures)
        ]
        return median(error.scale for error in errors if error.pixels)

    def _motion_figures(self, network: DepthAndPose, views: list[_View]) -> dict[str, float]:
        rest = np.tile(np.eye(4), (self.pose.references + 1, 1, 1))
        ahead = rest.copy()
        ahead[:, 2, 3] = np.arange(len(ahead))
        truths = [view.world_from_camera for view in views]
        found = [self._poses(network, view) for view in views]
        return {
            'ate': _trajectory_error(found, truths),
            'ate_of_rest': _trajectory_error([rest] * len(views), truths),
            'ate_of_ahead': _trajectory_error([ahead] * len(views), truths),
            'degrees': _rotation_error(found, truths, self.target),
            'degrees_of_rest': _rotation_error([rest] * len(views), truths, self.target),
        }

    def _camera_figures(self, network: DepthAndPose, views: list[_View]) -> dict[str, float]:
        size = np.array(self.worlds.size * 2, np.float64)
        usual = np.array((np.log(2), np.log(2), 0.5, 0.5))  # what a network says at zero
        truths = np.array(
            [(v.camera.fx, v.camera.fy, v.camera.cx + 0.5, v.camera.cy + 0.5) for v in views]
        )
        found = []
        for view in views:
            camera = self._moved(network, view).intrinsics
            assert camera is not None
            fx, fy, cx, cy = camera[0, (0, 1, 0, 1), (0, 1, 2, 2)].tolist()
            found.append((fx, fy, cx + 0.5, cy + 0.5))
        figures = {}
        for name, said in (('', np.array(found)), ('_of_usual', np.tile(usual * size, (1, 1)))):
            off = np.abs(said - truths)
            figures[f'focal{name}'] = float((off[:, :2] / truths[:, :2]).mean())
            figures[f'centre{name}'] = float((off[:, 2:] / size[2:]).mean())
        return figures

    def _poses(self, network: DepthAndPose, view: _View) -> FloatArray:
        """Return the poses ``target_from_camera`` of a clip, ``(S + 1, 4, 4)``."""
        motions = self._moved(network, view).motions
        matrices = motion_matrices(motions[0].double().cpu()).numpy()
        return np.insert(np.linalg.inv(matrices), self.target, np.eye(4), axis=0)

    def _moved(self, network: DepthAndPose, view: _View) -> Motions:
        """Return what the pose network says of a clip."""
        frames = _tensor(view.frames, network)
        others = [i for i in range(len(frames)) if i != self.target]
        moved: Motions = network.pose(frames[self.target][None], frames[others][None])
        return moved


class DepthAndPose(nn.Module):
    """Two networks that are trained as one."""

    def __init__(self, depth: Monodepth | DispNetS, pose: PoseExpNet) -> None:
        super().__init__()
        self.depth, self.pose = depth, pose

    def forward(self, target: Tensor, sources: Tensor) -> Answer:
        """Look at targets ``(B, 3, H, W)`` and their sources ``(B, S, 3, H, W)`` in [0, 1]."""
        return tuple(maps[:, :1] for maps in self.depth(target)), self.pose(target, sources)


class WorldVideos:
    """Clips of worlds.

    Each has ``frames``, ``(L, H, W, 3)`` uint8, ``camera``, the four float64 numbers fx, fy, cx,
    cy, and ``positions``, ``(L, 3)`` metres, by which resting cameras are told.
    """

    def __init__(self, worlds: WorldSamples) -> None:
        self._worlds = worlds

    def __getitem__(self, index: int) -> Sample:
        """Render the clip of that number."""
        recording = self._worlds.recording(index)
        camera = recording.camera
        return {
            'frames': np.stack([view.frame.image for view in recording]),
            'camera': np.array((camera.fx, camera.fy, camera.cx, camera.cy)),
            'positions': recording.world_from_camera[:, :3, 3],
        }


class Snippets:
    """Cuts of clips in which the camera moves, changed; each a function of seed and number.

    A sample has ``target``, ``(3, H, W)`` uint8, ``sources``, the pictures around it in the order
    of time, ``(S, 3, H, W)``, and ``intrinsics``, ``(3, 3)`` float32. Nothing in it tells depth or
    motion.
    """

    def __init__(self, clips: Samples, recipe: SfMLearnerRecipe, seed: int) -> None:
        self._clips, self._recipe, self._seed = clips, recipe, seed

    def __getitem__(self, index: int) -> Sample:
        """Return the sample of that number."""
        recipe, clip = self._recipe, self._clips[index]
        rng = np.random.default_rng([self._seed, index, 1])
        positions = np.asarray(clip['positions'], np.float64)
        cut = moving_cut(positions, recipe.pose.references, recipe.strides, recipe.least_step, rng)
        frames = np.asarray(clip['frames'][cut], np.uint8)
        fx, fy, cx, cy = np.asarray(clip['camera'], np.float64).tolist()
        height, width = frames.shape[1:3]
        camera = Camera(width=width, height=height, fx=fx, fy=fy, cx=cx, cy=cy)
        frames, camera = change_snippet(frames, camera, rng, recipe.changes)
        ordered = np.ascontiguousarray(frames.transpose(0, 3, 1, 2))
        return {
            'target': ordered[recipe.target],
            'sources': np.delete(ordered, recipe.target, axis=0),
            'intrinsics': camera.matrix.astype(np.float32),
        }


def moving_cut(
    positions: FloatArray,
    steps: int,
    strides: tuple[int, ...],
    least: float,
    rng: np.random.Generator,
) -> slice:
    """Return frames of a clip between which the camera moves, drawn evenly from all such cuts.

    Args:
        positions: ``(L, 3)`` of the camera in metres.
        steps: From the first picture of the cut to its last.
        strides: Frames that a step may have.
        least: Metres that the camera has to move in each step.
        rng: Draws.

    Returns:
        The cut; where the camera hardly moves in any, the one in which it moves most.
    """
    moves: list[tuple[float, slice]] = []
    for stride in strides:
        moved = np.linalg.norm(positions[stride:] - positions[:-stride], axis=1)
        for first in range(len(positions) - steps * stride):
            cut = slice(first, first + steps * stride + 1, stride)
            moves.append((float(moved[first : first + steps * stride : stride].min()), cut))
    moving = [cut for metres, cut in moves if metres >= least]
    if not moving:
        return max(moves, key=lambda move: move[0])[1]
    return moving[int(rng.integers(len(moving)))]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _View:
    """A clip ``(S + 1, H, W, 3)`` and its truth; the depth is that of the target."""

    frames: ByteImage
    camera: Camera
    depth: FloatArray
    world_from_camera: FloatArray


@lru_cache(maxsize=1)
def _held_out(recipe: SfMLearnerRecipe) -> list[_View]:
    """Return clips of worlds that no run sees, four of each, of a middling stride."""
    stride = sorted(recipe.strides)[len(recipe.strides) // 2]
    low, high = recipe.worlds.rate_hz
    worlds = replace(
        recipe.worlds,
        frames=recipe.pose.references + 1,
        rate_hz=(low / stride, high / stride),
        per_world=4,
    )
    samples, views = WorldSamples(worlds, _HELD_OUT), []
    for index in range(recipe.validation_clips):
        recording = samples.recording(index)
        clip = list(recording)
        depth = clip[recipe.target].depth
        assert depth is not None
        views.append(
            _View(
                frames=np.stack([view.frame.image for view in clip]),
                camera=recording.camera,
                depth=depth,
                world_from_camera=recording.world_from_camera,
            )
        )
    return views


@lru_cache(maxsize=1)
def _known(worlds: SampleConfig, count: int) -> list[tuple[ByteImage, Camera, FloatArray]]:
    """Return pictures of worlds, their cameras and their depths; four of each world."""
    samples = WorldSamples(replace(worlds, frames=1, per_world=4), _UNIT)
    views = []
    for index in range(count):
        (view,) = samples[index]
        assert view.frame.camera is not None
        assert view.depth is not None
        views.append((view.frame.image, view.frame.camera, view.depth))
    return views


def _trajectory_error(found: list[FloatArray], truths: list[FloatArray]) -> float:
    """Return the paper's error in metres: the length of all errors over the number of poses."""
    errors = []
    for poses, truth in zip(found, truths, strict=True):
        pairs = PosePairs(stamps_ns=np.arange(len(poses)), estimate=poses, truth=truth)
        metres = absolute_errors(pairs, 'scale').metres
        errors.append(float(np.linalg.norm(metres)) / len(metres))
    return float(np.mean(errors))


def _rotation_error(found: list[FloatArray], truths: list[FloatArray], target: int) -> float:
    """Return the mean error in degrees of rotations between the target and other pictures."""
    errors = []
    for poses, truth in zip(found, truths, strict=True):
        true = np.linalg.inv(truth[target]) @ truth
        mine = np.linalg.inv(poses[target]) @ poses
        degrees = rotation_degrees(np.linalg.inv(true) @ mine)
        errors.append(float(degrees.sum()) / (len(degrees) - 1))
    return float(np.mean(errors))


def _cameras(seen: Motions, batch: Batch) -> Tensor:
    """Return the calibration matrices ``(B, 3, 3)`` that are learned, or else those of a batch."""
    if seen.intrinsics is None:
        return batch['intrinsics']
    return seen.intrinsics.float()


def _tensor(image: ByteImage, network: nn.Module) -> Tensor:
    """Return ``(..., H, W, 3)`` bytes as ``(..., 3, H, W)`` in [0, 1] where the network is."""
    device = next(network.parameters()).device
    return torch.from_numpy(image).to(device).movedim(-1, -3).float() / 255


def _shown(images: Tensor) -> ByteImage:
    """Return pictures ``(B, 3, H, W)`` in [0, 1] as one column."""
    column = images.mul(255).round().byte().cpu().numpy()
    return np.vstack([image.transpose(1, 2, 0) for image in column])
