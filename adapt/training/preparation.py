"""What the training settings change about a network for as long as it trains."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch import nn

from adapt.training.batch_norm import synchronise_batch_norm
from adapt.training.distributed import count_workers
from adapt.training.settings import TrainSettings


@contextmanager
def prepare_network(model: nn.Module, settings: TrainSettings, device: torch.device) -> Iterator[None]:
    """Move a network to its device and train it there as the settings say; leave it plain, but on the device.

    Inside the `with` block backbones are compiled and weights lie in channels_last order if the settings say so, and with
    several workers batch norms see all their images. Names and parameters stay the same throughout.

    Args:
        model: Changed in place; everything in it whose name ends in `backbone`, a teacher's too, is one.
        settings: The run.
        device: What to train on.
    """
    model.to(device)  # its data preprocessor goes along
    if device.type == "cuda":
        # Batches arrive in pinned memory, so the host need not wait for their transfer.
        model.data_preprocessor._non_blocking = True
    if settings.channels_last:
        # Enough for the features as well: a convolution with such weights gives such an output.
        model.to(memory_format=torch.channels_last)
    backbones = find_backbones(model) if settings.compile else []
    with synchronise_batch_norm(model, device) if count_workers() > 1 else nullcontext():
        for backbone in backbones:
            # In place, so names stay. A run meets few sizes, its crop's and its scales': code for each, none for any.
            backbone.compile(dynamic=False)
        try:
            yield
        finally:
            for backbone in backbones:
                backbone._compiled_call_impl = None  # torch has no public way back
            model.to(memory_format=torch.contiguous_format)


def find_backbones(model: nn.Module) -> list[nn.Module]:
    """List the modules whose name ends in `backbone`, each once, without those inside another one.

    Args:
        model: A segmentor, or a model around segmentors.

    Returns:
        The modules in the model's order.
    """
    paths = [(name.split("."), module) for name, module in model.named_modules()]
    return [
        m for path, m in paths if [part.endswith("backbone") for part in path] == [False] * (len(path) - 1) + [True]
    ]
