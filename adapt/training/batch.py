"""A batch of samples on its way to the device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from adapt.openmmlab import BaseDataElement, pseudo_collate


class Batch(dict[str, Any]):
    """A collated batch that can be pinned whole, labels included.

    torch's loader pins tensors, lists and dicts, and whatever has a `pin_memory`; mmengine's data elements have none.
    Their labels would then be copied from pageable memory, and for such a copy the host waits until the GPU is idle.
    """

    def pin_memory(self) -> Batch:
        """Copy the batch to pinned memory; torch's loader calls this."""
        return Batch({key: pin(value) for key, value in self.items()})


def collate(samples: Sequence[Mapping[str, Any]]) -> Batch:
    """Collate samples as mmengine's `pseudo_collate` does: lists of tensors and of data elements.

    Args:
        samples: Dicts of equal, perhaps nested keys.

    Returns:
        The batch.
    """
    return Batch(pseudo_collate(samples))


def pin(value: Any) -> Any:
    """Copy the tensors in lists, dicts and data elements to pinned memory.

    Args:
        value: Any of these, nested at will; anything else stays as it is.

    Returns:
        The same structure; nothing is changed in place.
    """
    if isinstance(value, Tensor):
        return value.pin_memory()
    if isinstance(value, BaseDataElement):
        return value.new(**{key: pin(item) for key, item in value.items()})
    if isinstance(value, Mapping):
        return {key: pin(item) for key, item in value.items()}
    if isinstance(value, list):
        return [pin(item) for item in value]
    return value
