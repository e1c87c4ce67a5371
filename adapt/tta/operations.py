"""How many floating-point operations a piece of work takes, by torch's counter with one rule mended."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode


def count_operations() -> FlopCounterMode:
    """Return a counter for the operations run while it is entered; a product and a sum are two.

    Torch counts the gradient of a grouped convolution's weights as if it had no groups: many times too much in networks
    with depthwise convolutions. Here the gradients of input and weights cost what the forward pass did, each.
    """
    return FlopCounterMode(
        display=False, custom_mapping={torch.ops.aten.convolution_backward: count_convolution_backward}
    )


def count_convolution_backward(
    grad_output: Sequence[int],
    images: Sequence[int],
    weight: Sequence[int],
    bias_sizes: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    transposed: bool,
    output_padding: Any,
    groups: int,
    output_mask: Sequence[bool],
    out_shape: Any = None,
    **others: Any,
) -> int:
    """Count the operations of a convolution's backward pass from its shapes, as torch's counter hands them over.

    Args:
        grad_output: (N, C_out, *spatial), the gradient that comes in.
        images: (N, C_in, *spatial), the input.
        weight: (C_out, C_in / groups, *kernel), or (C_in, C_out / groups, *kernel) where transposed.
        bias_sizes: not read, as the next three.
        stride: not read.
        padding: not read.
        dilation: not read.
        transposed: whether it is a transposed convolution, which multiplies at each place of its input.
        output_padding: not read.
        groups: not read: the shape of the weights has it.
        output_mask: which gradients are wanted: of input, weights, bias.
        out_shape: not read.
        others: not read.

    Returns:
        2 * N * places * weights for each of input and weights that is wanted.
    """
    places = images if transposed else grad_output
    once = 2 * places[0] * math.prod(places[2:]) * math.prod(weight)
    return once * (int(output_mask[0]) + int(output_mask[1]))
