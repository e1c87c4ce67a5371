"""The reservoir against its base method, against an ensemble by hand, and what its states give back."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from adapt.errors import SpecError
from adapt.tta.batch_norm import use_batch_statistics
from adapt.tta.catalog import build_method
from adapt.tta.method import NotFiniteError
from adapt.tta.reservoir import reservoir as reservoir_module
from adapt.tta.reservoir.mutual_information import mutual_information
from adapt.tta.settings import (
    CottaSettings,
    EataSettings,
    EtaSettings,
    PseudoLabelSettings,
    ReservoirSettings,
    SarSettings,
    TentSettings,
)
from adapt.tta.supplies import SourceStyles, Supplies
from tests.adapt.tta.reservoir.conftest import same, values

TENT = TentSettings(optimizer="adam", lr=1e-2)


BASES = [
    TENT,
    TentSettings(optimizer="sgd", lr=1e-2, batch_norm="source"),
    PseudoLabelSettings(lr=1e-2),
    EtaSettings(lr=1e-2, margin=0.95, diversity=0.9999, unit="pixel"),
    SarSettings(lr=1e-2, margin=0.95),
    CottaSettings(optimizer="sgd", lr=1e-2, restore=0.1, ema=0.9, scales=(0.5, 1.0)),
]


IDS = [f"{base.name}-{base.batch_norm}" for base in BASES]


@pytest.mark.parametrize("base", BASES, ids=IDS)
def test_one_model_equals_the_base_method_to_the_bit(build_reservoir, toy_net, two_domains, base):
    alone = build_method(base, toy_net(), nn.Module.__call__, 5)
    for reservoir in (build_reservoir(base, threshold=1e30), build_reservoir(base, models=1)):
        alone.reset()
        for images in two_domains:
            expected, outcome = alone.predict_and_adapt(images), reservoir.predict_and_adapt(images)
            assert torch.equal(outcome.logits, expected.logits)
            assert (outcome.loss, outcome.updates, outcome.skipped) == (
                expected.loss,
                expected.updates,
                expected.skipped,
            )
            assert outcome.notes.items() >= expected.notes.items()
            assert outcome.notes["models"] == 1
            assert same(values(reservoir), values(alone))
        assert torch.equal(reservoir.predict(images), alone.predict(images))


@pytest.mark.parametrize("spread", [1.0, 20.0], ids=["mixed", "apart"])
@pytest.mark.parametrize("base", BASES, ids=IDS)
def test_each_model_equals_a_base_method_that_saw_its_domain_alone(build_reservoir, toy_net, two_domains, base, spread):
    reservoir = build_reservoir(base, spread=spread, initialise="source")
    order = [0, 2, 1, 3, 4, 5]  # each domain twice in a row, then in turn
    notes = [reservoir.predict_and_adapt(two_domains[place]).notes for place in order]
    assert [note["cluster"] for note in notes] == [0, 0, 1, 1, 0, 1]
    assert [note["is_new"] for note in notes] == [0, 0, 1, 0, 0, 0]
    assert [note["models"] for note in notes] == [1, 1, 2, 2, 2, 2]
    for cluster, model in enumerate(reservoir.models):
        alone = build_method(base, toy_net(), nn.Module.__call__, 5)
        for images in two_domains[cluster::2]:
            alone.predict_and_adapt(images)
        assert same(model.values, values(alone))
    assert not same(reservoir.models[0].values, reservoir.models[1].values)


def test_predicts_with_the_weighted_sum_of_both_models_before_the_update(build_reservoir, toy_net, two_domains):
    reservoir = build_reservoir(TENT, threshold=3.0)
    for images in two_domains[:4]:
        reservoir.predict_and_adapt(images)
    first, second = ([value.clone() for value in model.values] for model in reservoir.models)
    images = (two_domains[4] + two_domains[5]) / 2
    style = torch.log(images.var(dim=(0, 2, 3)) + 1e-8)
    near, far = (math.exp(-math.dist(style, centroid)) for centroid in reservoir.clustering.centroids)
    share = near / (near + far)
    assert 0.05 < share < 0.45
    net = toy_net()
    use_batch_statistics(net)
    with torch.no_grad():
        for place, one, two in zip((net[1].weight, net[1].bias), first, second, strict=True):
            place.copy_(share * one + (1 - share) * two)
        expected = net(images)
    assert torch.allclose(reservoir.predict(images), expected, atol=1e-12, rtol=0)
    outcome = reservoir.predict_and_adapt(images)
    assert torch.allclose(outcome.logits, expected, atol=1e-12, rtol=0)
    assert outcome.notes["cluster"] == 1
    assert same(reservoir.models[0].values, first)
    assert not same(reservoir.models[1].values, second)


def test_a_new_model_is_a_copy_of_the_most_informative_one_with_its_optimiser(build_reservoir, two_domains):
    strong = 9 * two_domains[0] - 1.0
    seen = set()
    for lr in (1e-2, 0.3):  # a large step spoils the models that took it
        for order in (two_domains[:4], [two_domains[0], *[two_domains[1]] * 6]):
            reservoir = build_reservoir(TentSettings(optimizer="adam", lr=lr))
            for images in order:
                reservoir.predict_and_adapt(images)
            scores = []
            for model in reservoir.models:
                reservoir._load(model)
                scores.append(mutual_information(reservoir.base.predict(strong)))
            parent = scores.index(max(scores))
            new = reservoir._found(strong)
            assert same(new.values, reservoir.models[parent].values)
            assert not same(new.values, reservoir.models[1 - parent].values)
            assert new.optimizer is not reservoir.models[parent].optimizer
            taken, given = (m.optimizer.state_dict()["state"] for m in (new, reservoir.models[parent]))
            assert torch.equal(taken[0]["exp_avg"], given[0]["exp_avg"])
            assert new.values[0].data_ptr() != reservoir.models[parent].values[0].data_ptr()
            seen.add(parent)
    assert seen == {0, 1}


def test_predicting_alone_changes_nothing(build_reservoir, two_domains, snapshot):
    reservoir, twin = build_reservoir(TENT), build_reservoir(TENT)
    for images in two_domains[:3]:
        reservoir.predict_and_adapt(images)
        twin.predict_and_adapt(images)
    before = snapshot(reservoir.model)
    for images in (*two_domains, 30 * two_domains[0]):
        reservoir.predict(images)
    assert same(list(snapshot(reservoir.model).values()), list(before.values()))
    assert len(reservoir.models) == 2
    for images in two_domains[3:]:
        assert torch.equal(reservoir.predict_and_adapt(images).logits, twin.predict_and_adapt(images).logits)


@pytest.mark.parametrize("base", BASES, ids=IDS)
def test_after_a_reset_the_run_repeats_bit_for_bit(build_reservoir, two_domains, snapshot, base):
    reservoir = build_reservoir(base, models=3, buffer=6, batch_weights=None)
    start = snapshot(reservoir.model)

    def run():
        logits = [reservoir.predict_and_adapt(images).logits for images in [*two_domains, 9 * two_domains[1]]]
        return [*logits, *values(reservoir), *(value for model in reservoir.models for value in model.values)]

    first = run()
    assert len(reservoir.models) == 3
    reservoir.reset()
    assert len(reservoir.models) == 1
    assert same(list(snapshot(reservoir.model).values()), list(start.values()))
    assert reservoir.base.optimizer.state_dict()["state"] == {}
    assert same(first, run())


@pytest.mark.parametrize("settings", [{}, {"batch_weights": (0.3, 1.0)}], ids=["base", "weights"])
def test_a_saved_state_goes_on_bit_for_bit_in_another_instance(build_reservoir, two_domains, settings):
    reservoir, other = build_reservoir(TENT, **settings), build_reservoir(TENT, **settings)
    for images in two_domains[:3]:
        reservoir.predict_and_adapt(images)
    state = reservoir.save()
    first = [reservoir.predict_and_adapt(images).logits for images in two_domains[3:]]
    for target in (reservoir, other):
        target.load(state)
        loaded = values(target)
        target.predict(two_domains[0])
        assert same(values(target), loaded)
        assert target.save().own["active"] == state.own["active"]
        assert same(first, [target.predict_and_adapt(images).logits for images in two_domains[3:]])


def test_changes_the_affine_parameters_and_nothing_else(build_reservoir, two_domains, snapshot):
    reservoir = build_reservoir(TENT)
    before = snapshot(reservoir.model)
    for images in two_domains:
        reservoir.predict_and_adapt(images)
    after = snapshot(reservoir.model)
    assert {name for name in before if not torch.equal(before[name], after[name])} == {"1.weight", "1.bias"}
    assert list(reservoir.collect_parameters()) == list(reservoir.collect_deciding_tensors())


def test_the_loss_falls_in_both_models(build_reservoir, two_domains):
    reservoir = build_reservoir(TENT)
    losses = [reservoir.predict_and_adapt(images).loss for _ in range(20) for images in two_domains[:2]]
    assert losses[-2] < losses[0] - 0.05
    assert losses[-1] < losses[1] - 0.05


def test_a_style_that_is_not_finite_changes_nothing(build_reservoir, two_domains):
    reservoir, twin = build_reservoir(TENT), build_reservoir(TENT)
    for method in (reservoir, twin):
        method.predict_and_adapt(two_domains[0])
    with pytest.raises(NotFiniteError, match="check the frame"):
        reservoir.predict_and_adapt(two_domains[0] * math.nan)
    for images in two_domains[1:]:
        assert torch.equal(reservoir.predict_and_adapt(images).logits, twin.predict_and_adapt(images).logits)


@pytest.mark.parametrize("frame", [3, 6], ids=["known domain", "new domain"])
def test_a_loss_that_is_not_finite_changes_neither_models_nor_clusters(build_reservoir, two_domains, snapshot, frame):
    frames = [*two_domains, 9 * two_domains[1]]
    reservoir, twin = build_reservoir(TENT), build_reservoir(TENT)
    for method in (reservoir, twin):
        for images in frames[:3]:
            method.predict_and_adapt(images)
    before = snapshot(reservoir.model)
    working = reservoir.base.forward
    reservoir.base.forward = lambda network, images: working(network, images) * math.nan
    with pytest.raises(NotFiniteError, match="loss of the adaptation is nan"):
        reservoir.predict_and_adapt(frames[frame])
    reservoir.base.forward = working
    assert same(list(snapshot(reservoir.model).values()), list(before.values()))
    assert len(reservoir.models) == 2
    for images in frames[3:]:
        assert torch.equal(reservoir.predict_and_adapt(images).logits, twin.predict_and_adapt(images).logits)
    assert same(values(reservoir), values(twin))


def test_a_weight_of_one_means_that_model_alone_in_one_pass(build_reservoir, two_domains):
    calls = {}
    for spread in (1.0, 20.0):
        reservoir = build_reservoir(TENT, spread=spread)
        working, passes = reservoir.base.forward, []
        reservoir.base.forward = lambda network, images, run=working, seen=passes: (
            seen.append(1) or run(network, images)
        )
        for images in two_domains[:4]:
            reservoir.predict_and_adapt(images)
        calls[spread] = len(passes)
        assert len(reservoir.models) == 2
    assert calls == {1.0: 1 + 2 + 2 + 2, 20.0: 4}


@pytest.mark.parametrize(
    ("scores", "parent"), [((math.nan, 0.2), 1), ((0.2, math.nan), 0), ((math.nan, math.nan), 0), ((0.3, 0.3), 0)]
)
def test_a_diverged_model_is_no_parent(build_reservoir, two_domains, monkeypatch, scores, parent):
    reservoir = build_reservoir(TentSettings(optimizer="sgd", lr=1e-9), threshold=1.0)
    for images in two_domains[:2]:
        reservoir.predict_and_adapt(images)
    for place, model in enumerate(reservoir.models):  # so that the models can be told from each other
        model.values[0].fill_(1.0 + place)
    given = iter(scores)
    monkeypatch.setattr(reservoir_module, "mutual_information", lambda logits: next(given))
    assert reservoir.predict_and_adapt(9 * two_domains[0] - 1.0).notes["is_new"] == 1
    assert reservoir.models[2].values[0].mean() == pytest.approx(1.0 + parent, abs=1e-3)


def test_the_threshold_of_the_settings_goes_before_the_measured_one(build_reservoir, two_domains):
    reservoir = build_reservoir(TENT, threshold=1e30)
    overridden = build_method(
        ReservoirSettings(base=TENT, threshold=1.0), reservoir.model, nn.Module.__call__, 5, reservoir.supplies
    )
    for method, models in ((reservoir, 1), (overridden, 2)):
        method.reset()
        for images in two_domains[:2]:
            notes = method.predict_and_adapt(images).notes
        assert notes["models"] == models


def test_refuses_to_do_without_styles_or_with_those_of_another_extractor(toy_net, inputs):
    with pytest.raises(SpecError, match="`styles: "):
        build_method(ReservoirSettings(base=TENT), toy_net(), nn.Module.__call__, 5)
    styles = SourceStyles(lambda images: torch.zeros(3), torch.zeros(4), 1.0)
    method = build_method(ReservoirSettings(base=TENT), toy_net(), nn.Module.__call__, 5, Supplies(styles=styles))
    with pytest.raises(SpecError, match="another extractor"):
        method.predict_and_adapt(inputs[0])
    right = replace(styles, mean=torch.zeros(3))
    method = build_method(ReservoirSettings(base=TENT), toy_net(), nn.Module.__call__, 5, Supplies(styles=right))
    assert method.predict_and_adapt(inputs[0]).notes["distance"] == 0.0


def test_two_instances_in_a_row_equal_each_other_and_leave_the_random_state(build_reservoir, two_domains):
    first, second = (build_reservoir(TENT, models=2, buffer=4) for _ in range(2))
    before = torch.get_rng_state()
    runs = [[method.predict_and_adapt(images).logits for images in two_domains] for method in (first, second)]
    assert same(*runs)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_base_takes_its_own_supply_and_misses_it_by_name(toy_net, build_reservoir, two_domains):
    base = EataSettings(lr=1e-2, margin=0.95, diversity=0.9999, unit="pixel", fisher_weight=1.0)
    with pytest.raises(SpecError, match="fisher"):
        build_reservoir(base)
    fisher = {"1.weight": torch.ones(4).double(), "1.bias": torch.ones(4).double()}
    styles = build_reservoir(TENT).supplies.styles
    supplies = Supplies(styles=styles, fisher=fisher)
    settings = ReservoirSettings(base=base, initialise="source")
    reservoir = build_method(settings, toy_net(), nn.Module.__call__, 5, supplies)
    assert reservoir.unit == "pixel"
    for images in two_domains:
        reservoir.predict_and_adapt(images)
    alone = build_method(base, toy_net(), nn.Module.__call__, 5, supplies)
    for images in two_domains[1::2]:
        alone.predict_and_adapt(images)
    assert same(reservoir.models[1].values, values(alone))


@pytest.mark.parametrize("spread", [1.0, 20.0], ids=["mixed", "apart"])
def test_a_source_model_that_does_not_adapt_stays_the_source(build_reservoir, toy_net, two_domains, spread):
    options = {"spread": spread, "initialise": "source", "batch_weights": (1.0,)}
    adapting, frozen = (build_reservoir(TENT, adapt_source=value, **options) for value in (True, False))
    start = [value.clone() for value in frozen.models[0].values]
    outcomes = [frozen.predict_and_adapt(images) for images in two_domains]
    assert [outcome.notes["cluster"] for outcome in outcomes] == [0, 1] * 3
    assert [(outcome.updates, outcome.skipped) for outcome in outcomes] == [(0, 1), (1, 0)] * 3
    assert same(frozen.models[0].values, start)
    for images in two_domains:
        adapting.predict_and_adapt(images)
    assert not same(adapting.models[0].values, start)
    assert same(frozen.models[1].values, adapting.models[1].values)
    if spread > 1:
        net = toy_net().eval()
        with torch.no_grad():
            assert torch.equal(outcomes[4].logits, net(two_domains[4]))
