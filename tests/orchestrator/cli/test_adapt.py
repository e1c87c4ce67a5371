"""`adapt`: from a folder or a video to label maps, overlays, a video and a record; and what is refused before that."""

from __future__ import annotations

import _thread
import errno
import hashlib
import itertools
import json
import shlex
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from adapt.data.catalog import CAMVID_CLASSES, CITYSCAPES_CLASSES
from adapt.errors import PrerequisiteError
from adapt.inference import predict_classes
from adapt.model import ModelSettings
from adapt.openmmlab.checkpoint import save_artifact
from adapt.openmmlab.model import build_model, resolve_config
from adapt.tta.live import folder as live_folder
from adapt.tta.live import output as live_output
from adapt.tta.live.frames import FolderFrames, LiveFrame
from adapt.tta.live.output import FrameResult, Output
from orchestrator.cli.adapt import read_method
from orchestrator.store import Store


def draw(index: int, width: int = 64, height: int = 48) -> np.ndarray:
    image = np.random.default_rng(7).integers(90, 130, (height, width, 3), np.uint8)
    image[8:24, 4 * index : 4 * index + 16] = (220, 30, 10)
    return image


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    folder = tmp_path / "clip"
    folder.mkdir()
    for index in range(6):
        cv2.imwrite(str(folder / f"f{index + 6}.png"), draw(index)[..., ::-1])
    return folder


@pytest.fixture
def network(tmp_path: Path) -> Path:
    return save_network(tmp_path / "network", seed=0)


def save_network(folder: Path, seed: int, classes: tuple[str, ...] = CAMVID_CLASSES) -> Path:
    config = resolve_config(ModelSettings(config="cgnet_small"), len(classes))
    save_artifact(folder, config, build_model(config, seed=seed), classes)
    return folder


@pytest.fixture
def adapt(segshift, clip: Path, network: Path) -> Callable[..., Any]:
    """Run the command on the clip with the network, on one core, into ./out."""

    def run(*arguments: str | Path, source: Path = clip, model: Path | None = network) -> Any:
        checkpoint = [] if model is None else ["--checkpoint", model]
        return segshift("adapt", source, *checkpoint, "--out", "out", "--cpus", "1", "--device", "cpu", *arguments)

    return run


def read_run(folder: str = "out") -> dict[str, Any]:
    return json.loads(Path(folder, "run.json").read_text())


def read_frames(folder: str = "out") -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(folder, "frames.jsonl").read_text().splitlines()]


def read_label(name: str, folder: str = "out") -> np.ndarray:
    return cv2.imread(f"{folder}/labels/{name}.png", cv2.IMREAD_UNCHANGED)


def check(outcome: Any, *parts: str) -> None:
    assert outcome.code == 2, outcome.err
    assert outcome.err.startswith("segshift: ")
    assert "Traceback" not in outcome.err
    for part in parts:
        assert part in outcome.err
    assert not Path("out").exists(), "nothing was begun"


def test_the_source_predicts_as_the_network_does(adapt, network: Path) -> None:
    outcome = adapt("--method", "source")
    assert outcome.code == 0, outcome.err
    config = resolve_config(ModelSettings(config="cgnet_small"), 11)
    model = build_model(config, seed=0).eval()
    for index in range(6):
        label = read_label(f"f{index + 6}")
        assert label.dtype == np.uint8
        assert np.array_equal(label, predict_classes(model, draw(index)))
    assert [frame["name"] for frame in read_frames()] == [f"f{n}" for n in range(6, 12)]  # f10 after f9
    assert read_run()["status"] == "done"


def test_tent_updates_and_the_record_says_so(adapt, clip: Path, network: Path) -> None:
    outcome = adapt("--method", "tent", "lr=1e-2", "--reset-every", "4", "--compare")
    assert outcome.code == 0, outcome.err
    run = read_run()
    assert run["method"] == {
        "name": "tent",
        "settings": {"name": "tent", "optimizer": "adam", "lr": 0.01, "momentum": 0.9, "batch_norm": "batch"},
        "updates": "weight and bias of BatchNorm, LayerNorm, GroupNorm and InstanceNorm",
        "batch_norm": "batch",
        "unit": None,
    }
    counts = ("frames", "frames_expected", "updates", "skipped", "resets", "recovered", "problems")
    assert [run[key] for key in counts] == [6, 6, 6, 0, 1, 0, []]
    assert (run["reset_every"], run["on_non_finite"], run["seed"]) == (4, "restore", 0)
    line = [
        "segshift",
        "adapt",
        str(clip),
        "--checkpoint",
        str(network),
        "--out",
        "out",
        "--cpus",
        "1",
        "--device",
        "cpu",
    ]
    line += ["--method", "tent", "lr=1e-2", "--reset-every", "4", "--compare"]
    assert shlex.split(run["command_line"]) == line
    assert run["peak_memory_bytes"] > 10**7
    assert run["network"]["classes"] == list(CAMVID_CLASSES)
    video = run["video"]
    assert (video["frames"], video["fps"]) == (6, 10.0)
    capture = cv2.VideoCapture(f"out/{video['file']}")
    assert capture.get(cv2.CAP_PROP_FRAME_WIDTH) == 3 * 320 + 12
    frames = read_frames()
    assert [frame["was_reset"] for frame in frames] == [False] * 4 + [True, False]
    assert len({frame["loss"] for frame in frames}) == 6
    assert len(list(Path("out/overlays").iterdir())) == 6
    for text in ("6 of 6", "lr=0.01", "6 done, 0 skipped; 1 resets", "statistics of: batch", "GiB", "out"):
        assert text in outcome.out


def test_a_run_can_be_repeated_to_the_bit(adapt) -> None:
    assert adapt("--method", "cotta", "lr=1e-3", "scales=[1.0]", "flip=false", "--limit", "3").code == 0
    first = ([read_label(f"f{n}") for n in (6, 7, 8)], [frame["loss"] for frame in read_frames()])
    assert adapt("--method", "cotta", "lr=1e-3", "scales=[1.0]", "flip=false", "--limit", "3").code == 2, (
        "the folder is not empty"
    )
    assert adapt("--method", "cotta", "lr=1e-3", "scales=[1.0]", "flip=false", "--limit", "3", "--overwrite").code == 0
    assert [frame["loss"] for frame in read_frames()] == first[1]
    assert all(np.array_equal(read_label(f"f{n}"), first[0][n - 6]) for n in (6, 7, 8))


def test_a_video(adapt, tmp_path: Path) -> None:
    writer = cv2.VideoWriter(str(tmp_path / "film.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 20.0, (64, 48))
    for index in range(6):
        writer.write(np.ascontiguousarray(draw(index)[..., ::-1]))
    writer.release()
    outcome = adapt("--method", "bn_stats", "--every", "2", "--limit", "2", source=tmp_path / "film.avi")
    assert outcome.code == 0, outcome.err
    assert [frame["index"] for frame in read_frames()] == [0, 2]
    assert read_label("frame_000002").shape == (48, 64)
    assert read_run()["video"]["fps"] == 10.0


def test_the_network_may_see_smaller_frames(adapt, network: Path) -> None:
    assert adapt("--method", "source", "--resize", "32x32").code == 0
    model = build_model(resolve_config(ModelSettings(config="cgnet_small"), 11), seed=0).eval()
    assert np.array_equal(read_label("f6"), predict_classes(model, draw(0), (32, 32)))
    assert not np.array_equal(read_label("f6"), predict_classes(model, draw(0)))


def test_frames_that_cannot_be_used_are_listed_and_the_rest_is_done(adapt, clip: Path) -> None:
    (clip / "f7.png").write_bytes(b"torn")
    cv2.imwrite(str(clip / "f8.png"), np.full((48, 64), 9, np.uint8))
    cv2.imwrite(str(clip / "f9.png"), draw(3, width=80)[..., ::-1])
    outcome = adapt("--method", "tent")
    assert outcome.code == 1
    assert "3 frames could not be used, or not for everything" in outcome.out
    assert "f8: it has one channel" in outcome.out
    run = read_run()
    assert [problem["frame"] for problem in run["problems"]] == ["f7", "f8", "f9"]
    assert (run["status"], run["frames"], run["video"]["frames"]) == ("done", 4, 3)
    assert sorted(path.stem for path in Path("out/labels").iterdir()) == ["f10", "f11", "f6", "f9"]
    assert ["problem" in frame for frame in read_frames()] == [False, True, True, True, False, False]
    outcome = adapt("--method", "tent", "--overwrite", "--allow-gray")
    assert [problem["frame"] for problem in read_run()["problems"]] == ["f7", "f9"]
    assert read_frames()[2]["converted"] == "one channel repeated three times"


def test_a_config_with_weights(adapt, tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = build_model(resolve_config(ModelSettings(config="cgnet_small"), 19), seed=4)
    (tmp_path / "data" / "weights").mkdir(parents=True)
    torch.save(model.state_dict(), tmp_path / "data" / "weights" / "small.pth")
    monkeypatch.setenv("SEGSHIFT_DATA", str(tmp_path / "data"))
    outcome = adapt("--model", "cgnet_small", "--weights", "small.pth", "--method", "source", model=None)
    assert outcome.code == 0, outcome.err
    assert read_run()["network"]["classes"] == list(CITYSCAPES_CLASSES)
    assert np.array_equal(read_label("f6"), predict_classes(model.eval(), draw(0)))


def test_a_task_of_the_store(adapt, network: Path, make_task, make_record, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    trained, scored = make_task("daformer", "train"), make_task("clean", "evaluate")
    save_network(store.folder(trained.key), seed=2)
    for task in (trained, scored):
        store.folder(task.key).mkdir(parents=True, exist_ok=True)
        with store.working_on(task.key):
            store.commit(make_record(task, files=store.list_files(task.key)))
    assert adapt("--task", trained.key[:10], "--method", "source", model=None).code == 0
    model = build_model(resolve_config(ModelSettings(config="cgnet_small"), 11), seed=2).eval()
    assert np.array_equal(read_label("f6"), predict_classes(model, draw(0)))
    Path("out").rename("before")
    check(adapt("--task", "zzzz", "--method", "source", model=None), "0 finished tasks", "segshift status")
    check(adapt("--task", "", "--method", "source", model=None), "2 finished tasks", "more digits")
    check(adapt("--task", scored.key, "--method", "source", model=None), "of kind 'evaluate'", "left no network")


def test_auxadapt_and_reservoir_are_given_what_they_need(adapt, tmp_path: Path, clip: Path) -> None:
    small = save_network(tmp_path / "small", seed=9)
    assert adapt("--method", "auxadapt", "--auxiliary", small).code == 0
    run = read_run()
    weights = small / "checkpoint.pth"
    assert run["updates"] == 6
    assert run["auxiliary"] == {"file": str(weights), "sha256": hashlib.sha256(weights.read_bytes()).hexdigest()}
    assert (run["source"], run["source_samples"]) == (None, None)
    arguments = ["--method", "reservoir", "base.name=tent", "models=2", "--source", clip, "--source-samples", "5"]
    outcome = adapt(*arguments, "--overwrite")
    assert outcome.code == 0, outcome.err
    run = read_run()
    assert run["method"]["name"] == "reservoir(tent)"
    assert (run["source"], run["source_samples"], run["auxiliary"]) == (str(clip), 5, None)
    assert all("cluster" in frame["notes"] for frame in read_frames())


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--method", "tnt"], ["unknown name 'tnt'", "Did you mean 'tent'", "reservoir"]),
        (["--method", "tent", "lrr=1"], ["unknown key 'lrr'", "Did you mean 'lr'", "batch_norm"]),
        (["--method", "tent", "lr=-1"], ["override 'lr=-1'", "greater than 0"]),
        (["--method", "tent", "lr"], ["KEY=VALUE"]),
        (["--method", "tent", "name=eta"], ["the method is named by --method"]),
        (["--method", "rdumb", "base.lr=1"], ["base", "name"]),
        (["--method", "rdumb", "base.name=eta", "base.margn=1"], ["base.margn", "Did you mean 'margin'"]),
        (["--method", "auxadapt"], ["--auxiliary FOLDER"]),
        (["--method", "reservoir"], ["--source FOLDER"]),
        (["--method", "tent", "--source", "clip"], ["tent does not use --source"]),
        (["--method", "auxadapt", "--auxiliary", "clip"], ["holds no trained network"]),
        (["--method", "tent", "--weights", "w.pth"], ["--weights belongs to --model"]),
        (["--method", "tent", "--store", "elsewhere"], ["--store belongs to --task"]),
        (["--method", "tent", "--device", "cuda"], ["sees none"]),
    ],
    ids=lambda value: " ".join(value),
)
def test_what_is_refused_before_the_first_frame(adapt, arguments: list[str], parts: list[str]) -> None:
    if "cuda" in arguments and torch.cuda.is_available():
        pytest.skip("a GPU is here")
    check(adapt(*arguments), *parts)


def test_inputs_and_networks_that_are_not_there(adapt, tmp_path: Path, clip: Path) -> None:
    (tmp_path / "empty").mkdir()
    check(adapt("--method", "tent", source=tmp_path / "empty"), "holds no image")
    check(adapt("--method", "tent", source=tmp_path / "nowhere"), "no video and no folder")
    check(adapt("--method", "tent", model=tmp_path / "empty"), "holds no trained network")
    check(adapt("--method", "tent", "--model", "cgnet_small", model=None), "Give them: --weights FILE")
    missing = adapt("--method", "tent", "--model", "cgnet_small", "--weights", "no.pth", model=None)
    check(missing, "weight file 'no.pth' was not found")
    torch.save(build_model(resolve_config(ModelSettings(config="unet_small"), 11), seed=0).state_dict(), "unet.pth")
    check(
        adapt("--method", "tent", "--model", "cgnet_small", "--weights", "unet.pth", model=None),
        "do not fit the network",
    )


def test_a_folder_with_other_things_is_left_alone(adapt) -> None:
    Path("out").mkdir()
    Path("out/mine.txt").write_text("mine")
    for arguments in ([], ["--overwrite"]):
        outcome = adapt("--method", "source", *arguments)
        assert outcome.code == 2
        assert "is not empty" in outcome.err
    assert [path.name for path in Path("out").iterdir()] == ["mine.txt"]


@pytest.mark.parametrize(
    "arguments",
    [["--every", "0"], ["--limit", "x"], ["--resize", "960"], ["--fps", "nan"], ["--resize", "0x5"]],
    ids=" ".join,
)
def test_numbers_that_are_none(adapt, arguments: list[str]) -> None:
    outcome = adapt("--method", "source", *arguments)
    assert outcome.code == 2
    assert arguments[0] in outcome.err
    assert "wanted" in outcome.err or "reads WIDTHxHEIGHT" in outcome.err


def test_one_network_must_be_named(segshift, clip: Path) -> None:
    assert "required" in segshift("adapt", clip, "--method", "tent", "--out", "out").err
    outcome = segshift("adapt", clip, "--method", "tent", "--out", "out", "--task", "a", "--model", "b")
    assert "not allowed with" in outcome.err


def test_a_stream_that_fails_says_where_and_keeps_what_it_has(adapt, network: Path) -> None:
    weights = torch.load(network / "checkpoint.pth", weights_only=True)
    weights["state_dict"]["decode_head.conv_seg.bias"][0] = float("nan")
    torch.save(weights, network / "checkpoint.pth")
    outcome = adapt("--method", "tent")
    assert outcome.code == 1
    assert "stopped at frame 0 ('f6')" in outcome.err
    run = read_run()
    assert (run["status"], run["frames"]) == ("failed", 0)
    assert "stopped at frame 0" in run["failure"]


def test_ctrl_c_leaves_what_is_done_readable(adapt, clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for index in range(60):
        cv2.imwrite(str(clip / f"g{index:03d}.png"), draw(index % 6)[..., ::-1])
    write = Output.write

    def interrupt_at_the_fourth(output: Output, result: FrameResult) -> None:
        write(output, result)
        if result.frame.index == 3:
            _thread.interrupt_main()

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's background jobs do without
    monkeypatch.setattr(Output, "write", interrupt_at_the_fourth)
    outcome = adapt("--method", "tent")
    signal.signal(signal.SIGINT, before)
    assert outcome.code == 130
    assert "stopped. What is written can be read" in outcome.err
    run = read_run()
    assert run["status"] == "stopped"
    assert 4 <= run["frames"] < 66
    written = len(read_frames())
    assert len(list(Path("out/labels").iterdir())) == run["video"]["frames"] == written
    assert run["frames"] - 1 <= written <= run["frames"]
    assert count_frames(run["video"]["file"]) == written


def count_frames(name: str) -> int:
    capture, count = cv2.VideoCapture(f"out/{name}"), 0
    while capture.grab():
        count += 1
    return count


def test_a_full_disk_stops_the_stream_and_is_named(adapt, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, content: bytes) -> None:
        if path.name == "f8.png":
            raise OSError(errno.ENOSPC, "No space left on device")
        path.write_bytes(content)

    monkeypatch.setattr(live_output, "write_atomically", refuse)
    outcome = adapt("--method", "tent")
    assert outcome.code == 1
    assert "could not take the results of 'f8' (No space left on device)" in outcome.err
    assert read_run()["status"] == "failed"
    assert [frame["name"] for frame in read_frames()] == ["f6", "f7"]


def test_a_full_disk_at_the_end_is_named_too(adapt, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse_the_end(path: Path, content: str) -> None:
        if '"running"' not in content:
            raise OSError(errno.ENOSPC, "No space left on device")
        path.write_text(content)

    close = Output.close

    def refuse_to_close(output: Output) -> None:
        close(output)
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(live_folder, "write_atomically", refuse_the_end)
        outcome = adapt("--method", "source")
    assert outcome.code == 1
    assert "could not be read, or out not be written ([Errno 28] No space left on device)" in outcome.err
    assert len(read_frames()) == 6
    monkeypatch.setattr(Output, "close", refuse_to_close)
    outcome = adapt("--method", "source", "--overwrite")
    assert outcome.code == 1
    assert "[Errno 5] Input/output error" in outcome.err
    assert (read_run()["status"], read_run()["frames"]) == ("failed", 6)


def test_an_input_that_breaks_off_with_an_error_of_ours_is_a_failure(adapt, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = FolderFrames.__iter__

    def break_off(self: FolderFrames) -> Iterator[LiveFrame]:
        yield from itertools.islice(frames(self), 2)
        raise PrerequisiteError("The disk with the frames is gone. Plug it in.")

    monkeypatch.setattr(FolderFrames, "__iter__", break_off)
    outcome = adapt("--method", "source")
    assert outcome.code == 1
    assert "segshift: The disk with the frames is gone. Plug it in." in outcome.err
    assert (read_run()["status"], read_run()["frames"]) == ("failed", 2)
    assert len(read_frames()) == 2


def test_a_video_that_is_shorter_than_it_says(adapt, tmp_path: Path) -> None:
    writer = cv2.VideoWriter(str(tmp_path / "film.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 20.0, (64, 48))
    for index in range(12):
        writer.write(np.ascontiguousarray(draw(index % 6)[..., ::-1]))
    writer.release()
    whole = (tmp_path / "film.avi").read_bytes()
    (tmp_path / "film.avi").write_bytes(whole[: int(0.8 * len(whole))])
    outcome = adapt("--method", "source", source=tmp_path / "film.avi")
    run = read_run()
    assert 1 <= run["frames"] < run["frames_expected"] == 12
    assert f"announced 12 and {run['frames']} came: it may be cut short" in " ".join(outcome.out.split())


def test_the_help_teaches_by_examples(segshift) -> None:
    outcome = segshift("adapt", "--help")
    assert outcome.code == 0
    assert outcome.out.count("segshift adapt ") >= 6
    assert "labels/NAME.png" in outcome.out


def test_settings_are_read_as_yaml() -> None:
    settings: Any = read_method("rdumb", ["n=7", "base.name=cotta", "base.scales=[0.5, 1]", "base.flip=false"])
    assert (settings.n, settings.base.name, settings.base.scales, settings.base.flip) == (7, "cotta", (0.5, 1.0), False)
