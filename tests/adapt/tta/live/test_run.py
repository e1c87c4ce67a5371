"""The loop, on the closed-form network: the same numbers as the method gives by hand."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from adapt.errors import TaskError
from adapt.tta.catalog import build_method
from adapt.tta.live.frames import LiveFrame
from adapt.tta.live.output import FrameResult
from adapt.tta.live.run import LiveTotals, adapt_frames
from adapt.tta.method import Method
from adapt.tta.recovery import Guard
from adapt.tta.settings import TentSettings


def to_batch(image: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(image).permute(2, 0, 1)[None].double() / 255 - 0.5


def make_frames(count: int) -> list[LiveFrame]:
    rng = np.random.default_rng(0)
    return [LiveFrame(index, f"f{index}", rng.integers(0, 256, (6, 8, 3), np.uint8)) for index in range(count)]


@pytest.fixture
def tent(toy_net) -> Method[Any]:
    return build_method(TentSettings(lr=0.05), toy_net(), nn.Module.__call__, 5)


def run(method: Method[Any], frames: list[LiveFrame], **options: Any) -> tuple[list[FrameResult], LiveTotals]:
    results: list[FrameResult] = []
    totals = LiveTotals()
    adapt_frames(Guard(method, "restore", 5), frames, to_batch, results.append, totals, **options)
    return results, totals


def test_predictions_and_losses_are_the_methods_own(tent, toy_net) -> None:
    frames = make_frames(4)
    results, totals = run(tent, frames)
    twin = build_method(TentSettings(lr=0.05), toy_net(), nn.Module.__call__, 5)
    for frame, result in zip(frames, results, strict=True):
        outcome = twin.predict_and_adapt(to_batch(frame.image))
        assert result.loss == outcome.loss
        assert np.array_equal(result.prediction, outcome.logits[0].argmax(dim=0).numpy())
        assert result.prediction.dtype == np.uint8
        assert result.source_prediction is None
    assert (totals.frames, totals.updates, totals.skipped, totals.resets, totals.recovered) == (4, 4, 0, 0, 0)
    assert totals.seconds == pytest.approx(sum(result.seconds for result in results))
    assert totals.frames_per_s == pytest.approx(4 / totals.seconds)


def test_a_second_run_starts_anew(tent) -> None:
    first, _ = run(tent, make_frames(3))
    second, _ = run(tent, make_frames(3))
    assert [result.loss for result in first] == [result.loss for result in second]


def test_frames_that_cannot_be_used_change_nothing(tent) -> None:
    frames = make_frames(3)
    without, _ = run(tent, frames)
    bad = LiveFrame(0, "bad", None, problem="torn")
    mixed = [bad, frames[0], bad, bad, *frames[1:]]
    mixed = [dataclasses.replace(frame, index=index) for index, frame in enumerate(mixed)]
    results, totals = run(tent, mixed)
    assert [result.frame.name for result in results] == ["bad", "f0", "bad", "bad", "f1", "f2"]
    assert [result.loss for result in results if result.prediction is not None] == [result.loss for result in without]
    assert results[0].prediction is None
    assert (totals.frames, totals.unusable) == (3, 3)
    results, _ = run(tent, mixed, reset_every=2)
    assert [result.was_reset for result in results] == [False] * 5 + [True], "they do not count for the resets"


@pytest.mark.parametrize(("every", "resets"), [(1, [1, 2, 3, 4]), (2, [2, 4]), (4, [4]), (None, [])])
def test_resets(tent, every: int | None, resets: list[int]) -> None:
    (image,) = (frame.image for frame in make_frames(1))
    results, totals = run(tent, [LiveFrame(n, f"f{n}", image) for n in range(5)], reset_every=every)
    assert [place for place, result in enumerate(results) if result.was_reset] == resets
    assert totals.resets == len(resets)
    for place in resets:
        assert results[place].loss == results[0].loss
    assert sum(result.loss == results[0].loss for result in results) == 1 + len(resets)


def test_the_prediction_of_the_source_stands_beside(tent) -> None:
    results, _ = run(tent, make_frames(2), predict_source=lambda image: image[..., 0])
    for result in results:
        assert np.array_equal(result.source_prediction, result.frame.image[..., 0])


def poison(method: Method[Any], at: int) -> Callable[[NDArray[np.uint8]], Tensor]:
    """Make the loss of one call infinite: its batch is, for the first pass alone."""
    calls = iter(range(99))
    forward = method.forward

    def broken(network: nn.Module, images: Tensor) -> Tensor:
        return forward(network, images) * (float("nan") if next(calls) == at else 1.0)

    method.forward = broken
    return to_batch


def test_a_loss_that_is_not_finite_is_recovered_from(tent) -> None:
    poison(tent, at=2)
    results, totals = run(tent, make_frames(4))
    assert [result.recovered for result in results] == [None, None, "loss", None]
    assert (totals.frames, totals.updates, totals.recovered) == (4, 3, 1)
    assert results[2].loss is None
    assert results[2].prediction is not None


def test_the_policy_stop_names_the_frame(tent) -> None:
    poison(tent, at=1)
    totals = LiveTotals()
    with pytest.raises(TaskError, match="stopped at frame 1 \\('f1'\\)"):
        adapt_frames(Guard(tent, "stop", 5), make_frames(3), to_batch, lambda result: None, totals)
    assert totals.frames == 1


def break_below(method: Method[Any], side: int) -> None:
    """Make the network refuse small pictures as torch does: in the midst of a pass, after its statistics moved."""
    forward = method.forward

    def broken(network: nn.Module, images: Tensor) -> Tensor:
        if min(images.shape[2:]) < side:
            for tensor in method.collect_tensors().values():
                tensor.data += 1
            raise RuntimeError("Kernel size can't be greater than actual input size\nmore")
        return forward(network, images)

    method.forward = broken


def test_frames_too_small_for_the_network_are_left_out_and_change_nothing(tent, toy_net) -> None:
    frames = make_frames(3)
    without, _ = run(tent, frames)
    other = build_method(TentSettings(lr=0.05), toy_net(), nn.Module.__call__, 5)
    break_below(other, side=5)
    small = LiveFrame(0, "small", np.zeros((3, 8, 3), np.uint8))
    mixed = [small, frames[0], frames[1], small, frames[2]]
    results, totals = run(other, mixed)
    assert [result.loss for result in results if result.prediction is not None] == [result.loss for result in without]
    assert (totals.frames, totals.unusable, totals.updates) == (3, 2, 3)
    for place in (0, 3):
        assert results[place].frame.image is None
        assert results[place].frame.problem == (
            "the network or the method cannot take 8x3 pixels (RuntimeError: Kernel size can't be greater than actual "
            "input size): scale the frames by --resize WIDTHxHEIGHT, or take larger ones"
        )


def test_an_error_at_a_size_that_went_through_before_is_raised(tent) -> None:
    frames = make_frames(2)
    forward, calls = tent.forward, iter(range(99))

    def broken(network: nn.Module, images: Tensor) -> Tensor:
        if next(calls) == 1:
            raise RuntimeError("a fault")
        return forward(network, images)

    tent.forward = broken
    with pytest.raises(RuntimeError, match="a fault"):
        run(tent, frames)


def test_a_lack_of_memory_is_no_matter_of_the_frame(tent) -> None:
    def broken(network: nn.Module, images: Tensor) -> Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    tent.forward = broken
    with pytest.raises(torch.OutOfMemoryError):
        run(tent, make_frames(1))
