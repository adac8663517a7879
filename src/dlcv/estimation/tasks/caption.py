"""Description: images in; sentences about what they show, when they change, out."""

from __future__ import annotations

from math import isnan
from typing import Any

from dlcv.estimation.tasks.base import Estimator, Host, Task, settings
from dlcv.estimation.tasks.order import Pace
from dlcv.interface.messages import Composer
from dlcv.interface.nodes import CAPTION
from dlcv.interface.parameters import CaptionParameters
from dlcv.types import Caption, Frame

SENTENCES = '~/caption'


class CaptionTask(Task[CaptionParameters, Caption]):
    """Carries images to an estimator of sentences, and what is new of these to their topic."""

    spec = CAPTION
    needs_camera = False

    def __init__(self, host: Host, compose: Composer) -> None:
        super().__init__(host, compose)
        self._said: str | None = None  # last on the topic
        self._last: Caption | None = None
        self._pace = Pace()

    def load(self, device: str, precision: str) -> Estimator:
        """Build the estimator."""
        from dlcv.estimation.caption import CaptionSettings
        from dlcv.estimation.load import load_captions

        return load_captions(
            settings=settings(CaptionSettings, self.parameters), **self.loading(device, precision)
        )

    def configure(self) -> None:
        """Say again what is said: the topic may be a new one."""
        self._said = None

    def due(self, stamp_ns: int) -> bool:
        """Whether somebody listens and the last image is long enough ago."""
        if not self.wanted(SENTENCES):
            return False
        return self._pace.due(stamp_ns, self.parameters.rate)

    def infer(self, frame: Frame) -> Caption:
        """Tell of the image; one that shows nothing is an error, one that is unclear is none."""
        found: Caption = self.estimator.push(frame)
        shows_nothing = isnan(found.confidence)
        self.judge_answer('nothing to tell', found.reason if shows_nothing else '')
        self._last = found
        return found

    def publish(self, frame: Frame, header: Any, result: Caption) -> None:
        """Send what is said if it is not what was said before."""
        del frame, header
        if self.wanted(SENTENCES) and result.text != self._said:
            self.send(SENTENCES, self.compose.make('std_msgs/msg/String', data=result.text))
            self._said = result.text

    def values(self) -> dict[str, str]:
        """Return what was said last."""
        last = self._last
        found = {} if last is None else {
            'caption': last.text or f'nothing: {last.reason}',
            'confidence': f'{last.confidence:.2f}',
        }  # fmt: skip
        return {**found, **super().values()}

    def reset(self) -> None:
        """Forget what was said, and when."""
        self._said, self._last, self._pace = None, None, Pace()
        self.host.judge(None)

    def interrupt(self) -> None:
        """Nothing to do: images are independent of each other."""
