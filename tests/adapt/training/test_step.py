"""Accumulation and precision, one wrapper at a time."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from adapt.training.step import StepWrapper


def build(**options: Any) -> tuple[nn.Linear, StepWrapper]:
    torch.manual_seed(0)
    model = nn.Linear(3, 1)
    return model, StepWrapper(torch.optim.SGD(model.parameters(), lr=0.1), **options)


def compute_loss(model: nn.Module, images: Tensor) -> Tensor:
    return model(images).square().mean()


def test_parts_make_one_step_on_their_mean() -> None:
    images = torch.randn(6, 3)
    model, wrapper = build(parts=3)
    plain = copy.deepcopy(model)
    before = model.weight.detach().clone()
    for step in range(2):
        for part in range(3):
            wrapper.part = part
            own = images[2 * part : 2 * part + 2]
            # Two backward passes for each part, as self-training has.
            wrapper.zero_grad()
            wrapper.backward(compute_loss(model, own))
            wrapper.backward(0.5 * compute_loss(model, own))
            wrapper.step()
            assert torch.equal(model.weight, before) == (step == 0 and part < 2)
        optimizer = torch.optim.SGD(plain.parameters(), lr=0.1)
        optimizer.zero_grad()
        (1.5 * compute_loss(plain, images)).backward()
        optimizer.step()

    torch.testing.assert_close(model.weight, plain.weight, rtol=0, atol=1e-6)
    torch.testing.assert_close(model.bias, plain.bias, rtol=0, atol=1e-6)


def test_update_params_does_all_three() -> None:
    images = torch.randn(4, 3)
    model, wrapper = build()
    plain = copy.deepcopy(model)
    for _ in range(2):
        wrapper.update_params(compute_loss(model, images))
        loss = compute_loss(plain, images)
        for parameter, gradient in zip(
            plain.parameters(), torch.autograd.grad(loss, list(plain.parameters())), strict=True
        ):
            parameter.data -= 0.1 * gradient

    torch.testing.assert_close(model.weight, plain.weight)


@pytest.mark.parametrize(
    ("precision", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16), ("fp16", torch.float16)]
)
def test_precision_is_that_of_the_forward_pass_alone(precision: Any, dtype: torch.dtype) -> None:
    model, wrapper = build(precision=precision)
    seen = []
    for _ in range(20):
        with wrapper.optim_context(model):
            output = model(torch.ones(2, 3))
        seen.append(output.float().square().mean())
        wrapper.update_params(seen[-1])

    assert output.dtype == dtype
    assert model(torch.ones(2, 3)).dtype == torch.float32
    assert model.weight.dtype == torch.float32
    assert model.weight.grad is not None
    assert seen[-1] < 0.1 * seen[0]
    # Steps finer than half precision are kept.
    assert not torch.equal(model.weight, model.weight.bfloat16().float())


def test_an_overflow_in_fp16_leaves_out_the_step_and_is_remembered() -> None:
    model, wrapper = build(precision="fp16")
    before = copy.deepcopy(model)
    wrapper.update_params(compute_loss(model, torch.full((1, 3), 1e30)))

    assert torch.equal(model.weight, before.weight)
    state = copy.deepcopy(wrapper.state_dict())
    assert state["scaler"]["scale"] == 32768.0
    other = build(precision="fp16")[1]
    other.load_state_dict(state)
    assert other.state_dict()["scaler"] == state["scaler"]
    assert "scaler" in state


def test_fp32_steps_are_those_of_the_optimiser_even_where_gradients_overflow() -> None:
    model, wrapper = build()
    wrapper.update_params(compute_loss(model, torch.full((1, 3), 1e30)))

    assert not math.isfinite(model.weight.sum().item())
    state = wrapper.state_dict()
    assert state["scaler"] == {}
    wrapper.load_state_dict(state)
    assert "scaler" in state
