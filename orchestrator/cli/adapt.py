"""`segshift adapt`: run a test-time method over a video or a folder of frames, and write what it sees."""

from __future__ import annotations

import argparse
import copy
import dataclasses
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapt.errors import SpecError
from experiments.workspace import parse_place
from orchestrator.cli.options import add_command

if TYPE_CHECKING:
    import torch
    from rich.console import Console

    from adapt.tta.settings import MethodSettings

EXAMPLES = """\
  a video, with a network that a sweep has trained (`segshift status EXPERIMENT` lists keys):
    segshift adapt drive.mp4 --task 5f3a --method tent lr=1e-4 --out adapted
  a folder of images, with weights from elsewhere, beside what the unadapted network sees:
    segshift adapt frames/ --model cgnet_camvid --weights cgnet_camvid.pth --method bn_stats --compare --out adapted
  settings of the method are KEY=VALUE, those of a method inside another have a dot:
    segshift adapt frames/ --checkpoint FOLDER --method rdumb n=50 base.name=eta base.lr=1e-4 --out adapted
  methods that know the source's images, or train a small network:
    segshift adapt drive.mp4 --checkpoint FOLDER --method reservoir base.name=tent models=8 --source train/ --out adapted
    segshift adapt drive.mp4 --checkpoint FOLDER --method auxadapt --auxiliary SMALL --out adapted
  a quick look: every 5th frame, 100 of them, at half size:
    segshift adapt drive.mp4 --task 5f3a --method tent --every 5 --limit 100 --resize 960x540 --out look --overwrite

DIR/labels/NAME.png      class ids, one channel, at the frame's size
DIR/overlays/NAME.jpg    the picture under the colours of its classes
DIR/side_by_side.webm    the picture and the overlay, as a video (.mp4 or .avi where webm cannot be written)
DIR/frames.jsonl         what was done on each frame; DIR/run.json: settings, sums, what could not be used

The methods are those of `stream` stages (docs/experiments.md); no labels are needed, and nothing is scored.
Exit codes: 0 done, 1 done but for some frames (listed), or stopped by a failure, 2 nothing was done, 130 stopped by Ctrl-C.
"""
SHOWN_PROBLEMS = 20
SOURCE_SAMPLES = 1000  # as many styles as the published threshold rests on


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = add_command(commands, "adapt", "run a test-time method over a video or a folder of frames", EXAMPLES)
    parser.add_argument("input", type=Path, help="a video, or a folder of images (played in natural order)")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="settings of the method, such as lr=1e-4")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the results; new or empty")
    parser.add_argument("--overwrite", action="store_true", help="remove the results of an earlier run from DIR first")

    network = parser.add_argument_group("the network, one of").add_mutually_exclusive_group(required=True)
    network.add_argument("--model", metavar="CONFIG", help="name or path of a config; with --weights")
    network.add_argument("--checkpoint", type=Path, metavar="FOLDER", help="folder with model.json and checkpoint.pth")
    network.add_argument("--task", metavar="KEY", help="first digits of the key of a finished train or uda task")
    parser.add_argument(
        "--weights", metavar="FILE", help="checkpoint of --model; also looked for in the workspace's folder"
    )
    parser.add_argument(
        "--store", type=parse_place, metavar="DIR", help="store of --task's results (default: ./segshift-store)"
    )

    method = parser.add_argument_group("the method")
    method.add_argument("--method", required=True, metavar="NAME", help="source, bn_stats, tent, cotta, reservoir ...")
    method.add_argument("--auxiliary", type=Path, metavar="FOLDER", help="auxadapt: folder of the small network")
    method.add_argument("--source", type=Path, metavar="FOLDER", help="reservoir, eata: images like those trained on")
    method.add_argument(
        "--source-samples",
        type=_positive,
        default=SOURCE_SAMPLES,
        metavar="N",
        help="at most so many of them (%(default)s)",
    )
    method.add_argument(
        "--reset-every", type=_positive, metavar="N", help="back to the start every N frames; 1: episodic"
    )
    method.add_argument(
        "--on-non-finite",
        choices=("restore", "reset", "stop"),
        default="restore",
        help="if a loss, prediction or parameter is not finite: back to the last good state (default), to the start, or stop",
    )
    method.add_argument("--seed", type=int, default=0, metavar="N", help="of the method's random draws (0)")

    frames = parser.add_argument_group("frames and pictures")
    frames.add_argument("--every", type=_positive, default=1, metavar="N", help="take each N-th frame")
    frames.add_argument("--limit", type=_positive, metavar="N", help="take at most N frames")
    frames.add_argument("--resize", type=_size, metavar="WxH", help="the network sees frames scaled to fit inside")
    frames.add_argument("--allow-gray", action="store_true", help="repeat the one channel of gray frames three times")
    frames.add_argument("--compare", action="store_true", help="add what the unadapted network sees to the video")
    frames.add_argument(
        "--fps", type=_rate, metavar="N", help="of the video written (default: as the input; 10 of a folder)"
    )

    parser.add_argument(
        "--device", choices=("auto", "cpu", "cuda"), default="auto", help="(default: cuda where there is one)"
    )
    parser.add_argument("--cpus", type=_positive, metavar="N", help="cores that may be used (default: all)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Adapt; the exit code is 1 where frames could not be used or the stream failed."""
    settings = read_method(options.method, options.overrides)

    import torch
    from rich.console import Console

    from adapt import runtime
    from adapt.inference import forward_logits, predict_classes, renormalise
    from adapt.tta.catalog import build_method
    from adapt.tta.live.folder import check_folder
    from adapt.tta.live.frames import Choice, open_frames
    from adapt.tta.live.supplies import check_sources, load_auxiliary, measure_supplies
    from adapt.tta.supplies import Supplies
    from orchestrator.live import describe_options
    from orchestrator.live_network import load_network
    from orchestrator.live_progress import show_frames, show_source
    from orchestrator.live_stream import LiveStream, run_stream

    check_sources(settings, options.auxiliary, options.source)
    frames = open_frames(options.input, Choice(options.every, options.limit, options.allow_gray))
    check_folder(options.out, options.input, options.overwrite)
    gpus = 1 if options.device == "cuda" or (options.device == "auto" and torch.cuda.is_available()) else 0
    device = runtime.configure(options.cpus or os.cpu_count() or 1, options.seed, gpus)
    network = load_network(options.model, options.weights, options.checkpoint, options.task, options.store)
    model = network.model.to(device)
    source = copy.deepcopy(model) if options.compare else None

    def forward(part: torch.nn.Module, images: torch.Tensor) -> torch.Tensor:
        return forward_logits(part, renormalise(images, model, part))  # AuxNet may have been trained on other colours

    console = Console()
    supplies, size = Supplies(), options.resize
    if options.source is not None:
        with show_source(console) as show_images:
            supplies = measure_supplies(
                settings, model, forward, options.source, options.source_samples, size, show_images
            )
    auxiliary = None if options.auxiliary is None else load_auxiliary(options.auxiliary, network.classes, device)
    supplies = dataclasses.replace(supplies, seed=options.seed, auxiliary=auxiliary)
    stream = LiveStream(
        frames,
        options.out,
        network,
        settings,
        build_method(settings, model, forward, len(network.classes), supplies),
        predict_source=None if source is None else lambda image: predict_classes(source, image, size),
        resize=size,
        reset_every=options.reset_every,
        on_non_finite=options.on_non_finite,
        fps=options.fps,
    )
    with show_frames(frames.total, console) as show:
        result, failure = run_stream(stream, describe_options(vars(options)), show)
    return report(options.out, result, failure, console)


def read_method(name: str, overrides: Sequence[str]) -> MethodSettings:
    """Read a method's settings from the command line.

    Raises:
        SpecError: names the setting, what is allowed and the closest to it.
    """
    from adapt.tta.settings import MethodSettings
    from experiments.document import Document, parse_override
    from experiments.explain import validate

    document = Document({"name": name}, {(): "--method", ("name",): "--method"})
    for text in overrides:
        override = parse_override(text)
        if "name" in override.data:
            raise SpecError(f"override {text!r}: the method is named by --method, and by base.name inside another.")
        document = document.merged(override)
    origins = {("method", *path): origin for path, origin in document.origins.items()}
    named = Document({"method": document.data}, origins)  # so that errors have a word for the whole
    settings: MethodSettings = validate(MethodSettings, document.data, named, at=("method",))
    return settings


def report(folder: Path, result: Mapping[str, Any], failure: BaseException | None, console: Console) -> int:
    """Print the sums and what could not be used; return the exit code."""
    from rich.table import Table
    from rich.text import Text

    from orchestrator.live import summarise

    table = Table.grid(padding=(0, 2, 0, 0))
    for word, text in summarise(result):
        table.add_row(Text(word, style="bold"), Text(text))
    console.print(table)
    console.print(Text(f"Results are in {folder}."), soft_wrap=True)
    problems = result["problems"]
    if problems:
        console.print(Text(f"{len(problems)} frames could not be used, or not for everything:", style="bold yellow"))
        for problem in problems[:SHOWN_PROBLEMS]:
            console.print(Text(f"  {problem['frame']}: {problem['text']}"), soft_wrap=True)
        if len(problems) > SHOWN_PROBLEMS:
            console.print(
                Text(f"  ... and {len(problems) - SHOWN_PROBLEMS} more, in {folder / 'run.json'}."), soft_wrap=True
            )
    if isinstance(failure, KeyboardInterrupt):
        print("segshift: stopped. What is written can be read; it cannot be gone on with.", file=sys.stderr)
        return 130
    if failure is not None:
        print(f"segshift: {failure}", file=sys.stderr)
    return 1 if problems or failure is not None else 0


def _positive(text: str) -> int:
    return int(_positive_number(text, int))


def _rate(text: str) -> float:
    return _positive_number(text, float)


def _positive_number(text: str, kind: type[float]) -> float:
    try:
        number = kind(text)
    except ValueError:
        number = 0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"a number above 0 is wanted, not {text!r}")
    return number


def _size(text: str) -> tuple[int, int]:
    width, separator, height = text.partition("x")
    if not separator or not width.isdigit() or not height.isdigit() or not int(width) * int(height):
        raise argparse.ArgumentTypeError(f"a size reads WIDTHxHEIGHT, such as 960x540, not {text!r}")
    return int(width), int(height)
