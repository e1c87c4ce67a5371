"""The teacher as an exponential moving average of the student's parameters."""

from __future__ import annotations

import torch
from torch import nn


def compute_ema_alpha(iteration: int, alpha: float) -> float:
    """Weight of the old teacher at an iteration: min(1 - 1 / (iteration + 1), alpha), hence 0, a plain copy, at 0.

    Args:
        iteration: Index of the iteration, from 0.
        alpha: Upper bound (DAFormer: 0.999).

    Returns:
        The weight, in [0, 1).

    >>> compute_ema_alpha(0, 0.999), compute_ema_alpha(1, 0.999), compute_ema_alpha(5000, 0.999)
    (0.0, 0.5, 0.999)
    """
    return min(1.0 - 1.0 / (iteration + 1), alpha)


@torch.no_grad()
def update_teacher(teacher: nn.Module, student: nn.Module, alpha: float) -> None:
    """Move the teacher's parameters: teacher <- alpha * teacher + (1 - alpha) * student; buffers stay its own.

    Args:
        teacher: Updated in place.
        student: A network of the same architecture.
        alpha: Weight of the old teacher; 0 copies the student bit for bit.
    """
    old, new = list(teacher.parameters()), list(student.parameters())
    # All at once: a transformer's thousand parameters would each wait for a launch on a GPU.
    if alpha == 0.0:
        torch._foreach_copy_(old, new)
    else:
        torch._foreach_mul_(old, alpha)
        torch._foreach_add_(old, new, alpha=1.0 - alpha)
