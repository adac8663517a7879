"""Place recognition: images in; descriptors, and the known places that they are like, out."""

from __future__ import annotations

from typing import Any

from dlcv.estimation.tasks.base import Estimator, Level, Task, settings
from dlcv.interface.nodes import NETVLAD
from dlcv.interface.parameters import NetVLADParameters
from dlcv.types import Frame, Recognition

CANDIDATES, DESCRIPTOR, INFO = '~/candidates', '~/descriptor', '~/info'


class PlaceTask(Task[NetVLADParameters, Recognition]):
    """Describes images, and finds places like them in a file of places."""

    spec = NETVLAD
    needs_camera = False

    def load(self, device: str, precision: str) -> Estimator:
        """Build the estimator; places of another frame or of other weights are refused."""
        from dlcv.estimation.load import load_places
        from dlcv.estimation.netvlad import PlaceSettings
        from dlcv.estimation.places import PlacesError, read_places

        p = self.parameters
        made = load_places(settings=settings(PlaceSettings, p), **self.loading(device, precision))
        if p.places:
            known = read_places(p.places)
            if known.info.frame != p.map_frame:
                raise PlacesError(
                    f'{p.places}: its poses are in {known.info.frame!r}, not in {p.map_frame!r} '
                    '(parameter map_frame)'
                )
            made.know(known)
        return made

    def infer(self, frame: Frame) -> Recognition:
        """Describe the image and search."""
        found: Recognition = self.estimator.push(frame)
        return found

    def publish(self, frame: Frame, header: Any, result: Recognition) -> None:
        """Send what is listened to."""
        make = self.compose
        if self.wanted(CANDIDATES):
            in_map = make.header_in(self.parameters.map_frame, header.stamp)
            self.send(CANDIDATES, make.pose_array(in_map, result.map_from_camera))
        if self.wanted(DESCRIPTOR):
            self.send(DESCRIPTOR, make.descriptor(result.descriptor))
        if self.wanted(INFO):
            self.send(INFO, make.diagnostic_status(Level.OK, *_told(self.spec.doc, frame, result)))

    def values(self) -> dict[str, str]:
        """Return how many places are known."""
        places = self.estimator.places
        return {'places': str(0 if places is None else len(places)), **super().values()}


def _told(doc: str, frame: Frame, result: Recognition) -> tuple[str, str, dict[str, str]]:
    """Return name, message and values of what is said of an image."""
    best = (
        f'like place {result.places[0]} ({result.similarity[0]:.3f})' if len(result.places) else ''
    )
    return (
        doc,
        best or 'like no known place',
        {
            'stamp': f'{frame.stamp_ns // 10**9}.{frame.stamp_ns % 10**9:09d}',
            'places': ' '.join(map(str, result.places.tolist())),
            'names': ' '.join(result.names),
            'similarities': ' '.join(f'{value:.4f}' for value in result.similarity),
        },
    )
