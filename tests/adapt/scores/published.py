"""Published tables of robustness scores with their published aggregates, copied into `tables/` as facts.

- `segformer_cityscapes_c.csv`: SegFormer (NeurIPS 2021), table 5, mIoU in percent on Cityscapes-C, each corruption already
  a mean over severities. `segformer_derived.csv`: means over the 16, share of the clean score, and mean CD and rCD relative
  to DLv3+ X71, in percent.
- `robo3d_semantickitti_c.csv`: Robo3D (ICCV 2023), mIoU in percent, three severities already averaged, with mCE and mRR.
  `robo3d_severities.csv`: two of its networks by severity, with CE and RR (docs/results of ldkong1205/Robo3D).
- `mask_rcnn_cityscapes_c.json`: bethgelab/robust-detection-benchmark, Mask R-CNN R50, AP x 1e-4 by severity, with P, mPC
  and rPC.
"""

from __future__ import annotations

import csv
import io
import json
import random
from dataclasses import dataclass
from pathlib import Path

from adapt.scores.degradation import Reference
from adapt.scores.grid import Cell

FOLDER = Path(__file__).parent / "tables"
SEVERITY = 3  # stands for all, where a table prints means over severities
AVERAGED = {"segformer_cityscapes_c.csv": "DLv3+ X71", "robo3d_semantickitti_c.csv": "MinkUNet18 (reference)"}


@dataclass(frozen=True)
class Published:
    """A table that prints means over severities: its rows, their published aggregates, and the cells."""

    rows: dict[str, Reference]
    aggregates: dict[str, dict[str, str]]
    cells: list[Cell]


def read_averaged(file: str, shuffle: int | None = None) -> Published:
    """Read a table of one line a network; with `shuffle`, after its columns were put into another order."""
    lines = read_lines(file)
    if shuffle is not None:
        lines = shuffle_columns(lines, shuffle)
    corruptions = [n for n in lines[0] if n not in ("model", "clean") and not n.startswith("published_")]
    return Published(
        rows={
            line["model"]: Reference(
                line["model"], float(line["clean"]) / 100, {(n, SEVERITY): float(line[n]) / 100 for n in corruptions}
            )
            for line in lines
        },
        aggregates={line["model"]: {n: v for n, v in line.items() if n.startswith("published_")} for line in lines},
        cells=[(name, SEVERITY) for name in corruptions],
    )


def read_lines(file: str) -> list[dict[str, str]]:
    with (FOLDER / file).open(newline="") as text:
        return list(csv.DictReader(text))


def shuffle_columns(lines: list[dict[str, str]], seed: int) -> list[dict[str, str]]:
    """Write lines as CSV with their columns in another order, and read them again."""
    names = list(lines[0])
    random.Random(seed).shuffle(names)
    text = io.StringIO()
    writer = csv.DictWriter(text, names)
    writer.writeheader()
    writer.writerows(lines)
    text.seek(0)
    return list(csv.DictReader(text))


def read_mask_rcnn() -> tuple[float, dict[Cell, float], dict[str, dict[str, float]]]:
    """Return the clean AP, that of each cell, and the aggregates: those that were published, and some with more digits."""
    data = json.loads((FOLDER / "mask_rcnn_cityscapes_c.json").read_text())
    cells = {(name, s): ap / 1e4 for name, aps in data["cells"].items() for s, ap in enumerate(aps, start=1)}
    return data["clean"] / 1e4, cells, {name: data[name] for name in ("published", "derived")}
