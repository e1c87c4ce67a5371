"""Whose statistics BatchNorm uses in each model of the reservoir: the source's, the batch's, or a blend chosen without labels."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from adapt.errors import SpecError
from adapt.tta.batch_norm import use_batch_statistics
from adapt.tta.catalog import build_method
from adapt.tta.reservoir import reservoir as reservoir_module
from adapt.tta.reservoir.mutual_information import mutual_information
from adapt.tta.settings import (
    TentSettings,
)
from tests.adapt.tta.reservoir.conftest import same, values

TENT = TentSettings(optimizer="adam", lr=1e-2)


def test_the_first_model_keeps_the_source_statistics_and_a_new_one_chooses(build_reservoir, toy_net, two_domains):
    weights = (0.0, 0.4, 1.0)
    reservoir = build_reservoir(TENT, batch_weights=weights)
    source = build_method(TENT.model_copy(update={"batch_norm": "source"}), toy_net(), nn.Module.__call__, 5)
    outcome, expected = (method.predict_and_adapt(two_domains[0]) for method in (reservoir, source))
    assert torch.equal(outcome.logits, expected.logits)
    assert same(values(reservoir), values(source))
    assert outcome.notes["batch_weight"] == 0.0
    net, scores = toy_net(), []
    with torch.no_grad():
        for place, value in zip((net[1].weight, net[1].bias), reservoir.models[0].values, strict=True):
            place.copy_(value)
        for weight in weights:
            use_batch_statistics(net, weight)
            scores.append(mutual_information(net(two_domains[1])))
    chosen = weights[scores.index(max(scores))]
    assert len(set(scores)) == 3
    note = reservoir.predict_and_adapt(two_domains[1]).notes
    assert (note["is_new"], note["batch_weight"]) == (1, chosen)
    assert reservoir.models[1].batch_weight == chosen
    assert "0, 0.4, 1" in reservoir.batch_norm


def test_the_statistics_are_chosen_with_the_parameters_that_the_new_model_starts_from(
    build_reservoir, toy_net, two_domains, monkeypatch
):
    reservoir = build_reservoir(TENT, batch_weights=(0.0, 1.0), initialise="source")
    for images in two_domains[:3:2]:
        reservoir.predict_and_adapt(images)  # the running model is no longer the source
    judged = []
    monkeypatch.setattr(reservoir_module, "mutual_information", lambda logits: judged.append(logits) or 0.0)
    assert reservoir.predict_and_adapt(two_domains[1]).notes["batch_weight"] == 0.0  # the first of equals
    net = toy_net()
    for weight, logits in zip((0.0, 1.0), judged, strict=True):
        use_batch_statistics(net, weight)
        with torch.no_grad():
            assert torch.equal(logits, net(two_domains[1]))


@pytest.mark.parametrize(
    ("scores", "weight"),
    [
        ((0.50, 0.52, 0.90), 1.0),
        ((0.89, 0.52, 0.90), 0.0),  # within the margin of the highest: the source's are taken
        ((0.87, 0.885, 0.90), 0.4),
        ((math.nan, 0.3, 0.9), 1.0),  # what has diverged is never taken
        ((0.9, math.nan, 0.3), 0.0),
        ((math.nan, 0.31, 0.3), 0.4),
        ((math.nan, math.nan, math.nan), 0.0),
    ],
)
def test_the_smallest_weight_near_the_highest_information_is_taken(
    build_reservoir, two_domains, monkeypatch, scores, weight
):
    reservoir = build_reservoir(TENT, batch_weights=(0.0, 0.4, 1.0), initialise="source")
    reservoir.predict_and_adapt(two_domains[0])
    given = iter(scores)
    monkeypatch.setattr(reservoir_module, "mutual_information", lambda logits: next(given))
    assert reservoir.predict_and_adapt(two_domains[1]).notes["batch_weight"] == weight


@pytest.mark.parametrize("weight", [0.4, 1.0])
def test_a_batch_is_predicted_and_learnt_from_with_its_clusters_statistics(
    build_reservoir, toy_net, two_domains, weight
):
    reservoir = build_reservoir(TENT, batch_weights=(weight,), initialise="source")
    for images in two_domains:
        reservoir.predict_and_adapt(images)
    for cluster, batch_weight in enumerate((0.0, weight)):
        alone = build_method(TENT, toy_net(), nn.Module.__call__, 5)
        use_batch_statistics(alone.model, batch_weight)
        for images in two_domains[cluster::2]:
            alone.predict_and_adapt(images)
        assert same(reservoir.models[cluster].values, values(alone))
    reservoir.reset()
    assert reservoir.predict_and_adapt(two_domains[0]).notes["batch_weight"] == 0.0


def test_works_without_batch_norm_but_not_with_batch_weights(build_reservoir, layer_norm_net, two_domains):
    reservoir = build_reservoir(TENT, net=layer_norm_net)
    assert reservoir.predict_and_adapt(two_domains[0]).updates == 1
    assert reservoir.predict_and_adapt(two_domains[1]).notes["models"] == 2
    with pytest.raises(SpecError, match="Remove `batch_weights`"):
        build_reservoir(TENT, net=layer_norm_net, batch_weights=(1.0,))
    group_norm = nn.Sequential(nn.Conv2d(3, 4, 1), nn.GroupNorm(2, 4), nn.Conv2d(4, 5, 1)).double()
    reservoir = build_reservoir(TENT, net=group_norm)
    assert [reservoir.predict_and_adapt(images).notes["cluster"] for images in two_domains[:3]] == [0, 1, 0]
