"""HRDA's network: any backbone and decode head on a coarse view of the whole crop and a fine view of a part of it.

Paper: HRDA: Context-Aware High-Resolution Domain-Adaptive Semantic Segmentation, ECCV 2022, arXiv:2204.13132.
Implements: context and detail crop, multi-resolution fusion with its loss, and overlapping slides (section 3).
Checked against: naive loops in the tests; lhoyer/HRDA, mmseg/models/segmentors/hrda_encoder_decoder.py and
    decode_heads/hrda_head.py, for the order of masking, upsampling and averaging.
Deviations: the attention is mmsegmentation's SegformerHead, which has a norm and a ReLU in each level's embedding; the
    reference's has neither there. The detail crop may lie at the very bottom and right, as in the paper; the
    reference's last offset falls 8 pixels short of it.
Protocol: prediction slides the detail crop by half its size; a larger image is taken in windows that overlap by half.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from adapt.errors import SpecError
from adapt.inference import find_size_divisor
from adapt.networks.multi_resolution_config import refuse_auxiliary_heads
from adapt.networks.scale_fusion import fuse, make_region_mask, resize
from adapt.networks.slides import Region, average_overlaps, list_regions
from adapt.openmmlab import MODELS, EncoderDecoder, PixelData, SegDataSample
from adapt.uda.settings import MultiResolutionSettings

# Ours: slides of one backbone call, together; as many as a 1024x1024 image has, which is what one window costs anyway.
_CHUNK_PIXELS = 1024 * 1024

# A Mix Transformer takes no less: its first attention reduces 8x8 cells of 4x4 pixels to one.
_MIN_CONTEXT = 32


@MODELS.register_module()
class MultiResolution(EncoderDecoder):
    """A network that sees the context coarsely and a detail finely, and learns where to trust which.

    Attributes:
        decode_head: The one head of both resolutions.
        attention_head: Gives the logits of the scale attention from the context's features.
        detail_weight: Weight of the detail's own loss; the fused prediction's is 1 minus this.
    """

    def __init__(
        self,
        backbone: dict[str, Any],
        decode_head: dict[str, Any],
        multi_resolution: MultiResolutionSettings | Mapping[str, Any],
        auxiliary_head: Any = None,
        **kwargs: Any,
    ) -> None:
        """Build the network.

        Args:
            backbone: Its config.
            decode_head: The config of a head that gives one map of logits.
            multi_resolution: The settings, or the same as a dict.
            auxiliary_head: None or empty.
            **kwargs: What else `EncoderDecoder` takes.

        Raises:
            SpecError: An auxiliary head is given, or a size in the settings does not fit the others or the backbone.
        """
        refuse_auxiliary_heads(auxiliary_head)
        attention = _make_attention_config(decode_head)
        super().__init__(backbone, decode_head, **kwargs)
        self.settings = MultiResolutionSettings.model_validate(multi_resolution)
        self.attention_head: Any = MODELS.build({**attention, "channels": self.settings.attention_channels})
        self._divisor = find_size_divisor(self)
        self._check_settings()

    @property
    def detail_weight(self) -> float:
        """Weight of the detail's own loss."""
        return self.settings.detail_weight

    def draw_detail_box(self, generator: np.random.Generator, size: tuple[int, int]) -> tuple[int, int]:
        """Draw where the detail crop lies in a training crop.

        Args:
            generator: Two numbers are drawn from it, whatever the size.
            size: (height, width) of the training crop.

        Returns:
            (top, left), multiples of `offset_multiple`, uniform; 0 along an axis that the detail crop covers.
        """
        multiple = self.settings.offset_multiple
        top, left = (
            int(share * (max(length - crop, 0) // multiple + 1)) * multiple
            for share, length, crop in zip(generator.random(2), size, self._detail_crop, strict=True)
        )
        return top, left

    def detail_region(self, box: tuple[int, int]) -> Region:
        """Return the rows and columns of the training crop that the detail crop at `box` (top, left) covers."""
        height, width = self._detail_crop
        return slice(box[0], box[0] + height), slice(box[1], box[1] + width)

    def shrink(self, images: Tensor) -> Tensor:
        """Scale images (N, 3, H, W) down to the context, by `context_scale`, up to the next size that the backbone takes."""
        height, width = (
            math.ceil(max(round(length * self.settings.context_scale), min(length, _MIN_CONTEXT)) / self._divisor)
            * self._divisor
            for length in images.shape[2:]
        )
        return resize(images, (height, width))

    def forward_crops(self, images: Tensor, box: tuple[int, int]) -> tuple[Any, Tensor, Tensor]:
        """Predict in training, where the detail is one crop.

        Args:
            images: (N, 3, H, W) float32, normalised; H and W multiples of `offset_multiple`.
            box: (top, left) of the detail crop.

        Returns:
            The backbone's outputs for the context; (N, K, h, w) fused logits of the whole images at the detail's stride;
            (N, K, h', w') logits of the detail crop.

        Raises:
            SpecError: The sizes do not fit the network, or its head does not give one map of logits.
        """
        size = self._check_size(images)
        features, context, attention = self._predict_context(images)
        region = _clip(self.detail_region(box), size)
        detail = self._predict_crops(images[:, :, region[0], region[1]])
        stride = self._find_stride(region, detail)
        mask = make_region_mask(region, size, attention)
        rows, columns = _scale_down(region, stride)
        # Zero where the detail was not looked at; there the attention is zero too.
        placed = functional.pad(
            detail, (columns.start, size[1] // stride - columns.stop, rows.start, size[0] // stride - rows.stop)
        )
        return features, fuse(context, placed, attention * mask), detail

    def predict_slides(self, images: Tensor) -> Tensor:
        """Predict with the detail everywhere, from crops that overlap by half.

        Args:
            images: (N, 3, H, W) float32, normalised; H and W multiples of `offset_multiple`.

        Returns:
            (N, K, h, w) float32 logits at the detail's stride.

        Raises:
            SpecError: As `forward_crops`.
        """
        size = self._check_size(images)
        _, context, attention = self._predict_context(images)
        multiple = self.settings.offset_multiple
        height, width = (max(side // 2 // multiple, 1) * multiple for side in self._detail_crop)
        regions = list_regions(size, self._detail_crop, (height, width))
        logits = self._predict_crops(torch.cat([images[:, :, rows, columns] for rows, columns in regions]))
        stride = self._find_stride(regions[0], logits)
        detail = average_overlaps(
            logits.split(len(images)),
            [_scale_down(region, stride) for region in regions],
            (size[0] // stride, size[1] // stride),
        )
        return fuse(context, detail, attention)

    def encode_decode(self, inputs: Tensor, batch_img_metas: list[dict[str, Any]]) -> Tensor:
        """Predict images of any size, in windows where they are larger than one.

        Args:
            inputs: (N, 3, H, W) float32, normalised.
            batch_img_metas: Not read: the logits have the size of the inputs.

        Returns:
            (N, K, H, W) float32 logits.
        """
        height, width = inputs.shape[2:]
        multiple = math.lcm(self.settings.offset_multiple, self._divisor)
        padded = functional.pad(inputs, (0, -width % multiple, 0, -height % multiple))  # with the mean colour
        size = (padded.shape[2], padded.shape[3])
        window = size if self.settings.window is None else self.settings.window[::-1]
        regions = list_regions(size, window, (max(window[0] // 2, 1), max(window[1] // 2, 1)))

        def predict_windows() -> Iterator[Tensor]:
            for rows, columns in regions:
                part = padded[:, :, rows, columns]
                yield functional.interpolate(
                    self.predict_slides(part), size=part.shape[2:], mode="bilinear", align_corners=self.align_corners
                )

        return average_overlaps(predict_windows(), regions, size)[:, :, :height, :width]

    def loss(self, inputs: Tensor, data_samples: list[Any]) -> dict[str, Tensor]:
        """Compute the losses of plain supervised training; the detail crop comes from numpy's global state.

        Args:
            inputs: (N, 3, H, W) float32, normalised.
            data_samples: With `gt_sem_seg`.

        Returns:
            The head's losses on the fused prediction (`decode.`) and on the detail crop (`detail.`), weighted.
        """
        box = self.draw_detail_box(np.random.default_rng(np.random.randint(2**31)), inputs.shape[2:])
        _, fused, detail = self.forward_crops(inputs, box)
        rows, columns = self.detail_region(box)
        cut = [
            SegDataSample(gt_sem_seg=PixelData(data=sample.gt_sem_seg.data[:, rows, columns]))
            for sample in data_samples
        ]
        losses = {}
        for prefix, weight, logits, samples in (
            ("decode", 1 - self.detail_weight, fused, data_samples),
            ("detail", self.detail_weight, detail, cut),
        ):
            for name, value in self.decode_head.loss_by_feat(logits, samples).items():
                losses[f"{prefix}.{name}"] = value * weight if "loss" in name else value
        return losses

    def _forward(self, inputs: Tensor, data_samples: Any = None) -> Tensor:
        return self.predict_slides(inputs)

    @property
    def _detail_crop(self) -> tuple[int, int]:
        """(height, width) of the detail crop."""
        width, height = self.settings.detail_crop
        return height, width

    def _predict_context(self, images: Tensor) -> tuple[Any, Tensor, Tensor]:
        """Return the backbone's outputs, the logits and the attention (N, K, h, w) of the scaled-down images."""
        features = self.backbone(self.shrink(images))
        inputs = self.neck(features) if self.with_neck else features
        logits = _require_map(self.decode_head, self.decode_head(inputs))
        attention = resize(self.attention_head(inputs), (logits.shape[2], logits.shape[3]))
        return features, logits, torch.sigmoid(attention)

    def _predict_crops(self, crops: Tensor) -> Tensor:
        """Run backbone and head on (M, 3, h, w) crops; a few at a time where that cannot change the result."""
        # Batch statistics must be those of all crops, so only a network wholly in eval mode takes them piecemeal.
        if any(module.training for module in self.modules()):
            chunks = [crops]
        else:
            chunks = list(crops.split(max(_CHUNK_PIXELS // (crops.shape[2] * crops.shape[3]), 1)))
        head = self.decode_head
        return torch.cat([_require_map(head, head(self.extract_feat(chunk))) for chunk in chunks])

    def _find_stride(self, region: Region, logits: Tensor) -> int:
        """Return how many pixels of a detail crop a cell of its logits stands for."""
        height, width = (side.stop - side.start for side in region)
        stride = height // logits.shape[2]
        multiple = self.settings.offset_multiple
        if (height, width) != (logits.shape[2] * stride, logits.shape[3] * stride) or multiple % stride:
            raise SpecError(
                f"The decode head gives {tuple(logits.shape[2:])} logits for a detail crop of {(height, width)} (rows, "
                f"columns), which does not fit offset_multiple {multiple}. Set `multi_resolution.offset_multiple` to a "
                f"multiple of the head's stride (about {math.ceil(height / logits.shape[2])}), and the crops to "
                "multiples of that."
            )
        return stride

    def _check_size(self, images: Tensor) -> tuple[int, int]:
        """Return (height, width) of the images, or raise SpecError where a detail crop would fall between cells."""
        height, width = images.shape[2:]
        multiple = self.settings.offset_multiple
        if height % multiple or width % multiple:
            raise SpecError(
                f"Images of {width}x{height} cannot be taken on two resolutions: their sides must be multiples of "
                f"`multi_resolution.offset_multiple`, {multiple}. Change the training crop."
            )
        return height, width

    def _check_settings(self) -> None:
        """Raise SpecError where the crops of the settings fit neither `offset_multiple` nor the backbone."""
        multiple = math.lcm(self.settings.offset_multiple, self._divisor)
        for name in ("detail_crop", "window"):
            size = getattr(self.settings, name)
            if size is not None and any(side <= 0 or side % multiple for side in size):
                raise SpecError(
                    f"`multi_resolution.{name}` is {list(size)}; with this backbone and offset_multiple "
                    f"{self.settings.offset_multiple} both sides must be multiples of {multiple}."
                )


def _make_attention_config(decode_head: Mapping[str, Any]) -> dict[str, Any]:
    """Return the config of a SegformerHead that takes the levels of a decode head, without its width."""
    levels = {}
    for name in ("in_channels", "in_index"):
        value = decode_head.get(name, -1 if name == "in_index" else None)
        if value is None:
            raise SpecError(
                f"The decode head {decode_head.get('type')!r} does not say its {name}, which the scale attention needs. "
                "Add it to the config, or leave `multi_resolution` out."
            )
        levels[name] = list(value) if isinstance(value, (list, tuple)) else [value]
    return {
        "type": "SegformerHead",
        **levels,
        "num_classes": decode_head["num_classes"],
        "out_channels": decode_head.get("out_channels"),
        "norm_cfg": decode_head.get("norm_cfg") or {"type": "BN", "requires_grad": True},
        "dropout_ratio": decode_head.get("dropout_ratio", 0.1),  # 0.1 is the default of mmsegmentation's heads
        "align_corners": False,
    }


def _require_map(head: Any, logits: Any) -> Tensor:
    if not isinstance(logits, Tensor):
        raise SpecError(
            f"The head {type(head).__name__} does not give one map of logits, which two resolutions need. Choose a "
            "network whose head does, such as DAFormer, SegFormer or DeepLabV2."
        )
    return logits


def _clip(region: Region, size: tuple[int, int]) -> Region:
    """Cut a region to a map of `size` (height, width)."""
    rows, columns = (slice(side.start, min(side.stop, length)) for side, length in zip(region, size, strict=True))
    return rows, columns


def _scale_down(region: Region, stride: int) -> Region:
    """Turn a region in pixels into one in cells of `stride` pixels."""
    rows, columns = (slice(side.start // stride, side.stop // stride) for side in region)
    return rows, columns
