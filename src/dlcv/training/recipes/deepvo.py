"""DeepVO learned from clips of generated worlds (Wang et al., ICRA 2017).

All clips are seen through one camera, the one of the network's configuration, through which the
estimator later shows it the pictures of any other. What that other camera does not see is black.

Letters in this file: B clips, T motions (T + 1 frames), H W picture size in pixels.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from math import atan, degrees
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from dlcv.data.augment.clips import ClipChanges, change_clip
from dlcv.data.augment.speechless import speechless_clip
from dlcv.data.world import SampleConfig, WorldSamples
from dlcv.networks.deepvo import DeepVO, DeepVOConfig
from dlcv.networks.flownet import FlowNet
from dlcv.networks.losses.deepvo import deepvo_loss, pair_labels, window_labels
from dlcv.networks.weights import load
from dlcv.training.calibration import fit_spread, odometry_errors
from dlcv.training.recipe import Batch, Sample, Samples, TrainError
from dlcv.training.shards import kept_of_worlds, renewed_of_worlds
from dlcv.training.start import filled, located
from dlcv.types import ByteImage, FloatArray
from dlcv.view.panel import side_by_side, stacked

_HELD_OUT = 20170529  # seed of the validation's worlds; no run has it
_CALIBRATION = 20170530  # of those that the exported weights are measured on
_SHARD = 4  # clips of one file
_LEAST_WAY = 1e-2  # metres; of less, an error is no share


@dataclass(frozen=True, kw_only=True, slots=True)
class DeepVORecipe:
    """Odometry from clips with known poses; build it from ``config/train/deepvo.yaml``.

    Attributes:
        deepvo: The network; its ``focal`` is the camera of all clips.
        worlds: The clips, in the network's size; longer ones than a sample, so that one clip
            gives many samples. Their ``fov``, ``aspect`` and ``offset`` follow from the network,
            their ``gaits`` say how many of them stand, turn on the spot, and stop on their way.
        clips: How many different ones, where they are kept and not renewed.
        clips_folder: Where they are kept once they are rendered; empty for clips that never repeat.
        window: Worlds that samples are mixed from at a time, and which are given up later on; see
            `RenewedSamples`. 0 to keep the same clips for the whole run.
        uses: How often a clip is taken on average before its world is given up.
        motions: T of a sample.
        strides: Frames of a clip from one frame of a sample to the next, drawn evenly.
        changes: How samples are changed.
        speechless: Probability that some frames of a sample say nothing: black, white, one colour,
            noise or covered. Which motion they hide cannot be known, so motions from and to such
            frames do not count in the loss; those after them do.
        kappa: Weight of the angles in the loss.
        relative: Metres. Above 0, errors of translation are divided by the length of the true
            motion and this, so that a walk counts as much as a drive; 0 for the paper's squares.
        photos: Folders of photos for the walls; without, they are painted.
        start: FlowNetS whose encoder is taken, as in the paper; or weights or ``checkpoint.pt``
            of a DeepVO to go on from.
        validation_clips: How many clips of held-out worlds it is validated on.
        calibration_clips: How many clips of other held-out worlds its spread is measured on when
            it is exported; their cameras differ.
    """

    deepvo: DeepVOConfig
    worlds: SampleConfig = field(default_factory=lambda: SampleConfig(frames=33))
    clips: int = 512
    clips_folder: str = ''
    window: int = 0
    uses: int = 32
    motions: int = 8
    strides: tuple[int, ...] = (1, 2, 3)
    changes: ClipChanges = field(default_factory=ClipChanges)
    speechless: float = 0.0
    kappa: float = 100.0
    relative: float = 0.0
    photos: tuple[Path, ...] = ()
    start: Path | None = None
    validation_clips: int = 24
    calibration_clips: int = 64

    def __post_init__(self) -> None:
        if self.deepvo.focal is None:
            raise TrainError('DeepVO needs the focal of the camera that it is to see through')
        if self.motions < 1 or not self.strides or min(self.strides) < 1 or self.relative < 0:
            raise TrainError(
                'DeepVO needs motions and strides >= 1 and relative >= 0, got '
                f'{self.motions}, {list(self.strides)} and {self.relative}'
            )
        if self.window < 0 or self.uses < 1 or not 0 <= self.speechless < 1:
            raise TrainError(
                'DeepVO needs window >= 0, uses >= 1 and speechless in [0, 1), got '
                f'{self.window}, {self.uses} and {self.speechless}'
            )
        if self.worlds.frames <= self.motions * max(self.strides):
            raise TrainError(
                f'{self.motions} motions of {max(self.strides)} frames do not fit into clips of '
                f'{self.worlds.frames} frames'
            )
        if min(self.validation_clips, self.calibration_clips) < 1:
            raise TrainError(
                'DeepVO needs validation_clips and calibration_clips >= 1, got '
                f'{self.validation_clips} and {self.calibration_clips}'
            )

    @property
    def name(self) -> str:
        """Name of the weights."""
        return 'deepvo'

    def network(self) -> DeepVO:
        """Return the network to train.

        Raises:
            TrainError: If ``start`` does not fit.
        """
        network = DeepVO(self.deepvo)
        if self.start is None:
            return network
        start = located(self.start)
        if start.suffix != '.pt' and isinstance(found := load('', start).network, FlowNet):
            return _with_encoder(network, found, start)
        return filled(network, start, self.name)

    def samples(self, seed: int) -> Samples:
        """Return clips; see `ClipSamples`."""
        worlds = (WorldClips, self.seen, self.photos, seed)
        folder = self.clips_folder
        clips = (
            renewed_of_worlds(*worlds, window=self.window, uses=self.uses, folder=folder)
            if self.window
            else kept_of_worlds(*worlds, count=self.clips, per_shard=_SHARD, folder=folder)
        )
        return ClipSamples(clips, self, seed)

    def loss(self, network: nn.Module, batch: Batch, step: int) -> dict[str, Tensor]:
        """Return the paper's loss, and the mean errors in degrees and as a share of the way.

        It is a mean over the motions that the frames tell of; see ``speechless``.
        """
        del step
        speaks = batch['speaks']  # (B, T) bool
        predicted = network(batch['frames'].float() / 255)[0].float()  # (B, T, 6)
        if not bool(speaks.any()):
            nothing = 0 * predicted.sum()
            return {'loss': nothing, 'degrees': nothing.detach(), 'way': nothing.detach()}
        predicted, target = predicted[speaks][None], batch['motions'][speaks][None]  # (1, N, 6)
        unit = torch.ones_like(target)
        if self.relative:
            length = target[..., 3:].norm(dim=2, keepdim=True)  # (1, N, 1)
            unit[..., 3:] = 1 / (length + self.relative)
        loss = deepvo_loss(predicted * unit, target * unit, self.kappa)
        with torch.no_grad():
            turn, way = _errors(predicted, target)
        return {'loss': loss.total, 'degrees': turn, 'way': way}

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Return mean errors of a motion in held-out worlds, over all and by kind of camera motion.

        ``degrees`` is that of the turn, ``metres`` that of the translation, ``way`` the same as a
        share of the true way, where there is one; ``degrees_of_none`` is what it costs to answer
        that nothing turns (``way`` is 1 then). Cameras that do not go steadily are kinds of their
        own: ``still``, ``turning``, ``halting``.
        """
        device = next(network.parameters()).device
        found: dict[str, list[tuple[Tensor, Tensor]]] = {}
        for kind, clip in _held_out(self):
            frames = torch.from_numpy(clip['frames'])[None].to(device).float() / 255
            answer = network(frames)[0][0].float().cpu()  # (T, 6)
            found.setdefault(kind, []).append((answer, torch.from_numpy(clip['motions'])))
        every = [pair for pairs in found.values() for pair in pairs]
        figures = _figures(every, '')
        still = [(torch.zeros_like(true), true) for _, true in every]
        figures['degrees_of_none'] = _figures(still, '')['degrees']
        for kind in sorted(found):
            figures |= _figures(found[kind], f'_{kind}')
        return figures

    def pictures(self, network: nn.Module, batch: Batch) -> dict[str, ByteImage]:
        """Return the first and the last frame of the clips of the batch, four at most."""
        del network
        rows = []
        for clip in batch['frames'][:4]:
            ends = (frame.permute(1, 2, 0).cpu().numpy() for frame in (clip[0], clip[-1]))
            rows.append(side_by_side(*ends))
        return {'clips': stacked(*rows)}

    def smoke(self) -> DeepVORecipe:
        """Return a version with a tiny network and short clips of painted rooms."""
        return replace(
            self,
            deepvo=replace(
                self.deepvo, width=1 / 16, memory=16, input_size=(64, 64), memory_dropout=0.0
            ),
            worlds=replace(self.worlds, size=(64, 64), frames=4, scenes=('room',)),
            motions=2,
            strides=(1,),
            clips_folder='',
            window=0,
            photos=(),
            start=None,
            validation_clips=1,
            calibration_clips=8,
        )

    def export(self, network: nn.Module) -> nn.Module:
        """Return the network with its spread, measured on worlds that it never saw."""
        assert isinstance(network, DeepVO)
        worlds = replace(self.worlds, stereo=False, per_world=4)
        samples = WorldSamples(worlds, _CALIBRATION)
        exported = DeepVO(network.config).eval()
        exported.load_state_dict(network.state_dict())
        drives = (samples[index] for index in range(self.calibration_clips))
        spread = fit_spread(odometry_errors(exported, drives))
        exported.config = replace(network.config, spread=spread)
        return exported

    def labels(self, world_from_camera: FloatArray) -> FloatArray:
        """Return the motions ``(T, 6)`` of poses ``(T+1, 4, 4)`` as the network is to answer."""
        make = window_labels if self.deepvo.labels == 'window' else pair_labels
        return make(world_from_camera)

    @property
    def seen(self) -> SampleConfig:
        """The worlds as the network's camera sees them."""
        height, width = self.deepvo.input_size
        assert self.deepvo.focal is not None
        fx, fy = self.deepvo.focal[0] * width, self.deepvo.focal[1] * height
        fov, aspect = degrees(2 * atan(width / 2 / fx)), fy / fx
        return replace(
            self.worlds,
            size=(width, height),
            fov=(fov, fov),
            aspect=(aspect, aspect),
            offset=0.0,
            stereo=False,
        )


class WorldClips:
    """``frames``, ``(L, H, W, 3)`` uint8, and ``poses``, ``(L, 4, 4)``, of clips of worlds."""

    def __init__(self, worlds: WorldSamples) -> None:
        self._worlds = worlds

    def __getitem__(self, index: int) -> Sample:
        """Render the clip of that number."""
        recording = self._worlds.recording(index)
        return {
            'frames': np.stack([view.frame.image for view in recording]),
            'poses': recording.world_from_camera,
        }


class ClipSamples:
    """Cuts of clips, changed; each a function of seed and number.

    A sample has ``frames``, ``(T+1, 3, H, W)`` uint8, ``motions``, ``(T, 6)`` float32, and
    ``speaks``, ``(T,)`` bool: whether both frames of a motion show what is before the camera.
    """

    def __init__(self, clips: Samples, recipe: DeepVORecipe, seed: int) -> None:
        self._clips, self._recipe, self._seed = clips, recipe, seed

    def __getitem__(self, index: int) -> Sample:
        """Return the sample of that number."""
        recipe, clip = self._recipe, self._clips[index]
        rng = np.random.default_rng([self._seed, index, 1])
        stride = int(rng.choice(recipe.strides))
        length = recipe.motions * stride
        start = int(rng.integers(len(clip['frames']) - length))
        cut = slice(start, start + length + 1, stride)
        frames, poses = change_clip(
            np.asarray(clip['frames'][cut], np.uint8),
            np.asarray(clip['poses'][cut], np.float64),
            rng,
            recipe.changes,
        )
        seen = np.ones(len(frames), np.bool_)
        if rng.random() < recipe.speechless:
            first = int(rng.integers(len(frames)))
            mute = slice(first, first + int(rng.integers(1, recipe.motions + 1)))
            frames[mute] = speechless_clip(rng, frames[mute])
            seen[mute] = False
        return {
            'frames': np.ascontiguousarray(frames.transpose(0, 3, 1, 2)),
            'motions': recipe.labels(poses).astype(np.float32),
            'speaks': seen[1:] & seen[:-1],
        }


@torch.no_grad()
def _with_encoder(network: DeepVO, flownet: FlowNet, path: Path) -> DeepVO:
    """Copy FlowNetS's contracting part."""
    theirs = flownet.state_dict()
    own = {name: value for name, value in network.state_dict().items() if name.startswith('conv')}
    unfit = [name for name in own if name not in theirs or theirs[name].shape != own[name].shape]
    if flownet.config.variant != 's' or unfit:
        raise TrainError(
            f'{path}: its encoder does not fit: it is FlowNet{flownet.config.variant.upper()} of '
            f'width {flownet.config.width:g} with batch_norm {flownet.config.batch_norm}, wanted '
            f'is FlowNetS of width {network.config.width:g} with batch_norm '
            f'{network.config.batch_norm}'
        )
    network.load_state_dict({name: theirs[name] for name in own}, strict=False)
    return network


def _errors(predicted: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean error of the angles in degrees, and of translation per metre of way.

    The latter of a camera that stands, which goes no way, is as if all had gone a centimetre.
    """
    difference = predicted - target
    turn = torch.rad2deg(difference[..., :3].norm(dim=-1)).mean()
    way = target[..., 3:].norm(dim=-1).sum().clamp(min=_LEAST_WAY)
    return turn, difference[..., 3:].norm(dim=-1).sum() / way


def _figures(pairs: list[tuple[Tensor, Tensor]], suffix: str) -> dict[str, float]:
    predicted, target = (torch.cat(parts) for parts in zip(*pairs, strict=True))
    turn, way = _errors(predicted, target)
    metres = (predicted - target)[..., 3:].norm(dim=-1).mean()
    figures = {f'degrees{suffix}': float(turn), f'metres{suffix}': float(metres)}
    if target[..., 3:].norm(dim=-1).sum() > _LEAST_WAY:
        figures[f'way{suffix}'] = float(way)
    return figures


@lru_cache(maxsize=1)
def _held_out(recipe: DeepVORecipe) -> list[tuple[str, Sample]]:
    """Return whole clips of worlds that no run sees, with the kind of camera motion or gait."""
    worlds = replace(recipe.seen, frames=recipe.motions + 1, per_world=4)
    samples = WorldSamples(worlds, _HELD_OUT)
    found: list[tuple[str, Sample]] = []
    for index in range(recipe.validation_clips):
        recording = samples.recording(index)
        frames = np.stack([view.frame.image.transpose(2, 0, 1) for view in recording])
        motions = recipe.labels(recording.world_from_camera).astype(np.float32)
        kind = recording.motion if recording.gait == 'steady' else recording.gait
        found.append((kind, {'frames': frames, 'motions': motions}))
    return found
