"""Where a data set's images and labels lie on disk, and which belong together."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from adapt.data.catalog import DatasetType, check_selection
from adapt.data.settings import DatasetSettings, FolderSettings
from adapt.errors import PrerequisiteError

_NAMED = 5  # how many files an error lists by name; ours, chosen to fit a terminal


@dataclass(frozen=True, order=True)
class Folder:
    """One image folder and the label folder beside it, for one split and subset."""

    images: Path
    labels: Path
    split: str
    subset: str | None


@dataclass(frozen=True)
class Frame:
    """One image and its label.

    Attributes:
        name: What the image's and the label's file names share; unique within the frames listed together.
        image: The image file.
        label: The label file that is read, or None when the frame has none.
    """

    name: str
    image: Path
    label: Path | None


@dataclass(frozen=True)
class LabelPair:
    """A label as published, and the train id label that `segshift data prepare` makes of it."""

    raw: Path
    converted: Path


def list_frames(settings: DatasetSettings, root: Path, require_labels: bool = True) -> tuple[Frame, ...]:
    """List the frames of a split and subset, or every n-th of them.

    Args:
        settings: Type, split, subset and `every`. `resize` plays no part.
        root: The data set's own folder.
        require_labels: Whether a frame without its label is an error. If not, such a frame's `label` is None; splits
            whose labels were never published are read like that in any case.

    Returns:
        The frames, sorted by image path; never empty.

    Raises:
        SpecError: The type, split or subset does not exist.
        PrerequisiteError: A folder is missing or empty, labels are not converted yet, or images and labels do not
            pair up; the text names the files and the remedy.
    """
    dataset = check_selection(settings)
    require_root(dataset, root)
    frames: list[Frame] = []
    unconverted: list[Path] = []
    unpaired: list[Path] = []
    for folder in select_folders(dataset, root, settings.splits, settings.subset):
        _require_folder(folder.images, f"The image folder of '{dataset.name}' split '{folder.split}'")
        wants_labels = require_labels and folder.split not in dataset.unlabelled_splits
        found = pair_files(dataset, folder, settings.subset)
        for stem, image in found.images.items():
            label = found.labels.get(stem)
            frames.append(Frame(name=os.path.basename(stem), image=image, label=label))
            if label is None and wants_labels:
                (unconverted if stem in found.raw_labels else unpaired).append(image)
        if wants_labels:
            every_label = {**found.labels, **found.raw_labels}
            unpaired.extend(path for stem, path in every_label.items() if stem not in found.images)
    if unpaired:
        raise PrerequisiteError(
            f"{_name_files(unpaired)} in '{root}' {_is_are(unpaired)} without counterpart (an image without its label, "
            f"or a label without its image). Add what is missing (unpack a published data set again), or remove the rest."
        )
    if unconverted:
        raise PrerequisiteError(
            f"{_name_files(unconverted)} in '{root}' {_has_have(unconverted)} a label as published but not yet one of "
            f"train ids. Run: {prepare_command(dataset, root)}"
        )
    if not frames:
        chosen = f"split '{', '.join(settings.splits)}'"
        if settings.subset:
            chosen += f", subset '{', '.join(settings.subset)}'"
        hint = "Check that the root is this data set's and that the split has this subset."
        if isinstance(settings, FolderSettings):
            hint = f"Put images into '{settings.images}', or correct `images` or `image_suffix`."
        raise PrerequisiteError(
            f"'{root}' holds no frame of data set type '{dataset.name}', {chosen} (file names ending in "
            f"'{dataset.image_suffix}'). {hint}"
        )
    frames.sort(key=lambda frame: frame.image)
    _refuse_duplicates(frames)
    return tuple(frames[:: settings.every])


def list_label_pairs(dataset: DatasetType, root: Path) -> tuple[LabelPair, ...]:
    """List every published label under the root with the train id label it is converted to.

    Args:
        dataset: The data set's description.
        root: The data set's own folder.

    Returns:
        Sorted pairs over all splits and subsets that are on disk; empty for a type that is not converted.
    """
    if not dataset.is_converted:
        return ()
    pairs: list[LabelPair] = []
    for folder in select_folders(dataset, root, dataset.splits, ()):
        for stem, raw in pair_files(dataset, folder, ()).raw_labels.items():
            pairs.append(LabelPair(raw, folder.labels / (stem + dataset.label_suffix)))
    return tuple(sorted(pairs, key=lambda pair: pair.raw))


@dataclass(frozen=True)
class FolderFiles:
    """What lies in one `Folder`, by the stem (with sub-folders) that an image shares with its label."""

    images: dict[str, Path]
    labels: dict[str, Path]
    raw_labels: dict[str, Path]


def pair_files(dataset: DatasetType, folder: Folder, subset: tuple[str, ...]) -> FolderFiles:
    """Read both folders once and sort their files by stem.

    Args:
        dataset: The data set's description.
        folder: The folders; one that does not exist counts as empty.
        subset: For a type whose subsets are told by file name, those to keep; empty keeps all.

    Returns:
        The files. For a type that is not converted, `labels` and `raw_labels` are the same.
    """

    def is_chosen(stem: str) -> bool:
        return not subset or dataset.subset_by != "name" or os.path.basename(stem).startswith(subset)

    images: dict[str, Path] = {}
    labels: dict[str, Path] = {}
    raw_labels: dict[str, Path] = {}
    for name in _walk(folder.images):
        if name.endswith(dataset.image_suffix) and is_chosen(stem := name.removesuffix(dataset.image_suffix)):
            images[stem] = folder.images / name
    for name in _walk(folder.labels):
        # The converted suffix first: `00001_labelTrainIds.png` also ends like a published `00001.png`.
        if name.endswith(dataset.label_suffix):
            if is_chosen(stem := name.removesuffix(dataset.label_suffix)):
                labels[stem] = folder.labels / name
        elif name.endswith(dataset.raw_label_suffix) and is_chosen(stem := name.removesuffix(dataset.raw_label_suffix)):
            raw_labels[stem] = folder.labels / name
    return FolderFiles(images, labels, raw_labels if dataset.is_converted else dict(labels))


def select_folders(
    dataset: DatasetType, root: Path, splits: tuple[str, ...], subset: tuple[str, ...]
) -> tuple[Folder, ...]:
    """Name the folders that a choice of splits and subsets reads, whether or not they exist.

    Args:
        dataset: The data set's description.
        root: The data set's own folder.
        splits: The splits.
        subset: The subsets; empty means all.

    Returns:
        One entry for each pair of folders.
    """
    by_folder = dataset.subset_by == "folder" and dataset.subsets
    names: tuple[str | None, ...] = (subset or dataset.subsets) if by_folder else (None,)
    return tuple(
        Folder(
            images=root / dataset.images.format(split=split, subset=name),
            labels=root / dataset.labels.format(split=split, subset=name),
            split=split,
            subset=name,
        )
        for split in splits
        for name in names
    )


def require_root(dataset: DatasetType, root: Path) -> None:
    """Refuse a root that cannot be this data set's.

    Args:
        dataset: The data set's description.
        root: The folder to look at.

    Raises:
        PrerequisiteError: It does not exist, or holds none of the type's image folders.
    """
    _require_folder(root, f"The root of data set type '{dataset.name}'")
    folders = [folder.images for folder in select_folders(dataset, root, dataset.splits, ())]
    if not any(folder.is_dir() for folder in folders):
        expected = ", ".join(f"'{folder.relative_to(root)}'" for folder in folders[:_NAMED])
        raise PrerequisiteError(
            f"'{root}' does not look like data set type '{dataset.name}': it holds none of its image folders "
            f"({expected}{', ...' if len(folders) > _NAMED else ''}). Give the folder that it was unpacked to."
        )


def prepare_command(dataset: DatasetType, root: Path) -> str:
    """Give the command that converts a data set's labels.

    Args:
        dataset: The data set's description.
        root: The data set's own folder.

    Returns:
        The command line.
    """
    return f"segshift data prepare {dataset.name} --root {root}"


def _walk(folder: Path) -> Iterator[str]:
    """Yield the files under a folder as sorted paths relative to it, with `/`; nothing when it does not exist."""
    if not folder.is_dir():
        return
    files: list[str] = []
    pending = [""]
    while pending:
        inner = pending.pop()
        with os.scandir(folder / inner) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_dir():
                    pending.append(f"{inner}{entry.name}/")
                else:
                    files.append(inner + entry.name)
    yield from sorted(files)


def _require_folder(folder: Path, what: str) -> None:
    if not folder.is_dir():
        raise PrerequisiteError(
            f"{what} does not exist: '{folder}'. Give the folder that the data set was unpacked to, or unpack it there."
        )


def _refuse_duplicates(frames: list[Frame]) -> None:
    seen: dict[str, Path] = {}
    for frame in frames:
        if frame.name in seen:
            raise PrerequisiteError(
                f"Two images share the name '{frame.name}': '{seen[frame.name]}' and '{frame.image}'. "
                f"Remove the one that is a copy."
            )
        seen[frame.name] = frame.image


def _name_files(paths: list[Path]) -> str:
    named = ", ".join(f"'{path.name}'" for path in sorted(paths)[:_NAMED])
    if len(paths) == 1:
        return f"1 file ({named})"
    return f"{len(paths)} files ({named}{', ...' if len(paths) > _NAMED else ''})"


def _is_are(paths: list[Path]) -> str:
    return "is" if len(paths) == 1 else "are"


def _has_have(paths: list[Path]) -> str:
    return "has" if len(paths) == 1 else "have"
