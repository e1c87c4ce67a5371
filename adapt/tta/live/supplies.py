"""What some methods need beside the network, made on the spot: AuxNet from its folder, the rest from source images."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from adapt.errors import PrerequisiteError, SpecError
from adapt.inference import to_tensor
from adapt.openmmlab.checkpoint import load_artifact
from adapt.settings import Settings
from adapt.tta.fisher import estimate_fisher
from adapt.tta.live.frames import Choice, open_frames
from adapt.tta.parameters import collect_norm_parameters
from adapt.tta.reservoir.settings import StyleExtractorSettings
from adapt.tta.reservoir.source_styles import measure_source_styles
from adapt.tta.reservoir.style import build_extractor
from adapt.tta.settings import EataSettings, list_chain, list_needs, name_method
from adapt.tta.supplies import Forward, SourceStyles, Supplies

OnProgress = Callable[[int, int], None]
"""Called with (source images done, source images in all)."""


def check_sources(settings: Settings, auxiliary: Path | None, source: Path | None) -> None:
    """Refuse a method without what it needs, and what no method would use.

    Args:
        settings: of the method.
        auxiliary: the folder of AuxNet, where one is given.
        source: the folder of source images, where one is given.

    Raises:
        SpecError: names the option.
    """
    needs, method = list_needs(settings), name_method(settings)
    measured = [need for need in needs if need != "auxiliary"]
    if "auxiliary" in needs and auxiliary is None:
        raise SpecError(
            f"The method {method} adapts a small network beside the main one. Give the folder of one that was trained on "
            "the same classes: --auxiliary FOLDER."
        )
    if measured and source is None:
        raise SpecError(
            f"The method {method} needs {' and '.join(measured)} measured on images like those that the network was trained "
            "on. Give a folder of them: --source FOLDER."
        )
    for option, value, is_used in (
        ("--auxiliary", auxiliary, "auxiliary" in needs),
        ("--source", source, bool(measured)),
    ):
        if value is not None and not is_used:
            raise SpecError(f"The method {method} does not use {option}. Remove it, or choose another method.")


def load_auxiliary(folder: Path, classes: tuple[str, ...], device: torch.device) -> nn.Module:
    """Load AuxNet.

    Args:
        folder: with `model.json` and `checkpoint.pth`.
        classes: of the main network.
        device: where it goes.

    Returns:
        The network in eval mode.

    Raises:
        PrerequisiteError: if the folder holds no network.
        SpecError: if it has other classes.
    """
    network, found = load_artifact(folder)
    if len(found) != len(classes) or [name.lower() for name in found] != [name.lower() for name in classes]:
        raise SpecError(
            f"The auxiliary network in {folder} has the {len(found)} classes {', '.join(found)}, and the main network the "
            f"{len(classes)} classes {', '.join(classes)}. Give one that was trained on the same classes in the same order."
        )
    return network.to(device)


def measure_supplies(
    settings: Settings,
    model: nn.Module,
    forward: Forward,
    source: Path,
    samples: int,
    resize: tuple[int, int] | None,
    on_progress: OnProgress,
) -> Supplies:
    """Measure on source images what a method needs of them.

    Args:
        settings: of the method.
        model: the network with its source weights.
        forward: runs it on a batch.
        source: a folder of images or a video.
        samples: at most so many frames, evenly spread.
        resize: (width, height) that frames are scaled to fit inside; None: their own size.
        on_progress: told after each image.

    Returns:
        `styles` and `fisher`, each where the method needs it.

    Raises:
        SpecError: if there are too few images.
        PrerequisiteError: if an image cannot be used.
    """
    needs = list_needs(settings)
    everything = open_frames(source, Choice()).total or samples
    choice = Choice(every=max(1, -(-everything // samples)), limit=samples)
    total = choice.count(everything) * (("styles" in needs) + ("fisher" in needs))

    def read(before: int) -> Iterator[Tensor]:
        for done, frame in enumerate(open_frames(source, choice), start=before + 1):
            if frame.image is None:
                raise PrerequisiteError(
                    f"The source image '{frame.name}' in {source} cannot be used: {frame.problem}. Mend or remove it."
                )
            yield to_tensor(model, frame.image, resize)
            on_progress(done, total)

    styles = None
    if "styles" in needs:
        extract = build_extractor(StyleExtractorSettings(), model, forward)
        measured = measure_source_styles(extract, read(0))
        styles = SourceStyles(extract, measured.mean, measured.threshold)
    fisher = None
    if "fisher" in needs:
        (anchored,) = (part for part in list_chain(settings) if isinstance(part, EataSettings))
        batches = read(0 if styles is None else total // 2)
        fisher = estimate_fisher(model, forward, batches, collect_norm_parameters(model), anchored.batch_norm)
    return Supplies(styles=styles, fisher=fisher)
