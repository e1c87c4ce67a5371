"""A distance between styles that knows how source images differ among themselves. Ours.

In the plain distance between styles, dusk after day is as far as noise: both move many channels a little. Divided by the
spread of the source in every direction (the Mahalanobis distance), what varies on the source anyway counts little and
what never does counts much.
"""

from __future__ import annotations

import torch
from torch import Tensor

SHRINKAGE = 0.1  # ours: how far the covariance moves to its diagonal, so that few images give an invertible one
SMALLEST_SPREAD = (
    1e-3  # ours: a channel whose style varies less on the source (a dead one) tells nothing and is left out
)


def compute_whitening(styles: Tensor) -> Tensor:
    """Compute the map after which the Euclidean distance is the Mahalanobis distance of the given styles.

    Args:
        styles: (N, D) float, at least two.

    Returns:
        (D, D') float32, for `styles @ whitening`; D' is the number of channels that vary. The covariance is
        (1 - 0.1) * the styles' own + 0.1 * its diagonal.
    """
    table = styles.double()
    varies = table.std(dim=0) > SMALLEST_SPREAD
    covariance = torch.atleast_2d(table[:, varies].T.cov())
    covariance = (1 - SHRINKAGE) * covariance + SHRINKAGE * torch.diag(covariance.diagonal())
    values, vectors = torch.linalg.eigh(covariance)
    whitening = torch.zeros(len(varies), int(varies.sum()), dtype=torch.float64)
    whitening[varies] = vectors @ torch.diag(values.rsqrt()) @ vectors.T
    return whitening.float()
