"""Bind the data sets and models of an experiment to the bytes behind them, and note what is missing."""

from __future__ import annotations

import ast
import hashlib
import json
import zipfile
from pathlib import Path

from adapt.data.catalog import check_selection
from adapt.data.fingerprint import fingerprint_frames
from adapt.data.layout import Frame, list_frames
from adapt.data.miniature.settings import VERSION as MINIATURE_VERSION
from adapt.data.settings import DatasetSettings, FolderSettings
from adapt.data.size import Size, require_crop_fits
from adapt.errors import PrerequisiteError, SpecError
from adapt.hashing import hash_file
from adapt.model import find_config
from experiments.load import LoadedExperiment
from experiments.task import BoundDataset, BoundModel
from experiments.workspace import DATA_VARIABLE, FILE, Workspace

MISSING = "missing"
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
        self._first_frames: dict[str, Frame] = {}
        self._models: dict[str, BoundModel] = {}
        self.problems: list[str] = []

    @property
    def miniature_root(self) -> Path | None:
        """Where the miniature of this experiment lies (or will), or None where it uses real data."""
        miniature = self._loaded.settings.miniature
        if miniature is None:
            return None
        text = json.dumps([MINIATURE_VERSION, miniature.model_dump(mode="json")], sort_keys=True)
        return self._workspace.store / "miniature" / hashlib.sha256(text.encode()).hexdigest()[:12]

    def find_root(self, name: str) -> Path | None:
        """Return the root folder of one of the experiment's data sets."""
        settings = self._loaded.settings.datasets[name]
        if self.miniature_root is not None:
            return self.miniature_root / settings.type
        if isinstance(settings, FolderSettings) and settings.root is not None:
            root = settings.root.expanduser().absolute()
            return root if root.is_dir() else None
        return self._workspace.find_root(settings.type)

    def find_weights(self, name: str) -> Path | None:
        """Return the weight file of one of the experiment's models, or None where it starts at random."""
        weights = self._loaded.settings.models[name].weights
        return None if weights is None else self._workspace.find_weights(weights)

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
        if name in self._first_frames:
            try:
                require_crop_fits(self._first_frames[name], self._loaded.settings.datasets[name], crop)
            except PrerequisiteError as error:
                self.problems.append(f"data set '{name}': {error}")

    def bind_model(self, name: str) -> BoundModel:
        """Return a model with hashes of its configuration and weights."""
        if name not in self._models:
            settings = self._loaded.settings.models[name]
            weights_sha256 = None
            try:
                weights = self.find_weights(name)
                if weights is not None:
                    _require_whole(weights)
                    weights_sha256 = hash_file(weights)
            except PrerequisiteError as error:
                weights_sha256 = MISSING
                source = f" It can be had from {settings.weights_url}" if settings.weights_url else ""
                self.problems.append(f"model '{name}': {error}{source}")
            self._models[name] = BoundModel(settings, hash_config(find_config(settings.config)), weights_sha256)
        return self._models[name]

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
            self._first_frames[name] = frames[0]
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
