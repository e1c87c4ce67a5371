"""The curve that a class's training IoU follows while a network learns, and the epoch at which it has flattened.

Paper: Adaptive Early-Learning Correction for Segmentation from Noisy Annotations, CVPR 2022, arXiv 2110.03740.
Implements: section 3.1, f(x) = a (1 - exp(-x^b / c)), its fit by weighted least squares and the relative change of its
    slope.
Checked against: figures computed with Kangningthu/ADELE, train.py (tests/adapt/correction/test_curve.py).
Deviations: slopes are compared by their logarithms, so that a curve which is flat long before epoch 1 does not divide 0
    by 0.
Protocol: none; pure functions. What is fitted, and when, is the concern of `adapt.correction.detection`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import curve_fit

EPOCHS = 15
"""The slope is looked at after 1 to this many epochs; the published code's figure."""

_START = (1.0, 1.0, 1.0)  # of a, b, c; train.py of the published code, as the three below
_LOWER = (0.0, 0.0, 0.0)
_UPPER = (1.0, 1.0, np.inf)
_SIGMA = (1.0, 0.1)  # of the first and of the last point: what was seen last counts most
_SHIFT = 1e-6  # keeps x^(b - 1) finite at x = 0; as published


@dataclass(frozen=True)
class Curve:
    """f(x) = a (1 - exp(-x^b / c)), x in epochs.

    Attributes:
        a: the IoU that it tends to.
        b: 1 is an exponential approach; less is fast first and slow later.
        c: the larger, the slower.

    Raises:
        ValueError: A parameter is not finite, `a` or `b` is below 0, or `c` is not above 0.

    Example:
        >>> curve = Curve(a=0.5, b=1.0, c=2.0)
        >>> round(float(curve(2.0)), 4), round(float(curve.slope(2.0)), 4)
        (0.3161, 0.092)
    """

    a: float
    b: float
    c: float

    def __post_init__(self) -> None:
        values = (self.a, self.b, self.c)
        if not all(map(math.isfinite, values)) or self.a < 0 or self.b < 0 or self.c <= 0:
            raise ValueError(f"a curve needs finite a >= 0, b >= 0 and c > 0, got {values}")

    def __call__(self, x: ArrayLike) -> NDArray[np.float64]:
        """Give the IoU at x epochs: float64 of the shape of `x`, which holds numbers of 0 or more."""
        return _evaluate(np.asarray(x, np.float64), self.a, self.b, self.c)

    def slope(self, x: ArrayLike) -> NDArray[np.float64]:
        """Give f'(x) = (a b / c) exp(-x^b / c) x^(b - 1), in IoU an epoch, of the shape of `x`; x is raised by 1e-6."""
        return np.exp(self._log_slope(x))

    def _log_slope(self, x: ArrayLike) -> NDArray[np.float64]:
        shifted = np.asarray(x, np.float64) + _SHIFT
        with np.errstate(divide="ignore"):  # a = 0 or b = 0: -inf, no slope anywhere
            scale = np.log(self.a) + np.log(self.b) - np.log(self.c)
            return scale - shifted**self.b / self.c + (self.b - 1) * np.log(shifted)


def fit_curve(x: NDArray[np.float64], y: NDArray[np.float64], max_evaluations: int) -> Curve:
    """Fit the curve by least squares, in which the last point weighs a hundred times the first.

    Args:
        x: (n,) float64, epochs, 0 or more.
        y: (n,) float64, IoU in [0, 1].
        max_evaluations: of the function by scipy's solver, those for its gradient apart.

    Returns:
        The curve with a and b in [0, 1] and c above 0.

    Raises:
        ValueError: There is no point, `x` and `y` differ in length, a value is not finite, or c went to 0 or infinity.
        RuntimeError: The solver did not come to an end within `max_evaluations`.

    Example:
        >>> x = np.linspace(0, 5, 30)
        >>> fitted = fit_curve(x, Curve(0.6, 0.5, 1.0)(x), 10000)
        >>> round(fitted.a, 3), round(fitted.b, 3), round(fitted.c, 3)
        (0.6, 0.5, 1.0)
    """
    if x.shape != y.shape or x.ndim != 1 or not x.size:
        raise ValueError(f"x and y must be as long as each other and not empty, got shapes {x.shape} and {y.shape}")
    parameters, _ = curve_fit(
        _evaluate,
        x,
        y,
        p0=_START,
        sigma=np.geomspace(*_SIGMA, x.size),
        absolute_sigma=True,
        bounds=(_LOWER, _UPPER),
        method="trf",
        maxfev=max_evaluations,
    )
    a, b, c = parameters.tolist()
    return Curve(a, b, c)


def find_update_epoch(curve: Curve, threshold: float, epochs: int = EPOCHS) -> int:
    """Find the epoch from which on the slope has changed, relative to epoch 1, by more than a threshold.

    rc(t) = |f'(t) - f'(1)| / f'(1) for t = 1 .. `epochs`, 0 where it is above 1; the result is the number of t with
    rc(t) <= threshold, plus 1.

    Args:
        curve: The fitted curve.
        threshold: r, in (0, 1).
        epochs: How far one looks.

    Returns:
        From 2 to `epochs` + 1; the latter also means that it does not flatten in time.

    Raises:
        ValueError: The curve is flat everywhere (a or b is 0).

    Example:
        >>> find_update_epoch(Curve(a=0.5, b=1.0, c=2.0), threshold=0.9)
        6
    """
    log_slope = curve._log_slope(np.arange(1, epochs + 1))
    if not np.isfinite(log_slope[0]):
        raise ValueError(f"a curve that is flat everywhere has no such epoch: {curve}")
    change = np.abs(np.expm1(log_slope - log_slope[0]))
    change[change > 1] = 0
    return int(np.count_nonzero(change <= threshold)) + 1


def _evaluate(x: NDArray[np.float64], a: float, b: float, c: float) -> NDArray[np.float64]:
    return a * (1 - np.exp(-(x**b) / c))
