"""Styles of the toy inputs, and a reservoir over the toy net."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from adapt.tta.catalog import build_method
from adapt.tta.reservoir.style import log_variance
from adapt.tta.settings import ReservoirSettings
from adapt.tta.supplies import SourceStyles, Supplies


def extract_style(images: Tensor) -> Tensor:
    """The spread of the colours themselves: three numbers."""
    return log_variance(images, 1e-8)


@pytest.fixture
def build_reservoir(toy_net: Callable[..., nn.Module], inputs: list[Tensor]) -> Callable[..., Any]:
    """A reservoir with a toy net of its own, whose source style is that of the first input.

    `spread` stretches all styles: at 20 the weights of the two domains are exactly 1 and 0.
    """

    def build(
        base: Any, threshold: float = 1.0, net: nn.Module | None = None, spread: float = 1.0, **settings: Any
    ) -> Any:
        def extract(images: Tensor) -> Tensor:
            return spread * extract_style(images)

        supplies = Supplies(styles=SourceStyles(extract, extract(inputs[0]), spread * threshold))
        return build_method(ReservoirSettings(base=base, **settings), net or toy_net(), nn.Module.__call__, 5, supplies)

    return build


@pytest.fixture
def two_domains(inputs: list[Tensor]) -> list[Tensor]:
    """Six frames of two domains in turn: the inputs, and the same three times as strong (2 ln 3 = 2.2 apart)."""
    return [frame for images in inputs for frame in (images, 3 * images + 0.5)]


def same(first: Sequence[Tensor], second: Sequence[Tensor]) -> bool:
    return len(first) == len(second) and all(torch.equal(one, two) for one, two in zip(first, second, strict=True))


def values(method: Any) -> list[Tensor]:
    return [tensor.detach().clone() for tensor in method.collect_tensors().values()]


def copy_state(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


@pytest.fixture
def snapshot() -> Callable[[nn.Module], dict[str, Tensor]]:
    return copy_state
