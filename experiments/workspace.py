"""Where this user's data, weights, store and servers are: `segshift.yaml`, the environment and the command line."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from adapt.data.cache import CacheSettings
from adapt.data.catalog import TYPE_NAMES
from adapt.errors import PrerequisiteError
from adapt.settings import Settings
from experiments.document import Document, read_document
from experiments.explain import unknown, validate

FILE = "segshift.yaml"
DATA_VARIABLE = "SEGSHIFT_DATA"
STORE_VARIABLE = "SEGSHIFT_STORE"
LOCAL_VARIABLE = "SEGSHIFT_LOCAL"
LOCAL_FOLDER = "~/.cache/segshift"  # holds a working place for each bucket, on every machine

StorePlace = Path | str
"""Where a store is: a folder, or as text the URI of a bucket with a prefix, such as `s3://bucket/segshift`."""


def parse_place(text: str | Path) -> StorePlace:
    """Tell the folder of a store from the URI of a bucket."""
    if isinstance(text, str) and "://" in text:
        return text.rstrip("/")
    return Path(text)


def find_store_folder(place: StorePlace) -> Path:
    """Return the folder of this machine in which a store's tasks work: the store itself, or the working place of a bucket."""
    if isinstance(place, Path):
        return place
    local = Path(os.environ.get(LOCAL_VARIABLE) or LOCAL_FOLDER).expanduser().absolute()
    return local / hashlib.sha256(place.encode()).hexdigest()[:12]


class NotifySettings(Settings):
    """Whom to tell that a sweep ended or a task failed.

    Attributes:
        command: run by the shell, with the summary in `SEGSHIFT_*` variables and as JSON on its standard input.
        url: of a webhook, that JSON is posted to.
        on: `end` of a sweep, however it ends; the first `failure` of a task.
    """

    command: str | None = Field(default=None, min_length=1)
    url: str | None = Field(default=None, pattern=r"^https?://[^/\s]+")
    on: tuple[Literal["end", "failure"], ...] = Field(default=("end", "failure"), min_length=1)

    @model_validator(mode="after")
    def _check_target(self) -> NotifySettings:
        if self.command is None and self.url is None:
            raise ValueError("nobody to tell: give `command`, `url`, or both")
        return self


class Workspace(Settings):
    """The places that an experiment never names itself.

    Attributes:
        data: one folder that holds a folder per data set type (`cityscapes/`, `gta/` ...), or type -> folder.
        weights: the folder that relative weight files are looked up in.
        store: where tasks leave their results: a folder that every machine of the cluster sees, or the URI of a bucket.
        tracking_uri: the MLflow server; None keeps a sqlite file in the store.
        address: the Ray cluster; None starts a local one.
        cache: where decoded images are kept, on a disk of each machine; None decodes them each time. It changes no result.
        notify: whom to tell that a sweep ended or a task failed.
    """

    data: Path | dict[str, Path] | None = None
    weights: Path | None = None
    store: StorePlace = Path("segshift-store")
    tracking_uri: str | None = None
    address: str | None = None
    cache: CacheSettings | None = None
    notify: NotifySettings | None = None

    @field_validator("store", mode="before")
    @classmethod
    def _parse_store(cls, value: Any) -> Any:
        return parse_place(value) if isinstance(value, str) else value

    @property
    def store_folder(self) -> Path:
        """The folder of this machine in which the store's tasks work, see `find_store_folder`."""
        return find_store_folder(self.store)

    def find_root(self, dataset_type: str) -> Path | None:
        """Return the folder of a data set type, or None where none is configured or it does not exist."""
        if isinstance(self.data, dict):
            root = self.data.get(dataset_type)
        else:
            root = self.data / dataset_type if self.data is not None else None
        return root if root is not None and root.is_dir() else None

    def describe_root(self, dataset_type: str) -> str:
        """Say why `find_root` finds none."""
        if isinstance(self.data, Path):
            return f"there is no folder {self.data / dataset_type}"
        return f"no folder for {dataset_type} is configured"

    def find_weights(self, file: str) -> Path:
        """Return the path of a weight file: absolute, or in `weights`, or in a `weights` folder in or beside `data`.

        Raises:
            PrerequisiteError: the file is in none of them.
        """
        places = [Path(file)]
        if not Path(file).is_absolute():
            data = self.data if isinstance(self.data, Path) else None
            folders = [self.weights, data / "weights" if data else None, data.parent / "weights" if data else None]
            places = [folder / file for folder in folders if folder is not None]
        for place in places:
            if place.is_file():
                return place.resolve()
        looked = ", ".join(str(place) for place in places) or "nowhere: no folder is configured"
        raise PrerequisiteError(
            f"weight file '{file}' was not found (looked in: {looked}). "
            f"Put it there, or name its folder as `weights:` in {FILE}."
        )


def load_workspace(
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    data: Path | None = None,
    store: StorePlace | None = None,
    address: str | None = None,
) -> Workspace:
    """Read `segshift.yaml` of a folder, then the environment, then arguments: the later wins.

    Raises:
        SpecError: the file is not understood.
        PrerequisiteError: a data folder that was asked for does not exist.
    """
    environment = os.environ if environment is None else environment
    file = (folder or Path.cwd()) / FILE
    document = read_document(file) if file.is_file() else Document({}, {(): FILE})
    workspace: Workspace = validate(Workspace, document.data, document)
    updates: dict[str, object] = {}
    if environment.get(DATA_VARIABLE):
        updates["data"] = Path(environment[DATA_VARIABLE])
    if environment.get(STORE_VARIABLE):
        updates["store"] = parse_place(environment[STORE_VARIABLE])
    if environment.get("MLFLOW_TRACKING_URI"):
        updates["tracking_uri"] = environment["MLFLOW_TRACKING_URI"]
    if environment.get("RAY_ADDRESS"):
        updates["address"] = environment["RAY_ADDRESS"]
    updates |= {k: v for k, v in {"data": data, "store": store, "address": address}.items() if v is not None}
    workspace = _make_absolute(workspace.model_copy(update=updates))
    _check_folders(workspace, document)
    return workspace


def _make_absolute(workspace: Workspace) -> Workspace:
    """Spell every place out: tasks run in other working directories than the command line."""

    def spell_out(place: Path) -> Path:
        return place.expanduser().absolute()

    data = workspace.data
    if isinstance(data, dict):
        data = {name: spell_out(root) for name, root in data.items()}
    elif data is not None:
        data = spell_out(data)
    weights = workspace.weights and spell_out(workspace.weights)
    cache = workspace.cache and workspace.cache.model_copy(update={"folder": spell_out(workspace.cache.folder)})
    store = spell_out(workspace.store) if isinstance(workspace.store, Path) else workspace.store
    places = {"data": data, "weights": weights, "store": store, "cache": cache}
    return workspace.model_copy(update=places)


def _check_folders(workspace: Workspace, document: Document) -> None:
    if isinstance(workspace.data, dict):
        for name, root in workspace.data.items():
            if name not in TYPE_NAMES:
                raise unknown("data set type", name, TYPE_NAMES, document.origin(("data", name)))
            if not root.is_dir():
                raise PrerequisiteError(
                    f"{document.origin(('data', name))}: data.{name}: the folder {root} does not exist. Correct the path."
                )
    elif workspace.data is not None and not workspace.data.is_dir():
        raise PrerequisiteError(
            f"the data folder {workspace.data} does not exist. Correct --data, DATA, {DATA_VARIABLE} or `data:` in {FILE}."
        )
