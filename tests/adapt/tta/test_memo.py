"""MEMO: entropy of the mean view by a naive loop, a step by hand, aligned views, and the source model after each frame."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from adapt.errors import SpecError
from adapt.tta.catalog import build_method
from adapt.tta.memo import change_light, mean_view_entropy
from adapt.tta.method import NotFiniteError
from adapt.tta.settings import MemoSettings, SourceSettings
from adapt.tta.supplies import Supplies

SGD = MemoSettings(optimizer="sgd", lr=0.05, views=4, batch_norm="source")


def build(settings: MemoSettings, net: nn.Module, seed: int = 0):
    return build_method(settings, net, nn.Module.__call__, 5, Supplies(seed=seed))


def test_the_entropy_of_the_mean_view_by_a_naive_loop():
    views = list(torch.randn(3, 2, 4, 2, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64))
    total = 0.0
    for image in range(2):
        for row in range(2):
            for column in range(3):
                mean = [0.0] * 4
                for view in views:
                    weights = [math.exp(value) for value in view[image, :, row, column].tolist()]
                    mean = [m + weight / sum(weights) / 3 for m, weight in zip(mean, weights, strict=True)]
                total -= sum(m * math.log(m) for m in mean)
    assert float(mean_view_entropy(views)) == pytest.approx(total / 12, abs=1e-12)


def test_light_changes_by_a_naive_loop_and_alike_under_any_normalisation(inputs):
    got = change_light(inputs[0], contrast=1.3, brightness=-0.2)
    for channel in range(3):
        values = inputs[0][0, channel].flatten().tolist()
        mean = sum(values) / 48
        deviation = math.sqrt(sum((value - mean) ** 2 for value in values) / 48)
        expected = [1.3 * (value - mean) + mean - 0.2 * deviation for value in values]
        assert got[0, channel].flatten().tolist() == pytest.approx(expected, abs=1e-12)
    scale, shift = (torch.tensor(values).double().view(1, 3, 1, 1) for values in ([2.0, 0.5, 9.0], [1.0, -4.0, 0.3]))
    other = change_light(inputs[0] * scale + shift, contrast=1.3, brightness=-0.2)
    assert torch.allclose(other, got * scale + shift, rtol=0, atol=1e-12)
    assert change_light(inputs[0], 1.0, 0.0) is inputs[0]


def test_one_step_by_hand_and_the_prediction_after_it(toy_net, inputs):
    """Strength 0 leaves the frame and its mirror image."""
    net, plain = toy_net(dropout=0.5), toy_net().eval()
    outcome = build(SGD.model_copy(update={"strength": 0.0, "views": 2}), net).predict_and_adapt(inputs[0])
    mean = (plain(inputs[0]).softmax(1) + plain(inputs[0].flip(3)).softmax(1).flip(3)) / 2
    loss = -(mean * mean.log()).sum(1).mean()
    slopes = torch.autograd.grad(loss, list(plain.parameters()))
    with torch.no_grad():
        for parameter, slope in zip(plain.parameters(), slopes, strict=True):
            parameter -= 0.05 * slope
        expected = plain(inputs[0])
    assert outcome.loss == pytest.approx(loss.item(), abs=1e-12)
    assert torch.allclose(outcome.logits, expected, rtol=0, atol=1e-12)
    assert (outcome.updates, outcome.skipped, outcome.logits.requires_grad) == (1, 0, False)


def test_views_are_the_frame_and_changed_ones_of_which_every_second_is_mirrored(toy_net, inputs):
    seen = []

    def forward(network: nn.Module, images: torch.Tensor) -> torch.Tensor:
        seen.append(images)
        return network(images)

    method = build_method(SGD, toy_net(), forward, 5)
    method.predict_and_adapt(inputs[0])
    first, second, third, fourth, last = seen
    assert torch.equal(first, inputs[0])
    assert torch.equal(last, inputs[0])  # the prediction

    def correlate(view: torch.Tensor) -> float:
        return torch.corrcoef(torch.stack([view[0, 0].flatten(), inputs[0][0, 0].flatten()]))[0, 1].item()

    for view, flipped in ((second, True), (third, False), (fourth, True)):
        assert correlate(view.flip(3) if flipped else view) == pytest.approx(1.0, abs=1e-12)
        assert not torch.allclose(view.flip(3) if flipped else view, inputs[0], atol=1e-3)
        stretch = (view.std(dim=(2, 3)) / inputs[0].std(dim=(2, 3))).flatten()
        assert torch.allclose(stretch, stretch[:1].expand(3), atol=1e-12)
        assert 0.8 <= float(stretch[0]) <= 1.2


def test_a_network_that_sees_single_pixels_gives_aligned_views(inputs):
    """Without context a mirror image turned back is the frame, so the mean over both has the frame's own entropy."""
    net = nn.Conv2d(3, 5, 1).double()
    plain = net(inputs[0]).log_softmax(1)
    outcome = build(SGD.model_copy(update={"strength": 0.0}), net).predict_and_adapt(inputs[0])
    assert outcome.loss == pytest.approx(-(plain.exp() * plain).sum(1).mean().item(), abs=1e-12)


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
@pytest.mark.parametrize("batch_norm", ["batch", "source"])
def test_after_each_frame_the_source_model_is_back_bit_for_bit(toy_net, inputs, optimizer, batch_norm):
    net = toy_net(dropout=0.5)
    start = {name: value.clone() for name, value in net.state_dict().items()}
    method = build(SGD.model_copy(update={"optimizer": optimizer, "batch_norm": batch_norm}), net)
    assert list(method.collect_parameters()) == [name for name, _ in net.named_parameters()]
    before = method.predict(inputs[0])
    logits = method.predict_and_adapt(inputs[0]).logits
    assert (logits - before).abs().max() > 1e-3
    assert all(torch.equal(value, start[name]) for name, value in net.state_dict().items())
    assert method.optimizer.state_dict()["state"] == {}
    assert torch.equal(method.predict(inputs[0]), before)


def test_views_depend_on_seed_and_place_and_repeat_after_a_reset(toy_net, inputs):
    method = build(SGD, toy_net())
    torch.manual_seed(5)
    runs = []
    for _ in range(2):
        runs.append([method.predict_and_adapt(inputs[0]).logits for _ in range(2)])
        method.reset()
    assert all(torch.equal(one, two) for one, two in zip(*runs, strict=True))
    assert not torch.equal(*runs[0])
    assert torch.equal(build(SGD, toy_net()).predict_and_adapt(inputs[0]).logits, runs[0][0])
    assert not torch.equal(build(SGD, toy_net(), seed=1).predict_and_adapt(inputs[0]).logits, runs[0][0])


def test_the_step_lowers_the_entropy_of_the_mean_view(toy_net, layer_norm_net, group_norm_net, inputs):
    for net in (toy_net(), layer_norm_net, group_norm_net):
        source = build_method(SourceSettings(), net, nn.Module.__call__, 5).predict(inputs[0])
        mirrored = net(inputs[0].flip(3)).flip(3)
        settings = MemoSettings(optimizer="sgd", lr=0.05, views=2, strength=0.0, batch_norm="source")
        forwards = []

        def forward(network: nn.Module, images: torch.Tensor, kept: list[torch.Tensor] = forwards) -> torch.Tensor:
            logits = network(images)
            if not torch.is_grad_enabled():
                kept.append(network(images.flip(3)).flip(3))
            return logits

        outcome = build_method(settings, net, forward, 5).predict_and_adapt(inputs[0])
        before = float(mean_view_entropy([source, mirrored.detach()]))
        assert outcome.loss == pytest.approx(before, abs=1e-12)
        assert float(mean_view_entropy([outcome.logits, forwards[-1]])) < before - 1e-3


def test_one_value_per_channel_is_no_obstacle(inputs):
    pooled = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.BatchNorm2d(3), nn.Conv2d(3, 5, 1)).double()
    outcome = build(SGD.model_copy(update={"batch_norm": "batch"}), pooled).predict_and_adapt(inputs[0])
    assert outcome.logits.isfinite().all()


def test_a_frame_that_is_not_finite_changes_nothing_and_is_not_counted(toy_net, inputs):
    net = toy_net()
    start = {name: value.clone() for name, value in net.state_dict().items()}
    method = build(SGD, net)
    expected = build(SGD, toy_net()).predict_and_adapt(inputs[0]).logits
    with pytest.raises(NotFiniteError):
        method.predict_and_adapt(inputs[0] * float("nan"))
    assert all(torch.equal(value, start[name]) for name, value in net.state_dict().items())
    assert torch.equal(method.predict_and_adapt(inputs[0]).logits, expected)


def test_a_prediction_that_fails_leaves_the_source_model(toy_net, inputs):
    net = toy_net()
    start = {name: value.clone() for name, value in net.state_dict().items()}

    def forward(network: nn.Module, images: torch.Tensor) -> torch.Tensor:
        if not torch.is_grad_enabled():
            raise RuntimeError("out of memory")
        return network(images)

    with pytest.raises(RuntimeError, match="out of memory"):
        build_method(SGD, net, forward, 5).predict_and_adapt(inputs[0])
    assert all(torch.equal(value, start[name]) for name, value in net.state_dict().items())


def test_refuses_a_model_without_parameters():
    with pytest.raises(SpecError, match=r"memo.*ReLU has none"):
        build(SGD, nn.ReLU())
