"""Bind the data sets and models of an experiment to the bytes behind them, and note what is missing."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import zipfile
from pathlib import Path

from adapt.data.catalog import ACDC_CONDITIONS, check_selection
from adapt.data.fingerprint import fingerprint_frames
from adapt.data.layout import Frame, list_frames
from adapt.data.miniature.settings import VERSION as MINIATURE_VERSION
from adapt.data.miniature.settings import MiniatureSettings
from adapt.data.settings import DatasetSettings, FolderSettings
from adapt.data.size import Size, require_crop_fits
from adapt.errors import PrerequisiteError, SpecError
from adapt.hashing import hash_file
from adapt.model import find_config
from experiments.class_pixels import ClassPixels, read_class_pixels
from experiments.load import LoadedExperiment
from experiments.recorded_facts import MISSING, FactsNote, ModelNote, name_need
from experiments.task import BoundDataset, BoundModel
from experiments.workspace import DATA_VARIABLE, FILE, Workspace

MINIATURE_TYPES = ("gta", "synthia", "cityscapes", "acdc")  # what `write_miniature` writes


class WorkspaceFacts:
    """Facts for `graph.expand` from this machine's disk; each is established once.

    Missing data or weights do not stop the expansion: they are collected in `problems`, so that `plan` can still show
    the graph, and a sweep refuses to start.
    """

    def __init__(self, loaded: LoadedExperiment, workspace: Workspace) -> None:
        self._loaded = loaded
        self._workspace = workspace
        self._datasets: dict[tuple[str, bool], BoundDataset] = {}
        self._frames: dict[str, tuple[Frame, ...]] = {}
        self._images: dict[str, frozenset[str]] = {}  # real paths
        self._pixels: dict[str, ClassPixels | None] = {}
        self._models: dict[str, BoundModel] = {}
        self._weights: dict[str, str] = {}  # file -> sha256
        self.problems: list[str] = []

    @property
    def miniature_root(self) -> Path | None:
        """Where the miniature of this experiment lies (or will), or None where it uses real data."""
        miniature = self._loaded.settings.miniature
        if miniature is None:
            return None
        text = json.dumps([MINIATURE_VERSION, miniature.model_dump(mode="json")], sort_keys=True)
        return self._workspace.store_folder / "miniature" / hashlib.sha256(text.encode()).hexdigest()[:12]

    def find_root(self, name: str) -> Path | None:
        """Return the root folder of one of the experiment's data sets."""
        settings = self._loaded.settings.datasets[name]
        if self.miniature_root is not None:
            return self.miniature_root / settings.type
        if isinstance(settings, FolderSettings) and settings.root is not None:
            root = settings.root.expanduser().absolute()
            return root if root.is_dir() else None
        return self._workspace.find_root(settings.type)

    def find_weights(self, file: str) -> Path:
        """Return the path of a file of outside weights.

        Raises:
            PrerequisiteError: it is nowhere.
        """
        return self._workspace.find_weights(file)

    def bind_dataset(self, name: str, needs_labels: bool) -> BoundDataset:
        """Return a data set with its fingerprint (`missing` where it cannot be read, with a problem noted)."""
        if (name, needs_labels) not in self._datasets:
            bound = BoundDataset(self._loaded.settings.datasets[name], self._fingerprint(name, needs_labels))
            self._datasets[name, needs_labels] = bound
        return self._datasets[name, needs_labels]

    def require_crop_fits(self, name: str, crop: Size) -> None:
        """Refuse a training crop that is larger than the first frame of a data set, told from its file's header.

        Nothing is known, and nothing refused, of the miniature or of data that is missing.

        Raises:
            SpecError: the crop is larger than the frame.
        """
        if name in self._frames:
            try:
                require_crop_fits(self._frames[name][0], self._loaded.settings.datasets[name], crop)
            except PrerequisiteError as error:
                self.problems.append(f"data set '{name}': {error}")

    def share_frames(self, one: str, other: str) -> bool:
        """Say whether two data sets, bound before, have an image in common.

        The miniature, whose files need not exist yet, tells it from type, split and subset. Of data that is missing
        nothing is known: False.
        """
        if self.miniature_root is not None:
            return _overlap(self._loaded.settings.datasets[one], self._loaded.settings.datasets[other])
        return not self._list_images(one).isdisjoint(self._list_images(other))

    def count_frames(self, name: str) -> int | None:
        """Return how many frames a data set has that was bound before; None of data that is missing."""
        miniature = self._loaded.settings.miniature
        if miniature is not None:
            return _count_miniature(miniature, self._loaded.settings.datasets[name]) or None
        return len(self._frames[name]) if name in self._frames else None

    def find_class_pixels(self, name: str) -> ClassPixels | None:
        """Return what is written beside a data set, bound before, of the pixels of its classes.

        Of data that is missing, and of the miniature, whose files need not exist yet, nothing is: None.
        """
        if name not in self._pixels:
            frames, root = self._frames.get(name), self.find_root(name)
            settings = self._loaded.settings.datasets[name]
            known = None if frames is None or root is None else read_class_pixels(frames, settings, root)
            self._pixels[name] = known
        return self._pixels[name]

    def bind_model(self, name: str) -> BoundModel:
        """Return a model with hashes of its configuration and weights."""
        if name not in self._models:
            settings = self._loaded.settings.models[name]
            weights_sha256 = None
            if settings.weights is not None:
                weights_sha256 = self.bind_weights(settings.weights, f"model '{name}'", settings.weights_url)
            self._models[name] = BoundModel(settings, hash_config(find_config(settings.config)), weights_sha256)
        return self._models[name]

    def bind_weights(self, file: str, whose: str, url: str | None = None) -> str:
        """Return the sha256 of a file of outside weights (`missing` where it cannot be read, with a problem noted).

        Args:
            file: its name or path.
            whose: what needs it, in words, for the problem.
            url: where it can be had, where that is known.
        """
        if file not in self._weights:
            try:
                path = self.find_weights(file)
                _require_whole(path)
                self._weights[file] = hash_file(path)
            except PrerequisiteError as error:
                self._weights[file] = MISSING
                self.problems.append(f"{whose}: {error}" + (f" It can be had from {url}" if url else ""))
        return self._weights[file]

    def note(self) -> FactsNote:
        """Return what was found out so far, for an expansion elsewhere that has neither the data nor the weights."""
        datasets: dict[str, dict[str, str]] = {}
        for (name, needs_labels), bound in self._datasets.items():
            datasets.setdefault(name, {})[name_need(needs_labels)] = bound.fingerprint
        models = {name: ModelNote(m.config_sha256, m.weights_sha256) for name, m in self._models.items()}
        return FactsNote(datasets=datasets, models=models, weights=dict(self._weights))

    def _list_images(self, name: str) -> frozenset[str]:
        """Return the real paths of a data set's images: every search of an experiment asks for them."""
        if name not in self._images:
            self._images[name] = frozenset(os.path.realpath(frame.image) for frame in self._frames.get(name, ()))
        return self._images[name]

    def _fingerprint(self, name: str, needs_labels: bool) -> str:
        settings = self._loaded.settings.datasets[name]
        check_selection(settings)
        if self.miniature_root is not None:
            if settings.type not in MINIATURE_TYPES:
                raise SpecError(
                    f"the miniature holds no data set of type '{settings.type}' (it holds {', '.join(MINIATURE_TYPES)}). "
                    "Choose one of these, or a profile without `miniature`."
                )
            # The miniature is known by its settings: its files need not exist yet.
            return f"miniature-{self.miniature_root.name}"
        root = self.find_root(name)
        if root is None:
            self.problems.append(f"data set '{name}': {self._explain_missing_root(settings)}")
            return MISSING
        try:
            frames = list_frames(settings, root, require_labels=needs_labels)
            self._frames[name] = frames
            return fingerprint_frames(frames, settings, root, require_labels=needs_labels)
        except PrerequisiteError as error:
            self.problems.append(f"data set '{name}': {error}")
            return MISSING

    def _explain_missing_root(self, settings: DatasetSettings) -> str:
        if isinstance(settings, FolderSettings):
            if settings.root is not None:
                return f"its root {settings.root.expanduser().absolute()} is not a folder. Correct `root`."
            return "it has no `root`: the folder that holds its images and labels. Write `root: /path`."
        return (
            f"{self._workspace.describe_root(settings.type)}. Give one folder that holds "
            f"{settings.type}/ by DATA=/path (or --data, {DATA_VARIABLE}), "
            f"or write `data: {{{settings.type}: /path}}` in {FILE}."
        )


def _overlap(one: DatasetSettings, other: DatasetSettings) -> bool:
    """Say whether two choices of frames hold the same ones: an empty subset is all of them, and `every` keeps the first."""
    if one.type != other.type or set(one.splits).isdisjoint(other.splits):
        return False
    return not (one.subset and other.subset and set(one.subset).isdisjoint(other.subset))


def _count_miniature(miniature: MiniatureSettings, settings: DatasetSettings) -> int:
    """Count the frames of one of `MINIATURE_TYPES` as `write_miniature` writes them."""
    splits = {"train": miniature.source_train}
    if settings.type == "cityscapes":
        splits = {"train": miniature.target_train, "val": miniature.target_val}
    elif settings.type == "acdc":
        splits = dict.fromkeys(("train", "val"), miniature.acdc_per_condition * len(settings.subset or ACDC_CONDITIONS))
    return -(-sum(splits[split] for split in settings.splits) // settings.every)


def _require_whole(weights: Path) -> None:
    """Refuse a checkpoint that is plainly cut short: torch writes zip files, whose directory stands at their end."""
    with weights.open("rb") as file:
        start = file.read(2)
    if not start or (start == b"PK" and not zipfile.is_zipfile(weights)):
        raise PrerequisiteError(f"the weight file {weights} is damaged or cut short. Download or copy it again.")


def hash_config(path: Path) -> str:
    """Return the sha256 of a model configuration and of all that it inherits from through `_base_`.

    Raises:
        SpecError: the configuration is no Python, or a base of it is not there.
    """
    digest = hashlib.sha256(path.read_bytes())
    for base in _list_bases(path):
        digest.update(hash_config(base).encode())
    return digest.hexdigest()


def _list_bases(path: Path) -> list[Path]:
    try:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.With):
                raise ValueError("it uses `with read_base()`, whose bases cannot be followed here")
            if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "_base_" for t in node.targets):
                names = ast.literal_eval(node.value)
                bases = [path.parent / name for name in ([names] if isinstance(names, str) else names)]
                break
        else:
            return []
    except (SyntaxError, ValueError) as error:
        raise SpecError(
            f"the model config {path} cannot be read: {error}. Mend it; `_base_` must be plain text."
        ) from error
    for base in bases:
        if not base.is_file():
            raise SpecError(
                f"the model config {path} names the base {base}, which is not a file. Correct its `_base_`."
            )
    return bases
