"""Objects with careless outlines: moved, or drawn with few corners.

Paper: none; the polygon is that of Douglas and Peucker (1973) as in OpenCV's approxPolyDP.
Implements: an object that is hit is moved by a distance in a drawn direction, or its outer outline becomes a polygon.
Checked against: hand-made labels and naive loops (tests/adapt/noise/test_boundary.py).
Deviations: none.
Protocol: unit: an object. What a polygon encloses beyond the object's own outline is painted; holes in an object (a car in
    front of the road) stay as they are. Uncovered pixels take the nearest other class, or the background. Objects
    that are hit are painted one over the other in a drawn order.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np

from adapt.noise.class_names import find_background
from adapt.noise.noisy_label import NoisyLabel
from adapt.noise.repaint import Redrawn, repaint
from adapt.noise.settings import BoundarySettings
from adapt.noise.units import Label, Mask, Unit, choose_units, find_objects, list_replaceable, widen


def redraw_outlines(
    label: Label, settings: BoundarySettings, classes: Sequence[str], generator: np.random.Generator
) -> NoisyLabel:
    """Move objects, or simplify their outlines.

    Args:
        label: (H, W) uint8 train ids, 255 ignored.
        settings: Rate, style, distance, background.
        classes: Names of the classes in train id order.
        generator: The image's; advanced.

    Returns:
        The noisy label; its units are the objects of all classes but the background.

    Raises:
        SpecError: There is no class of the background's name.
    """
    background = find_background(settings, classes)
    objects = find_objects(label, list_replaceable(label, background))
    hit = choose_units(len(objects), settings.rate, generator)
    redrawn: list[Redrawn] = []
    for index in hit:
        if settings.style == "shift":
            unit = widen(objects[index], math.ceil(settings.distance), label.shape)
            angle = generator.uniform(0.0, 2.0 * math.pi)
            offset = round(settings.distance * math.sin(angle)), round(settings.distance * math.cos(angle))
            redrawn.append(Redrawn(unit, shift_mask(unit.mask, offset)))
        else:
            # A polygon's corners are pixels of the outline, so it stays in the object's own window.
            redrawn.append(_simplify(objects[index], settings.distance))
    return NoisyLabel(repaint(label, redrawn, background), units=len(objects), hit=len(hit))


def shift_mask(mask: Mask, offset: tuple[int, int]) -> Mask:
    """Move a mask; what leaves the window is cut off.

    Args:
        mask: (h, w) bool.
        offset: Pixels down and to the right.

    Returns:
        (h, w) bool.
    """
    rows, columns = np.nonzero(mask)
    rows, columns = rows + offset[0], columns + offset[1]
    is_inside = (rows >= 0) & (rows < mask.shape[0]) & (columns >= 0) & (columns < mask.shape[1])
    moved = np.zeros_like(mask)
    moved[rows[is_inside], columns[is_inside]] = True
    return moved


def simplify_mask(mask: Mask, distance: float) -> Mask:
    """Replace the outer outline of an object by a polygon; holes in it stay.

    Args:
        mask: (h, w) bool, one 8-connected region.
        distance: In pixels, how far the outline may lie from the polygon; 0 leaves the mask as it is.

    Returns:
        (h, w) bool.
    """
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    inside_outline = _fill(contours[0], mask.shape)
    inside_polygon = _fill(cv2.approxPolyDP(contours[0], distance, closed=True), mask.shape)
    return inside_polygon & (mask | ~inside_outline)


def _simplify(unit: Unit, distance: float) -> Redrawn:
    return Redrawn(unit, simplify_mask(unit.mask, distance))


def _fill(contour: np.ndarray, shape: tuple[int, ...]) -> Mask:
    canvas = np.zeros(shape, np.uint8)
    cv2.drawContours(canvas, [contour], -1, 1, cv2.FILLED)
    return canvas.astype(np.bool_)
