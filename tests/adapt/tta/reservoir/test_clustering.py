"""The clustering against the official sequence and against a loop written from the specification in numpy."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch

from adapt.tta.method import NotFiniteError
from adapt.tta.reservoir.clustering import Clustering
from adapt.tta.reservoir.style_buffer import StyleBuffer


def build(mean, threshold, models, capacity, replacement="fifo", lr=1e-4, weight_decay=0.01):
    return Clustering(mean, threshold, models, capacity, replacement, lr, weight_decay, seed=0)


def run(clustering, styles):
    assignments = []
    for style in styles:
        assignments.append(clustering.assign(style, batch_size=1))
        clustering.learn(assignments[-1])
    return assignments


def test_matches_the_official_sequence():
    place = torch.arange(4, dtype=torch.float64)
    mean = 0.3 * torch.sin(0.7 * place + 0.013 * place**2 + 0.1)
    clustering = build(mean, 1.5, models=3, capacity=2)
    assignments = run(clustering, [mean + offset for offset in (0.1, 2, 2.1, 0.2, -3, 10, -2.9, 0)])
    assert [assignment.cluster for assignment in assignments] == [0, 1, 1, 0, 2, 1, 2, 0]
    assert [step for step, assignment in enumerate(assignments) if assignment.is_new] == [1, 4]


class NaiveClustering:
    """The specification word for word: loops, a hand-written gradient and a hand-written AdamW, in numpy."""

    def __init__(self, mean, threshold, models, capacity, replacement, lr, weight_decay):
        self.mean, self.threshold, self.models, self.capacity = mean, threshold, models, capacity
        self.lr, self.weight_decay = lr, weight_decay
        self.displacements = [np.zeros_like(mean)]
        self.buffer = StyleBuffer(replacement, seed=0)  # its rules have tests of their own
        self.restart()

    def restart(self):
        self.first = [np.zeros_like(d) for d in self.displacements]
        self.second = [np.zeros_like(d) for d in self.displacements]
        self.steps = 0

    def step(self, style):
        distances = [math.dist(style, self.mean + d) for d in self.displacements]
        is_new = min(distances) > self.threshold and len(distances) < self.models
        if is_new:
            self.displacements.append(style - self.mean)
            self.restart()
        kept = [] if self.buffer.styles is None else list(self.buffer.styles.numpy())
        rows = [*kept, style]
        count = len(self.displacements)
        table = np.array([[math.dist(row, self.mean + d) for d in self.displacements] for row in rows])
        p = np.exp(-table) / np.exp(-table).sum(axis=1, keepdims=True)
        mean_p = p.mean(axis=0)
        for k in range(count):
            gradient = np.zeros_like(self.mean)
            for n, row in enumerate(rows):
                # d loss / d p_nj, then through the softmax of -distance, then through the distance.
                slope = [
                    (-(math.log(p[n, j]) + 1) + math.log(mean_p[j] + 1e-8) + mean_p[j] / (mean_p[j] + 1e-8)) / len(rows)
                    for j in range(count)
                ]
                along = p[n, k] * (slope[k] - sum(p[n, j] * slope[j] for j in range(count)))
                if table[n, k] > 0:
                    gradient += -along * (self.mean + self.displacements[k] - row) / table[n, k]
            self.first[k] = 0.9 * self.first[k] + 0.1 * gradient
            self.second[k] = 0.999 * self.second[k] + 0.001 * gradient**2
            moved = self.first[k] / (1 - 0.9 ** (self.steps + 1))
            spread = np.sqrt(self.second[k] / (1 - 0.999 ** (self.steps + 1))) + 1e-8
            self.displacements[k] = self.displacements[k] * (1 - self.lr * self.weight_decay) - self.lr * moved / spread
        self.steps += 1
        self.buffer.add(torch.from_numpy(style), self.capacity * count)
        return int(np.argmax(p[-1])), p[-1], is_new, min(distances)


@pytest.mark.parametrize("replacement", ["reservoir", "fifo", "replace"])
def test_equals_a_naive_loop(replacement):
    draws = np.random.default_rng(5)
    centres = draws.normal(size=(5, 6)) * 2
    styles = [centres[draws.integers(5)] + 0.4 * draws.normal(size=6) for _ in range(60)]
    mean = centres[0]
    arguments = (2.0, 4, 3, replacement, 1e-2, 0.1)  # a large step, so that a wrong one shows
    naive = NaiveClustering(mean, *arguments)
    clustering = build(torch.from_numpy(mean), *arguments)
    founded = 0
    for style in styles:
        cluster, weights, is_new, distance = naive.step(style)
        assignment = clustering.assign(torch.from_numpy(style), batch_size=1)
        clustering.learn(assignment)
        assert (assignment.cluster, assignment.is_new) == (cluster, is_new)
        assert assignment.weights == pytest.approx(weights.tolist(), abs=1e-7)
        assert assignment.distance == pytest.approx(distance, abs=1e-7)
        founded += is_new
    assert founded == 3  # up to the most models there may be
    expected = mean + np.array(naive.displacements)
    assert np.abs(clustering.centroids.numpy() - expected).max() < 1e-6
    assert np.abs(expected[0] - mean).max() > 1e-2


def test_a_cluster_is_founded_strictly_above_the_threshold_by_a_full_batch_only():
    mean = torch.zeros(2, dtype=torch.float64)
    clustering = build(mean, 5.0, models=3, capacity=4)
    at = torch.tensor([3.0, 4.0], dtype=torch.float64)
    assert not clustering.assign(at, batch_size=4).is_new
    clustering.learn(clustering.assign(mean + 0.1, batch_size=4))
    assert clustering.assign(at * 1.01, batch_size=4).is_new
    assert not clustering.assign(at * 1.01, batch_size=3).is_new
    assert not clustering.assign(at * 1.01, batch_size=4, may_found=False).is_new


def test_assigning_changes_nothing():
    clustering = build(torch.zeros(2), 1.0, models=2, capacity=2, lr=0.1)
    run(clustering, torch.tensor([[0.1, 0.2], [3.0, 0.0], [0.2, 0.1]]))
    before = copy.deepcopy(clustering.save())
    clustering.assign(torch.tensor([9.0, 9.0]), batch_size=1)
    after = clustering.save()
    assert torch.equal(before["displacements"], after["displacements"])
    assert torch.equal(before["buffer"]["styles"], after["buffer"]["styles"])
    assert before["full_size"] == after["full_size"]


@pytest.mark.parametrize("replacement", ["reservoir", "fifo"])
def test_a_saved_state_goes_on_bit_for_bit(replacement):
    torch.manual_seed(1)
    styles = list(3 * torch.randn(24, 3))
    clustering = build(torch.zeros(3), 3.0, 4, 2, replacement, lr=1e-2)
    run(clustering, styles[:10])
    saved = copy.deepcopy(clustering.save())
    first = run(clustering, styles[10:])
    ends = clustering.centroids.clone()
    for target in (clustering, build(torch.zeros(3), 3.0, 4, 2, replacement, lr=1e-2)):
        target.load(copy.deepcopy(saved))
        second = run(target, styles[10:])
        assert [one.weights for one in first] == [one.weights for one in second]
        assert torch.equal(target.centroids, ends)


def test_a_saved_state_remembers_which_batches_are_full():
    clustering = build(torch.zeros(3), 3.0, 4, 2, "fifo", lr=1e-2)
    style = torch.full((3,), 9.0)
    clustering.learn(clustering.assign(torch.zeros(3), batch_size=4))
    saved = clustering.save()
    fresh = build(torch.zeros(3), 3.0, 4, 2, "fifo", lr=1e-2)
    assert fresh.assign(style, batch_size=2).is_new
    fresh.load(saved)
    assert not fresh.assign(style, batch_size=2).is_new


def test_a_far_style_has_all_the_weight_without_nan():
    clustering = build(torch.zeros(2), 1.0, models=3, capacity=2, weight_decay=0.0)
    assignments = run(clustering, [torch.tensor([5000.0, 0.0])] * 3 + [torch.zeros(2)])
    assert [assignment.weights for assignment in assignments] == [(0.0, 1.0)] * 3 + [(1.0, 0.0)]
    assert torch.isfinite(clustering.centroids).all()


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_refuses_a_style_that_is_not_finite(value):
    clustering = build(torch.zeros(2), 1.0, models=2, capacity=2)
    with pytest.raises(NotFiniteError, match="check the frame"):
        clustering.assign(torch.tensor([0.0, value]), batch_size=1)
