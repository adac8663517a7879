"""A frame to the camera's pose in a known scene."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dlcv.estimation.base import Estimator, to_array
from dlcv.estimation.consensus import ConsensusSettings, PoseEstimate, Score, solve_pose
from dlcv.estimation.pictures import Fit, View, colour, grey
from dlcv.geometry.camera import Rectifier, reprojection_errors
from dlcv.networks.dsac import PatchCoordinateNet, SceneCoordinateNet, cell_centres
from dlcv.networks.place import UNMEASURED, Place
from dlcv.types import Camera, FloatArray, Frame, Localization

_ROWS = 480  # of DSAC*'s pictures, in whose pixels the gates count
_ANY_TURN = np.pi / 3**0.5  # rad, deviation of an angle of which nothing is known
_NARROWEST = 1.0  # m, of what a position is taken to be anywhere in

CoordinateNet = SceneCoordinateNet | PatchCoordinateNet


class RelocalizationError(ValueError):
    """The frame cannot be relocalized at all; the message says what is missing or does not fit."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RelocalizationSettings:
    """How a pose is searched and which poses are believed.

    Pixels are those of the network's input, which has as many rows as the map was trained on.

    Attributes:
        hypotheses: Poses sampled from minimal sets.
        inlier_threshold: Reprojection error of an inlier, in pixels. For the gates it is taken in
            pixels of 480 rows where the map has fewer: of 180 rows, 10 pixels are so wide that
            wrong poses find many cells to agree with them.
        max_pixel_error: Reprojection errors are clamped here.
        min_inliers: A pose with fewer is rejected.
        min_inlier_ratio: A pose with a smaller share of the cells is rejected; where the map asks
            for more, that counts.
        max_tries: Most minimal sets drawn for a frame.
        time_budget: Seconds after which no more are drawn.
        prior_gate_distance: A pose farther from the prior, in metres, is rejected; 0 for no gate.
        seed: Of the sampling: the same frame gives the same pose.
    """

    hypotheses: int = 64
    inlier_threshold: float = 10.0
    max_pixel_error: float = 100.0
    min_inliers: int = 100
    min_inlier_ratio: float = 0.1
    max_tries: int = 10_000
    time_budget: float = 1.0
    prior_gate_distance: float = 0.0
    seed: int = 0


class RelocalizationEstimator(Estimator[CoordinateNet]):
    """A scene coordinate network and the sample consensus over its answer.

    Args:
        network: The network: it is the map.
        settings: May be replaced between two frames.
        device: See `Estimator`.
        precision: See `Estimator`.
        score: Learned score of hypotheses; None for the soft inlier count.
    """

    def __init__(
        self,
        network: CoordinateNet,
        settings: RelocalizationSettings | None = None,
        device: str = 'auto',
        precision: str = 'fp32',
        score: Score | None = None,
    ) -> None:
        super().__init__(network, device, precision)
        self.settings = settings or RelocalizationSettings()
        self._score = score
        self._view = View()

    @property
    def place(self) -> Place | None:
        """What the network is a map of; None where its file does not say."""
        return self.network.config.place

    def misfit(self, camera: Camera) -> str:
        """Say why the map is not one for a camera; empty if it is, or does not say."""
        return '' if self.place is None else self.place.camera_misfit(camera)

    def push(self, frame: Frame, *, prior: FloatArray | None = None) -> Localization:
        """Find the camera's pose in the map.

        Args:
            frame: The picture, with its camera; it is rectified if that is distorted.
            prior: ``(4, 4)`` map_from_camera where the camera is believed to be, for the gate.

        Returns:
            The best pose, with the gates' verdict.

        Raises:
            RelocalizationError: If the frame has no camera, or one that the map is not for.
        """
        grid, centres, camera = self.coordinates(frame)
        found = self._solve(grid, centres, camera)
        points = to_array(grid)
        return self._judge(
            frame, points, found, self._inliers(points, centres, camera, found), prior
        )

    def coordinates(self, frame: Frame) -> tuple[Tensor, Tensor, Camera]:
        """Run the network alone.

        Args:
            frame: The picture, with its camera.

        Returns:
            ``(h, w, 3)`` scene coordinates in metres, on the device, NaN where the camera does not
            see; ``(h, w, 2)`` the pixels they stand for; the camera of those pixels.

        Raises:
            RelocalizationError: If the frame has no camera, or one that the map is not for.
        """
        image, camera, rectifier = self._view.rectified(frame)
        if camera is None:
            raise RelocalizationError('a pose needs the camera: the frame has no calibration')
        if problem := self.misfit(camera):
            raise RelocalizationError(problem)
        config = self.network.config
        fit = Fit.to_height((camera.width, camera.height), config.input_height)
        picture = grey(image) if config.channels == 1 else colour(image)
        with self._inference():
            (answer,) = self.runner(self._tensor(fit.image(picture)))
        grid = answer[0].float().permute(1, 2, 0)  # (h, w, 3)
        centres = cell_centres(config, *grid.shape[:2])
        if rectifier is not None:
            grid = _masked(grid, centres, fit, rectifier)
        return grid, centres, fit.camera(camera)

    def _solve(self, grid: Tensor, centres: Tensor, camera: Camera) -> PoseEstimate:
        settings = self.settings
        return solve_pose(
            grid.reshape(-1, 3),
            centres.reshape(-1, 2),
            camera,
            ConsensusSettings(
                hypotheses=settings.hypotheses,
                threshold=settings.inlier_threshold,
                max_error=settings.max_pixel_error,
                max_tries=settings.max_tries,
                time_budget=settings.time_budget,
            ),
            score=self._score,
            generator=torch.Generator().manual_seed(settings.seed),
        )

    def _inliers(
        self, grid: FloatArray, centres: Tensor, camera: Camera, found: PoseEstimate
    ) -> int:
        """Count the cells that agree with the pose as well as the gates ask."""
        rows = self.network.config.input_height
        if found.world_from_camera is None or rows >= _ROWS:
            return found.inliers
        camera_from_world = np.linalg.inv(_matrix(found.world_from_camera))
        points = grid.reshape(-1, 3).astype(np.float64)
        error = reprojection_errors(
            camera, camera_from_world, points, centres.reshape(-1, 2).numpy()
        )
        within = self.settings.inlier_threshold * rows / _ROWS
        return int(np.count_nonzero(error < within))  # NaN is none

    def _judge(
        self,
        frame: Frame,
        grid: FloatArray,
        found: PoseEstimate,
        inliers: int,
        prior: FloatArray | None,
    ) -> Localization:
        pose = None if found.world_from_camera is None else _matrix(found.world_from_camera)
        ratio = inliers / max(1, grid.shape[0] * grid.shape[1])
        stated = None if found.covariance is None else _matrix(found.covariance)
        refusal = found.reason or self._refusal(pose, inliers, ratio, prior)
        if not refusal and (stated is None or not np.isfinite(stated).all()):
            refusal = f'{inliers} inliers lie so that they do not fix a pose'
        return Localization(
            stamp_ns=frame.stamp_ns,
            accepted=not refusal,
            reason=refusal or f'{inliers} inliers, {ratio:.0%} of all cells',
            map_from_camera=pose,
            covariance=None if stated is None else self._covariance(stated, grid, not refusal),
            inliers=inliers,
            inlier_ratio=ratio,
            scene_coordinates=grid,
            hypotheses=_matrix(found.hypotheses),
            scores=_matrix(found.scores),
            tries=found.tries,
        )

    def _covariance(self, stated: FloatArray, grid: FloatArray, accepted: bool) -> FloatArray:
        """Return how far a pose may be off, ``(6, 6)``.

        The consensus states what remains of independent errors of cells; the map knows how many
        times that is in truth. A pose that is not believed may be anywhere in the place.
        """
        spread = (self.place and self.place.spread) or UNMEASURED
        widened = spread.widened(stated)
        if accepted:
            return widened
        anywhere = np.diag(np.repeat((self._size(grid), _ANY_TURN), 3) ** 2)
        return anywhere + (widened if np.isfinite(widened).all() else 0.0)

    def _size(self, grid: FloatArray) -> float:
        """Return how large the place is, metres; of a map that does not say, by what it sees."""
        if self.place is not None:
            return self.place.size
        points = grid.reshape(-1, 3).astype(np.float64)
        known = points[np.isfinite(points).all(axis=1)]
        seen = float(np.linalg.norm(known.std(axis=0))) if len(known) else 0.0
        return max(seen, _NARROWEST)

    def _refusal(
        self, pose: FloatArray | None, inliers: int, ratio: float, prior: FloatArray | None
    ) -> str:
        """Say which gate the pose does not pass; empty if it passes all."""
        settings = self.settings
        if inliers < settings.min_inliers:
            return f'{inliers} inliers; {settings.min_inliers} are needed'
        least = max(settings.min_inlier_ratio, self.place.least_share if self.place else 0)
        if ratio < least:
            return f'{ratio:.1%} of the cells are inliers; {least:.1%} needed'
        if pose is None:
            return ''
        if self.place is not None and (problem := self.place.pose_misfit(pose)):
            return problem
        if prior is None or settings.prior_gate_distance == 0:
            return ''
        distance = float(np.linalg.norm(pose[:3, 3] - prior[:3, 3]))
        if distance > settings.prior_gate_distance:
            return (
                f'{distance:.2f} m from where the camera was believed to be; '
                f'{settings.prior_gate_distance:g} m are allowed'
            )
        return ''


def _masked(grid: Tensor, centres: Tensor, fit: Fit, rectifier: Rectifier) -> Tensor:
    """Return the scene coordinates with NaN in cells that the camera does not see."""
    at = np.rint(fit.to_source(centres.numpy())).astype(int)  # (h, w, 2)
    height, width = rectifier.valid.shape
    seen = rectifier.valid[at[..., 1].clip(0, height - 1), at[..., 0].clip(0, width - 1)]
    unseen = torch.from_numpy(~seen).to(grid.device)
    return grid.masked_fill(unseen[..., None], float('nan'))


def _matrix(tensor: Tensor) -> FloatArray:
    return np.asarray(tensor.double().cpu().numpy(), np.float64)
