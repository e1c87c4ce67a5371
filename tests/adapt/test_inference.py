"""From image to logits: checked against mmsegmentation's own prediction path and by hand."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from adapt.data.layout import Frame
from adapt.data.settings import DatasetSettings
from adapt.errors import TaskError
from adapt.inference import (
    choose_classes,
    find_size_divisor,
    forward_logits,
    predict_classes,
    predict_logits,
    renormalise,
    to_tensor,
)
from adapt.model import ModelSettings
from adapt.openmmlab import SegDataPreProcessor, SegDataSample, pseudo_collate
from adapt.openmmlab.checkpoint import load_weights
from adapt.openmmlab.model import build_model, resolve_config
from adapt.training.sample import pack, read_unlabelled


def make_image(height: int, width: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def make_model(name: str, **overrides: Any) -> Any:
    return build_model(resolve_config(ModelSettings(config=name, overrides=overrides), 19), seed=0).eval()


class Probe(nn.Module):
    """A segmentor that returns its input as logits and notes its shape and metas."""

    def __init__(self, **preprocessor: Any) -> None:
        super().__init__()
        self.data_preprocessor = SegDataPreProcessor(**preprocessor)
        self.backbone = nn.Conv2d(1, 1, 1)
        self.seen: list[tuple[int, ...]] = []

    def encode_decode(self, inputs: Tensor, metas: list[dict[str, Any]]) -> Tensor:
        assert all(meta["img_shape"] == tuple(inputs.shape[-2:]) for meta in metas)
        assert len(metas) == len(inputs)
        self.seen.append(tuple(inputs.shape))
        return inputs


def test_to_tensor_by_hand() -> None:
    image = np.array([[[10, 20, 30]]], np.uint8)  # one RGB pixel
    sees_rgb = Probe(mean=[1.0, 2.0, 3.0], std=[3.0, 2.0, 1.0], bgr_to_rgb=True)
    assert to_tensor(sees_rgb, image).flatten().tolist() == [3.0, 9.0, 27.0]
    sees_bgr = Probe(mean=[1.0, 2.0, 3.0], std=[1.0, 2.0, 1.0])
    assert to_tensor(sees_bgr, image).flatten().tolist() == [29.0, 9.0, 7.0]
    plain = Probe(bgr_to_rgb=True)
    result = to_tensor(plain, image)
    assert result.flatten().tolist() == [10.0, 20.0, 30.0]
    assert result.shape == (1, 3, 1, 1)
    assert result.dtype == torch.float32


CITYSCAPES: dict[str, Any] = {"mean": [123.675, 116.28, 103.53], "std": [58.395, 57.12, 57.375], "bgr_to_rgb": True}
CAFFE: dict[str, Any] = {"mean": [72.39, 82.91, 73.16], "std": [1.0, 2.0, 3.0]}  # sees BGR


@pytest.mark.parametrize("source", [CITYSCAPES, CAFFE, {"bgr_to_rgb": True}, {}])
@pytest.mark.parametrize("target", [CITYSCAPES, CAFFE, {"bgr_to_rgb": True}, {}])
def test_renormalised_images_are_what_the_other_network_would_see(
    source: dict[str, Any], target: dict[str, Any]
) -> None:
    image = make_image(4, 6)
    given, wanted = to_tensor(Probe(**source), image), to_tensor(Probe(**target), image)
    found = renormalise(given, Probe(**source), Probe(**target))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, wanted, rtol=0, atol=5e-5)
    assert torch.equal(given, to_tensor(Probe(**source), image))
    if source == target:
        assert found is given


@pytest.mark.parametrize("name", ["cgnet_small", "segformer_mit_small", "stdc1_4xb12-80k_cityscapes-512x1024"])
def test_prediction_equals_mmsegmentations_own(name: str) -> None:
    model = make_model(name)
    image = make_image(64, 96)
    bgr = torch.from_numpy(image[..., ::-1].copy()).permute(2, 0, 1)
    sample = SegDataSample(metainfo={"ori_shape": (64, 96), "img_shape": (64, 96)})
    with torch.no_grad():
        expected = model.test_step({"inputs": [bgr], "data_samples": [sample]})[0].seg_logits.data
    assert torch.equal(predict_logits(model, image), expected)


def test_resized_input_gives_logits_at_the_images_own_size() -> None:
    model = Probe(bgr_to_rgb=True)
    image = make_image(20, 30)
    logits = predict_logits(model, image, resize=(15, 10))
    assert model.seen == [(1, 3, 10, 15)]
    small = cv2.resize(image, (15, 10), interpolation=cv2.INTER_LINEAR)
    # cv2 samples at pixel centres too: its enlargement is bilinear with align_corners=False.
    expected = cv2.resize(small.astype(np.float32), (30, 20), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_allclose(logits.permute(1, 2, 0).numpy(), expected, atol=1e-2)


def test_the_ratio_is_kept_and_the_logits_come_back_at_the_images_own_size() -> None:
    model = Probe(bgr_to_rgb=True)
    # 1280 / 1914 decides: 1052 * 0.66876 = 703.5 rows.
    assert predict_logits(model, make_image(1052, 1914), resize=(1280, 720)).shape == (3, 1052, 1914)
    assert model.seen == [(1, 3, 704, 1280)]


@pytest.mark.parametrize("bgr_to_rgb", [True, False])
def test_training_and_testing_see_the_same_pixels(tmp_path: Path, bgr_to_rgb: bool) -> None:
    image = make_image(53, 96)
    cv2.imwrite(str(tmp_path / "frame.png"), image[..., ::-1])
    frame = Frame(name="frame", image=tmp_path / "frame.png", label=None)
    dataset = DatasetSettings(type="camvid", split="train", resize=(64, 36))
    model: Any = Probe(mean=[120.0, 110.0, 100.0], std=[58.0, 57.0, 56.0], bgr_to_rgb=bgr_to_rgb, size=(35, 64))
    packed = pack(frame, read_unlabelled(frame, dataset), None)
    seen = model.data_preprocessor(pseudo_collate([packed]), training=True)["inputs"]
    assert seen.shape == (1, 3, 35, 64)  # 64 / 96 = 2 / 3 decides; 53 * 2 / 3 = 35.3
    assert torch.equal(to_tensor(model, image, dataset.resize), seen)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_an_output_that_is_not_finite_is_no_prediction(value: float) -> None:
    model = make_model("cgnet_small")
    image = make_image(32, 32)
    predict_classes(model, image)
    with torch.no_grad():
        model.decode_head.conv_seg.bias[7] = value
    for predict in (predict_logits, predict_classes):
        with pytest.raises(TaskError, match=r"EncoderDecoder is not finite.*weights"):
            predict(model, image)


def test_padding_is_right_and_bottom_and_cropped_again() -> None:
    model = Probe(bgr_to_rgb=True, test_cfg={"size_divisor": 32})
    batch = torch.randn(2, 3, 33, 64)
    assert torch.equal(forward_logits(model, batch), batch)
    assert model.seen == [(2, 3, 64, 64)]


def test_size_divisors_of_known_networks() -> None:
    assert find_size_divisor(make_model("cgnet_small")) == 1
    assert find_size_divisor(make_model("ddrnet_23-slim_in1k-pre_2xb6-120k_cityscapes-1024x1024")) == 8


def test_gradients_flow_when_enabled_and_not_in_predict() -> None:
    model = make_model("cgnet_small")
    batch = torch.randn(1, 3, 32, 32, requires_grad=True)
    forward_logits(model, batch).sum().backward()
    assert batch.grad is not None
    assert batch.grad.abs().sum() > 0
    assert not predict_logits(model, make_image(32, 32)).requires_grad
    with torch.no_grad():
        assert not forward_logits(model, batch).requires_grad


@pytest.mark.parametrize(
    "name",
    [
        "pidnet-s_2xb6-120k_1024x1024-cityscapes",
        "ddrnet_23-slim_in1k-pre_2xb6-120k_cityscapes-1024x1024",
        "cgnet_small",
    ],
)
def test_train_mode_gives_plain_logits_and_keeps_every_flag(name: str) -> None:
    model = make_model(name).train()
    modes = [module.training for module in model.modules()]
    before = {key: value.clone() for key, value in model.state_dict().items() if "running_mean" in key}
    assert forward_logits(model, torch.randn(2, 3, 64, 64)).shape == (2, 19, 64, 64)
    assert [module.training for module in model.modules()] == modes
    # Batch norm inside did run in train mode.
    assert any(not torch.equal(model.state_dict()[key], value) for key, value in before.items())


@pytest.mark.realdata
def test_published_cgnet_scores_on_camvid() -> None:
    data = Path(os.environ.get("SEGSHIFT_DATA", "../shared/data"))
    weights, frames = data.parent / "weights" / "cgnet_camvid.pth", sorted((data / "camvid" / "test").glob("*.png"))
    if not weights.is_file() or not frames:
        pytest.skip(f"CamVid frames in {data / 'camvid'} or the weights {weights} are absent")
    model = build_model(resolve_config(ModelSettings(config="cgnet_camvid"), 11), seed=0).eval()
    load_weights(model, weights)
    torch.set_flush_denormal(True)
    confusion = np.zeros((11, 11), np.int64)
    for frame in frames[::6]:
        label = cv2.imread(str(frame.parent.parent / "testannot" / frame.name), cv2.IMREAD_UNCHANGED)
        prediction = predict_logits(model, cv2.imread(str(frame))[..., ::-1]).argmax(0).numpy()
        valid = label < 11
        np.add.at(confusion, (label[valid], prediction[valid]), 1)
    hits = np.diag(confusion)
    miou = np.mean(hits / (confusion.sum(0) + confusion.sum(1) - hits))
    # An independent run on every sixth test frame gave 67.8 percent.
    assert miou == pytest.approx(0.678, abs=0.001)


def test_classes_are_those_of_argmax_the_first_of_equals():
    logits = torch.randint(0, 3, (2, 5, 7, 9)).float()
    logits[0, :, 0, 0] = 1.0
    assert torch.equal(choose_classes(logits), logits.argmax(dim=1))
    assert torch.equal(choose_classes(logits[1], dim=0), logits[1].argmax(dim=0))
    assert choose_classes(logits)[0, 0, 0] == 0
