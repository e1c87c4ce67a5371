"""Running statistics that follow the stream: a naive loop, torch's train mode, exact resets, odd layers, bad frames."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from adapt.errors import SpecError
from adapt.tta.batch_norm import follow_statistics
from adapt.tta.catalog import build_method
from adapt.tta.method import NotFiniteError
from adapt.tta.settings import BnEmaSettings, SourceSettings

FAST = BnEmaSettings(momentum=0.3)


def test_running_statistics_follow_by_a_naive_loop_and_decide(inputs):
    norm = nn.BatchNorm2d(3).double()
    method = build_method(FAST, norm, nn.Module.__call__, 3)
    means, variances = [0.0] * 3, [1.0] * 3
    for images in inputs:
        got = method.predict_and_adapt(images).logits
        for channel in range(3):
            values = images[0, channel].flatten().tolist()
            mean = sum(values) / len(values)
            variance = sum((value - mean) ** 2 for value in values) / (len(values) - 1)
            means[channel] = 0.7 * means[channel] + 0.3 * mean
            variances[channel] = 0.7 * variances[channel] + 0.3 * variance
            expected = [(value - means[channel]) / (variances[channel] + 1e-5) ** 0.5 for value in values]
            assert got[0, channel].flatten().tolist() == pytest.approx(expected, abs=1e-12)
    assert norm.running_mean.tolist() == pytest.approx(means, abs=1e-12)
    assert norm.running_var.tolist() == pytest.approx(variances, abs=1e-12)
    assert int(norm.num_batches_tracked) == 3


def test_equals_torch_in_train_mode_and_then_in_eval_mode(toy_net, inputs):
    net, plain = toy_net(dropout=0.5), toy_net()
    plain[1].momentum = 0.3
    method = build_method(FAST, net, nn.Module.__call__, 5)
    for images in inputs:
        got = method.predict_and_adapt(images).logits
        with torch.no_grad():
            plain.train()(images)
            assert torch.equal(got, plain.eval()(images))
    assert all(torch.equal(value, plain.state_dict()[name]) for name, value in net.state_dict().items())


def test_changes_the_buffers_of_batch_norm_and_nothing_else(toy_net, inputs):
    net = toy_net(dropout=0.5)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    method = build_method(FAST, net, nn.Module.__call__, 5)
    outcome = method.predict_and_adapt(inputs[0])
    changed = {name for name, value in net.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"1.running_mean", "1.running_var", "1.num_batches_tracked"} == set(method.collect_tensors())
    assert (outcome.updates, outcome.loss, method.collect_parameters()) == (0, None, {})


def test_predict_learns_nothing(toy_net, inputs):
    net = toy_net()
    method = build_method(FAST, net, nn.Module.__call__, 5)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    source = build_method(SourceSettings(), toy_net(), nn.Module.__call__, 5).predict(inputs[0])
    assert torch.equal(method.predict(inputs[0]), source)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_after_a_reset_the_run_repeats_bit_for_bit(toy_net, inputs):
    net = toy_net()
    start = {name: value.clone() for name, value in net.state_dict().items()}
    method = build_method(FAST, net, nn.Module.__call__, 5)
    runs = []
    for _ in range(2):
        runs.append([method.predict_and_adapt(images).logits for images in inputs])
        method.reset()
        assert all(torch.equal(value, start[name]) for name, value in net.state_dict().items())
    assert all(torch.equal(one, two) for one, two in zip(*runs, strict=True))


def test_one_value_per_channel_keeps_its_statistics(inputs):
    pooled = nn.Sequential(nn.BatchNorm2d(3), nn.AdaptiveAvgPool2d(1), nn.BatchNorm2d(3)).double()
    method = build_method(FAST, pooled, nn.Module.__call__, 3)
    method.predict_and_adapt(inputs[0])
    assert int(pooled[0].num_batches_tracked) == 1
    assert int(pooled[2].num_batches_tracked) == 0
    assert pooled[2].running_mean.tolist() == [0.0] * 3


def test_a_layers_own_momentum_comes_back(toy_net, inputs):
    net = toy_net()
    net[1].momentum = None  # a cumulative average
    method = build_method(FAST, net, nn.Module.__call__, 5)
    start = net[1].running_mean.clone()
    method.predict_and_adapt(inputs[0])
    with torch.no_grad():
        expected = 0.7 * start + 0.3 * net[0](inputs[0]).mean(dim=(0, 2, 3))
    assert torch.allclose(net[1].running_mean, expected, rtol=0, atol=1e-12)
    assert net[1].momentum is None
    with pytest.raises(RuntimeError, match="stop"), follow_statistics(net, 0.5):
        raise RuntimeError("stop")
    assert net[1].momentum is None


def test_a_frame_that_is_not_finite_leaves_the_statistics_as_they_were(toy_net, inputs):
    net = toy_net()
    method = build_method(FAST, net, nn.Module.__call__, 5)
    method.predict_and_adapt(inputs[0])
    before = {name: value.clone() for name, value in net.state_dict().items()}
    with pytest.raises(NotFiniteError, match="left as they are"):
        method.predict_and_adapt(inputs[1] * float("nan"))
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_refuses_a_model_without_batch_norm(layer_norm_net):
    with pytest.raises(SpecError, match=r"bn_ema.*Sequential has none"):
        build_method(BnEmaSettings(), layer_norm_net, nn.Module.__call__, 5)
