"""All that one step of self-training draws: equal on every worker, and the same when a run goes on."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from adapt.networks.multi_resolution import MultiResolution
from adapt.training.distributed import count_workers, get_rank
from adapt.training.predictions import Box
from adapt.training.randomness import Purpose, draw_generator
from adapt.uda.class_mix import draw_orders
from adapt.uda.masking import draw_block_mask
from adapt.uda.settings import SelfTrainingSettings
from adapt.uda.strong_augment import StrongDraws, draw_strong_augment


@dataclass(frozen=True)
class StepDraws:
    """One worker's part of the draws of a step.

    Attributes:
        class_orders: (N, 256) int64 for each image the order in which classes are chosen.
        strong: Strong augmentation of the mixed images, or None.
        masked_strong: The same for the masked images.
        keep: (N, 1, h, w) bool, the blocks of the masked images that stay, or None.
        source_box, mix_box, masked_box: Detail crops of the three passes, or None.
    """

    class_orders: Tensor
    strong: StrongDraws | None
    masked_strong: StrongDraws | None
    keep: Tensor | None
    source_box: Box | None
    mix_box: Box | None
    masked_box: Box | None


def draw_step(
    settings: SelfTrainingSettings, seed: int, position: int, label: Tensor, network: nn.Module | None
) -> StepDraws:
    """Draw for the joint batch of all workers and take this worker's images.

    Args:
        settings: What is drawn.
        seed: The run's seed.
        position: Index of the batch in the run.
        label: (N, H, W) source labels of this worker's batch: its shape and device count.
        network: The student; a `MultiResolution` one draws its detail crops.

    Returns:
        The draws for the N images of this worker.
    """
    generator = draw_generator(seed, Purpose.METHOD, position)
    own, size, device = len(label), (label.shape[1], label.shape[2]), label.device
    count, first = own * count_workers(), own * get_rank()
    last = first + own
    class_orders = torch.from_numpy(draw_orders(generator, count)[first:last]).to(device, non_blocking=True)
    strong = masked_strong = keep = None
    if settings.strong_augment is not None:
        strong = draw_strong_augment(generator, count, settings.strong_augment).select(first, last)
    boxes: list[Box | None] = [None, None, None]
    if isinstance(network, MultiResolution):
        boxes = [network.draw_detail_box(generator, size) for _ in boxes]
    if settings.masked_consistency is not None:
        masks = settings.masked_consistency
        keep = torch.from_numpy(draw_block_mask(generator, count, size, masks.block, masks.ratio)[first:last]).to(
            device, non_blocking=True
        )
        if settings.strong_augment is not None:
            masked_strong = draw_strong_augment(generator, count, settings.strong_augment).select(first, last)
    return StepDraws(class_orders, strong, masked_strong, keep, *boxes)
