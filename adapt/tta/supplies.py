"""What some methods need beside the network that they adapt: another network, or statistics of the source data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

Forward = Callable[[nn.Module, Tensor], Tensor]
"""Runs a network on a batch: (network, images (B, 3, H, W) as the adapted model takes them) -> logits (B, K, h, w),
differentiable. It leaves modes and gradients alone (no `eval()`, no `no_grad`)."""

ExtractStyle = Callable[[Tensor], Tensor]
"""A batch of images (B, 3, H, W), as the adapted model takes them, to its style vector (D,), without gradients."""


@dataclass(frozen=True)
class SourceStyles:
    """The styles of source images, against which a stream's are held (`adapt.tta.reservoir`).

    Attributes:
        extract: gives a batch's style vector.
        mean: (D,), the mean of the source's style vectors.
        threshold: the distance in style above which two batches are of different domains.
    """

    extract: ExtractStyle
    mean: Tensor
    threshold: float


@dataclass(frozen=True)
class Supplies:
    """What a method may be given; each takes what `adapt.tta.settings.list_needs` says, and refuses to do without.

    Attributes:
        seed: of the method's own random draws (restored weights, dropout, views).
        auxiliary: the small network of AuxAdapt; `Method.forward` runs it on the same images.
        styles: for `reservoir`.
        fisher: name of a parameter of the model -> its Fisher information (same shape), for `eata`.
    """

    seed: int = 0
    auxiliary: nn.Module | None = None
    styles: SourceStyles | None = None
    fisher: Mapping[str, Tensor] | None = None
