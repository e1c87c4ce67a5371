"""What data-parallel workers agree on: thin functions over torch.distributed that do nothing in a single process.

The process group is made by whoever starts the workers. With NCCL the tensors must lie on a GPU, with gloo on the CPU.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
import torch.distributed as dist
from torch import Tensor, nn

from adapt.errors import SpecError

BUCKET_BYTES = 25 * 2**20
"""Gradients are sent in pieces of this size, that of torch's DistributedDataParallel: few calls that overlap."""


def get_rank() -> int:
    """Return the index of this worker, 0 in a single process."""
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def count_workers() -> int:
    """Count the workers that train one network together, 1 in a single process."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def require_workers(count: int) -> None:
    """Refuse a run that was started with another number of workers than it asks for.

    Args:
        count: `TrainSettings.workers`.

    Raises:
        SpecError: There is no process group of that size.
    """
    if count_workers() != count:
        raise SpecError(
            f"The training settings have `workers: {count}`, but this process is one of {count_workers()}. Run the "
            "experiment by a sweep: Ray Train starts the workers; or set `workers: 1`."
        )


def sum_over_workers(tensor: Tensor) -> Tensor:
    """Add up a tensor over all workers; all of them must call this.

    Args:
        tensor: Any shape, equal on all workers; not changed.

    Returns:
        A new tensor without a gradient, bitwise equal on all workers.
    """
    total = tensor.detach().clone()
    if count_workers() > 1:
        dist.all_reduce(total)
    return total


def mean_over_workers(tensor: Tensor) -> Tensor:
    """Average a floating-point tensor over all workers; all of them must call this.

    Args:
        tensor: Any shape, equal on all workers; not changed.

    Returns:
        A new tensor without a gradient, bitwise equal on all workers.
    """
    return sum_over_workers(tensor) / count_workers()


def any_over_workers(mask: Tensor) -> Tensor:
    """Tell for each element whether it is true on any worker; all of them must call this.

    Args:
        mask: Bool, of any shape, equal on all workers; not changed.

    Returns:
        A new bool tensor, equal on all workers.
    """
    return sum_over_workers(mask.to(torch.int32)) > 0


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replace every gradient by its mean over all workers; all of them must call this.

    Args:
        parameters: In the same order on all workers. Those without a gradient are passed over: the workers run the same
            network, so these must be the same everywhere.
    """
    workers = count_workers()
    if workers == 1:
        return
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    sent = []
    for bucket in _fill_buckets(gradients):
        flat = torch.cat([gradient.reshape(-1) for gradient in bucket])
        sent.append((bucket, flat, dist.all_reduce(flat, async_op=True)))
    for bucket, flat, work in sent:
        work.wait()
        flat /= workers
        for gradient, mean in zip(bucket, flat.split([gradient.numel() for gradient in bucket]), strict=True):
            gradient.copy_(mean.view(gradient.shape))


def _fill_buckets(gradients: list[Tensor]) -> Iterator[list[Tensor]]:
    """Split gradients, in their order, into lists of about `BUCKET_BYTES`."""
    bucket: list[Tensor] = []
    size = 0
    for gradient in gradients:
        if bucket and size >= BUCKET_BYTES:
            yield bucket
            bucket, size = [], 0
        bucket.append(gradient)
        size += gradient.numel() * gradient.element_size()
    if bucket:
        yield bucket
