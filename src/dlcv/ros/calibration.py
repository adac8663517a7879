"""The calibration that belongs to an image: messages on two topics arrive in any order."""

from __future__ import annotations

import threading

from dlcv.interface import messages
from dlcv.types import Camera


class Calibration:
    """Keep the newest camera_info and hand it to images of its size.

    Attributes:
        rectified: Whether the images are rectified already.
    """

    def __init__(self) -> None:
        self.rectified = False
        self._arrived = threading.Condition()
        self.clear()

    def clear(self) -> None:
        """Forget everything, as at activation."""
        with self._arrived:
            self._closed = False
            self._camera: Camera | None = None
            self._stamp_ns = -1
            self._problem = ''

    def close(self) -> None:
        """Let nobody wait any longer."""
        with self._arrived:
            self._closed = True
            self._arrived.notify_all()

    def update(self, info: messages.CameraInfo) -> None:
        """Take a message; a broken one is kept as the complaint."""
        with self._arrived:
            try:
                self._camera = messages.camera(info, rectified=self.rectified)
                self._problem = '' if self._camera else 'camera_info has no calibration (K is zero)'
            except messages.MessageError as err:
                self._camera, self._problem = None, str(err)
            self._stamp_ns = messages.stamp_ns(info.header.stamp)
            self._arrived.notify_all()

    def of(self, stamp_ns: int, width: int, height: int, patience: float) -> Camera | None:
        """Return the calibration of an image, waiting for it at most ``patience`` seconds.

        The info of the image itself, or a later one, ends the wait whatever it says; an older one
        serves when it is of the image's size.
        """

        def settled() -> bool:
            return self._closed or self._fits(width, height) or self._stamp_ns >= stamp_ns

        with self._arrived:
            self._arrived.wait_for(settled, patience)
            return self._camera if self._fits(width, height) else None

    def complaint(self, width: int, height: int) -> str:
        """Return why an image of this size has no calibration."""
        with self._arrived:
            if self._problem:
                return self._problem
            if self._camera is None:
                return 'no camera_info has arrived'
            size = f'{self._camera.width}x{self._camera.height}'
            return f'camera_info is of {size} pixels, the image of {width}x{height}'

    def _fits(self, width: int, height: int) -> bool:
        camera = self._camera
        return camera is not None and (camera.width, camera.height) == (width, height)
