"""The file of every image's confusion counts, from which any score and interval can be recomputed."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

NAME = "counts.npz"


class CountsFile:
    """Writes `counts.npz` a block of images at a time, so that memory does not grow with their number.

    It holds `frames`, the names of the images in order, and for each cell `cell:NAME`, int64 (N, K, K).
    """

    def __init__(self, folder: Path) -> None:
        """Open the file of a task's folder for writing."""
        self._archive = zipfile.ZipFile(folder / NAME, "w", zipfile.ZIP_DEFLATED)

    def __enter__(self) -> Self:
        """Write in the body of a `with`."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        self._archive.close()

    def write_frames(self, names: Sequence[str], cell: str | None = None) -> None:
        """Write the names of the images, or those of one cell that has others."""
        array = np.array(names)
        self._write("frames" if cell is None else f"frames:{cell}", array.shape, array.dtype, [array])

    def write_cell(self, cell: str, frames: int, num_classes: int, blocks: Iterable[NDArray[np.int64]]) -> None:
        """Write the counts of a cell.

        Args:
            cell: its name.
            frames: N.
            num_classes: K.
            blocks: int64 (n, K, K) each, N images in all.
        """
        self._write(f"cell:{cell}", (frames, num_classes, num_classes), np.dtype(np.int64), blocks)

    def _write(self, name: str, shape: tuple[int, ...], dtype: np.dtype[Any], blocks: Iterable[NDArray[Any]]) -> None:
        header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
        with self._archive.open(f"{name}.npy", "w", force_zip64=True) as member:
            np.lib.format.write_array_header_1_0(member, header)
            for block in blocks:
                member.write(np.ascontiguousarray(block, dtype).tobytes())


def save_counts(folder: Path, frames: Sequence[str], counts: Mapping[str, NDArray[np.int64]]) -> None:
    """Write the file of cells that are in memory and share their images.

    Args:
        folder: the task's folder.
        frames: names of the images, in order.
        counts: cell name -> int64 (N, K, K).
    """
    with CountsFile(folder) as file:
        file.write_frames(frames)
        for cell, values in counts.items():
            file.write_cell(cell, len(values), values.shape[-1], [values])
