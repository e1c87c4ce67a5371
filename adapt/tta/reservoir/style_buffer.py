"""The styles that the clustering remembers, and which of them gives way to a new one."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

Replacement = Literal["reservoir", "fifo", "replace"]


class StyleBuffer:
    """A list of styles of bounded length; the bound may grow.

    Args:
        replacement: what a full buffer does: `reservoir` puts the new style in the place of a random one with the chance
            capacity / (styles seen so far), or leaves it out (reservoir sampling); `fifo` drops the oldest; `replace`
            overwrites the newest.
        seed: of the random places; the global random state is not touched.

    Attributes:
        styles: (n, D), the styles kept; None before the first.
        seen: how many styles have come so far.
    """

    def __init__(self, replacement: Replacement, seed: int) -> None:
        self._replacement = replacement
        self._generator = torch.Generator().manual_seed(seed)
        self.styles: Tensor | None = None
        self.seen = 0

    def add(self, style: Tensor, capacity: int) -> None:
        """Take a style in, if there is room or something gives way.

        Args:
            style: (D,).
            capacity: how many styles may be kept from now on, at least 1 and never fewer than before.
        """
        self.seen += 1
        row = style[None]
        if self.styles is None:
            self.styles = row.clone()
        elif len(self.styles) < capacity:
            self.styles = torch.cat([self.styles, row])
        elif self._replacement == "fifo":
            self.styles = torch.cat([self.styles[1:], row])
        elif self._replacement == "replace":
            self.styles[-1] = style
        else:
            place = int(torch.randint(self.seen, (), generator=self._generator))
            if place < capacity:
                self.styles[place] = style

    def save(self) -> dict[str, Any]:
        """Return the state; its tensors are the live ones."""
        return {"styles": self.styles, "seen": self.seen, "generator": self._generator.get_state()}

    def load(self, state: dict[str, Any]) -> None:
        """Go back to a state that `save` returned, and keep its tensors."""
        self.styles = state["styles"]
        self.seen = state["seen"]
        self._generator.set_state(state["generator"])
