"""Which classes a network has begun to memorise: class by class, from how fast its training IoU still grows.

Paper: Adaptive Early-Learning Correction for Segmentation from Noisy Annotations, CVPR 2022, arXiv 2110.03740.
Implements: section 3.1: a class is corrected from the epoch on at which the slope of its fitted curve has changed enough.
Checked against: Kangningthu/ADELE, train.py (`if_update`), by the figures of `adapt.correction.curve`.
Deviations: a class is fitted only when it has enough points and its IoU rises: the published code triggers constant,
    falling and very short curves as well, and stops at a NaN. A point at which a class has no pixel is left out (there:
    0). The SegTHOR branch cuts off the first points until the IoU grows by 0.1 a point and counts epochs from there.
Protocol: `detect` is asked once at the end of every epoch; a class that has triggered stays triggered. A saved and loaded
    detection goes on exactly where it was.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adapt.correction.curve import Curve, find_update_epoch, fit_curve
from adapt.correction.settings import CurveSettings

MIN_RISE = 0.01
"""A curve that rose by less says nothing about its flattening; ours, one point of IoU."""

_STANDARD_ERRORS = 4.0  # ours: noise around a constant passes for rising once in 12 times at 4 points, in 100 at 10
_MAD_TO_DEVIATION = 1.4826  # of a normal distribution


@dataclass(frozen=True)
class Verdict:
    """What is known about one class at the end of an epoch.

    Attributes:
        class_index: The class.
        curve: The curve fitted at this epoch, or the one that triggered; None where none was fitted.
        update_epoch: From which on the class is corrected by that curve; None without a curve.
        triggered: Whether the class is corrected.
        triggered_at: The epoch at whose end it triggered; None for the background, and where it has not.
        reason: Why the class was not fitted, or has not triggered; for the background, why it counts as triggered; else
            None.
    """

    class_index: int
    curve: Curve | None
    update_epoch: int | None
    triggered: bool
    triggered_at: int | None
    reason: str | None


class Detection:
    """The training IoU of every class so far, and which classes have triggered."""

    def __init__(self, class_count: int, settings: CurveSettings, background: int | None) -> None:
        """Begin without points.

        Args:
            class_count: K.
            settings: Of the fit and the trigger.
            background: The class that counts as triggered from the start and is never fitted, if there is one.
        """
        self.class_count = class_count
        self.settings = settings
        self.background = background
        self._epochs: list[float] = []
        self._iou: list[NDArray[np.float64]] = []
        self._fired: dict[int, Verdict] = {}

    @property
    def triggered(self) -> frozenset[int]:
        """The classes that are corrected, with the background where there is one."""
        return frozenset(self._fired) | ({self.background} if self.background is not None else set())

    @property
    def positions(self) -> NDArray[np.float64]:
        """Where the points lie for the fit, (n,) float64 epochs: they move a little with every new one."""
        count = len(self._epochs)
        # All points cover equally many iterations; in the unit of epochs an epoch is one of them.
        return place_points(count, self._epochs[-1] / count, 1.0) if count else np.empty(0)

    @property
    def iou(self) -> NDArray[np.float64]:
        """The points, (n, K) float64, NaN where a class had no pixel."""
        return np.array(self._iou, np.float64).reshape(-1, self.class_count)

    def add_point(self, epoch: float, iou: NDArray[np.float64]) -> None:
        """Add the IoU of the pixels since the last point; every point covers as many iterations.

        Args:
            epoch: The training so far, in epochs: iterations done, with those of this point, by iterations per epoch.
            iou: (K,) float64 in [0, 1], NaN where the class had no pixel.

        Raises:
            ValueError: The epoch is not after the last point's, or `iou` has another shape or other values.
        """
        if not math.isfinite(epoch) or epoch <= (self._epochs[-1] if self._epochs else 0.0):
            raise ValueError(f"a point needs an epoch after the last one's, got {epoch} after {self._epochs[-1:]}")
        values = np.array(iou, np.float64)
        if values.shape != (self.class_count,) or not (np.isnan(values) | ((values >= 0) & (values <= 1))).all():
            raise ValueError(f"a point needs {self.class_count} IoUs in [0, 1] or NaN, got {values}")
        self._epochs.append(float(epoch))
        self._iou.append(values)

    def detect(self, epoch: int) -> tuple[Verdict, ...]:
        """Fit every class that has not triggered yet, and trigger those whose update epoch has come.

        Args:
            epoch: The epoch that has just ended, counted from 0 as in the published code (both branches).

        Returns:
            K verdicts, in the order of the classes.
        """
        positions, iou = self.positions, self.iou
        return tuple(self._judge(index, epoch, positions, iou[:, index]) for index in range(self.class_count))

    def save(self) -> dict[str, Any]:
        """Give the state as lists, numbers and None, which JSON and `torch.load(weights_only=True)` keep exactly."""
        return {
            "epochs": list(self._epochs),
            "iou": [[None if math.isnan(value) else value for value in row.tolist()] for row in self._iou],
            "fired": [asdict(verdict) for _, verdict in sorted(self._fired.items())],
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state.

        Args:
            state: What `save` of a detection over the same classes gave.

        Raises:
            ValueError: The state is of another number of classes.
        """
        rows = [np.array([math.nan if value is None else value for value in row], np.float64) for row in state["iou"]]
        if any(row.shape != (self.class_count,) for row in rows):
            raise ValueError(f"the saved curves are of {rows[0].size} classes, these are {self.class_count}")
        self._epochs = list(state["epochs"])
        self._iou = rows
        self._fired = {
            fired["class_index"]: Verdict(**{**fired, "curve": Curve(**fired["curve"])}) for fired in state["fired"]
        }

    def _judge(self, index: int, epoch: int, x: NDArray[np.float64], y: NDArray[np.float64]) -> Verdict:
        if index == self.background:
            return Verdict(index, None, None, True, None, "the background counts as triggered from the start")
        if index in self._fired:
            return self._fired[index]

        def refuse(reason: str) -> Verdict:
            return Verdict(index, None, None, False, None, reason)

        is_finite = np.isfinite(y)
        x, y = x[is_finite], y[is_finite]
        if y.size < self.settings.min_points:
            return refuse(
                f"too few points: {y.size} of {is_finite.size} are finite, {self.settings.min_points} are needed"
            )
        if not is_rising(y):
            return refuse("its IoU is not rising: the last third of its points does not clearly exceed the first")
        try:
            curve = fit_curve(x, y, self.settings.max_evaluations)
            update_epoch = find_update_epoch(curve, self.settings.threshold, self.settings.epochs)
        except (ValueError, RuntimeError) as error:
            return refuse(f"the fit failed: {error}")
        if epoch < update_epoch:
            return Verdict(index, curve, update_epoch, False, None, f"epoch {epoch} is before epoch {update_epoch}")
        self._fired[index] = Verdict(index, curve, update_epoch, True, epoch, None)
        return self._fired[index]


def is_rising(y: NDArray[np.float64]) -> bool:
    """Tell whether the last third of a curve lies clearly above its first third.

    The difference of the two means has to exceed 0.01 and four of its standard errors. The noise of a point is that of
    the steps from point to point, by their median absolute deviation, which the steep start of a curve does not move.

    Args:
        y: (n,) float64, n >= 3, finite.

    Returns:
        False for constant and falling curves, and for noise around a constant.

    Example:
        >>> is_rising(np.array([0.1, 0.4, 0.5, 0.55])), is_rising(np.array([0.5, 0.4, 0.3, 0.3]))
        (True, False)
    """
    third = y.size // 3
    rise = y[-third:].mean() - y[:third].mean()
    steps = np.diff(y)
    # A step is the difference of two points, so its deviation is sqrt(2) times a point's.
    noise = _MAD_TO_DEVIATION * np.median(np.abs(steps - np.median(steps))) / math.sqrt(2)
    return bool(rise > max(MIN_RISE, _STANDARD_ERRORS * noise * math.sqrt(2 / third)))


def place_points(count: int, point_iterations: float, iterations_per_epoch: float) -> NDArray[np.float64]:
    """Place the points of a curve in time as the published code does.

    They lie evenly between 0 and the end of the training so far, both included: the first one at 0, the distance of two
    a little more than they really are apart. The VOC branch takes a point every 100 of 1058.1 iterations; the SegTHOR
    branch takes one an epoch, as if an epoch were one iteration: place_points(n, 1, 1).

    Args:
        count: n.
        point_iterations: Iterations that make a point.
        iterations_per_epoch: Iterations that make an epoch.

    Returns:
        (n,) float64, in epochs.

    Example:
        >>> place_points(3, 100, 200), place_points(3, 1, 1)
        (array([0.  , 0.75, 1.5 ]), array([0. , 1.5, 3. ]))
    """
    return np.linspace(0, count * point_iterations / iterations_per_epoch, count)
