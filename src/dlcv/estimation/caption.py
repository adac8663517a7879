"""Frames to sentences about what they show."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp

from torch import Tensor

from dlcv.estimation.base import Estimator, to_array
from dlcv.estimation.odometry.speechless import silence
from dlcv.estimation.pictures import Fit, colour, size_of
from dlcv.networks.caption import ShowAndTell, beam_search
from dlcv.types import Caption, FloatArray, Frame


@dataclass(frozen=True, kw_only=True, slots=True)
class CaptionSettings:
    """How sentences are looked for.

    Attributes:
        beams: Beginnings that are followed; see `dlcv.networks.caption.beam_search`.
        longest: Most words, what is longer is cut off.
        length_power: See `dlcv.networks.caption.beam_search`; 0 is the paper's rule.
        min_confidence: Geometric mean of the words' probabilities below which nothing is said.
    """

    beams: int = 5
    longest: int = 60
    length_power: float = 1.0
    min_confidence: float = 0.0


class CaptionEstimator(Estimator[ShowAndTell]):
    """Show and Tell on one frame at a time.

    Its encoder runs in the engine, the words are looked for outside.

    Args:
        network: The network.
        settings: May be replaced between two frames.
        device: See `Estimator`.
        precision: See `Estimator`.
    """

    def __init__(
        self,
        network: ShowAndTell,
        settings: CaptionSettings | None = None,
        device: str = 'auto',
        precision: str = 'fp32',
    ) -> None:
        super().__init__(network, device, precision)
        self.settings = settings or CaptionSettings()

    def push(self, frame: Frame) -> Caption:
        """Tell of a frame.

        Args:
            frame: The picture; its camera may be distorted or unknown. It is stretched to the
                size that the network knows.

        Returns:
            What is said; nothing of a picture that shows nothing, or of which the network is too
            unsure.
        """
        if reason := silence(frame.image):
            return Caption(stamp_ns=frame.stamp_ns, words=(), reason=reason)
        config, settings = self.network.config, self.settings
        with self._inference():
            codes = self._codes(frame)
            ((best, *_),) = beam_search(
                self.network,
                codes,
                beams=settings.beams,
                longest=settings.longest,
                length_power=settings.length_power,
            )
        confidence, least = exp(best.per_word), settings.min_confidence
        reason = '' if best.words else 'the network has nothing to say of it'
        if confidence < least:
            reason = (
                f'the network is unsure: its confidence is {confidence:.2f}, {least:.2f} is needed'
            )
        words = () if reason else tuple(config.vocabulary[number] for number in best.words)
        return Caption(stamp_ns=frame.stamp_ns, words=words, confidence=confidence, reason=reason)

    def encode(self, frame: Frame) -> FloatArray:
        """Return the code ``(E,)`` of a frame, that the words are made of."""
        with self._inference():
            return to_array(self._codes(frame)[0])

    def _codes(self, frame: Frame) -> Tensor:
        fit = Fit.exact(size_of(frame), *self.network.config.size)
        (codes,) = self.runner(self._tensor(fit.image(colour(frame.image))))
        return codes
