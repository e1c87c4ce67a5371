"""What a noise model makes of a label."""

from __future__ import annotations

from dataclasses import dataclass

from adapt.noise.units import Label


@dataclass(frozen=True, eq=False)
class NoisyLabel:
    """A label with noise.

    Attributes:
        label: (H, W) uint8 train ids; 255 exactly where the clean label is ignored.
        units: How many units of the model the clean label has.
        hit: How many of them were hit. A unit that is hit need not change: a square stays one as a polygon.
    """

    label: Label
    units: int
    hit: int
