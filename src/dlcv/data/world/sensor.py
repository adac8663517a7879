"""What a camera adds to a picture: light that changes, blur, bands, tone curve, noise.

Only pictures change; depth, pose and flow stay those of the middle of the exposure. All of it is a
function of a seed, the time and the picture, so that a recording can be made again.

* Light: exposure and colour balance drift over seconds, as under clouds or with automatic exposure.
* Motion blur: each pixel averages the picture along the way its own point makes while the shutter
  is open. That is exact inside of a surface; near outlines a real camera also sees what appears
  from behind, which is not rendered.
* Bands: lamps on alternating current flicker at twice the mains frequency, and a rolling shutter
  reads one row after the other, so that brightness varies in rows that wander from frame to frame.
* Vignetting, gamma, and noise: photons (its variance grows with the light) and electronics.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dlcv.data.world.scene import WorldError
from dlcv.data.world.trajectory import Wobble
from dlcv.types import ByteImage, FloatArray

_TAPS = 9
_DISPLAY = 2.2  # exponent of the pictures' bytes
_LINEAR = ((np.arange(256) / 255) ** _DISPLAY).astype(np.float32)


@dataclass(frozen=True, kw_only=True, slots=True)
class SensorConfig:
    """How strong each effect is; all are off by default.

    Attributes:
        drift: Standard deviation of the exposure over time, in stops (factors of 2).
        tint: Relative standard deviation of the red and of the blue gain over time.
        shutter: Time the shutter is open, in seconds; 0 for no motion blur.
        flicker: Relative amplitude of the mains' flicker; 0 for none.
        mains_hz: Frequency of the mains.
        readout: Seconds from the first row's exposure to the last one's.
        vignetting: Largest share of light that the corners lose; drawn once per recording.
        gamma: Lowest and highest exponent of the tone curve, drawn once per recording.
        shot_noise: Standard deviation of photon noise at full white, in steps of the 8-bit image;
            it falls with the root of the light.
        read_noise: Standard deviation of the electronics' noise, in the same unit.
    """

    drift: float = 0.0
    tint: float = 0.0
    shutter: float = 0.0
    flicker: float = 0.0
    mains_hz: float = 50.0
    readout: float = 0.02
    vignetting: float = 0.0
    gamma: tuple[float, float] = (1.0, 1.0)
    shot_noise: float = 0.0
    read_noise: float = 0.0

    def __post_init__(self) -> None:
        amounts = (self.drift, self.tint, self.shutter, self.flicker, self.readout,
                   self.shot_noise, self.read_noise)  # fmt: skip
        if min(amounts) < 0 or self.mains_hz <= 0 or not 0 <= self.vignetting < 1:
            raise WorldError(
                f'a sensor needs amounts >= 0, mains_hz > 0 and vignetting in [0, 1), got {self}'
            )
        if not 0 < self.gamma[0] <= self.gamma[1]:
            raise WorldError(f'gamma needs 0 < lowest <= highest, got {self.gamma}')


SENSORS = {
    'ideal': SensorConfig(),
    'good': SensorConfig(
        drift=0.15, tint=0.02, shutter=0.004, vignetting=0.2, gamma=(0.9, 1.1), shot_noise=3.0,
        read_noise=0.7,
    ),
    'poor': SensorConfig(
        drift=0.45, tint=0.06, shutter=0.02, flicker=0.12, vignetting=0.5, gamma=(0.75, 1.3),
        shot_noise=10.0, read_noise=3.0,
    ),
}  # fmt: skip
"""Settings by name, for the command line."""


class Sensor:
    """One camera's sensor.

    Args:
        config: How strong each effect is.
        seed: Numbers that decide all there is to decide.
    """

    def __init__(self, config: SensorConfig, seed: tuple[int, ...]) -> None:
        self.config = config
        self._seed = seed
        rng = np.random.default_rng([*seed, 11])
        self._exposure = Wobble(rng, config.drift, 0.03, 0.4)
        self._red, self._blue = (Wobble(rng, config.tint, 0.02, 0.2) for _ in range(2))
        self._phase = rng.uniform(0, 2 * np.pi)
        self._vignetting = rng.uniform(0, config.vignetting)
        self._gamma = float(np.exp(rng.uniform(*np.log(config.gamma))))

    def develop(
        self, image: ByteImage, seconds: float, number: tuple[int, int], streak: FloatArray | None
    ) -> ByteImage:
        """Return what the sensor makes of a picture.

        Args:
            image: ``(H, W, 3)`` as rendered.
            seconds: Time of the picture.
            number: Number of the frame and of the camera (0 left, 1 right); decides the noise.
            streak: ``(H, W, 2)`` pixels that each point moves while the shutter is open; None for
                no motion blur.
        """
        import cv2  # only who renders needs it

        from dlcv.data.augment.photometric import light_map, to_bytes, vignette

        config = self.config
        if config == SensorConfig():
            return image
        light = _LINEAR[image]
        if streak is not None:
            light = _blurred(light, streak)
        light *= self._gains(seconds)
        if config.flicker:
            light *= self._bands(seconds, image.shape[0])[:, None, None]
        if self._vignetting:
            size = image.shape[0], image.shape[1]
            light *= light_map(size, vignette(size, self._vignetting))[..., None]
        np.clip(light, 0, 1, out=light)
        values = np.asarray(255 * cv2.pow(light, self._gamma / _DISPLAY), np.float32)
        if config.shot_noise or config.read_noise:
            rng = np.random.default_rng([*self._seed, 12, *number])
            spread = np.sqrt(config.read_noise**2 + config.shot_noise**2 * light)
            values += spread * rng.standard_normal(image.shape, np.float32)
        return to_bytes(values)

    def _gains(self, seconds: float) -> npt.NDArray[np.float32]:
        at = np.array([seconds])
        red, blue = 1 + self._red(at)[0], 1 + self._blue(at)[0]
        return np.array([red, 1.0, blue], np.float32) * np.float32(2 ** self._exposure(at)[0])

    def _bands(self, seconds: float, height: int) -> npt.NDArray[np.float32]:
        """Return the light's factor in each row ``(H,)``."""
        rows = seconds + self.config.readout * np.arange(height) / height
        wave = np.sin(2 * np.pi * 2 * self.config.mains_hz * rows + self._phase)
        return (1 + self.config.flicker * wave).astype(np.float32)


def _blurred(light: npt.NDArray[np.float32], streak: FloatArray) -> npt.NDArray[np.float32]:
    """Average ``light`` ``(H, W, 3)`` along each pixel's own streak, centred on it."""
    import cv2

    height, width = light.shape[:2]
    way = np.nan_to_num(np.asarray(streak, np.float32), posinf=0.0, neginf=0.0)
    longest = float(np.abs(way).max())
    taps = min(int(longest) + 1, _TAPS)
    if taps < 2:
        return light
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    total = np.zeros_like(light)
    for part in ((np.arange(taps) + 0.5) / taps - 0.5).tolist():
        total += np.asarray(
            cv2.remap(
                light, x + part * way[..., 0], y + part * way[..., 1], cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_REPLICATE,
            ),
            np.float32,
        )  # fmt: skip
    return total / np.float32(taps)
