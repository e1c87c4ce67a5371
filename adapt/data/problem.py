"""One file of a data set that something is wrong with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, order=True)
class Problem:
    """What is wrong with one file.

    Attributes:
        file: The file, or the data set's folder when the problem is not one file's.
        reason: What is wrong, and what mends it.
    """

    file: Path
    reason: str

    def __str__(self) -> str:
        return f"{self.file}: {self.reason}"
