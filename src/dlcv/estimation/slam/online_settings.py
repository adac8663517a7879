"""How a map is made and used while pictures come in."""

from __future__ import annotations

from dataclasses import dataclass, field

from dlcv.estimation.slam.anchor import AnchorSettings
from dlcv.estimation.slam.locate import LocateSettings
from dlcv.estimation.slam.mapping import MapSettings


@dataclass(frozen=True, kw_only=True, slots=True)
class OnlineSettings:
    """How a map is made and used.

    Attributes:
        keyframes: When a picture becomes one, and when a place is seen again.
        found: When a picture is found in the map.
        anchor: When that is believed.
        rate: Of fixes while the robot is known to be somewhere, Hz.
        lost_after: Seconds without a fix after which it is not known any more.
        max_speed: Of the robot, m/s: what goes faster is a jump of odometry.
        max_keyframes: Of the map; beyond, those that say least are left out.
        lockstep: Solve loops before the answer: the same pictures, the same map.
    """

    keyframes: MapSettings = field(default_factory=MapSettings)
    found: LocateSettings = field(default_factory=LocateSettings)
    anchor: AnchorSettings = field(default_factory=AnchorSettings)
    rate: float = 2.0
    lost_after: float = 10.0
    max_speed: float = 40.0
    max_keyframes: int = 2000
    lockstep: bool = False
