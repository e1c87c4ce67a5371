"""Clips measured beside a stream, against naive loops over them."""

from __future__ import annotations

import itertools
import sys
import threading
import types

import numpy as np
import pytest
import torch

from adapt.errors import SpecError, TaskError
from adapt.scores.perceptual import perceptual_consistency
from adapt.scores.temporal import Ratio
from adapt.tta.stream import Step
from adapt.tta.stream_settings import TemporalSettings
from adapt.tta.video_scorer import VideoScorer

SIZE = (10, 12)


@pytest.fixture
def right(monkeypatch):
    """A flow that says that all moves one pixel to the right, and in which thread it was asked."""
    module = types.ModuleType("flow_of_a_test")
    module.threads = []

    def right(current, following):
        module.threads.append(threading.current_thread())
        return np.full((*current.shape[:2], 2), (1, 0), np.float32)

    module.right = right
    monkeypatch.setitem(sys.modules, "flow_of_a_test", module)
    return module


def draw_frames(count: int, seed: int = 0) -> list[tuple[np.ndarray, np.ndarray, torch.Tensor, torch.Tensor]]:
    generator = np.random.default_rng(seed)
    label = generator.integers(0, 3, SIZE).astype(np.uint8)
    label[0] = 255
    frames = []
    for _ in range(count):
        prediction = torch.from_numpy(np.where(generator.random(SIZE) < 0.1, 2, label).astype(np.uint8) % 3)
        label = np.where(generator.random(SIZE) < 0.1, generator.integers(0, 3, SIZE), label).astype(np.uint8)
        image = generator.integers(0, 256, (*SIZE, 3)).astype(np.uint8)
        frames.append((image, label, prediction, torch.from_numpy(generator.random((1, 3, 4, 4)))))
    return frames


def score(settings, frames, starts, steps=None, features=None):
    steps = steps or [Step(0, "day", "day", f"f{index}", None, None, None) for index in range(len(frames))]
    with VideoScorer(settings, 3, starts, features) as scorer:
        for index, (step, (image, label, prediction, images)) in enumerate(zip(steps, frames, strict=True)):
            scorer.add(index, step, image, label, prediction, images)
        return scorer.finish()


def count_naively(predictions: list[np.ndarray]) -> tuple[list[int], list[int]]:
    """A pixel of a frame is compared with the one to its right in the next frame."""
    intersection, union = [0] * 3, [0] * 3
    for current, following in itertools.pairwise(predictions):
        for row in range(SIZE[0]):
            for column in range(SIZE[1] - 1):
                here, there = current[row, column], following[row, column + 1]
                for class_ in range(3):
                    intersection[class_] += here == there == class_
                    union[class_] += class_ in (here, there)
    return intersection, union


def list_windows(labels, predictions, frames) -> list[float]:
    scores = []
    for start in range(len(labels) - frames + 1):
        own, guesses = np.stack(labels[start : start + frames]), np.stack(predictions[start : start + frames])
        constant = (own == own[0]).all(axis=0) & (own[0] != 255)
        scores.append(np.count_nonzero(constant & (guesses == guesses[0]).all(axis=0)) / np.count_nonzero(constant))
    return scores


@pytest.mark.parametrize("drop_last", [False, True])
def test_clips_against_naive_loops(right, drop_last):
    settings = TemporalSettings(flow="flow_of_a_test:right", windows=(2, 3, 8), drop_last=drop_last)
    frames = draw_frames(9)
    clips = score(settings, frames, [index in (0, 5) for index in range(9)])
    first, second = clips[0, "day"]
    assert list(clips) == [(0, "day")]
    for clip, part in ((first, slice(0, 5)), (second, slice(5, 9))):
        labels = [label for _, label, _, _ in frames[part]]
        predictions = [prediction.numpy() for _, _, prediction, _ in frames[part]]
        intersection, union = count_naively(predictions)
        assert (clip.intersection.tolist(), clip.union.tolist()) == (intersection, union)
        for length in (2, 3):
            expected = list_windows(labels, predictions, length)[: -1 if drop_last else None]
            assert clip.vc[length].number == len(expected)
            assert clip.vc[length].total == pytest.approx(sum(expected))
            assert 0 < clip.vc[length].total < len(expected)
        assert clip.vc[8] == Ratio()
        assert clip.perceptual is None
    assert [(clip.name, clip.frames) for clip in (first, second)] == [("f0..f4", 5), ("f5..f8", 4)]


def test_cells_keep_their_clips_apart(right):
    settings = TemporalSettings(flow="flow_of_a_test:right", windows=(2,))
    frames = draw_frames(4)
    cells = [(0, "day"), (0, "day"), (0, "night"), (1, "day")]
    steps = [Step(*cell, "set", f"f{index}", None, None, None) for index, cell in enumerate(cells)]
    clips = score(settings, frames, [True, False, True, True], steps)
    assert {cell: [clip.frames for clip in found] for cell, found in clips.items()} == {
        (0, "day"): [2],
        (0, "night"): [1],
        (1, "day"): [1],
    }


def test_the_flow_is_sought_beside_the_stream(right):
    settings = TemporalSettings(flow="flow_of_a_test:right", windows=(2,))
    score(settings, draw_frames(30), [True] + [False] * 29)
    assert len(right.threads) == 29
    assert set(right.threads).isdisjoint({threading.current_thread()})
    assert len(set(right.threads)) == 1


def test_perceptual_consistency_over_all_pairs(right):
    settings = TemporalSettings(flow="flow_of_a_test:right", windows=(), perceptual=True)
    frames = draw_frames(4)
    seen = []

    def extract(images: torch.Tensor) -> torch.Tensor:
        seen.append((threading.current_thread(), torch.is_grad_enabled()))
        return images[0]

    (clip, alone) = score(settings, frames, [True, False, False, True], features=extract)[0, "day"]
    features = [images[0].float().numpy() for *_, images in frames]
    predictions = [prediction.numpy() for _, _, prediction, _ in frames]
    expected = [
        perceptual_consistency(features[i], features[i + 1], predictions[i], predictions[i + 1]) for i in range(2)
    ]
    assert clip.perceptual.total == pytest.approx(sum(expected))
    assert (clip.perceptual.number, alone.perceptual.number) == (2, 0)
    assert seen == [(threading.current_thread(), False)] * 4


def test_perceptual_consistency_needs_features():
    with pytest.raises(SpecError, match="perceptual: false"):
        VideoScorer(TemporalSettings(perceptual=True), 3, [True])


def test_features_are_not_asked_for_in_vain(right):
    settings = TemporalSettings(flow="flow_of_a_test:right")
    score(settings, draw_frames(2), [True, False], features=lambda images: pytest.fail("not needed"))


def test_frames_of_one_clip_have_one_size(right):
    settings = TemporalSettings(flow="flow_of_a_test:right", windows=(2,))
    frames = draw_frames(20)
    image, label, prediction, images = frames[1]
    frames[1] = (image[:8], label[:8], prediction[:8], images)
    with pytest.raises(TaskError, match="'f0' is 12x10 pixels and 'f1' 12x8"):
        score(settings, frames, [True] + [False] * 19)  # some frames later
    with pytest.raises(TaskError, match="'f0' is 12x10 pixels"):
        score(settings, frames[:2], [True, False])  # at the end
    assert len(score(settings, frames[:2], [True, True])[0, "day"]) == 2


def test_its_thread_ends_with_the_stream(right):
    scorer = VideoScorer(TemporalSettings(flow="flow_of_a_test:right", windows=(2,)), 3, [True, False])

    def break_off() -> None:
        with scorer:
            for index, (image, label, prediction, images) in enumerate(draw_frames(2)):
                scorer.add(
                    index, Step(0, "day", "day", f"f{index}", None, None, None), image, label, prediction, images
                )
            raise KeyError("the stream broke")

    with pytest.raises(KeyError, match="the stream broke"):
        break_off()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("video")]
