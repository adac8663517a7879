"""How visual odometry estimates, what it believes and what it doubts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ScaleChoice = Literal['auto', 'stereo', 'depth', 'network', 'wheels', 'camera_height', 'none']


@dataclass(frozen=True, kw_only=True, slots=True)
class VisualOdometrySettings:
    """How motion is estimated, believed and doubted.

    Attributes:
        max_keypoints: Strongest points of a picture that are looked at.
        scale_source: What the metre comes from; ``auto`` takes the best that arrives.
        camera_height: Of the camera over the ground, in metres; 0 where it is not known.
        scale: Factor on all translations.
        window: Keyframes that are held together.
        lockstep: Adjust the window before the answer, not beside it: the same pictures then give
            the same answers.
        max_frame_interval: A longer pause in seconds loses the odometry.
        max_linear_speed: A faster motion, in m/s, is not believed.
        max_angular_speed: A faster turn, in rad/s, is not believed.
    """

    max_keypoints: int = 1000
    scale_source: ScaleChoice = 'auto'
    camera_height: float = 0.0
    scale: float = 1.0
    window: int = 10
    lockstep: bool = True
    max_frame_interval: float = 0.5
    max_linear_speed: float = 40.0
    max_angular_speed: float = 3.5
