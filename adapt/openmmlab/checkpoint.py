"""Mend 2: checkpoints, always read with `weights_only=True`; and the artifact (config, weights) of a trained network.

`torch.load(weights_only=True)` refuses every object that is not on its list; mmengine's checkpoints hold a
`HistoryBuffer` and numpy arrays beside the weights. Exactly those are added to the list, and the one use of `getattr`
in them is answered by a function that knows four names. Code in a file is never run.
"""

from __future__ import annotations

import json
import pickle
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import mmengine.runner.checkpoint as mmengine_checkpoint
import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from torch import nn

from adapt.atomic import replace_atomically, write_atomically
from adapt.errors import PrerequisiteError
from adapt.model import WeightsOf

MODEL_FILE = "model.json"
WEIGHTS_FILE = "checkpoint.pth"

# How torch's refusals name the function or class that a file asks for.
_UNSAFE = re.compile(
    r"(?:unsupported GLOBAL|Unsupported global: GLOBAL|reduce for unrecognized function|but got)"
    r" (<class '[^']+'>|<[^>]+>|[\w.]*\w)"
)

_LISTED_KEYS = 5  # ours: as many wrong keys as one reads in an error message


def _numpy_globals() -> list[Any]:
    """List the numpy functions and types in the pickle of an array or a scalar, under their numpy 1 and 2 names."""
    reconstruct: Any = np.empty(0).__reduce__()[0]
    scalar: Any = np.float64(0).__reduce__()[0]
    named = [
        (function, f"{module}.{function.__name__}")
        for function in (reconstruct, scalar)
        for module in ("numpy.core.multiarray", "numpy._core.multiarray")
    ]
    numbers = (np.float64, np.float32, np.float16, np.int64, np.int32, np.int16, np.int8, np.uint8, np.bool_)
    return [*named, np.ndarray, np.dtype, *(type(np.dtype(number)) for number in numbers)]


def _get_statistic(owner: object, name: str) -> Any:
    """Stand in for `getattr`, by which a pickled `HistoryBuffer` names its four statistics; nothing else is given out."""
    if owner is HistoryBuffer and name in ("min", "max", "mean", "current"):
        return getattr(HistoryBuffer, name)
    raise pickle.UnpicklingError("Unsupported global: GLOBAL getattr")


SAFE_GLOBALS = [HistoryBuffer, (_get_statistic, "builtins.getattr"), *_numpy_globals()]


def load_checkpoint(path: str | Path, map_location: Any = "cpu") -> dict[str, Any]:
    """Read a checkpoint without ever running code from it.

    Args:
        path: A file that `torch.save` wrote: an mmengine checkpoint, an artifact's, or a bare state dict.
        map_location: Where its tensors go, as in `torch.load`.

    Returns:
        What the file holds.

    Raises:
        PrerequisiteError: The file is missing, damaged, no dictionary, or holds an object other than tensors, plain
            Python data, numpy arrays and mmengine's log history.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise PrerequisiteError(
            f"The checkpoint {path} does not exist. Correct the path, or run the stage that makes it."
        )
    content = _read_safely(lambda: torch.load(path, map_location=map_location, weights_only=True), str(path))
    if not isinstance(content, dict):
        raise PrerequisiteError(
            f"The checkpoint {path} holds a {type(content).__name__}, not a dictionary of weights. "
            "Save the network's `state_dict()` instead."
        )
    return content


def _read_safely(read: Callable[[], Any], name: str) -> Any:
    """Call `read` with mmengine's types allowed; turn what it raises into one clear error about the file `name`."""
    try:
        with torch.serialization.safe_globals(SAFE_GLOBALS):
            return read()
    except pickle.UnpicklingError as error:
        unsafe = _UNSAFE.search(str(error))
        if unsafe is None:
            raise _damaged(name, error) from error
        raise PrerequisiteError(
            f"The checkpoint {name} was refused: it holds {unsafe[1]}, which is not part of a network's weights and "
            "could run code when read; nothing of it was run. Take a checkpoint of another origin, or, where you trust "
            "its author, save its bare `state_dict()` in a new file first."
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        # A damaged file makes the zip reader and the unpickler fail in any of these ways.
        raise _damaged(name, error) from error


def _damaged(name: str, error: Exception) -> PrerequisiteError:
    # torch puts its cause behind a paragraph of advice that does not apply here.
    cause = str(error).rpartition("WeightsUnpickler error:")[2].partition("Weights only load failed")[0].split("\n")[0]
    return PrerequisiteError(
        f"The checkpoint {name} cannot be read; it is damaged, cut off or no PyTorch checkpoint "
        f"({' '.join([type(error).__name__, cause.strip()[:120]]).strip()}). "
        "Delete it and download it, or run the stage that makes it, again."
    )


def install_safe_loader() -> None:
    """Make mmengine's own reader (Runner's resume and load_from, `Pretrained`) read as `load_checkpoint` does.

    Local files and downloads are covered; mmengine's other readers (ceph, pavi) use torch's default, which is stricter.
    """
    mmengine_checkpoint.CheckpointLoader.register_scheme(prefixes="", loader=load_from_local, force=True)
    mmengine_checkpoint.load_url = _load_url


def load_from_local(filename: str, map_location: Any) -> dict[str, Any]:
    """Read a local file for mmengine, which derives the word `local` in its log line from this function's name."""
    return load_checkpoint(filename, "cpu" if map_location is None else map_location)


def _load_url(url: str, *args: Any, **kwargs: Any) -> Any:
    """Download and read a checkpoint for mmengine by torch's own function, whose default would be to run its code."""
    kwargs["weights_only"] = True
    return _read_safely(lambda: torch.hub.load_state_dict_from_url(url, *args, **kwargs), url)


def load_weights(model: nn.Module, path: str | Path, part: WeightsOf = "network") -> None:
    """Give a network, or its backbone alone, the weights of a file, all of them.

    Args:
        model: The network; changed in place.
        path: An mmengine checkpoint, an artifact's checkpoint or a bare state dict.
        part: `network`: the file holds its weights and no others. `backbone`: the file holds a backbone's, with or without
            `backbone.` before their names; what else it holds (the head of an ImageNet classifier) is left out.

    Raises:
        PrerequisiteError: The file cannot be read, or its keys or shapes are not those of the network.
    """
    checkpoint = load_checkpoint(path)
    weights = checkpoint.get("state_dict", checkpoint)
    if not isinstance(weights, Mapping) or not all(isinstance(value, torch.Tensor) for value in weights.values()):
        raise PrerequisiteError(
            f"The checkpoint {path} holds no weights: neither a `state_dict` nor tensors by name were found in it. "
            "Give a checkpoint of a segmentation network."
        )
    # A network wrapped for data-parallel training saves `module.` before every name.
    weights = {key.removeprefix("module."): value for key, value in weights.items()}
    module: Any = model
    if part == "backbone":
        module = module.backbone
        wanted = module.state_dict().keys()
        weights = {key.removeprefix("backbone."): value for key, value in weights.items()}
        weights = {key: value for key, value in weights.items() if key in wanted}
    difference = _describe_difference(module.state_dict(), weights, getattr(model, "num_classes", None))
    if difference:
        raise PrerequisiteError(
            f"The weights in {path} do not fit the {part} of {type(model).__name__}: {difference} "
            "Choose the config that these weights were trained with, or other weights."
        )
    module.load_state_dict(weights, strict=True)


def _describe_difference(
    expected: Mapping[str, torch.Tensor], found: Mapping[str, torch.Tensor], num_classes: int | None
) -> str:
    """Say how the found weights differ from the expected ones, class count first; empty where they do not."""
    missing = [key for key in expected if key not in found]
    unexpected = [key for key in found if key not in expected]
    shapes = [key for key in expected if key in found and expected[key].shape != found[key].shape]
    parts = []
    outputs = [key for key in shapes if key.startswith("decode_head.") and expected[key].shape[0] == num_classes]
    if outputs and expected[outputs[0]].shape[1:] == found[outputs[0]].shape[1:]:
        parts.append(f"the file's head has {found[outputs[0]].shape[0]} classes and the network's {num_classes};")
    for title, keys in (("missing", missing), ("unexpected", unexpected)):
        if keys:
            parts.append(f"{len(keys)} {title} ({_shorten(keys)});")
    if shapes:
        pairs = [f"{key} {tuple(found[key].shape)} instead of {tuple(expected[key].shape)}" for key in shapes]
        parts.append(f"{len(shapes)} of another shape ({_shorten(pairs)});")
    return " ".join(parts).rstrip(";") + "." if parts else ""


def _shorten(names: Sequence[str]) -> str:
    return ", ".join(names[:_LISTED_KEYS]) + (", ..." if len(names) > _LISTED_KEYS else "")


def save_artifact(folder: str | Path, config: Mapping[str, Any], model: nn.Module, classes: Sequence[str]) -> None:
    """Write a trained network: `model.json`, the config it is built from, and `checkpoint.pth`, its weights.

    Each file is written whole or not at all: to a temporary name, then renamed; the weights come last.

    Args:
        folder: Where to; made if need be.
        config: The network's config, as `resolve_config` returns it.
        model: The network; its state dict is saved, on the CPU.
        classes: The names of its classes, in the order of its output channels.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(config, indent=2, sort_keys=True) + "\n"
    write_atomically(folder / MODEL_FILE, text)
    weights = {key: value.detach().cpu() for key, value in model.state_dict().items()}
    content = {"meta": {"classes": list(classes)}, "state_dict": weights}
    # To an open file: torch writes the name of a path, here a draft's random one, into the archive.
    with replace_atomically(folder / WEIGHTS_FILE) as draft, draft.open("wb") as file:
        torch.save(content, file)


def load_artifact(folder: str | Path) -> tuple[nn.Module, tuple[str, ...]]:
    """Read a network that `save_artifact` wrote.

    Args:
        folder: The folder with `model.json` and `checkpoint.pth`.

    Returns:
        The network, on the CPU and in eval mode, and the names of its classes in the order of its output channels.

    Raises:
        PrerequisiteError: A file is missing or damaged, or the two do not belong together.
    """
    from adapt.openmmlab.model import build_model

    folder = Path(folder)
    config_path = folder / MODEL_FILE
    try:
        config = json.loads(config_path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise PrerequisiteError(
            f"{folder} holds no trained network: {MODEL_FILE} is missing. Correct the path, or run the stage that "
            "makes it."
        ) from error
    except ValueError as error:
        raise PrerequisiteError(
            f"{config_path} is damaged ({error}). Delete {folder} and run the stage that makes it again."
        ) from error
    weights_path = folder / WEIGHTS_FILE
    meta = load_checkpoint(weights_path).get("meta", {})
    model = build_model(config, seed=0)  # any seed: it leaves the caller's random state alone
    load_weights(model, weights_path)
    return model.eval(), tuple(meta.get("classes", ()))
