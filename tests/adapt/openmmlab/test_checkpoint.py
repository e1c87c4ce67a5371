"""Checkpoints: mmengine's own are read, code in a file never runs, damage and misfits are named."""

from __future__ import annotations

import json
import os
import pathlib
import pickle
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest
import torch
from torch import nn

from adapt.errors import PrerequisiteError
from adapt.model import ModelSettings
from adapt.openmmlab import CheckpointLoader, HistoryBuffer, PixelData, Runner, SegDataSample
from adapt.openmmlab.checkpoint import load_artifact, load_checkpoint, load_weights, mmengine_checkpoint, save_artifact
from adapt.openmmlab.model import build_model, resolve_config

SMALL = ModelSettings(
    config="cgnet_small",
    overrides={"backbone.num_channels": [8, 8, 16], "backbone.num_blocks": [1, 1], "decode_head.in_channels": 32},
)


def write_mmengine_checkpoint(path: Path) -> None:
    """Write what a Runner writes, in small: weights, a log history and numpy scalars."""
    history = HistoryBuffer([1.5, 2.5], [1, 1])
    content = {
        "state_dict": {"weight": torch.arange(3.0)},
        "message_hub": {"log_scalars": {"train/loss": history}, "best": np.float64(0.25), "iter": np.int64(7)},
    }
    torch.save(content, path)


class Exploit:
    """An object whose unpickling makes a file: the trace of code that ran."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return pathlib.Path.touch, (self.trace,)


class Shell:
    """An object whose unpickling runs a shell command, by a module that torch names differently in its refusal."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.trace}",)


class Attribute:
    """An object whose unpickling asks for an attribute that is none of a log history's statistics."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return getattr, (HistoryBuffer, "__init__")


class ToyDataset(torch.utils.data.Dataset[dict[str, Any]]):
    """Four random images with labels, as mmsegmentation's pipelines return them."""

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> dict[str, Any]:
        generator = torch.Generator().manual_seed(index)
        image = torch.randint(0, 256, (3, 32, 48), dtype=torch.uint8, generator=generator)
        label = torch.randint(0, 4, (1, 32, 48), generator=generator)
        sample = SegDataSample(gt_sem_seg=PixelData(data=label), metainfo={"img_shape": (32, 48)})
        return {"inputs": image, "data_samples": sample}


def make_runner(folder: Path, iterations: int, **settings: Any) -> Any:
    return Runner(
        model=build_model(resolve_config(SMALL, 4), seed=0),
        work_dir=str(folder),
        train_dataloader={
            "batch_size": 2,
            "num_workers": 0,
            "dataset": ToyDataset(),
            "sampler": {"type": "InfiniteSampler", "shuffle": True, "seed": 0},
            "collate_fn": {"type": "pseudo_collate"},
        },
        train_cfg={"by_epoch": False, "max_iters": iterations},
        optim_wrapper={"optimizer": {"type": "AdamW", "lr": 1e-3}},
        default_hooks={
            "checkpoint": {"type": "CheckpointHook", "interval": 2, "by_epoch": False},
            "logger": {"type": "LoggerHook", "interval": 1},
        },
        default_scope="mmseg",
        experiment_name=f"toy{folder.name}{iterations}",
        log_level="WARNING",
        **settings,
    )


def test_runner_trains_writes_and_resumes_through_the_safe_reader(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = make_runner(tmp_path, 2)
    before = {key: value.clone() for key, value in runner.model.state_dict().items()}
    runner.train()
    after = runner.model.state_dict()
    assert any(not torch.equal(before[key], after[key]) for key in before)

    content = load_checkpoint(tmp_path / "iter_2.pth")
    assert content["meta"]["iter"] == 2
    losses = content["message_hub"]["log_scalars"]["train/loss"]
    assert isinstance(losses, HistoryBuffer)
    assert len(losses.data[0]) == 2
    assert torch.equal(content["state_dict"]["decode_head.conv_seg.weight"], after["decode_head.conv_seg.weight"])

    modes = []
    read = torch.load
    monkeypatch.setattr(
        torch, "load", lambda *args, **kwargs: modes.append(kwargs["weights_only"]) or read(*args, **kwargs)
    )
    resumed = make_runner(tmp_path, 4, resume=True)
    resumed.train()
    assert modes == [True]
    assert resumed.iter == 4
    assert len(resumed.message_hub.get_scalar("train/loss").data[0]) == 4


def test_mmengine_log_history_and_numpy_scalars_are_read(tmp_path: Path) -> None:
    path = tmp_path / "mm.pth"
    write_mmengine_checkpoint(path)
    hub = load_checkpoint(path)["message_hub"]
    assert hub["log_scalars"]["train/loss"].mean() == 2.0
    assert (hub["best"], hub["iter"]) == (0.25, 7)
    with pytest.raises(pickle.UnpicklingError):
        torch.load(path, weights_only=True)  # without our list: else this test would show nothing


def test_checkpoint_made_on_numpy_1_is_read(tmp_path: Path) -> None:
    # numpy 1 wrote the same pickle but for the name of this module.
    ours, other = b"numpy._core.multiarray", b"numpy.core.multiarray"
    modern, old = tmp_path / "modern.pth", tmp_path / "old.pth"
    write_mmengine_checkpoint(modern)
    with zipfile.ZipFile(modern) as source, zipfile.ZipFile(old, "w") as target:
        for name in source.namelist():
            data = source.read(name)
            if name.endswith("data.pkl"):
                assert ours in data
                data = data.replace(ours, other)
            target.writestr(name, data)
    assert load_checkpoint(old)["message_hub"]["log_scalars"]["train/loss"].mean() == 2.0


@pytest.mark.parametrize("kind", [Exploit, Shell, Attribute])
@pytest.mark.parametrize("reader", ["ours", "mmengine", "artifact"])
def test_code_in_a_checkpoint_is_refused_and_not_run(tmp_path: Path, kind: type, reader: str) -> None:
    trace, path = tmp_path / "trace", tmp_path / "checkpoint.pth"
    torch.save({"state_dict": {}, "meta": kind(trace)}, path)
    (tmp_path / "model.json").write_text(json.dumps(resolve_config(SMALL, 4)))
    with pytest.raises(PrerequisiteError, match=r"refused.*nothing of it was run"):
        {
            "ours": lambda: load_checkpoint(path),
            "mmengine": lambda: CheckpointLoader.load_checkpoint(str(path), map_location="cpu"),
            "artifact": lambda: load_artifact(tmp_path),
        }[reader]()
    assert not trace.exists()


def test_code_in_a_bare_pickle_is_refused_and_not_run(tmp_path: Path) -> None:
    trace, path = tmp_path / "trace", tmp_path / "bare.pth"
    path.write_bytes(pickle.dumps(Exploit(trace), protocol=2))
    with pytest.raises(PrerequisiteError, match=r"bare\.pth"):
        load_checkpoint(path)
    assert not trace.exists()


def test_download_by_mmengine_is_read_safely_too(tmp_path: Path) -> None:
    trace, bad, good = tmp_path / "trace", tmp_path / "bad.pth", tmp_path / "good.pth"
    torch.save(Exploit(trace), bad)
    write_mmengine_checkpoint(good)
    cache = str(tmp_path / "cache")
    with pytest.raises(PrerequisiteError, match="refused"):
        mmengine_checkpoint.load_url(bad.as_uri(), model_dir=cache, progress=False)
    assert not trace.exists()
    assert "state_dict" in mmengine_checkpoint.load_url(good.as_uri(), model_dir=cache, progress=False)


@pytest.mark.parametrize("length", [0, 1, 100, 1000, -1])
def test_truncated_checkpoint_is_named(tmp_path: Path, length: int) -> None:
    path = tmp_path / "cut.pth"
    write_mmengine_checkpoint(path)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(PrerequisiteError, match=r"cut\.pth.*damaged.*again"):
        load_checkpoint(path)
    with pytest.raises(PrerequisiteError, match=r"cut\.pth.*damaged"):
        CheckpointLoader.load_checkpoint(str(path))


def test_file_that_is_no_checkpoint_or_missing_is_named(tmp_path: Path) -> None:
    text, array = tmp_path / "text.pth", tmp_path / "array.pth"
    text.write_text("<html>Not found</html>")
    torch.save(torch.zeros(2), array)
    with pytest.raises(PrerequisiteError, match=r"text\.pth.*damaged"):
        load_checkpoint(text)
    with pytest.raises(PrerequisiteError, match=r"array\.pth holds a Tensor"):
        load_checkpoint(array)
    with pytest.raises(PrerequisiteError, match=r"none\.pth does not exist"):
        load_checkpoint(tmp_path / "none.pth")


@pytest.mark.parametrize("wrap", [lambda s: {"state_dict": s, "meta": {}}, lambda s: s])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_weights_are_taken_from_both_kinds_of_file(tmp_path: Path, wrap: Any, prefix: str) -> None:
    source, target = nn.Linear(2, 3), nn.Linear(2, 3)
    torch.save(wrap({prefix + key: value for key, value in source.state_dict().items()}), tmp_path / "w.pth")
    load_weights(target, tmp_path / "w.pth")
    assert torch.equal(target.weight, source.weight)
    assert torch.equal(target.bias, source.bias)


def test_weights_that_do_not_fit_are_listed_and_change_nothing(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 3))
    before = {key: value.clone() for key, value in model.state_dict().items()}
    other = {
        "0.weight": torch.zeros(3, 2),
        "0.bias": torch.zeros(4),
        "1.weight": torch.zeros(3, 3),
        "2.x": torch.zeros(1),
    }
    torch.save(other, tmp_path / "w.pth")
    pattern = r"1 missing \(1\.bias\); 1 unexpected \(2\.x\); 1 of another shape \(0\.bias \(4,\) instead of \(3,\)\)"
    with pytest.raises(PrerequisiteError, match=pattern):
        load_weights(model, tmp_path / "w.pth")
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    torch.save({"state_dict": {"epoch": 3}}, tmp_path / "n.pth")
    with pytest.raises(PrerequisiteError, match="holds no weights"):
        load_weights(model, tmp_path / "n.pth")


def test_another_class_count_is_said_in_words(tmp_path: Path) -> None:
    torch.save(build_model(resolve_config(SMALL, 19), 0).state_dict(), tmp_path / "w.pth")
    with pytest.raises(PrerequisiteError, match="the file's head has 19 classes and the network's 11"):
        load_weights(build_model(resolve_config(SMALL, 11), 0), tmp_path / "w.pth")


def test_artifact_comes_back_whole(tmp_path: Path) -> None:
    config = resolve_config(SMALL, 4)
    model = build_model(config, seed=3)
    save_artifact(tmp_path / "a" / "b", config, model, ("road", "sky", "car", "tree"))
    state = torch.get_rng_state()
    loaded, classes = load_artifact(tmp_path / "a" / "b")
    assert torch.equal(torch.get_rng_state(), state)
    assert classes == ("road", "sky", "car", "tree")
    assert not loaded.training
    assert sorted(path.name for path in (tmp_path / "a" / "b").iterdir()) == ["checkpoint.pth", "model.json"]
    assert json.loads((tmp_path / "a" / "b" / "model.json").read_text()) == config
    weights = loaded.state_dict()
    assert all(torch.equal(value, weights[key]) for key, value in model.state_dict().items())


def test_failed_save_leaves_the_old_artifact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = resolve_config(SMALL, 4)
    model = build_model(config, seed=3)
    save_artifact(tmp_path, config, model, "abcd")
    old = (tmp_path / "checkpoint.pth").read_bytes()

    def fail(_content: Any, file: BinaryIO) -> None:
        file.write(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(OSError, match="disk full"):
        save_artifact(tmp_path, config, model, "abcd")
    assert (tmp_path / "checkpoint.pth").read_bytes() == old
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint.pth", "model.json"]


def test_incomplete_artifact_is_named(tmp_path: Path) -> None:
    with pytest.raises(PrerequisiteError, match=r"model\.json is missing"):
        load_artifact(tmp_path)
    (tmp_path / "model.json").write_text("{")
    with pytest.raises(PrerequisiteError, match=r"model\.json is damaged"):
        load_artifact(tmp_path)
    (tmp_path / "model.json").write_text(json.dumps(resolve_config(SMALL, 4)))
    with pytest.raises(PrerequisiteError, match=r"checkpoint\.pth does not exist"):
        load_artifact(tmp_path)


@pytest.mark.parametrize("prefix", ["", "backbone."])
def test_backbone_alone_takes_its_weights_and_leaves_the_rest(tmp_path: Path, prefix: str) -> None:
    config = resolve_config(SMALL, 4)
    source, target = build_model(config, 1), build_model(config, 2)
    head = {key: value.clone() for key, value in target.decode_head.state_dict().items()}
    weights = {prefix + key: value for key, value in source.backbone.state_dict().items()}
    torch.save({"state_dict": {**weights, "head.fc.weight": torch.zeros(1000, 16)}}, tmp_path / "w.pth")
    load_weights(target, tmp_path / "w.pth", part="backbone")
    after = target.backbone.state_dict()
    assert all(torch.equal(value, after[key]) for key, value in source.backbone.state_dict().items())
    assert all(torch.equal(value, head[key]) for key, value in target.decode_head.state_dict().items())
    del weights[next(iter(weights))]
    torch.save(weights, tmp_path / "short.pth")
    with pytest.raises(PrerequisiteError, match="the backbone of EncoderDecoder: 1 missing"):
        load_weights(target, tmp_path / "short.pth", part="backbone")


def test_equal_networks_are_equal_files(tmp_path: Path) -> None:
    config = resolve_config(SMALL, 4)
    for folder, seed in (("a", 1), ("b", 1), ("c", 2)):
        save_artifact(tmp_path / folder, config, build_model(config, seed), "abcd")

    first, second, other = ((tmp_path / folder / "checkpoint.pth").read_bytes() for folder in "abc")

    assert first == second
    assert first != other
