"""Frames to interest points and matches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from dlcv.estimation.base import Estimator, to_array
from dlcv.estimation.pictures import Fit, colour, grey, size_of
from dlcv.geometry.camera import pixel_rays
from dlcv.networks.layers.keypoints import (
    Points,
    detect_dense,
    detect_greedy,
    heatmap,
    match_mutual,
    refine_peaks,
    sample_descriptors,
)
from dlcv.networks.netvlad import NetVLAD
from dlcv.networks.superpoint import SuperPoint
from dlcv.types import FloatArray, Frame, Keypoints, Matches

_REFINED = 2  # pixels around a peak that say where in its pixel it is


@dataclass(frozen=True, kw_only=True, slots=True)
class FeatureSettings:
    """How keypoints are chosen and matched.

    Attributes:
        max_keypoints: The strongest that are kept.
        detection_threshold: Smallest score.
        nms_radius: Half the side of the square in which only the strongest stays, in pixels of the
            network's input; 0 keeps all.
        remove_borders: Margin without keypoints, in pixels of the network's input.
        resize_long_side: Larger images are shrunk to this; 0 for never.
        match_ratio: Largest ratio of the nearest to the second nearest distance; 1 for no test.
        pipeline: ``dense``, as in matching front ends, or ``demo``, as in the original demo.
        subpixel: Whether points are placed between the pixels; ``auto`` as the weights were
            published.
    """

    max_keypoints: int = 1024
    detection_threshold: float = 0.005
    nms_radius: int = 4
    remove_borders: int = 4
    resize_long_side: int = 640
    match_ratio: float = 0.9
    pipeline: Literal['dense', 'demo'] = 'dense'
    subpixel: Literal['auto', 'on', 'off'] = 'auto'


class FeatureEstimator(Estimator[SuperPoint]):
    """SuperPoint on one frame at a time.

    Args:
        network: The network; its configuration names the descriptor sampling of its weights.
        settings: May be replaced between two frames.
        device: See `Estimator`.
        precision: See `Estimator`.
    """

    proven = frozenset({'bf16'})

    def __init__(
        self,
        network: SuperPoint,
        settings: FeatureSettings | None = None,
        device: str = 'auto',
        precision: str = 'fp32',
    ) -> None:
        super().__init__(network, device, precision)
        self.settings = settings or FeatureSettings()
        self._places: NetVLAD | None = None

    def describe_places(self, network: NetVLAD | None) -> None:
        """Describe the whole image too from now on, from the features that are computed anyhow.

        Args:
            network: NetVLAD on this SuperPoint's encoder; None to describe no more.

        Raises:
            ValueError: If it has another encoder.
        """
        if network is not None and not network.to(self.device).shares_encoder(self.network):
            raise ValueError(
                'NetVLAD needs the encoder that it was trained on, and these weights of SuperPoint '
                'have another one'
            )
        self._places = None if network is None else network.eval().requires_grad_(False)

    def push(self, frame: Frame) -> Keypoints:
        """Detect and describe.

        Args:
            frame: Any picture; with a camera, the keypoints get rays with the distortion undone.

        Returns:
            Keypoints in pixels of the frame, strongest first; none at all on a blank picture.
        """
        fit = Fit.long_side(size_of(frame), self.settings.resize_long_side, self.network.multiple)
        picture = grey(frame.image) if self.network.config.in_channels == 1 else colour(frame.image)
        with self._inference():
            (logits, coarse), place = self._run(self._tensor(fit.image(picture)))
            heat = to_array(heatmap(logits.float())[0])
            # The padding is no part of the picture: the border to remove is the picture's own.
            points, scores = self._detect(heat[: fit.resized[1], : fit.resized[0]])
            at = torch.from_numpy(points).to(self.device)
            sampled = sample_descriptors(coarse.float(), at[None], self.network.config.sampling)
            descriptors = to_array(sampled[0])
        xy = fit.to_source(points)
        return Keypoints(
            stamp_ns=frame.stamp_ns,
            xy=xy,
            scores=scores,
            descriptors=descriptors,
            rays=None if frame.camera is None else pixel_rays(frame.camera, xy),
            place=place,
        )

    def match(self, previous: Keypoints, current: Keypoints) -> Matches:
        """Match the keypoints of two frames: mutual nearest neighbours that pass the ratio test."""
        ratio = self.settings.match_ratio
        pairs, scores = match_mutual(
            torch.from_numpy(previous.descriptors),
            torch.from_numpy(current.descriptors),
            ratio=ratio if ratio < 1 else None,
        )
        first, second = pairs.numpy().T
        return Matches(
            stamp_ns=current.stamp_ns,
            previous_stamp_ns=previous.stamp_ns,
            previous_xy=previous.xy[first],
            xy=current.xy[second],
            scores=scores.numpy(),
        )

    def _run(self, picture: Tensor) -> tuple[tuple[Tensor, Tensor], FloatArray | None]:
        """Return what the network gives, and the descriptor of the whole image if it is wanted."""
        if self._places is None:
            logits, coarse = self.runner(picture)
            return (logits, coarse), None
        features = self.network.encode(picture)
        return self.network.heads(features), to_array(self._places.describe(features)[0])

    def _detect(self, heat: FloatArray) -> Points:
        settings = self.settings
        detect = detect_dense if settings.pipeline == 'dense' else detect_greedy
        xy, scores = detect(
            heat,
            threshold=settings.detection_threshold,
            radius=settings.nms_radius,
            border=settings.remove_borders,
            limit=settings.max_keypoints,
        )
        subpixel = settings.subpixel
        if subpixel == 'on' or (subpixel == 'auto' and self.network.config.subpixel):
            xy = refine_peaks(heat, xy, min(_REFINED, settings.nms_radius))
        return xy, scores
