"""Rare Class Sampling: show the classes that fill few pixels more often.

Paper: DAFormer, CVPR 2022, arXiv:2111.14887.
Implements: section 3.3, equations 8 and 9 (class frequency, and softmax of its complement over the temperature).
Checked against: the probabilities that follow from the published class totals of Cityscapes and SYNTHIA at T = 0.01.
Deviations: a class that no image holds enough of is dropped with a warning; the reference stops with an assertion.
Protocol: pure; the caller draws from its own generator and re-crops the image itself.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from adapt.errors import PrerequisiteError, SpecError

_log = logging.getLogger(__name__)


def rcs_probability(pixels: Mapping[int, int], temperature: float) -> dict[int, float]:
    """Compute how often each class is drawn.

    Args:
        pixels: Train id -> labelled pixels in the whole training set; classes with none are left out.
        temperature: T > 0; the smaller, the more the rarest classes dominate. DAFormer uses 0.01.

    Returns:
        Train id -> probability, over the classes present, in ascending order; they add up to 1.

    Raises:
        SpecError: The temperature is not positive.
        PrerequisiteError: No class has any pixel.
    """
    if not temperature > 0:
        raise SpecError(
            f"The temperature of rare class sampling must be above 0, not {temperature}. DAFormer uses 0.01."
        )
    present = sorted(index for index, count in pixels.items() if count > 0)
    if not present:
        raise PrerequisiteError("Rare class sampling found no labelled pixel. Check the source data set's labels.")
    return _soften({index: pixels[index] for index in present}, sum(pixels.values()), temperature)


def _soften(pixels: Mapping[int, int], total: int, temperature: float) -> dict[int, float]:
    """Take the softmax of (1 - f) / T, where f is a class's share of `total`."""
    frequency = np.array(list(pixels.values()), dtype=np.float64) / total
    rarity = (1.0 - frequency) / temperature
    weight = np.exp(rarity - rarity.max())
    return {index: float(value) for index, value in zip(pixels, weight / weight.sum(), strict=True)}


class RareClassSampler:
    """Draws a rare class and an image that shows it.

    Attributes:
        probability: Train id -> probability that this class is drawn, over the classes that some image shows.
    """

    def __init__(
        self,
        counts: NDArray[np.int64],
        temperature: float,
        min_pixels: int,
        classes: Sequence[str] | None = None,
    ) -> None:
        """Prepare the draw.

        Args:
            counts: (N, K) labelled pixels of each class in each of the N images, at label resolution.
            temperature: See `rcs_probability`.
            min_pixels: An image stands for a class if it holds more than this many of its pixels.
            classes: K names for the warning; the train ids are shown without.

        Raises:
            SpecError: The temperature is not positive, or no image holds more than `min_pixels` of any class.
            PrerequisiteError: No image holds any pixel of any class.
        """
        totals = {index: int(total) for index, total in enumerate(counts.sum(axis=0))}
        probability = rcs_probability(totals, temperature)
        self._images = {index: np.flatnonzero(counts[:, index] > min_pixels) for index in probability}
        dropped = [index for index, images in self._images.items() if images.size == 0]
        if len(dropped) == len(probability):
            raise SpecError(
                f"Rare class sampling found no image with more than {min_pixels} pixels of any class. "
                f"Lower min_pixels to fit the size of the labels."
            )
        if dropped:
            names = ", ".join(str(index) if classes is None else classes[index] for index in dropped)
            _log.warning(
                "Rare class sampling leaves out %s: no image holds more than %d pixels. Lower min_pixels to keep it.",
                names,
                min_pixels,
            )
        # Softmax anew over what is kept: dividing the first result by its remainder could divide by 0.
        kept = {index: totals[index] for index in probability if index not in dropped}
        self.probability = _soften(kept, sum(totals.values()), temperature)

    def draw(self, generator: np.random.Generator) -> tuple[int, int]:
        """Draw a class by its probability, then one of its images, each alike.

        Args:
            generator: The source of randomness; two draws are taken from it.

        Returns:
            The train id, and the row of `counts` of the image.
        """
        index = int(generator.choice(list(self.probability), p=list(self.probability.values())))
        images = self._images[index]
        return index, int(images[generator.integers(images.size)])
