"""CoTTA: the published code's numbers, the label by a naive loop, the moving average and the restore by hand."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import nn

from adapt.errors import SpecError
from adapt.tta.catalog import build_method
from adapt.tta.cotta import restore_at_random, update_average
from adapt.tta.method import NotFiniteError
from adapt.tta.settings import CottaSettings
from adapt.tta.supplies import Supplies
from adapt.tta.views import average_views

ONE_VIEW = CottaSettings(
    optimizer="sgd",
    lr=0.1,
    momentum=0.9,
    ema=0.99,
    restore=0.0,
    anchor_threshold=1.0,
    label="soft",
    scales=(1.0,),
    flip=False,
)
SMALL = CottaSettings(optimizer="adam", lr=1e-2, ema=0.9, restore=0.1, scales=(0.5, 1.0, 1.5))


def build(settings, net, seed=0):
    return build_method(settings, net, nn.Module.__call__, 5, Supplies(seed=seed))


def copy_tensors(method):
    return {name: tensor.detach().clone() for name, tensor in method.collect_tensors().items()}


def group_norm_net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.GroupNorm(2, 4), nn.ReLU(), nn.Conv2d(4, 5, 1)).double()


def test_one_view_without_restore_matches_the_published_code(toy_net, inputs):
    method = build(ONE_VIEW, toy_net())
    with torch.no_grad():
        method.teacher[1].weight.mul_(1.05)  # equal networks give gradients of rounding noise only
    sums = []
    for images in inputs:
        with torch.no_grad():
            logits = method.teacher(images)
        sums.append(float(logits.sum()))
        outcome = method.predict_and_adapt(images)
        torch.testing.assert_close(outcome.logits, logits.log_softmax(dim=1), rtol=0, atol=1e-12)
        assert outcome.notes == {}
    assert sums == pytest.approx([74.33995131844739, 73.97025093011544, 74.11304361834335], abs=1e-8)
    assert method.model[1].weight.tolist() == pytest.approx(
        [1.059733298629534, 1.17061046390314, 1.197863968378957, 1.1207929693812761], abs=1e-8
    )
    assert method.teacher[1].weight.tolist() == pytest.approx(
        [1.1104948580850271, 1.2264482275723143, 1.2548047604254486, 1.1712063505369057], abs=1e-8
    )


@pytest.mark.parametrize("batch_norm", ["batch", "source"])
@pytest.mark.parametrize("confident_label", ["anchor", "teacher"])
def test_the_label_by_a_naive_loop(toy_net, inputs, confident_label, batch_norm):
    settings = SMALL.model_copy(
        update={"anchor_threshold": 0.5, "confident_label": confident_label, "batch_norm": batch_norm}
    )
    method = build(settings, toy_net())
    with torch.no_grad():
        method.teacher[4].weight.mul_(-0.7)  # so that teacher and anchor disagree
    with torch.no_grad():
        anchor, teacher = method.anchor(inputs[0])[0], method.teacher(inputs[0])[0]
    views = average_views(nn.Module.__call__, method.teacher, inputs[0], settings.scales, flip=True)[0]
    outcome = method.predict_and_adapt(inputs[0])
    confident = 0
    for row in range(6):
        for column in range(8):
            weights = [math.exp(float(value)) for value in anchor[:, row, column]]
            probabilities = [float(value) for value in views[:, row, column]]
            if max(weights) / sum(weights) > 0.5:
                confident += 1
                if confident_label == "teacher":
                    weights = [math.exp(float(value)) for value in teacher[:, row, column]]
                probabilities = [weight / sum(weights) for weight in weights]
            found = outcome.logits[0, :, row, column]
            assert found.exp().tolist() == pytest.approx(probabilities, abs=1e-12)
            assert int(found.argmax()) == probabilities.index(max(probabilities))
    assert 0 < confident < 48
    assert outcome.notes == {"anchored": pytest.approx(confident / 48, abs=1e-6)}


@pytest.mark.parametrize("label", ["hard", "soft"])
def test_one_frame_by_hand(toy_net, inputs, label):
    settings = SMALL.model_copy(update={"label": label, "restore": 0.0, "optimizer": "sgd", "lr": 0.1})
    method = build(settings, toy_net())
    with torch.no_grad():
        method.teacher[4].weight.mul_(-0.7)
    student, teacher = copy.deepcopy(method.model), copy.deepcopy(method.teacher)
    target = method.predict(inputs[0])
    outcome = method.predict_and_adapt(inputs[0])
    assert torch.equal(outcome.logits, target)
    assert outcome.updates == 1
    log_probability = student(inputs[0]).log_softmax(dim=1)
    loss = torch.zeros((), dtype=torch.float64)
    for row in range(6):
        for column in range(8):
            weights = target[0, :, row, column].exp()
            if label == "hard":
                weights = torch.eye(5, dtype=torch.float64)[int(weights.argmax())]
            loss = loss - sum(weights[k] * log_probability[0, k, row, column] for k in range(5)) / 48
    assert outcome.loss == pytest.approx(loss.item(), abs=1e-12)
    loss.backward()
    for learnt, start, followed, before in zip(
        method.model.parameters(), student.parameters(), method.teacher.parameters(), teacher.parameters(), strict=True
    ):
        stepped = start.detach() - 0.1 * start.grad  # the first step of SGD knows no momentum
        torch.testing.assert_close(learnt.detach(), stepped, rtol=0, atol=1e-12)
        torch.testing.assert_close(followed, 0.9 * before + 0.1 * stepped, rtol=0, atol=1e-12)


@pytest.mark.parametrize("batch_norm", ["batch", "source"])
def test_whose_statistics_batch_norm_uses(toy_net, inputs, batch_norm):
    plain = toy_net().train(batch_norm == "batch")
    with torch.no_grad():
        expected = plain(inputs[0]).log_softmax(dim=1)
    method = build(ONE_VIEW.model_copy(update={"batch_norm": batch_norm, "anchor_threshold": 0.5}), toy_net())
    assert method.batch_norm == batch_norm
    torch.testing.assert_close(method.predict(inputs[0]), expected, rtol=0, atol=1e-12)
    for network in (method.model, method.teacher, method.anchor):
        torch.testing.assert_close(network(inputs[0]).log_softmax(dim=1), expected, rtol=0, atol=1e-12)


def test_the_moving_average_by_hand():
    average, model = nn.Linear(1, 1).double(), nn.Linear(1, 1).double()
    with torch.no_grad():
        average.weight.fill_(2.0), average.bias.fill_(-1.0), model.weight.fill_(10.0), model.bias.fill_(1.0)
    update_average(average, model, 0.75)
    assert (average.weight.item(), average.bias.item()) == (4.0, -0.5)
    assert (model.weight.item(), model.bias.item()) == (10.0, 1.0)


def test_the_restore_draws_its_share_and_nothing_else():
    source, model = nn.Linear(100, 200), nn.Linear(100, 200)
    source_weight, weight = source.weight.detach().clone(), model.weight.detach().clone()
    generator = torch.Generator().manual_seed(3)
    state = generator.get_state()
    restore_at_random(model, source, 0.0, generator)
    assert torch.equal(model.weight, weight)
    assert torch.equal(generator.get_state(), state)
    restore_at_random(model, source, 0.3, generator)
    restored = model.weight == source_weight
    assert float(restored.double().mean()) == pytest.approx(0.3, abs=0.01)  # 20000 draws: 0.0032 is one deviation
    assert torch.equal(model.weight[~restored], weight[~restored])
    restore_at_random(model, source, 1.0, generator)
    assert torch.equal(model.weight, source_weight)
    assert torch.equal(model.bias, source.bias)
    assert torch.equal(source.weight, source_weight)


def test_with_full_restore_the_student_is_the_source_and_the_teacher_is_not(toy_net, inputs):
    method = build(SMALL.model_copy(update={"restore": 1.0}), toy_net())
    method.predict_and_adapt(inputs[0])
    for student, anchor in zip(method.model.parameters(), method.anchor.parameters(), strict=True):
        assert torch.equal(student, anchor)
    assert not torch.equal(method.teacher[4].weight, method.anchor[4].weight)


@pytest.mark.parametrize("batch_norm", ["batch", "source"])
def test_changes_the_parameters_of_student_and_teacher_and_nothing_else(toy_net, inputs, batch_norm):
    net = toy_net(dropout=0.5)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    method = build(SMALL.model_copy(update={"batch_norm": batch_norm}), net)
    parameters = [name for name, _ in net.named_parameters()]
    assert list(method.collect_parameters()) == parameters
    assert list(method.collect_deciding_tensors()) == [f"teacher.{name}" for name in parameters]
    assert list(method.collect_tensors()) == [f"{who}.{name}" for who in ("student", "teacher") for name in parameters]
    for images in inputs:
        method.predict_and_adapt(images)
    for network in (net, method.teacher):
        changed = {name for name, value in network.state_dict().items() if not torch.equal(value, before[name])}
        assert changed | {"0.bias"} == set(parameters)  # batch statistics take the bias before them away again
    assert all(torch.equal(value, before[name]) for name, value in method.anchor.state_dict().items())


def test_predict_learns_nothing_and_says_what_would_be_scored(toy_net, inputs):
    method = build(SMALL, toy_net())
    method.predict_and_adapt(inputs[0])
    before, state = copy_tensors(method), method.own_state()["generator"]
    prediction = method.predict(inputs[1])
    assert all(torch.equal(value, before[name]) for name, value in method.collect_tensors().items())
    assert torch.equal(method.own_state()["generator"], state)
    assert torch.equal(method.predict_and_adapt(inputs[1]).logits, prediction)


def test_after_a_reset_the_run_repeats_bit_for_bit(toy_net, inputs):
    method = build(SMALL, toy_net())
    start = copy_tensors(method)

    def run():
        logits = [method.predict_and_adapt(images).logits for images in inputs]
        return [*logits, *copy_tensors(method).values()]

    first = run()
    method.reset()
    assert all(torch.equal(value, start[name]) for name, value in method.collect_tensors().items())
    assert method.optimizer.state_dict()["state"] == {}
    assert all(torch.equal(one, two) for one, two in zip(first, run(), strict=True))
    fresh = build(SMALL, toy_net())
    assert all(torch.equal(fresh.predict_and_adapt(x).logits, y) for x, y in zip(inputs, first, strict=False))


def test_the_seed_decides_what_is_restored_and_the_global_one_does_not(toy_net, inputs):
    weights = []
    for seed, global_seed in [(0, 1), (0, 2), (1, 1)]:
        torch.manual_seed(global_seed)
        method = build(SMALL, toy_net(), seed=seed)
        state = torch.get_rng_state()
        method.predict_and_adapt(inputs[0])
        assert torch.equal(torch.get_rng_state(), state)
        weights.append(method.model[0].weight.detach().clone())
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


@pytest.mark.parametrize("norm", ["batch", "group", "layer"])
def test_the_loss_falls_on_one_image(toy_net, layer_norm_net, inputs, norm):
    net = {"batch": toy_net(), "group": group_norm_net(), "layer": layer_norm_net}[norm]
    settings = SMALL.model_copy(update={"scales": (1.0,), "restore": 0.0})
    method = build(settings, net)
    losses = [method.predict_and_adapt(inputs[0]).loss for _ in range(20)]
    assert losses[-1] < losses[0] - 0.05


def test_logits_far_apart_give_finite_log_probabilities():
    net = nn.Conv2d(3, 5, 1)
    with torch.no_grad():
        net.weight.zero_()
        net.bias.copy_(torch.tensor([0.0, 500.0, -500.0, 1.0, 2.0]))
    outcome = build(CottaSettings(scales=(1.0,), flip=False), net).predict_and_adapt(torch.zeros(1, 3, 4, 4))
    assert torch.isfinite(outcome.logits).all()
    assert torch.equal(outcome.logits.argmax(dim=1), torch.ones(1, 4, 4, dtype=torch.int64))
    assert outcome.notes == {"anchored": 1.0}


@pytest.mark.parametrize("label", ["hard", "soft"])
def test_a_loss_that_is_not_finite_makes_no_update(toy_net, inputs, label):
    method = build(SMALL.model_copy(update={"label": label}), toy_net())
    before, state = copy_tensors(method), method.own_state()["generator"]
    with pytest.raises(NotFiniteError, match="loss of the adaptation is nan"):
        method.predict_and_adapt(inputs[0] * float("nan"))
    assert all(torch.equal(value, before[name]) for name, value in method.collect_tensors().items())
    assert torch.equal(method.own_state()["generator"], state)
    assert method.optimizer.state_dict()["state"] == {}


def test_refuses_a_model_without_parameters():
    with pytest.raises(SpecError, match="Identity has none"):
        build(SMALL, nn.Identity())


def test_the_defaults_are_those_of_the_published_segmentation_code():
    settings = CottaSettings()
    assert settings.scales == (0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0)
    assert (settings.ema, settings.restore, settings.anchor_threshold, settings.lr) == (0.999, 0.01, 0.69, 7.5e-6)
    assert (settings.optimizer, settings.flip, settings.label) == ("adam", True, "hard")
