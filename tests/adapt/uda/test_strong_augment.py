"""Strong augmentation, against a loop over pixels with `colorsys` and against a blur by hand."""

from __future__ import annotations

import colorsys
import dataclasses

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import ndimage

from adapt.uda.settings import StrongAugmentSettings
from adapt.uda.strong_augment import (
    StrongDraws,
    augment_strongly,
    compute_blur_kernel_size,
    draw_strong_augment,
)

MEAN = torch.tensor([123.675, 116.28, 103.53])
STD = torch.tensor([58.395, 57.12, 57.375])
BOTH = StrongAugmentSettings(jitter_probability=1.0, blur_probability=1.0)

# Length of an axis -> taps.
KERNEL_SIZES = {256: 25, 512: 51, 1024: 103}

# Black, white, grey, the corners of the colour wheel, and a colour that is nearly black.
SPECIAL = [(0, 0, 0), (255, 255, 255), (90, 90, 90), (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (1, 0, 0)]

ORDERS = [(0, 1, 2, 3), (3, 2, 1, 0), (2, 0, 3, 1), (1, 3, 0, 2)]


def make_images(count: int, height: int, width: int) -> torch.Tensor:
    """Draw normalised 8-bit images that hold black, white, grey and pure colours."""
    generator = torch.Generator().manual_seed(2)
    pixels = torch.randint(0, 256, (count, 3, height, width), generator=generator).float()
    pixels[:, :, 0, : len(SPECIAL)] = torch.tensor(SPECIAL, dtype=torch.float32).T
    return (pixels - MEAN.view(3, 1, 1)) / STD.view(3, 1, 1)


def make_draws(count: int, jitter: bool, blur: bool) -> StrongDraws:
    return dataclasses.replace(draw_strong_augment(np.random.default_rng(8), count, BOTH), jitter=jitter, blur=blur)


def clip(value: float) -> float:
    return min(max(value, 0.0), 1.0)


def jitter_pixel(color: list[float], draws: StrongDraws, index: int) -> list[float]:
    """Jitter one colour in [0, 1]."""
    for operation in draws.orders[index]:
        if operation == 0:
            color = [clip(channel + draws.brightness[index] - 1.0) for channel in color]
        elif operation == 1:
            color = [clip(channel * draws.contrast[index]) for channel in color]
        else:
            hue, saturation, value = colorsys.rgb_to_hsv(*color)
            if operation == 2:
                saturation = clip(saturation * draws.saturation[index])
            else:
                hue = (hue + draws.hue[index]) % 1.0
            color = list(colorsys.hsv_to_rgb(hue, saturation, value))
    return color


def jitter_by_loop(images: torch.Tensor, draws: StrongDraws) -> torch.Tensor:
    jittered = torch.empty_like(images)
    for n in range(images.shape[0]):
        for y in range(images.shape[2]):
            for x in range(images.shape[3]):
                color = ((images[n, :, y, x] * STD + MEAN) / 255.0).clamp(0, 1).tolist()
                jittered[n, :, y, x] = (torch.tensor(jitter_pixel(color, draws, n)) * 255.0 - MEAN) / STD
    return jittered


def blur_by_hand(image: NDArray[np.float64], sigma: float) -> NDArray[np.float64]:
    """Correlate (3, H, W) with the whole two-dimensional kernel; scipy's `mirror` does not repeat the border pixel."""
    axes = []
    for length in image.shape[1:]:
        radius = compute_blur_kernel_size(length) // 2
        weights = np.exp(-(np.arange(-radius, radius + 1) ** 2) / (2 * sigma**2))
        axes.append(weights / weights.sum())
    return np.stack([ndimage.correlate(channel, np.outer(*axes), mode="mirror") for channel in image])


@pytest.mark.parametrize(("length", "taps"), KERNEL_SIZES.items())
def test_kernel_sizes_of_the_reference(length: int, taps: int) -> None:
    assert compute_blur_kernel_size(length) == taps


def test_kernel_is_odd_and_can_be_reflected_at_any_length() -> None:
    for length in range(1, 2049):
        taps = compute_blur_kernel_size(length)
        assert taps % 2 == 1
        assert taps // 2 < length


@pytest.mark.parametrize("order", ORDERS)
def test_jitter_equals_a_loop_over_pixels(order: tuple[int, ...]) -> None:
    images = make_images(4, 5, 8)
    draws = dataclasses.replace(make_draws(4, jitter=True, blur=False), orders=np.tile(np.array(order), (4, 1)))

    torch.testing.assert_close(
        augment_strongly(images, draws, MEAN, STD), jitter_by_loop(images, draws), atol=3e-5, rtol=0
    )


@pytest.mark.parametrize(
    ("operation", "factor"), [(0, 0.8), (0, 1.2), (1, 0.8), (1, 1.2), (2, 0.8), (2, 1.2), (2, 5.0), (3, -0.5), (3, 0.2)]
)
def test_one_operation_equals_a_loop_over_pixels(operation: int, factor: float) -> None:
    images = make_images(1, 4, 8)
    names = ("brightness", "contrast", "saturation", "hue")
    neutral = {name: np.array([0.0 if name == "hue" else 1.0]) for name in names}
    neutral[names[operation]] = np.array([factor])
    order = np.roll(np.arange(4), 3 - operation)[None]  # this one last: brightness and contrast clip what comes before
    draws = dataclasses.replace(make_draws(1, jitter=True, blur=False), orders=order, **neutral)

    jittered = augment_strongly(images, draws, MEAN, STD)

    torch.testing.assert_close(jittered, jitter_by_loop(images, draws), atol=3e-5, rtol=0)
    assert (jittered - images).abs().max() > 0.1


def test_each_image_has_its_own_order_and_factors() -> None:
    images = make_images(1, 5, 8).expand(4, -1, -1, -1).contiguous()
    draws = make_draws(4, jitter=True, blur=False)

    jittered = augment_strongly(images, draws, MEAN, STD)

    assert len({tuple(order) for order in draws.orders}) > 1
    torch.testing.assert_close(jittered, jitter_by_loop(images, draws), atol=3e-5, rtol=0)


def test_neutral_factors_change_nothing() -> None:
    images = make_images(2, 5, 8)
    ones, zeros = np.ones(2), np.zeros(2)
    draws = dataclasses.replace(
        make_draws(2, jitter=True, blur=False), brightness=ones, contrast=ones, saturation=ones, hue=zeros
    )

    torch.testing.assert_close(augment_strongly(images, draws, MEAN, STD), images, atol=2e-5, rtol=0)


@pytest.mark.parametrize("sigma", [0.15, 0.6, 1.15, 4.0])
@pytest.mark.parametrize("size", [(48, 96), (160, 30), (21, 8), (1, 8)])
def test_blur_equals_a_two_dimensional_correlation(size: tuple[int, int], sigma: float) -> None:
    images = make_images(1, *size)
    draws = dataclasses.replace(make_draws(1, jitter=False, blur=True), sigmas=np.array([sigma]))

    blurred = augment_strongly(images, draws, MEAN, STD)

    wanted = blur_by_hand(images[0].double().numpy(), sigma)
    np.testing.assert_allclose(blurred[0].numpy(), wanted, atol=2e-6)


def test_each_image_has_its_own_sigma() -> None:
    images = make_images(1, 48, 48).expand(2, -1, -1, -1)
    draws = dataclasses.replace(make_draws(2, jitter=False, blur=True), sigmas=np.array([0.3, 1.1]))

    blurred = augment_strongly(images, draws, MEAN, STD)

    for image, result, sigma in zip(images, blurred, draws.sigmas, strict=True):
        np.testing.assert_allclose(result.numpy(), blur_by_hand(image.double().numpy(), sigma), atol=2e-6)


def test_blur_comes_after_the_jitter() -> None:
    images = make_images(2, 24, 32)
    jittered = augment_strongly(images, make_draws(2, jitter=True, blur=False), MEAN, STD)

    both = augment_strongly(images, make_draws(2, jitter=True, blur=True), MEAN, STD)

    assert torch.equal(both, augment_strongly(jittered, make_draws(2, jitter=False, blur=True), MEAN, STD))
    assert not torch.equal(both, jittered)


@pytest.mark.parametrize("jitter", [False, True])
@pytest.mark.parametrize("blur", [False, True])
def test_inputs_stay_and_results_repeat(jitter: bool, blur: bool) -> None:
    images, mean, std = make_images(2, 24, 32), MEAN.clone(), STD.clone()
    before = images.clone()
    draws = make_draws(2, jitter, blur)

    first = augment_strongly(images, draws, mean, std)
    second = augment_strongly(images, draws, mean, std)

    assert torch.equal(first, second)
    assert torch.equal(images, before)
    assert torch.equal(mean, MEAN)
    assert torch.equal(std, STD)
    assert torch.equal(first, images) == (not jitter and not blur)


@pytest.mark.parametrize(("start", "stop"), [(0, 2), (2, 4), (1, 4), (3, 3)])
def test_selected_images_equal_those_of_the_whole_batch(start: int, stop: int) -> None:
    images = make_images(4, 48, 64)
    draws = make_draws(4, jitter=True, blur=True)
    part = draws.select(start, stop)

    assert part.orders.shape == (stop - start, 4)
    if start < stop:
        whole = augment_strongly(images, draws, MEAN, STD)[start:stop]
        assert torch.equal(augment_strongly(images[start:stop], part, MEAN, STD), whole)


@pytest.mark.parametrize("jitter", [False, True])
def test_draws_that_do_not_fit_the_images_are_refused(jitter: bool) -> None:
    with pytest.raises(ValueError, match="zip"):
        augment_strongly(make_images(2, 8, 8), make_draws(3, jitter, blur=not jitter), MEAN, STD)


def test_result_is_float32_under_autocast() -> None:
    images = make_images(2, 48, 64)
    draws = make_draws(2, jitter=True, blur=True)

    with torch.autocast("cpu", dtype=torch.bfloat16):
        augmented = augment_strongly(images, draws, MEAN, STD)

    assert torch.equal(augmented, augment_strongly(images, draws, MEAN, STD))


def test_ranges_of_the_draws() -> None:
    draws = draw_strong_augment(np.random.default_rng(0), 2000, StrongAugmentSettings())

    for factors in (draws.brightness, draws.contrast, draws.saturation):
        assert 0.8 <= factors.min() < 0.81
        assert 1.19 < factors.max() <= 1.2
    assert -0.2 <= draws.hue.min() < -0.19
    assert 0.19 < draws.hue.max() <= 0.2
    assert 0.15 <= draws.sigmas.min() < 0.16
    assert 1.14 < draws.sigmas.max() <= 1.15
    assert np.array_equal(np.sort(draws.orders, axis=1), np.tile(np.arange(4), (2000, 1)))
    assert len({tuple(order) for order in draws.orders}) == 24
    assert len({draws.brightness[0], draws.contrast[0], draws.saturation[0]}) == 3


def test_switches_have_their_probabilities_and_are_independent() -> None:
    generator = np.random.default_rng(1)
    draws = [draw_strong_augment(generator, 1, StrongAugmentSettings()) for _ in range(4000)]

    assert np.mean([one.jitter for one in draws]) == pytest.approx(0.8, abs=0.03)
    assert np.mean([one.blur for one in draws]) == pytest.approx(0.5, abs=0.03)
    assert np.mean([one.jitter and one.blur for one in draws]) == pytest.approx(0.4, abs=0.03)


@pytest.mark.parametrize("probability", [0.0, 1.0])
def test_certain_switches_and_an_unchanged_stream(probability: float) -> None:
    settings = StrongAugmentSettings(jitter_probability=probability, blur_probability=probability)
    generator, other = np.random.default_rng(3), np.random.default_rng(3)

    draws = [draw_strong_augment(generator, 2, settings) for _ in range(50)]
    others = [draw_strong_augment(other, 2, StrongAugmentSettings()) for _ in range(50)]

    assert {one.jitter for one in draws} == {one.blur for one in draws} == {probability == 1.0}
    assert all(np.array_equal(a.sigmas, b.sigmas) for a, b in zip(draws, others, strict=True))
    assert generator.random() == other.random()


def test_nothing_reads_from_the_device() -> None:
    # A meta tensor has no values: whatever would wait for a GPU raises here.
    images = torch.zeros(2, 3, 48, 64, device="meta")

    augmented = augment_strongly(images, make_draws(2, jitter=True, blur=True), MEAN.to("meta"), STD.to("meta"))

    assert augmented.shape == images.shape
