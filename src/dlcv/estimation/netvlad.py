"""Frames to descriptors of places, and to the known places that they are like."""

from __future__ import annotations

from dataclasses import dataclass

from dlcv.estimation.base import Estimator, to_array
from dlcv.estimation.pictures import Fit, colour, grey, size_of
from dlcv.estimation.places import PlaceIndex, PlacesError
from dlcv.networks.netvlad import NetVLAD
from dlcv.types import FloatArray, Frame, Recognition


@dataclass(frozen=True, kw_only=True, slots=True)
class PlaceSettings:
    """What is answered.

    Attributes:
        candidates: Most places that are named.
        min_similarity: Cosine that each must have.
        resize_long_side: Larger images are shrunk to this; 0 for what the weights expect.
    """

    candidates: int = 5
    min_similarity: float = 0.0
    resize_long_side: int = 0


class PlaceEstimator(Estimator[NetVLAD]):
    """NetVLAD on one frame at a time.

    Args:
        network: The network.
        settings: May be replaced between two frames.
        device: See `Estimator`.
        precision: See `Estimator`.

    Attributes:
        places: Those that are known; None for none.
    """

    def __init__(
        self,
        network: NetVLAD,
        settings: PlaceSettings | None = None,
        device: str = 'auto',
        precision: str = 'fp32',
    ) -> None:
        super().__init__(network, device, precision)
        self.settings = settings or PlaceSettings()
        self.places: PlaceIndex | None = None

    def know(self, places: PlaceIndex) -> None:
        """Recognise these places from now on.

        Raises:
            PlacesError: If other weights described them.
        """
        size = self.network.config.descriptor_size
        theirs, ours = places.info.weights_sha256, self.origin.sha256
        if places.descriptors.shape[1] != size or (theirs and ours and theirs != ours):
            raise PlacesError(
                f'the places were described by other weights: {places.descriptors.shape[1]} values '
                f'(sha256 {theirs[:12]}...), these weights give {size} ({ours[:12]}...)'
            )
        self.places = places

    def describe(self, frame: Frame) -> FloatArray:
        """Return the descriptor ``(N,)`` float32 of a frame, of length 1."""
        network = self.network
        side = self.settings.resize_long_side or network.config.resize_long_side
        fit = Fit.long_side(size_of(frame), side, network.multiple)
        picture = colour(frame.image) if network.config.in_channels == 3 else grey(frame.image)
        with self._inference():
            return to_array(network(self._tensor(fit.image(picture)))[0])

    def push(self, frame: Frame) -> Recognition:
        """Describe a frame, and name the known places that it is like."""
        return self.recognise(frame.stamp_ns, self.describe(frame))

    def recognise(self, stamp_ns: int, descriptor: FloatArray) -> Recognition:
        """Name the known places that are like a descriptor, such as one of `FeatureEstimator`."""
        places, settings = self.places, self.settings
        if places is None:
            places = PlaceIndex(len(descriptor))
        numbers, similarity = places.search(
            descriptor, settings.candidates, settings.min_similarity
        )
        return Recognition(
            stamp_ns=stamp_ns,
            descriptor=descriptor,
            places=numbers,
            similarity=similarity,
            map_from_camera=places.poses[numbers],
            names=tuple(places.names[i] for i in numbers),
        )
