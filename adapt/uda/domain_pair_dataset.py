"""Pairs of a source and a target sample for a plain mmsegmentation config: `dict(type="DomainPairDataset", ...)`.

Segshift's own runs use `pairs.DomainPairs`, whose draws depend on the position alone; here mmsegmentation's data sets,
pipelines and random states are used as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset

from adapt.data.class_statistics import read_class_statistics
from adapt.data.rare_class import RareClassSampler
from adapt.errors import PrerequisiteError
from adapt.openmmlab import DATASETS
from adapt.uda.settings import RareClassSettings


@DATASETS.register_module()
class DomainPairDataset(Dataset[dict[str, Any]]):
    """A source sample (in order, or by rare class sampling) and a target sample (uniform) under `source` and `target`."""

    def __init__(
        self,
        source: Mapping[str, Any],
        target: Mapping[str, Any],
        rare_class: RareClassSettings | Mapping[str, Any] | None = None,
    ) -> None:
        """Build both data sets.

        Args:
            source: Config of a data set with labels.
            target: Config of a data set; its pipeline need not load annotations.
            rare_class: Rare class sampling by `sample_class_stats.json` in the source's `data_root`, or None.

        Raises:
            PrerequisiteError: The statistics are missing, or do not name a label of the source.
        """
        self.source: Any = DATASETS.build(dict(source))
        self.target: Any = DATASETS.build(dict(target))
        self.rare_class = RareClassSettings.model_validate(rare_class) if rare_class is not None else None
        if self.rare_class is not None:
            self._sampler = RareClassSampler(
                self._list_counts(),
                self.rare_class.temperature,
                self.rare_class.min_pixels,
                self.source.metainfo["classes"],
            )

    def __len__(self) -> int:
        """Length of the longer data set: |source| x |target| would have samplers list gigabytes of indices."""
        return max(len(self.source), len(self.target))

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Give a pair; only the source of uniform sampling depends on the index."""
        target = self.target[int(np.random.randint(len(self.target)))]
        if self.rare_class is None:
            return {"source": self.source[index % len(self.source)], "target": target}
        return {"source": self._draw_rare(self.rare_class), "target": target}

    def _draw_rare(self, settings: RareClassSettings) -> dict[str, Any]:
        """Draw a class and an image, and crop the image anew until the crop shows the class."""
        train_id, index = self._sampler.draw(np.random.default_rng(np.random.randint(2**31)))
        for _ in range(settings.max_tries + 1):
            sample: dict[str, Any] = self.source[index]
            label = sample["data_samples"].gt_sem_seg.data
            if int((label == train_id).sum()) > settings.min_crop_pixels:
                break
        sample["data_samples"].set_metainfo({"rare_class": train_id})
        return sample

    def _list_counts(self) -> NDArray[np.int64]:
        """Return the class pixels (N, K) of the source's labels in its own order."""
        root = Path(self.source.data_root)
        statistics = read_class_statistics(root, len(self.source.metainfo["classes"]))
        rows = {(root / file).resolve(): row for file, row in zip(statistics.files, statistics.counts, strict=True)}
        counts = []
        for index in range(len(self.source)):
            label = Path(self.source.get_data_info(index)["seg_map_path"]).resolve()
            if label not in rows:
                raise PrerequisiteError(
                    f"The class statistics of '{root}' do not name the label '{label}'. Delete them and run "
                    "`segshift data prepare` for this root."
                )
            counts.append(rows[label])
        return np.stack(counts)
