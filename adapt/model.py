"""Which network: its settings, and where its config file lies. Light: imports neither torch nor mmsegmentation."""

from __future__ import annotations

import difflib
import functools
import importlib.util
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from adapt.errors import PrerequisiteError, SpecError
from adapt.settings import Settings

WeightsOf = Literal["network", "backbone"]


class ModelSettings(Settings):
    """A network: an mmsegmentation config, changes to it, and the weights it starts from.

    Attributes:
        config: The path of a config file, or the name (no `.py`) of a config of ours or of mmsegmentation's.
        overrides: Changes to the config's `model`: nested, or with dotted keys such as `decode_head.channels`.
        weights: A checkpoint to start from; None starts from random weights.
        weights_url: Where the checkpoint can be had, for the message that says it is missing.
        weights_of: What the checkpoint holds: the whole `network`, or its `backbone` alone (ImageNet weights).
    """

    config: str
    overrides: dict[str, Any] = Field(default_factory=dict)
    weights: str | None = None
    weights_url: str | None = None
    weights_of: WeightsOf = "network"


def find_config(name_or_path: str | Path) -> Path:
    """Find the config file of a network.

    Args:
        name_or_path: The path of a `.py` file, or the name of a config: one of `experiments/models` first, then
            one that mmsegmentation ships.

    Returns:
        The path of the config file.

    Raises:
        SpecError: No file and no config has that name; the text lists the closest names.
    """
    text = str(name_or_path)
    path = Path(text).expanduser()
    if path.suffix == ".py" and path.is_file():
        return path.resolve()
    if path.suffix == ".py" and len(path.parts) > 1:
        raise SpecError(
            f"The model config {text!r} is not a file (looked for {path.absolute()}). Correct the path, or give the "
            "name of a config without its folder and `.py`."
        )
    configs = list_configs()
    name = path.stem if path.suffix == ".py" else text
    if name in configs:
        return configs[name]
    close = difflib.get_close_matches(name, configs, n=3, cutoff=0.4)
    advice = f" Closest: {', '.join(close)}." if close else ""
    raise SpecError(
        f"No model config is called {text!r}; {len(configs)} are known, from experiments/models and from "
        f"mmsegmentation.{advice} Give one of these names, or the path of a `.py` file."
    )


@functools.cache
def list_configs() -> dict[str, Path]:
    """List the model configs known by name: our own before those of mmsegmentation.

    Returns:
        Name without `.py` -> path, sorted by name.

    Raises:
        PrerequisiteError: mmsegmentation is not installed.
    """
    configs = {path.stem: path for path in sorted(_shipped_configs().rglob("*.py")) if "_base_" not in path.parts}
    for folder in _own_configs():
        configs.update({path.stem: path for path in sorted(folder.glob("*.py")) if path.stem != "__init__"})
    return dict(sorted(configs.items()))


def _own_configs() -> list[Path]:
    """Return the folder `models` of the package `experiments`, found without importing that package."""
    spec = importlib.util.find_spec("experiments")
    locations = spec.submodule_search_locations if spec else None
    return [Path(location) / "models" for location in locations or []]


def _shipped_configs() -> Path:
    """Return the folder of the configs that mmsegmentation ships, found without importing it."""
    spec = importlib.util.find_spec("mmseg")
    if spec is None or spec.origin is None:
        raise PrerequisiteError("mmsegmentation is not installed, so its model configs are missing: run `make setup`.")
    return Path(spec.origin).parent / ".mim" / "configs"
