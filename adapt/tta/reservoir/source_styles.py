"""The styles of source images: their mean, and how far apart two of the same domain may be."""

from __future__ import annotations

import logging
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import pdist

from adapt.atomic import replace_atomically
from adapt.errors import PrerequisiteError, SpecError, TaskError
from adapt.tta.reservoir.settings import StyleExtractorSettings
from adapt.tta.reservoir.style import build_extractor
from adapt.tta.reservoir.whitening import compute_whitening
from adapt.tta.supplies import ExtractStyle, Forward, SourceStyles

_LOG = logging.getLogger(__name__)

ENOUGH_STYLES = 1000  # as many source images as the published threshold rests on, at least


@dataclass(frozen=True)
class StyleStatistics:
    """What the styles of source images say.

    Attributes:
        mean: (D',), after whitening, on the CPU.
        threshold: the distance above which two batches are of different domains, after whitening.
        count: how many styles it rests on.
        whitening: (D, D'), what a style is multiplied by before it is compared; None leaves it as it is.
    """

    mean: Tensor
    threshold: float
    count: int
    whitening: Tensor | None = None


def measure_source_styles(
    extract: ExtractStyle, batches: Iterable[Tensor], quantile: float = 0.999, whiten: bool = False
) -> StyleStatistics:
    """Measure the styles of source images and the distances between them.

    Args:
        extract: gives a batch's style.
        batches: images as the adapted model takes them, each (B, 3, H, W) of the size B that the stream will have (1).
        quantile: the threshold is this quantile (linear between ranks) of the positive pairwise L2 distances; 0.999 is
            the published value.
        whiten: whether the distance is that of Mahalanobis (`StyleExtractorSettings.distance`).

    Returns:
        The mean style, the threshold and the number of styles. All N (N - 1) / 2 distances are held in memory at once:
        4 MB for 1000 images, 36 MB for 3000.

    Raises:
        SpecError: if there are fewer than two batches, or all have the same style.
        TaskError: if a style is not finite.
    """
    styles: list[Tensor] = []
    for index, images in enumerate(batches):
        style = extract(images).cpu()
        if not torch.isfinite(style).all():
            raise TaskError(
                f"The style of source batch {index} is not finite, so no threshold can be measured. Check that the "
                "images are readable and that the network's weights are finite."
            )
        styles.append(style)
    if len(styles) < 2:
        raise SpecError(
            f"A style threshold rests on the distances between source images, but there are {len(styles)}. Give at "
            f"least two (raise `limit`, or name a split with images); {ENOUGH_STYLES} or more make it reliable."
        )
    if len(styles) < ENOUGH_STYLES:
        _LOG.warning("The style threshold rests on %d source images; %d make it reliable.", len(styles), ENOUGH_STYLES)
    table = torch.stack(styles)  # (N, D)
    whitening = compute_whitening(table) if whiten else None
    if whitening is not None:
        table = table @ whitening.to(table.dtype)
    distances = pdist(table.double()).numpy()
    positive = distances[distances > 0]
    if not positive.size:
        raise SpecError(
            f"All {len(styles)} source images have the same style, so there is no distance to set a threshold by. "
            "Give different images, or set the method's `threshold`."
        )
    return StyleStatistics(table.mean(dim=0), float(np.quantile(positive, quantile)), len(styles), whitening)


def save_source_styles(path: Path, settings: StyleExtractorSettings, statistics: StyleStatistics) -> None:
    """Write what was measured, and with which extractor, as an `.npz` file: whole or not at all.

    Args:
        path: the file; its folder exists.
        settings: of the extractor that measured the styles.
        statistics: from `measure_source_styles`.
    """
    with replace_atomically(path) as draft, draft.open("wb") as file:
        np.savez(
            file,
            extractor=np.array(settings.model_dump_json()),
            mean=statistics.mean.numpy(),
            threshold=np.array(statistics.threshold),
            count=np.array(statistics.count),
            **({} if statistics.whitening is None else {"whitening": statistics.whitening.numpy()}),
        )


def load_source_styles(path: Path, model: nn.Module, forward: Forward, weights: Path | None = None) -> SourceStyles:
    """Read what `save_source_styles` wrote and build its extractor again.

    Args:
        path: the file.
        model: the segmentor with the source weights that the styles were measured with, not adapted yet.
        forward: runs the segmentor on a batch.
        weights: of the extractor, see `build_extractor`.

    Returns:
        The supply of the method `reservoir`, its mean on the CPU.

    Raises:
        PrerequisiteError: if the file is missing or no such file, or the extractor's weights are missing.
    """
    try:
        with np.load(path, allow_pickle=False) as content:
            settings = StyleExtractorSettings.model_validate_json(str(content["extractor"]))
            mean, threshold = torch.from_numpy(content["mean"]), float(content["threshold"])
            whitening = torch.from_numpy(content["whitening"]) if settings.distance == "mahalanobis" else None
    except (OSError, ValueError, KeyError, EOFError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        raise PrerequisiteError(
            f"{path} holds no source styles ({type(error).__name__}: {error}). Run the stage `styles` that makes it "
            "again."
        ) from error
    extract = build_extractor(settings, model, forward, weights)
    return SourceStyles(extract if whitening is None else _whiten(extract, whitening), mean, threshold)


def _whiten(extract: ExtractStyle, whitening: Tensor) -> ExtractStyle:
    def extract_whitened(images: Tensor) -> Tensor:
        style = extract(images)
        return style @ whitening.to(style)

    return extract_whitened
