"""Networks: from settings to a plain config, and from a plain config to a module."""

from __future__ import annotations

import contextlib
import copy
import importlib.util
import inspect
import io
import logging
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

# Imported for their registration: a config names them like mmsegmentation's own.
import adapt.networks.daformer_head
import adapt.networks.deeplabv2_head
import adapt.networks.multi_resolution  # noqa: F401
from adapt.errors import PrerequisiteError, SpecError
from adapt.model import ModelSettings, find_config
from adapt.openmmlab import MODELS, Config, ConfigDict, DefaultScope

_LOG = logging.getLogger(__name__)

_HEADS = ("decode_head", "auxiliary_head")
_SYNC_BATCHNORM = ("SyncBN", "MMSyncBN")
# The module or part that a config names -> the package that brings it; without mmdet, mmsegmentation has empty classes
# under the names of these two heads.
_PACKAGES = {"mmdet": "mmdet", "mmpretrain": "mmpretrain", "mmcls": "mmpretrain"}
_MMDET_HEADS = ("MaskFormerHead", "Mask2FormerHead")


def resolve_config(settings: ModelSettings, num_classes: int) -> dict[str, Any]:
    """Turn the settings of a network into the plain config it is built from.

    The config file's `model` is taken with its base files merged in; then the overrides are applied; every head gets
    `num_classes`; SyncBN becomes BN; weights from the web are dropped (`settings.weights` carries weights); the fixed
    training size of the data preprocessor is dropped (the training crop decides).

    Args:
        settings: The network.
        num_classes: The number of classes that it predicts.

    Returns:
        The config as JSON-able data: tuples are lists; `build_model` makes tuples again where a network wants them.

    Raises:
        SpecError: The config or an override is wrong.
    """
    path = find_config(settings.config)
    model = _to_plain(_read_model(path))
    preprocessor = model.get("data_preprocessor")
    if isinstance(preprocessor, dict):
        preprocessor.pop("size", None)
    _apply_overrides(model, settings.overrides)
    _fix_preprocessor(model, path)
    for name in _HEADS:
        if model.get(name) is not None:
            _set_classes(model[name], num_classes, name)
    _replace_sync_batchnorm(model)
    _drop_downloads(model, "model")
    return model


def _read_model(path: Path) -> Any:
    try:
        config = Config.fromfile(path, import_custom_modules=True)
    except (OSError, SyntaxError, ValueError, KeyError, TypeError, ImportError, AttributeError, NameError) as error:
        _refuse_missing_package(str(path), error)
        raise SpecError(
            f"The model config {path} cannot be read ({type(error).__name__}: {error}). Mend it."
        ) from error
    if "model" not in config:
        raise SpecError(
            f"The model config {path} defines no `model = dict(type=..., ...)`. Add it, or name another config."
        )
    return config["model"]


def _refuse_missing_package(what: str, error: Exception) -> None:
    """Raise a clear error if the cause of `error` is an OpenMMLab package that is not installed."""
    for name, package in _PACKAGES.items():
        if importlib.util.find_spec(package) is None and re.search(rf"\b{name}\b", str(error)):
            raise PrerequisiteError(
                f"The network of {what} has parts from {package}, which is not installed. Choose another network, or "
                f"install it: `pip install {package}`."
            ) from error


def _to_plain(value: Any) -> Any:
    """Copy a config as dicts, lists and scalars."""
    if isinstance(value, Mapping):
        return {str(key): _to_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_to_plain(item) for item in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, type):
        # Configs written with imported classes name them by object instead of by string.
        return value.__name__
    raise SpecError(
        f"A model config holds {value!r}, which is neither a number, a text, a list nor a dict, so it cannot be "
        "recorded. Write plain data in the config."
    )


def _apply_overrides(model: dict[str, Any], overrides: Mapping[str, Any]) -> None:
    """Merge nested or dotted overrides into a config; `_delete_: true` in a dict replaces instead of merging."""
    for key, value in overrides.items():
        name, _, rest = str(key).partition(".")
        change = {rest: value} if rest else value
        current = model.get(name)
        if isinstance(current, list) and rest and isinstance(change, Mapping):
            _override_item(current, name, rest, value)
        elif isinstance(change, Mapping) and not change.get("_delete_", False):
            if rest and not isinstance(current, dict) and current is not None:
                raise SpecError(f"The model override {key!r} goes into {name!r}, which is {current!r}, not a dict.")
            merged = current if isinstance(current, dict) else {}
            _apply_overrides(merged, change)
            model[name] = merged
        else:
            plain = _to_plain(change)
            if isinstance(plain, dict):
                plain.pop("_delete_")
            model[name] = plain


def _override_item(items: list[Any], name: str, rest: str, value: Any) -> None:
    """Apply a dotted override that goes into a list, such as `auxiliary_head.0.channels`."""
    index, _, inner = rest.partition(".")
    if not index.isdigit() or int(index) >= len(items):
        raise SpecError(
            f"The model override {name}.{rest} goes into a list of {len(items)}: "
            f"write {name}.0 to {name}.{len(items) - 1}."
        )
    holder = {"item": items[int(index)]}
    _apply_overrides(holder, {f"item.{inner}" if inner else "item": value})
    items[int(index)] = holder["item"]


def _fix_preprocessor(model: dict[str, Any], path: Path) -> None:
    """Make the data preprocessor take training crops of any one size, and refuse the one channel order we never see."""
    preprocessor = model.setdefault("data_preprocessor", {"type": "SegDataPreProcessor"})
    if preprocessor.get("rgb_to_bgr"):
        raise SpecError(
            f"The model config {path} sets rgb_to_bgr in its data_preprocessor, which expects images in RGB; "
            "mmsegmentation reads BGR. Set bgr_to_rgb=True for a network that sees RGB, neither for one that sees BGR."
        )
    # mmsegmentation stacks a training batch only with one of `size` and `size_divisor`; a divisor of 1 pads nothing.
    if preprocessor.get("size") is None and preprocessor.get("size_divisor") is None:
        preprocessor.pop("size", None)
        preprocessor["size_divisor"] = 1


def _set_classes(head: Any, num_classes: int, where: str) -> None:
    """Set the class count in a head (or list of heads), wherever inside it a class count stands."""
    if isinstance(head, list):
        for index, item in enumerate(head):
            _set_classes(item, num_classes, f"{where}.{index}")
        return
    if not _replace_classes(head, num_classes, where):
        head["num_classes"] = num_classes


def _replace_classes(node: Any, num_classes: int, where: str) -> bool:
    """Replace every `num_classes` below a node, and what depends on it; tell whether there was one."""
    items: list[tuple[object, Any]] = []
    found = False
    if isinstance(node, list):
        items = list(enumerate(node))
    elif isinstance(node, dict):
        found = "num_classes" in node
        items = list(node.items())
        _fix_class_weight(node, num_classes, where)
    if found:
        # `out_channels` counts classes only where it equals them (1: a binary head); elsewhere it is a width.
        if node.get("out_channels") in (node["num_classes"], 1):
            node["out_channels"] = num_classes
        node["num_classes"] = num_classes
    for key, item in items:
        found |= _replace_classes(item, num_classes, f"{where}.{key}")
    return found


def _fix_class_weight(node: dict[str, Any], num_classes: int, where: str) -> None:
    """Drop class weights that belong to another list of classes; a mask loss keeps its last, that of "no object"."""
    weight = node.get("class_weight")
    if not isinstance(weight, list):
        return
    if len(set(weight[:-1])) == 1 and weight[-1] != weight[0]:
        node["class_weight"] = [weight[0]] * num_classes + [weight[-1]]
    elif len(weight) != num_classes:
        del node["class_weight"]
        _LOG.info("%s.class_weight is for %d classes, not %d: dropped", where, len(weight), num_classes)


def _replace_sync_batchnorm(node: Any) -> None:
    """Turn SyncBN into BN everywhere: SyncBN does not run on one device; data-parallel training converts it back."""
    if isinstance(node, dict):
        if node.get("type") in _SYNC_BATCHNORM:
            node["type"] = "BN"
        node_items: Sequence[Any] = list(node.values())
    else:
        node_items = node if isinstance(node, list) else []
    for item in node_items:
        _replace_sync_batchnorm(item)


def _is_download(init: Any) -> bool:
    """Tell whether an `init_cfg` takes weights that are not in an existing local file."""
    return _is_pretrained(init) and not _is_file(init.get("checkpoint"))


def _is_pretrained(init: Any) -> bool:
    return isinstance(init, dict) and init.get("type") in ("Pretrained", "Pretrained_Part")


def _is_file(name: object) -> bool:
    return isinstance(name, str) and Path(name).expanduser().is_file()


def _drop_downloads(node: Any, where: str) -> None:
    """Drop `pretrained` and `init_cfg` entries that name no existing local file."""
    if isinstance(node, list):
        for index, item in enumerate(node):
            _drop_downloads(item, f"{where}.{index}")
    if not isinstance(node, dict):
        return
    name = node.get("pretrained")
    if isinstance(name, str) and not _is_file(name):
        _LOG.info("%s.pretrained names %s, no local file: dropped; `weights` carries weights", where, name)
        del node["pretrained"]
    init: Any = node.get("init_cfg")
    if _is_download(init):
        _LOG.info("%s.init_cfg names %s, no local file: dropped; `weights` carries weights", where, init["checkpoint"])
        del node["init_cfg"]
    elif isinstance(init, list):
        node["init_cfg"] = [item for item in init if not _is_download(item)]
    for key, item in node.items():
        _drop_downloads(item, f"{where}.{key}")


def build_model(config: Mapping[str, Any], seed: int | None = None) -> nn.Module:
    """Build a network with random weights.

    Args:
        config: What `resolve_config` returned; not changed.
        seed: Makes the weights reproducible and leaves the random state of torch as it was; None draws from that state.

    Returns:
        The network, on the CPU, in training mode.

    Raises:
        PrerequisiteError: A part of the network comes with a package that is not installed.
        SpecError: The config does not describe a network.
    """
    with torch.random.fork_rng(devices=[], enabled=seed is not None):
        if seed is not None:
            torch.default_generator.manual_seed(seed)
        with DefaultScope.overwrite_default_scope("mmseg"), warnings.catch_warnings():
            # mmsegmentation warns of its own deprecated builders and defaults, which no user of ours chose.
            warnings.simplefilter("ignore")
            model = _construct(config)
            _initialise(model)
    return model


def _initialise(model: Any) -> None:
    """Run the network's own weight initialisation without what it prints and its log line for every parameter."""
    for part in model.modules():
        _initialise_san(part)
    model._dump_init_info = lambda: None
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            model.init_weights()
    finally:
        del model._dump_init_info


def _initialise_san(part: Any) -> None:
    """Initialise a part of SAN that mmsegmentation can only fill with the weights of CLIP."""
    if _is_pretrained(getattr(part, "init_cfg", None)):
        return
    if type(part).__name__ == "SideAdapterCLIPHead":
        # It would ask the parent of a plain nn.Module for `init_weights`, which that lacks.
        part.side_adapter_network.init_weights()
        part.is_init = True
    elif type(part).__name__ == "CLIPTextEncoder":
        # Left as uninitialised memory otherwise; the deviations are those of CLIP (openai/CLIP, clip/model.py).
        nn.init.normal_(part.positional_embedding, std=0.01)
        nn.init.normal_(part.text_projection, std=part.text_projection.shape[0] ** -0.5)


def _construct(config: Mapping[str, Any]) -> Any:
    head = config.get("decode_head")
    if isinstance(head, dict) and head.get("type") in _MMDET_HEADS:
        _refuse_missing_package(head["type"], ModuleNotFoundError("mmdet"))
    prepared = ConfigDict(_restore_tuples(copy.deepcopy(dict(config))))
    try:
        return MODELS.build(prepared)
    except (KeyError, TypeError, ValueError, AssertionError, ImportError, AttributeError) as error:
        _refuse_missing_package(str(config.get("type")), error)
        raise SpecError(
            f"The network {config.get('type')!r} cannot be built from its config ({type(error).__name__}: {error}). "
            "Correct the config or the overrides."
        ) from error


def _restore_tuples(node: Any) -> Any:
    """Give every part of a network a tuple where its class has one by default: JSON has lists, and CGNet insists."""
    if isinstance(node, list):
        return [_restore_tuples(item) for item in node]
    if not isinstance(node, dict):
        return node
    restored = {key: _restore_tuples(item) for key, item in node.items()}
    part = MODELS.get(node["type"]) if isinstance(node.get("type"), str) and "." not in node["type"] else None
    if part is not None:
        for name in _tuple_parameters(part):
            if isinstance(restored.get(name), list):
                restored[name] = tuple(restored[name])
    return restored


def _tuple_parameters(part: Callable[..., Any]) -> set[str]:
    """List the parameters of a class, its bases included, whose default is a tuple."""
    functions = (
        [base.__dict__["__init__"] for base in part.__mro__ if "__init__" in base.__dict__]
        if isinstance(part, type)
        else [part]
    )
    return {
        parameter.name
        for function in functions
        if inspect.isfunction(function)
        for parameter in inspect.signature(function).parameters.values()
        if isinstance(parameter.default, tuple)
    }
