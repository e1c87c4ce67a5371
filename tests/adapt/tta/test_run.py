"""The loop: cells, resets, independence of runs, and where it stops."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from adapt.errors import TaskError
from adapt.tta.catalog import build_method
from adapt.tta.run import classify, is_reset_due, run_stream
from adapt.tta.settings import BnStatsSettings, SourceSettings, TentSettings
from adapt.tta.stream import Step
from adapt.tta.stream_settings import ResetSettings

STRONG = TentSettings(optimizer="adam", lr=1e-2)
DOMAINS = ("fog", "night")


def build_steps(rounds: int = 2, frames: int = 3) -> tuple[Step, ...]:
    return tuple(
        Step(round_, domain, domain, f"{domain}_{index}", None, None, None)
        for round_ in range(rounds)
        for domain in DOMAINS
        for index in range(frames)
    )


def load(step: Step) -> tuple[torch.Tensor, np.ndarray]:
    """Pixels and labels that depend on domain and frame, not on the round."""
    generator = np.random.default_rng([DOMAINS.index(step.domain), int(step.frame[-1])])
    image = torch.from_numpy(generator.normal(DOMAINS.index(step.domain), 1, (1, 3, 6, 8)))
    label = generator.integers(0, 5, (6, 8)).astype(np.uint8)
    label[generator.random((6, 8)) < 0.2] = 255
    return image, label


def read(scores) -> list:
    return [(frame.step, frame.confusion.tolist(), frame.loss, frame.was_reset) for frame in scores.frames]


def test_cells_against_a_naive_loop(toy_net):
    net = toy_net()
    manifest = build_steps()
    scores = run_stream(build_method(SourceSettings(), net, nn.Module.__call__, 5), manifest, load, 5)
    expected = {(round_, domain): np.zeros((5, 5), dtype=int) for round_ in (0, 1) for domain in DOMAINS}
    for step in manifest:
        images, label = load(step)
        with torch.no_grad():
            logits = net(images)[0]
        for row in range(6):
            for column in range(8):
                if label[row, column] != 255:
                    values = logits[:, row, column].tolist()
                    expected[step.round, step.domain][label[row, column], values.index(max(values))] += 1
    assert list(scores.cells) == list(expected)
    assert all(np.array_equal(scores.cells[cell], expected[cell]) for cell in expected)
    for cell, total in scores.cells.items():
        own = [frame.confusion for frame in scores.frames if (frame.step.round, frame.step.domain) == cell]
        assert len(own) == 3
        assert np.array_equal(sum(own), total)
    assert (scores.updates, scores.skipped, scores.resets) == (0, 0, 0)
    assert scores.frames_per_s > 0


def test_the_score_is_that_of_the_prediction_before_the_update(toy_net):
    step = build_steps()[:1]
    tent, bn_stats = (
        run_stream(build_method(settings, net, nn.Module.__call__, 5), step, load, 5)
        for settings, net in ((STRONG, toy_net()), (BnStatsSettings(), toy_net()))
    )
    assert np.array_equal(tent.frames[0].confusion, bn_stats.frames[0].confusion)
    assert (tent.updates, bn_stats.updates) == (1, 0)


def test_two_streams_in_a_row_equal_two_fresh_objects(toy_net):
    net = toy_net()
    method = build_method(STRONG, net, nn.Module.__call__, 5)
    first_manifest, second_manifest = build_steps(), tuple(reversed(build_steps()))
    in_a_row = [read(run_stream(method, manifest, load, 5)) for manifest in (first_manifest, second_manifest)]
    fresh = []
    for manifest in (first_manifest, second_manifest):
        other = toy_net()
        fresh.append(read(run_stream(build_method(STRONG, other, nn.Module.__call__, 5), manifest, load, 5)))
    assert in_a_row == fresh
    assert in_a_row[0][0][2] != in_a_row[1][-1][2]  # the same frame, met with other parameters


@pytest.mark.parametrize(
    ("reset", "indices"),
    [
        (ResetSettings(), []),
        (ResetSettings(policy="on_shift"), [3, 6, 9]),
        (ResetSettings(policy="every_n", n=5), [5, 10]),
        (ResetSettings(policy="episodic"), list(range(1, 12))),
    ],
)
def test_resets_come_where_the_policy_says(toy_net, reset, indices):
    net = toy_net()
    scores = run_stream(build_method(STRONG, net, nn.Module.__call__, 5), build_steps(), load, 5, reset=reset)
    assert [frame.index for frame in scores.frames if frame.was_reset] == indices
    assert scores.resets == len(indices)
    for index in indices:  # after a reset, the frame is met as by a fresh method
        other = toy_net()
        alone = build_method(STRONG, other, nn.Module.__call__, 5).predict_and_adapt(load(scores.frames[index].step)[0])
        assert scores.frames[index].loss == alone.loss


def test_a_new_round_of_the_same_domain_is_no_shift():
    reset = ResetSettings(policy="on_shift")
    assert not is_reset_due(reset, 4, "fog", "fog")
    assert is_reset_due(reset, 4, "snow", "fog")


def test_adaptation_goes_on_without_a_reset(toy_net):
    net = toy_net()
    scores = run_stream(build_method(STRONG, net, nn.Module.__call__, 5), build_steps(), load, 5)
    assert scores.frames[6].loss < scores.frames[0].loss  # the same frame, a round later


def test_every_frame_is_reported_as_it_comes(toy_net):
    net = toy_net()
    seen = []
    scores = run_stream(build_method(STRONG, net, nn.Module.__call__, 5), build_steps(), load, 5, on_frame=seen.append)
    assert tuple(seen) == scores.frames
    assert [frame.index for frame in seen] == list(range(12))
    assert scores.updates == 12


def test_a_loss_that_is_not_finite_names_the_step(toy_net):
    net = toy_net()

    def load_broken(step: Step) -> tuple[torch.Tensor, np.ndarray]:
        images, label = load(step)
        return (images * float("nan") if step.frame == "night_1" else images), label

    method = build_method(STRONG, net, nn.Module.__call__, 5)
    with pytest.raises(TaskError, match=r"step 4 \(round 0, domain 'night', frame 'night_1'\)\. The loss .* nan"):
        run_stream(method, build_steps(), load_broken, 5)


def test_a_prediction_that_is_not_finite_names_the_step(toy_net):
    net = toy_net()
    method = build_method(SourceSettings(), net, lambda model, images: net(images) / 0.0, 5)
    with pytest.raises(TaskError, match=r"step 0 \(round 0, domain 'fog', frame 'fog_0'\)\. The prediction"):
        run_stream(method, build_steps(), load, 5)


def test_logits_are_resized_to_the_label():
    logits = torch.zeros(1, 2, 2, 2)
    logits[0, 1, :, 1] = 1.0
    logits[0, 0] = 0.5
    got = classify(logits, (4, 6))
    assert got.dtype == np.uint8
    # Class 1 on a row of two pixels, 0 and 1, at six places: 0, 0, 1/3 (below 0.5), 2/3, 1, 1.
    assert got.tolist() == [[0, 0, 0, 1, 1, 1]] * 4


def test_an_empty_stream_has_no_speed(toy_net):
    net = toy_net()
    scores = run_stream(build_method(SourceSettings(), net, nn.Module.__call__, 5), (), load, 5)
    assert scores.frames_per_s is None
    assert scores.cells == {}
