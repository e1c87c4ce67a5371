"""Online clustering of styles: to which model a batch belongs, and when it needs one of its own."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from adapt.tta.method import NotFiniteError
from adapt.tta.reservoir.style_buffer import Replacement, StyleBuffer

LOG_FLOOR = 1e-8  # the published code's, inside the logarithm of the mean assignment


@dataclass(frozen=True)
class Assignment:
    """Where a batch belongs.

    Attributes:
        style: (D,), the batch's.
        batch_size: B.
        weights: one for each cluster, a founded one last; they sum to 1.
        cluster: the one with the highest weight.
        distance: from the style to the nearest centroid that was there before.
        is_new: whether the batch founds the last cluster.
    """

    style: Tensor
    batch_size: int
    weights: tuple[float, ...]
    cluster: int
    distance: float
    is_new: bool


class Clustering:
    """Centroids c_k = mean + d_k, of which the displacements d_k are learnt; the first, d_0 = 0, is the source's.

    `assign` changes nothing; `learn` takes an assignment in. Between the two a caller may still give a batch up.

    Args:
        mean: (D,), the mean style of the source; all computation takes place on its device and in its dtype.
        threshold: a full-size batch farther than this from every centroid founds a cluster.
        models: at most so many clusters.
        capacity_per_model: so many styles are remembered for each cluster there is.
        replacement: see `StyleBuffer`.
        lr: of AdamW on the displacements; its betas are 0.9 and 0.999.
        weight_decay: of AdamW.
        seed: of the buffer's random places.

    Attributes:
        mean: as given.
    """

    def __init__(
        self,
        mean: Tensor,
        threshold: float,
        models: int,
        capacity_per_model: int,
        replacement: Replacement,
        lr: float,
        weight_decay: float,
        seed: int,
    ) -> None:
        self.mean = mean
        self._threshold = threshold
        self._models = models
        self._capacity_per_model = capacity_per_model
        self._lr = lr
        self._weight_decay = weight_decay
        self._buffer = StyleBuffer(replacement, seed)
        self._full_size = 0  # the largest batch so far
        self._set_displacements(torch.zeros_like(mean)[None])

    @property
    def centroids(self) -> Tensor:
        """(k, D), one row for each cluster."""
        return self.mean + self._displacements.detach()

    def assign(self, style: Tensor, batch_size: int, may_found: bool = True) -> Assignment:
        """Find the cluster of a batch; the clustering stays as it is.

        A batch is full-size when none before was larger [ours: the published code knows the loader's batch size].

        Args:
            style: (D,), on the mean's device and of its dtype.
            batch_size: B.
            may_found: whether the batch may found a cluster.

        Returns:
            The cluster and the weights, both before any learning from this style.

        Raises:
            NotFiniteError: if the style is not finite.
        """
        distances = torch.linalg.vector_norm(style - self.centroids, dim=1)  # (k,)
        values: list[float] = distances.tolist()
        distance = min(values)
        if not math.isfinite(distance):
            raise NotFiniteError(
                f"The style of the batch lies {distance} from the source's, so it belongs to no model and no update was "
                "made. The frame, or the early features of the network on it, are not finite: check the frame."
            )
        is_new = (
            may_found and batch_size >= self._full_size and distance > self._threshold and len(values) < self._models
        )
        if is_new:
            distances = torch.cat([distances, distances.new_zeros(1)])  # the new centroid is the style
        weights = torch.softmax(-distances, dim=0)
        chosen: list[float] = weights.tolist()
        return Assignment(style, batch_size, tuple(chosen), chosen.index(max(chosen)), distance, is_new)

    def learn(self, assignment: Assignment) -> None:
        """Add the cluster that an assignment founds, move the centroids by one step, and remember the style.

        The step goes down the mean entropy of the assignments of all remembered styles and this one, less the entropy
        of their mean.

        Args:
            assignment: the last that `assign` returned.
        """
        style = assignment.style
        self._full_size = max(self._full_size, assignment.batch_size)
        if assignment.is_new:
            self._set_displacements(torch.cat([self._displacements.detach(), (style - self.mean)[None]]))
        if (
            len(self._displacements) > 1
        ):  # a single cluster has all the weight, so no gradient, and d_0 = 0 cannot decay
            self._step(style)
        self._buffer.add(style, self._capacity_per_model * len(self._displacements))

    def save(self) -> dict[str, Any]:
        """Return the state; its tensors are the live ones."""
        return {
            "displacements": self._displacements.detach(),
            "optimizer": self._optimizer.state_dict(),
            "buffer": self._buffer.save(),
            "full_size": self._full_size,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Go back to a state that `save` returned, and keep its tensors."""
        self._set_displacements(state["displacements"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._buffer.load(state["buffer"])
        self._full_size = state["full_size"]

    def _set_displacements(self, displacements: Tensor) -> None:
        """Take other displacements and, as the published code does, begin with a fresh optimiser."""
        self._displacements = displacements.requires_grad_(True)
        self._optimizer = torch.optim.AdamW([self._displacements], lr=self._lr, weight_decay=self._weight_decay)

    def _step(self, style: Tensor) -> None:
        remembered = self._buffer.styles
        rows = style[None] if remembered is None else torch.cat([remembered, style[None]])  # (n, D)
        with torch.enable_grad():
            distances = torch.cdist(
                rows, self.mean + self._displacements, compute_mode="donot_use_mm_for_euclid_dist"
            )  # (n, k), without the cancellation of |a|^2 - 2 ab + |b|^2
            log_probability = (-distances).log_softmax(dim=1)
            probability = log_probability.exp()
            mean_probability = probability.mean(dim=0)
            row_entropy = -(probability * log_probability).sum(dim=1).mean()
            loss = row_entropy + (mean_probability * (mean_probability + LOG_FLOOR).log()).sum()
        (gradient,) = torch.autograd.grad(loss, [self._displacements])
        self._displacements.grad = gradient
        self._optimizer.step()
        self._displacements.grad = None
