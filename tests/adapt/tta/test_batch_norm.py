"""The blend of source and batch statistics: naive loops, gradients, copies of a model, odd layers, and how it is undone."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from adapt.errors import SpecError
from adapt.tta.batch_norm import (
    follow_statistics,
    list_batch_norms,
    require_batch_norm,
    use_batch_statistics,
    use_source_statistics,
)


def build_norm() -> nn.BatchNorm2d:
    """A trained layer of three channels."""
    norm = nn.BatchNorm2d(3, eps=0.01).double().eval()
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([1.0, -0.5, 2.0]))
        norm.bias.copy_(torch.tensor([0.1, 0.2, -0.3]))
        norm.running_mean.copy_(torch.tensor([0.5, -1.0, 0.25]))
        norm.running_var.copy_(torch.tensor([2.0, 0.5, 1.5]))
    return norm


def draw(*shape: int) -> Tensor:
    return 2 + 3 * torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def naive(norm: nn.BatchNorm2d, images: Tensor, weight: float, unbiased: bool) -> Tensor:
    """Normalise (B, 3, ...) value by value, in plain Python."""
    result = torch.empty_like(images)
    for channel in range(3):
        values = images[:, channel].flatten().tolist()
        mean = sum(values) / len(values)
        variance = sum((value - mean) ** 2 for value in values) / (len(values) - int(unbiased))
        mean = (1 - weight) * float(norm.running_mean[channel]) + weight * mean
        variance = (1 - weight) * float(norm.running_var[channel]) + weight * variance
        gain, shift = norm.weight[channel].item(), norm.bias[channel].item()
        normalised = [gain * (value - mean) / (variance + 0.01) ** 0.5 + shift for value in values]
        result[:, channel] = torch.tensor(normalised, dtype=torch.float64).view(images[:, channel].shape)
    return result


@pytest.mark.parametrize("unbiased", [False, True])
@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_the_blend_by_a_naive_loop(weight, unbiased):
    norm, images = build_norm(), draw(2, 3, 2, 4)
    before = {name: value.clone() for name, value in norm.state_dict().items()}
    use_batch_statistics(norm, weight, unbiased)
    got = norm(images)
    assert torch.allclose(got, naive(norm, images, weight, unbiased), rtol=0, atol=1e-12)
    assert all(torch.equal(value, before[name]) for name, value in norm.state_dict().items())


@pytest.mark.parametrize("weight", [0.3, 1.0])
def test_layers_of_other_ranks_and_without_affine_parameters(weight):
    flat, norm = nn.BatchNorm1d(3, eps=0.01).double(), build_norm()
    flat.load_state_dict(norm.state_dict())
    images = draw(5, 3)
    use_batch_statistics(flat, weight, unbiased=True)
    assert torch.allclose(flat(images), naive(norm, images, weight, True), rtol=0, atol=1e-12)
    bare = nn.BatchNorm2d(3, eps=0.01, affine=False).double()
    bare.load_state_dict({name: value for name, value in norm.state_dict().items() if name not in ("weight", "bias")})
    with torch.no_grad():
        norm.weight.fill_(1.0)
        norm.bias.fill_(0.0)
    use_batch_statistics(bare, weight, unbiased=True)
    assert torch.allclose(bare(draw(2, 3, 2, 4)), naive(norm, draw(2, 3, 2, 4), weight, True), rtol=0, atol=1e-12)


def test_gradients_through_the_blend_by_finite_differences():
    norm = build_norm()
    use_batch_statistics(norm, 0.3, unbiased=True)
    images = draw(1, 3, 2, 3).requires_grad_(True)
    weights = torch.arange(18.0, dtype=torch.float64).view(1, 3, 2, 3).cos()  # the plain sum of a channel has no slope

    def loss(values: Tensor, gain: Tensor, shift: Tensor) -> Tensor:
        return (torch.func.functional_call(norm, {"weight": gain, "bias": shift}, (values,)) * weights).sum()

    start = [norm.weight.detach().clone().requires_grad_(True), norm.bias.detach().clone().requires_grad_(True)]
    assert torch.autograd.gradcheck(loss, (images, *start))


def test_a_copy_under_a_blend_works_on_its_own_layers():
    """A teacher is a copy: what happens to the one must not show in the other."""
    net = nn.Sequential(build_norm())
    images = draw(1, 3, 4, 4)
    use_batch_statistics(net, 0.3)
    twin = copy.deepcopy(net)
    before = net(images)
    assert torch.equal(twin(images), before)
    with torch.no_grad():
        twin[0].bias += 1.0
        twin[0].running_mean += 5.0
    assert torch.equal(net(images), before)
    assert torch.allclose(twin(images), naive(twin[0], images, 0.3, False), rtol=0, atol=1e-12)
    use_source_statistics(twin)
    assert torch.equal(net(images), before)
    assert torch.allclose(twin(images), naive(twin[0], images, 0.0, False), rtol=0, atol=1e-12)
    use_batch_statistics(twin, 0.7)
    assert torch.equal(net(images), before)
    assert torch.allclose(twin(images), naive(twin[0], images, 0.7, False), rtol=0, atol=1e-12)


@pytest.mark.parametrize("unbiased", [False, True])
@pytest.mark.parametrize("weight", [0.3, 1.0])
def test_one_value_per_channel_keeps_the_source(weight, unbiased):
    norm, single = build_norm(), draw(1, 3, 1, 1)
    use_batch_statistics(norm, weight, unbiased)
    assert torch.allclose(norm(single), naive(norm, single, 0.0, False), rtol=0, atol=1e-12)
    pair = draw(2, 3, 1, 1)  # two values have a variance
    assert torch.allclose(norm(pair), naive(norm, pair, weight, unbiased), rtol=0, atol=1e-12)


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_a_layer_without_running_statistics_always_uses_its_inputs(weight):
    norm = nn.BatchNorm2d(3, track_running_stats=False).double()
    images = draw(2, 3, 2, 4)
    expected = norm.eval()(images)
    use_batch_statistics(norm, weight)
    assert torch.equal(norm(images), expected)
    use_source_statistics(norm)
    assert torch.equal(norm(images), expected)


def test_the_source_comes_back_whatever_was_set():
    norm, images = build_norm(), draw(2, 3, 2, 4)
    expected = norm(images)
    keys = set(vars(norm))
    for settings in ({"weight": 0.3}, {"weight": 1.0}, {"weight": 1.0, "unbiased": True}, {"weight": 0.0}):
        use_batch_statistics(norm, **settings)
        use_source_statistics(norm)
        assert torch.equal(norm(images), expected)
        assert (norm.training, norm.track_running_stats, set(vars(norm))) == (False, True, keys)


def test_the_last_call_wins():
    norm, images = build_norm(), draw(2, 3, 2, 4)
    for weight in (1.0, 0.3, 1.0, 0.6, 0.0):
        use_batch_statistics(norm, weight)
        assert torch.allclose(norm(images), naive(norm, images, weight, False), rtol=0, atol=1e-12)


@pytest.mark.parametrize("weight", [-0.1, 1.1, float("nan")])
def test_refuses_a_weight_outside_its_range(weight):
    with pytest.raises(ValueError, match=r"lies in \[0, 1\]"):
        use_batch_statistics(build_norm(), weight)


def test_lists_the_layers_in_order_and_refuses_a_model_without():
    net = nn.Sequential(nn.BatchNorm2d(3), nn.LayerNorm(4), nn.Sequential(nn.BatchNorm1d(2)))
    assert list_batch_norms(net) == require_batch_norm(net, "bn_stats") == [net[0], net[2][0]]
    with pytest.raises(SpecError, match=r"`bn_x` .* LayerNorm has none"):
        require_batch_norm(nn.LayerNorm(4), "bn_x")


def test_a_single_value_per_channel_leaves_the_running_statistics():
    net = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.BatchNorm2d(3)).eval()
    images = torch.randn(1, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    with follow_statistics(net):
        pooled = net(images)
        assert torch.equal(net[1].running_mean, torch.zeros(3))
        net(torch.cat([images, images + 1]))
    torch.testing.assert_close(pooled.flatten(), images.mean(dim=(2, 3)).flatten(), rtol=0, atol=1e-4)
    torch.testing.assert_close(net[1].running_mean, 0.1 * (images.mean(dim=(0, 2, 3)) + 0.5))
    assert not net[1].training
    assert len(net[1]._forward_pre_hooks) == 0


def test_the_batchs_statistics_alone_do_not_read_the_sources():
    norm = nn.BatchNorm2d(3).double()
    images = torch.randn(2, 3, 4, 5, dtype=torch.float64)
    expected = norm.train()(images).detach()
    norm.running_mean.fill_(float("nan"))
    norm.running_var.fill_(float("inf"))
    use_batch_statistics(norm)
    assert torch.allclose(norm(images), expected, rtol=0, atol=1e-12)
    with torch.no_grad():
        assert torch.allclose(norm(images), expected, rtol=0, atol=1e-12)
