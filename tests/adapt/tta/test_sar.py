"""SAR: the official implementation's numbers, a step by hand, both filters, recovery, and what a method owes."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from adapt.errors import SpecError
from adapt.tta.catalog import build_method
from adapt.tta.entropy import mean_entropy, pixel_entropy
from adapt.tta.method import NotFiniteError
from adapt.tta.sar import perturb
from adapt.tta.settings import SarSettings

OFFICIAL = SarSettings(lr=1e-2, momentum=0.9, margin=0.95, unit="image", reset_below=0.2)
STRONG = SarSettings(optimizer="adam", lr=1e-2, margin=0.9, reset_below=0)


def test_matches_the_official_implementation(gap_net, gap_batches):
    net = gap_net()
    method = build_method(OFFICIAL, net, nn.Module.__call__, 5)
    averages = []
    for images in gap_batches:
        method.predict_and_adapt(images)
        averages.append(method.own_state()["average"])
    assert net[1].weight.tolist() == pytest.approx([1.060598915, 1.1723453954, 1.2009786328, 1.1217779703], abs=1e-8)
    assert averages == pytest.approx([0.5197074595, 0.5195127621, 0.5191271772], abs=1e-8)


def test_on_single_pixels_the_unit_makes_no_difference(gap_net, gap_batches):
    net = gap_net()
    method = build_method(OFFICIAL.model_copy(update={"unit": "pixel"}), net, nn.Module.__call__, 5)
    for images in gap_batches:
        method.predict_and_adapt(images)
    assert net[1].weight.tolist() == pytest.approx([1.060598915, 1.1723453954, 1.2009786328, 1.1217779703], abs=1e-8)
    assert method.unit == "pixel"


def test_the_perturbation_has_length_rho_along_the_gradients_by_hand():
    parameters = [torch.tensor([1.0, 1.0]), torch.tensor([[1.0]])]
    perturb(parameters, [torch.tensor([3.0, 0.0]), torch.tensor([[-4.0]])], rho=0.5)
    assert parameters[0].tolist() == pytest.approx([1.3, 1.0])
    assert parameters[1].tolist() == [[pytest.approx(0.6)]]
    perturb(parameters, [torch.zeros(2), torch.zeros(1, 1)], rho=0.5)
    assert parameters[0].tolist() == pytest.approx([1.3, 1.0])


def test_one_step_by_hand_with_both_filters(toy_net, inputs):
    """The perturbation is large, so that the second filter drops pixels which the first one kept."""
    settings = SarSettings(lr=0.1, momentum=0.0, rho=1.0, margin=0.4, reset_below=0)
    net, plain = toy_net(dropout=0.5), toy_net().train()
    outcome = build_method(settings, net, nn.Module.__call__, 5).predict_and_adapt(inputs[1])
    places = [plain[1].weight, plain[1].bias]
    limit = 0.4 * math.log(5)
    logits = plain(inputs[1])
    assert torch.equal(outcome.logits, logits)
    first = pixel_entropy(logits)
    slopes = torch.autograd.grad(first[first < limit].mean(), places)
    length = math.sqrt(sum(float((slope**2).sum()) for slope in slopes))
    start = [place.detach().clone() for place in places]
    with torch.no_grad():
        for place, slope in zip(places, slopes, strict=True):
            place += slope / length
    second = pixel_entropy(plain(inputs[1]))
    kept = (first < limit) & (second < limit)
    assert 0 < int(kept.sum()) < int((first < limit).sum())
    assert int(kept.sum()) < int((second < limit).sum())  # a pixel that became reliable is not taken in
    loss = second[kept].mean()
    slopes = torch.autograd.grad(loss, places)
    for place, before, slope in zip([net[1].weight, net[1].bias], start, slopes, strict=True):
        assert torch.allclose(place, before - 0.1 * slope, rtol=0, atol=1e-10)
    assert outcome.loss == pytest.approx(loss.item(), abs=1e-10)  # the official 1e-12 beside the norm
    assert outcome.notes == {"kept": int(kept.sum()) / 48, "recovered": 0.0}
    assert (outcome.updates, outcome.skipped, outcome.logits.requires_grad) == (1, 0, False)


@pytest.mark.parametrize("case", ["first", "second"])
def test_nothing_kept_by_either_filter_makes_no_update(toy_net, inputs, case):
    net = toy_net()
    with torch.no_grad():
        lowest = float(pixel_entropy(toy_net().train()(inputs[0])).min())
    margin = (lowest + 1e-9) / math.log(5)  # one pixel passes, and no longer does after the perturbation
    settings = SarSettings(lr=0.1, margin=1e-9 if case == "first" else margin, rho=0.05, reset_below=0)
    method = build_method(settings, net, nn.Module.__call__, 5)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    outcome = method.predict_and_adapt(inputs[0])
    assert (outcome.updates, outcome.skipped, outcome.loss) == (0, 1, None)
    assert outcome.notes == {"kept": 0.0, "recovered": 0.0}
    assert not outcome.logits.requires_grad
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert method.optimizer.state_dict()["state"] == {}
    assert method.own_state() == {"average": None}


def test_collapse_brings_model_optimiser_and_average_back(toy_net, inputs):
    net = toy_net()
    start = {name: value.clone() for name, value in net.state_dict().items()}
    free = build_method(SarSettings(lr=0.5, margin=1.1, reset_below=0), toy_net(), nn.Module.__call__, 5)
    losses = [free.predict_and_adapt(inputs[0]).loss for _ in range(4)]
    average, averages = losses[0], []
    for loss in losses:
        average = 0.9 * average + 0.1 * loss
        averages.append(average)
    assert averages[0] > averages[1] > averages[2] > averages[3]
    threshold = (averages[1] + averages[2]) / 2
    settings = SarSettings(lr=0.5, margin=1.1, reset_below=threshold)
    method = build_method(settings, net, nn.Module.__call__, 5)
    outcomes = [method.predict_and_adapt(inputs[0]) for _ in range(3)]
    assert [outcome.notes["recovered"] for outcome in outcomes] == [0.0, 0.0, 1.0]
    assert [outcome.loss for outcome in outcomes] == losses[:3]
    assert all(torch.equal(value, start[name]) for name, value in net.state_dict().items())
    assert method.optimizer.state_dict()["state"] == {}
    assert method.own_state() == {"average": None}
    again = method.predict_and_adapt(inputs[0])
    assert torch.equal(again.logits, outcomes[0].logits)
    assert again.notes["recovered"] == 0.0


def test_changes_the_affine_parameters_and_nothing_else(toy_net, inputs):
    net = toy_net(dropout=0.5)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    method = build_method(STRONG, net, nn.Module.__call__, 5)
    for images in inputs:
        method.predict_and_adapt(images)
    changed = {name for name, value in net.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"1.weight", "1.bias"} == set(method.collect_parameters())


@pytest.mark.parametrize("settings", [STRONG, SarSettings(lr=1e-2, margin=0.9, reset_below=0)])
def test_after_a_reset_the_run_repeats_bit_for_bit(toy_net, inputs, settings):
    net = toy_net()
    start = {name: value.clone() for name, value in net.state_dict().items()}
    method = build_method(settings, net, nn.Module.__call__, 5)
    runs, averages = [], []
    for _ in range(2):
        runs.append([method.predict_and_adapt(images).logits for images in inputs])
        averages.append(method.own_state()["average"])
        method.reset()
        assert method.own_state() == {"average": None}
        assert all(torch.equal(value, start[name]) for name, value in net.state_dict().items())
    assert all(torch.equal(one, two) for one, two in zip(*runs, strict=True))
    assert averages[0] == averages[1]


@pytest.mark.parametrize("norm", ["batch", "layer", "group"])
def test_loss_and_entropy_fall_on_one_image(toy_net, layer_norm_net, group_norm_net, inputs, norm):
    net = {"batch": toy_net(), "layer": layer_norm_net, "group": group_norm_net}[norm]
    method = build_method(STRONG.model_copy(update={"margin": 1.1}), net, nn.Module.__call__, 5)
    outcomes = [method.predict_and_adapt(inputs[0]) for _ in range(20)]
    assert outcomes[-1].loss < outcomes[0].loss - 0.02
    assert float(mean_entropy(outcomes[-1].logits)) < float(mean_entropy(outcomes[0].logits)) - 0.02


def test_a_first_pass_that_is_not_finite_changes_nothing(toy_net, inputs):
    net = toy_net()
    method = build_method(STRONG, net, nn.Module.__call__, 5)
    method.predict_and_adapt(inputs[0])
    before = method.save()
    with pytest.raises(NotFiniteError):
        method.predict_and_adapt(inputs[1] * float("nan"))
    after = method.save()
    assert all(torch.equal(value, before.tensors[name]) for name, value in after.tensors.items())
    assert (after.own, str(after.optimizer)) == (before.own, str(before.optimizer))


def test_a_second_pass_that_is_not_finite_changes_nothing(toy_net, inputs):
    net = toy_net()
    passes = []

    def forward(network: nn.Module, images: torch.Tensor) -> torch.Tensor:
        passes.append(images)
        return network(images) * (float("nan") if len(passes) == 2 else 1.0)

    method = build_method(STRONG, net, forward, 5)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    with pytest.raises(NotFiniteError):
        method.predict_and_adapt(inputs[0])
    assert len(passes) == 2
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert (method.own_state(), method.optimizer.state_dict()["state"]) == ({"average": None}, {})


def test_refuses_a_model_without_normalisation():
    with pytest.raises(SpecError, match="Conv2d has none"):
        build_method(STRONG, nn.Conv2d(3, 5, 1), nn.Module.__call__, 5)
