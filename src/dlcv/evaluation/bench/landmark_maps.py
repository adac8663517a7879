"""Maps of landmarks for `dlcv bench relocalization`, made as `dlcv map --landmarks` does."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import process_time

from dlcv.estimation.load import load_features
from dlcv.estimation.slam.files import load_place, save_place
from dlcv.estimation.slam.locate import Localizer
from dlcv.estimation.slam.place import PlaceMap
from dlcv.estimation.slam.places import HashedVlad
from dlcv.estimation.superpoint import FeatureSettings
from dlcv.training.maps.survey import SurveyConfig, begun
from dlcv.training.recipe import TrainError
from dlcv.types import FloatArray, Frame, Snapshot


class LandmarkMap:
    """A map of landmarks as a `Relocalizer`: as it stands in its file.

    One of too few keyframes answers nothing.

    Args:
        views: Pictures with cameras and poses, and depth where it is known.

    Attributes:
        nbytes: Size of the file.
        beyond: Seconds of the CPU that each answer took beyond its keypoints.
    """

    def __init__(self, views: Iterable[Snapshot]) -> None:
        config = SurveyConfig()
        self._describer = HashedVlad()
        walk = begun(self._describer, config)
        for view in views:
            walk.take(view)
        self._localizer = Localizer(PlaceMap())
        self.nbytes = 0
        with TemporaryDirectory() as folder, suppress(TrainError):
            file = Path(folder) / 'map.safetensors'
            save_place(walk.result('bench').place, file)
            self.nbytes = file.stat().st_size
            self._localizer = Localizer(load_place(file))
        settings = FeatureSettings(max_keypoints=config.max_keypoints)
        self._features = load_features('', settings, device='cpu')
        self.beyond: list[float] = []

    def locate(self, frame: Frame) -> FloatArray | None:
        """See `Relocalizer`."""
        return self.stated(frame)[0]

    def stated(self, frame: Frame) -> tuple[FloatArray | None, FloatArray | None]:
        """Return the pose, None where it is not believed, and how far it may be off."""
        assert frame.camera is not None
        keypoints = self._features.push(frame)
        begin = process_time()
        looks = self._describer.describe(frame, keypoints)
        found = self._localizer.locate(keypoints, frame.camera, looks)
        self.beyond.append(process_time() - begin)
        return found.map_from_camera, found.covariance

    @property
    def seconds_beyond(self) -> float:
        """Median of the seconds of the CPU that answers took beyond their keypoints."""
        return median(self.beyond)
