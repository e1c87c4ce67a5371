"""HRDA's network against naive loops, and around real backbones and heads."""

from __future__ import annotations

import copy
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from adapt.errors import SpecError
from adapt.inference import forward_logits, predict_logits
from adapt.model import ModelSettings
from adapt.networks import multi_resolution
from adapt.networks.multi_resolution import MultiResolution
from adapt.networks.multi_resolution_config import wrap_multi_resolution
from adapt.openmmlab import PixelData, SegDataSample
from adapt.openmmlab.checkpoint import load_artifact, save_artifact
from adapt.openmmlab.model import build_model, resolve_config
from adapt.training.optimizer import build_optimizer
from adapt.training.settings import OptimizerSettings
from adapt.uda.settings import MultiResolutionSettings

Array = NDArray[np.float64]
ATTENTION = [0.25, 0.5, 0.875]
SMALL = {"detail_crop": (32, 32), "window": (64, 64), "attention_channels": 8}


def build_network(name: str = "unet_small", seed: int = 0, **changes: Any) -> MultiResolution:
    settings = MultiResolutionSettings(**{**SMALL, **changes})
    network: Any = build_model(wrap_multi_resolution(resolve_config(ModelSettings(config=name), 5), settings), seed)
    return network


def apply_toy(image: Array) -> Array:
    """The toy backbone and head in loops: (3, H, W) -> (3, H/4, W/4)."""
    cells = np.zeros((3, image.shape[1] // 4, image.shape[2] // 4))
    for channel, row, column in np.ndindex(*cells.shape):
        part = image[channel, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4]
        cells[channel, row, column] = (part.mean() - image[channel].mean()) ** 2
    return cells


def halve(image: Array) -> Array:
    """Bilinear to half the size: the mean of four pixels."""
    return (image[:, ::2, ::2] + image[:, 1::2, ::2] + image[:, ::2, 1::2] + image[:, 1::2, 1::2]) / 4


def double(cells: Array) -> Array:
    """Bilinear to twice the size, cells as areas: weights 3/4 and 1/4, the border repeated."""
    for axis in (1, 2):
        moved = np.moveaxis(cells, axis, 0)
        length = len(moved)
        rows = []
        for index in range(length):
            before, after = moved[max(index - 1, 0)], moved[min(index + 1, length - 1)]
            rows += [0.75 * moved[index] + 0.25 * before, 0.75 * moved[index] + 0.25 * after]
        cells = np.moveaxis(np.stack(rows), 0, axis)
    return cells


def slide(image: Array, crop: int, step: int) -> Array:
    """The toy's prediction from overlapping crops, cell by cell."""
    total = np.zeros((3, image.shape[1] // 4, image.shape[2] // 4))
    count = np.zeros(total.shape)
    for top in range(0, image.shape[1] - crop + 1, step):
        for left in range(0, image.shape[2] - crop + 1, step):
            cells = apply_toy(image[:, top : top + crop, left : left + crop])
            rows, columns = slice(top // 4, (top + crop) // 4), slice(left // 4, (left + crop) // 4)
            total[:, rows, columns] += cells
            count[:, rows, columns] += 1
    return total / count


@pytest.mark.parametrize("box", [(0, 0), (8, 24), (32, 40)])
def test_fused_crops_by_hand(build_with_attention: Callable[..., MultiResolution], box: tuple[int, int]) -> None:
    network = build_with_attention(ATTENTION, detail_crop=(24, 32))  # (width, height)
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    features, fused, detail = network.forward_crops(images, box)
    assert features[0].shape == (2, 3, 8, 8)
    rows, columns = slice(box[0], box[0] + 32), slice(box[1], box[1] + 24)
    assert network.detail_region(box) == (rows, columns)
    for index, image in enumerate(images.double().numpy()):
        fine = apply_toy(image[:, rows, columns])
        np.testing.assert_allclose(detail[index].numpy(), fine, atol=1e-5)
        attention = np.zeros((3, 8, 8))
        for channel, row, column in np.ndindex(3, 8, 8):  # a cell of the context is 8 pixels of the image
            inside = rows.start <= 8 * row < rows.stop and columns.start <= 8 * column < columns.stop
            attention[channel, row, column] = ATTENTION[channel] if inside else 0
        placed = np.zeros((3, 16, 16))
        placed[:, box[0] // 4 : box[0] // 4 + 8, box[1] // 4 : box[1] // 4 + 6] = fine
        expected = double(attention) * placed + double((1 - attention) * apply_toy(halve(image)))
        np.testing.assert_allclose(fused[index].numpy(), expected, atol=1e-5)


def test_slides_by_hand(build_with_attention: Callable[..., MultiResolution]) -> None:
    network = build_with_attention(ATTENTION, detail_crop=(32, 32))
    images = torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(1))
    logits = network.predict_slides(images)
    attention = np.array(ATTENTION)[:, None, None]
    for index, image in enumerate(images.double().numpy()):
        fine = slide(image, crop=32, step=16)
        expected = attention * fine + double((1 - attention) * apply_toy(halve(image)))
        np.testing.assert_allclose(logits[index].numpy(), expected, atol=1e-5)


def test_windows_by_hand(build_with_attention: Callable[..., MultiResolution]) -> None:
    network = build_with_attention(ATTENTION, detail_crop=(32, 32), window=(64, 32))
    images = torch.randn(1, 3, 48, 64, generator=torch.Generator().manual_seed(1))
    expected, count = torch.zeros(1, 3, 48, 64), torch.zeros(48, 64)
    for top in (0, 16):  # a window is 32 high; half of it is 16, which is also the last start
        part = network.predict_slides(images[:, :, top : top + 32])
        expected[:, :, top : top + 32] += functional.interpolate(part, size=(32, 64), mode="bilinear")
        count[top : top + 32] += 1
    torch.testing.assert_close(network.encode_decode(images, []), expected / count)


def test_boxes_are_multiples_within_the_crop_and_uniform(toy_config: dict[str, Any]) -> None:
    config = {**toy_config, "type": "MultiResolution", "multi_resolution": {"detail_crop": [40, 24]}}
    network: Any = build_model(config, 0)
    generator = np.random.default_rng(0)
    boxes = np.array([network.draw_detail_box(generator, (48, 64)) for _ in range(2000)])
    assert set(boxes[:, 0]) == {0, 8, 16, 24}  # 48 - 24 high
    assert set(boxes[:, 1]) == {0, 8, 16, 24}  # 64 - 40 wide
    counts = np.unique(boxes, axis=0, return_counts=True)[1]
    assert len(counts) == 16
    assert counts.min() > 80  # 125 expected, deviation 11
    assert network.draw_detail_box(generator, (16, 40)) == (0, 0)
    # Two draws a call, whatever the size, so that later draws do not depend on it.
    one, other = np.random.default_rng(1), np.random.default_rng(1)
    network.draw_detail_box(one, (24, 40))
    network.draw_detail_box(other, (240, 400))
    assert one.integers(1000) == other.integers(1000)


def test_training_outside_the_detail_crop_is_the_context_alone(
    build_with_attention: Callable[..., MultiResolution],
) -> None:
    images = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    little = build_with_attention([0.1] * 3, detail_crop=(32, 32)).forward_crops(images, (32, 32))[1]
    much = build_with_attention([0.9] * 3, detail_crop=(32, 32)).forward_crops(images, (32, 32))[1]
    differs = (little != much).any(dim=1)[0]
    # One cell further than the crop's 8..15: upsampling blends the cells at its border.
    assert differs[7:, 7:].all()
    assert not differs[:7].any()
    assert not differs[:, :7].any()


@pytest.mark.parametrize("name", ["unet_small", "daformer_small", "segformer_mit_small", "cgnet_small"])
def test_gradients_reach_every_parameter(name: str) -> None:
    torch.manual_seed(0)
    # A cell of CGNet's context is 16 pixels, so offsets of 16 hit it exactly.
    network = build_network(name, offset_multiple=16)
    _, fused, detail = network.forward_crops(torch.randn(2, 3, 64, 96), (16, 48))
    stride = {"cgnet_small": 8, "segformer_mit_small": 4}.get(name, 2)
    assert fused.shape == (2, 5, 64 // stride, 96 // stride)
    assert detail.shape == (2, 5, 32 // stride, 32 // stride)
    (fused.square().mean() + detail.square().mean()).backward()
    without = [key for key, value in network.named_parameters() if value.grad is None or not value.grad.any()]
    # A bias before a batch norm has no gradient but rounding noise, and MiT's are among the convolutions.
    assert [key for key in without if network.get_parameter(key).grad is None] == []
    assert not [key for key in without if key.endswith("weight")]
    assert network.predict_slides(torch.randn(1, 3, 64, 96)).shape == (1, 5, 64 // stride, 96 // stride)


@pytest.mark.parametrize(
    ("name", "size"),
    [
        *itertools.product(["unet_small", "cgnet_small"], [(90, 120), (37, 53), (20, 20), (64, 150), (8, 200)]),
        # On its own, too, a Mix Transformer takes no side below 29 pixels.
        *itertools.product(["segformer_mit_small"], [(90, 120), (37, 53), (32, 32), (33, 150)]),
    ],
)
def test_any_size_is_predicted(name: str, size: tuple[int, int]) -> None:
    network = build_network(name).eval()
    image = np.random.default_rng(0).integers(0, 255, (*size, 3), dtype=np.uint8)
    assert predict_logits(network, image).shape == (5, *size)
    whole = build_network(name, window=None).eval()
    assert forward_logits(whole, torch.randn(2, 3, *size)).shape == (2, 5, *size)


def test_prediction_follows_the_pixels(build_with_attention: Callable[..., MultiResolution]) -> None:
    """A bright square lies where it lies in the image, whatever its size; padding and windows must not move it."""
    network = build_with_attention([0.5] * 3, detail_crop=(32, 32), window=(64, 64))
    image = torch.zeros(1, 3, 99, 125)
    image[:, :, 40:64, 80:104] = 10.0
    logits = network.encode_decode(image, [])[0, 0]
    bright = (logits > logits.max() / 2).nonzero().float()
    assert bright.mean(dim=0).tolist() == pytest.approx([51.5, 91.5], abs=1.5)


def test_prediction_has_gradients_for_test_time_adaptation() -> None:
    network = build_network().eval()
    forward_logits(network, torch.randn(1, 3, 90, 120)).square().mean().backward()
    for part in (network.backbone, network.decode_head, network.attention_head):
        assert any(value.grad is not None and value.grad.any() for value in part.parameters())


def test_chunks_change_nothing_in_eval_mode_and_are_not_made_in_training(
    build_with_attention: Callable[..., MultiResolution], monkeypatch: pytest.MonkeyPatch
) -> None:
    network: Any = build_with_attention(ATTENTION, detail_crop=(32, 32))
    images = torch.randn(2, 3, 64, 64)
    whole = network.predict_slides(images)
    calls = [len(batch) for batch in network.backbone.inputs]
    assert calls == [2, 18]  # the context; nine slides of two images
    monkeypatch.setattr(multi_resolution, "_CHUNK_PIXELS", 4 * 32 * 32)
    network.backbone.inputs.clear()
    assert torch.equal(network.predict_slides(images), whole)
    assert [len(batch) for batch in network.backbone.inputs] == [2, 4, 4, 4, 4, 2]
    # One batch norm that takes batch statistics is enough: they must be those of all slides.
    network.attention_head.fusion_conv.bn.train()
    network.backbone.inputs.clear()
    network.predict_slides(images)
    assert [len(batch) for batch in network.backbone.inputs] == [2, 18]


def test_plain_training_loss_is_the_weighted_sum_of_both() -> None:
    network = build_network().eval()  # eval: the same numbers twice
    images = torch.randn(2, 3, 64, 96)
    label = torch.randint(0, 5, (2, 1, 64, 96))
    samples = [SegDataSample(gt_sem_seg=PixelData(data=item)) for item in label]
    np.random.seed(3)
    with torch.no_grad():
        losses = network(images, samples, mode="loss")
    np.random.seed(3)
    box = network.draw_detail_box(np.random.default_rng(np.random.randint(2**31)), (64, 96))
    with torch.no_grad():
        _, fused, detail = network.forward_crops(images, box)

    def cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
        logits = functional.interpolate(logits, size=target.shape[1:], mode="bilinear")
        return functional.cross_entropy(logits, target)

    rows, columns = network.detail_region(box)
    torch.testing.assert_close(losses["decode.loss_ce"], 0.9 * cross_entropy(fused, label[:, 0]))
    torch.testing.assert_close(losses["detail.loss_ce"], 0.1 * cross_entropy(detail, label[:, 0, rows, columns]))
    assert 0 <= float(losses["detail.acc_seg"]) <= 100
    np.random.seed(4)
    with torch.no_grad():
        assert network(images, samples, mode="loss")["detail.loss_ce"] != losses["detail.loss_ce"]


def test_artifact_round_trip(tmp_path: Path) -> None:
    settings = MultiResolutionSettings(**SMALL)
    config = wrap_multi_resolution(resolve_config(ModelSettings(config="daformer_small"), 5), settings)
    network = build_model(config, 1).eval()
    save_artifact(tmp_path, config, network, ["a", "b", "c", "d", "e"])
    assert json.loads((tmp_path / "model.json").read_text()) == config
    loaded: Any = load_artifact(tmp_path)[0]
    assert isinstance(loaded, MultiResolution)
    assert loaded.settings == settings
    images = torch.randn(1, 3, 70, 70)
    with torch.no_grad():
        assert torch.equal(forward_logits(loaded, images), forward_logits(network, images))


def test_mmsegmentation_predicts_with_it() -> None:
    network: Any = build_network().eval()
    with torch.no_grad():
        result = network(torch.randn(1, 3, 64, 96), mode="predict")[0]
        assert result.pred_sem_seg.data.shape == (1, 64, 96)
        assert network(torch.randn(1, 3, 64, 96), mode="tensor").shape == (1, 5, 32, 48)


def test_attention_learns_at_the_heads_rate() -> None:
    network = build_network()
    optimizer = build_optimizer(network, OptimizerSettings(lr=1.0, head_lr_multiplier=10))
    rates = {id(value): group["lr"] for group in optimizer.param_groups for value in group["params"]}
    assert {rates[id(value)] for value in network.attention_head.parameters()} == {10.0}
    assert {rates[id(value)] for value in network.decode_head.parameters()} == {10.0}
    assert {rates[id(value)] for value in network.backbone.parameters()} == {1.0}


def test_attention_takes_the_levels_of_the_head() -> None:
    single = build_network("unet_small", attention_channels=6)
    # One level of 16 channels: an embedding, a fusion and a classifier, two norms.
    expected = 16 * 6 + 2 * 6 + 6 * 6 + 2 * 6 + 6 * 5 + 5
    assert sum(value.numel() for value in single.attention_head.parameters()) == expected
    several = build_network("daformer_small", attention_channels=6)
    expected = (16 + 32 + 64 + 128) * 6 + 4 * 2 * 6 + 24 * 6 + 2 * 6 + 6 * 5 + 5
    assert sum(value.numel() for value in several.attention_head.parameters()) == expected


def test_context_of_a_backbone_with_a_divisor_is_rounded_up() -> None:
    network = build_network()  # a U-Net: sides must be multiples of 16
    features, fused, _ = network.forward_crops(torch.randn(1, 3, 80, 112), (8, 80))
    assert features[-1].shape[2:] == (24, 32)  # 40 and 56 become 48 and 64; the finest level has stride 2
    assert fused.shape == (1, 5, 40, 56)


def test_a_crop_smaller_than_the_detail_is_taken_whole() -> None:
    network = build_network(detail_crop=(128, 32))
    _, fused, detail = network.forward_crops(torch.randn(2, 3, 64, 96), (16, 0))
    assert detail.shape[2:] == (16, 48)
    assert fused.shape[2:] == (32, 48)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"detail_crop": (40, 32)}, r"detail_crop` is \[40, 32\].*multiples of 16"),
        ({"window": (64, 72)}, r"window` is \[64, 72\].*multiples of 16"),
        ({"detail_crop": (0, 32)}, "detail_crop"),
    ],
)
def test_crops_that_do_not_fit_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        build_network(**settings)


def test_sizes_between_cells_are_refused(toy_config: dict[str, Any]) -> None:
    network = build_network()
    for predict in (network.predict_slides, lambda images: network.forward_crops(images, (0, 0))):
        with pytest.raises(SpecError, match=r"Images of 100x64.*offset_multiple`, 8"):
            predict(torch.randn(1, 3, 64, 100))
    config = {
        **toy_config,
        "type": "MultiResolution",
        "multi_resolution": {"offset_multiple": 2, "detail_crop": [8, 8]},
    }
    toy: Any = build_model({**config, "multi_resolution": {**config["multi_resolution"], "window": [64, 64]}}, 0)
    with pytest.raises(SpecError, match=r"multiple of the head's stride \(about 4\)"):
        toy.forward_crops(torch.randn(1, 3, 16, 16), (0, 0))


def test_networks_that_cannot_be_taken_are_refused(model_config: dict[str, Any]) -> None:
    config = {**copy.deepcopy(model_config), "type": "MultiResolution", "multi_resolution": {}}
    with pytest.raises(SpecError, match="auxiliary_head: null"):
        build_model({**config, "auxiliary_head": model_config["decode_head"]}, 0)
    del config["decode_head"]["in_channels"]
    with pytest.raises(SpecError, match="does not say its in_channels"):
        build_model(config, 0)


def test_head_with_several_outputs_is_refused() -> None:
    network: Any = build_network()
    network.decode_head.forward = lambda inputs: [inputs[0], inputs[1]]
    with pytest.raises(SpecError, match="FCNHead does not give one map"):
        network.predict_slides(torch.randn(1, 3, 64, 64))


def test_mixed_precision_gives_finite_logits() -> None:
    network = build_network("daformer_small")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        _, fused, detail = network.forward_crops(torch.randn(2, 3, 64, 64), (8, 8))
        slides = network.predict_slides(torch.randn(2, 3, 64, 64))
    assert slides.dtype == torch.float32
    assert all(torch.isfinite(logits).all() for logits in (fused, detail, slides))


def test_running_statistics_are_updated_by_both_resolutions() -> None:
    network = build_network()
    norm = next(module for module in network.backbone.modules() if isinstance(module, nn.BatchNorm2d))
    network.forward_crops(torch.randn(2, 3, 64, 64), (8, 8))
    assert int(norm.num_batches_tracked) == 2
