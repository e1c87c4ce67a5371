"""`segshift data`: prepare and check data sets, write noisy labels of one, or draw the miniature."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapt.data.catalog import DATASET_TYPES, TYPE_NAMES, find_type
from adapt.data.settings import FOLDER_SPLIT, FOLDER_TYPE
from adapt.errors import SpecError
from orchestrator.cli.options import add_command

if TYPE_CHECKING:
    from adapt.data.settings import DatasetSettings
    from adapt.noise.settings import NoiseSettings
    from experiments.document import Document

EXAMPLES = """\
  segshift data prepare gta --root /data/gta                    convert labels, count classes; goes on where it stopped
  segshift data prepare cityscapes --root /data/cityscapes
  segshift data check cityscapes --root /data/cityscapes        name every missing pair, wrong size and unknown id
  segshift data miniature --root /tmp/miniature                 draw the miniature, to look at it
  segshift data noise --type camvid --root /data/camvid --model morphology --rate 0.3 --out /data/camvid_noisy
"""
NOISE_EXAMPLES = """\
  segshift data noise --type camvid --root /data/camvid --split train --model morphology --rate 0.3 --out noisy
  segshift data noise --type camvid --root /data/camvid --model flip --rate 0.2 'pairs={Car: Road}' target=pair --out noisy
  segshift data noise --type folder --root mine --classes road,car,person --model drop --rate 0.5 --seed 7 --out noisy

models and their settings (KEY=VALUE), with their defaults:
  morphology  masks too small or too large    iterations=[2,3,4] area=1000
  flip        other classes                   unit=object (or pixel) target=symmetric (or pair) pairs={}
  boundary    careless outlines of objects    style=polygon (or shift) distance=8
  drop        objects that are missing        max_share=0.05
  weak        masks known at cells only       cell=16 threshold=0.35
  all models  background=NAME in data sets of things on a background; street scenes have none

OUT/labels/NAME.png   train ids with noise, 255 ignored      OUT/images/   links to the originals, which are never changed
OUT/mask/NAME.png     255 where noisy and clean differ       OUT/manifest.json   settings, hits, changed pixels, hashes

OUT is a data set of type `folder` (docs/data.md, 'Your own data'); its settings stand in the manifest under `read_as`.
The noise of an image depends on the seed and its name alone. The same command again writes the same bytes.
Exit codes: 0 done, 1 some files could not be read or written (listed), 2 nothing was done.
"""
SHOWN_PROBLEMS = 50


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = add_command(commands, "data", "prepare and check data sets", EXAMPLES)
    actions = parser.add_subparsers(title="actions", dest="action", metavar="ACTION", required=True)
    for name, text, function in (
        ("prepare", "convert the labels of a data set to trainIds and write its class statistics", run_prepare),
        ("check", "read every file of a data set and name what is wrong", run_check),
        ("miniature", "draw the procedural miniature", run_miniature),
    ):
        action = actions.add_parser(name, help=text, description=text)
        if name != "miniature":
            action.add_argument(
                "type", choices=sorted(TYPE_NAMES), metavar="TYPE", help=", ".join(sorted(DATASET_TYPES))
            )
        _add_common_options(action, function)
    noise = add_command(actions, "noise", "write noisy labels of a data set into a folder of their own", NOISE_EXAMPLES)
    noise.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="settings of the model, such as distance=12")
    noise.add_argument(
        "--type", required=True, choices=sorted(TYPE_NAMES), metavar="TYPE", help=", ".join(sorted(TYPE_NAMES))
    )
    noise.add_argument("--split", metavar="SPLIT", help="(default: the one that networks are trained on)")
    noise.add_argument("--classes", metavar="NAME,NAME", help="type folder: names of all classes in train id order")
    noise.add_argument("--model", required=True, metavar="MODEL", help="morphology, flip, boundary, drop, weak")
    noise.add_argument("--rate", type=float, required=True, metavar="R", help="share of the model's units that is hit")
    noise.add_argument("--seed", type=int, default=0, metavar="N", help="of all draws, with the image's name (0)")
    noise.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the noisy labels")
    _add_common_options(noise, run_noise)


def _add_common_options(action: argparse.ArgumentParser, function: Callable[[argparse.Namespace], int]) -> None:
    action.add_argument("--root", type=Path, required=True, metavar="DIR", help="the data set's own folder")
    action.add_argument(
        "--workers", type=int, default=os.cpu_count() or 1, metavar="N", help="processes (default: all cores)"
    )
    action.set_defaults(run=function)


def run_prepare(options: argparse.Namespace) -> int:
    """Prepare a data set; the exit code is 1 where files could not be dealt with."""
    from adapt.data.prepare import prepare

    with _progress(f"preparing {options.type}") as on_progress:
        report = prepare(options.type, options.root, options.workers, on_progress)
    print(
        f"{report.converted} labels converted, {report.up_to_date} were up to date, {report.counted} counted for class statistics."
    )
    return _print_problems(report.problems)


def run_check(options: argparse.Namespace) -> int:
    """Check a data set; the exit code is 1 where something is wrong."""
    from adapt.data.check import check

    with _progress(f"checking {options.type}") as on_progress:
        problems = check(options.type, options.root, options.workers, on_progress)
    if not problems:
        print(f"{options.root}: everything is in order.")
    return _print_problems(problems)


def run_miniature(options: argparse.Namespace) -> int:
    """Draw the miniature with its default settings, and prepare it."""
    from adapt.data.miniature.settings import MiniatureSettings
    from orchestrator.miniature import make_miniature

    with _progress("drawing") as on_progress:
        make_miniature(
            options.root, MiniatureSettings(), options.workers, lambda _, done, total: on_progress(done, total)
        )
    print(f"The miniature is in {options.root}.")
    return 0


def run_noise(options: argparse.Namespace) -> int:
    """Write noisy labels; the exit code is 1 where files could not be dealt with."""
    noise = read_noise(options.model, options.rate, options.seed, options.overrides)
    dataset = read_dataset(options.type, options.split, options.classes)

    from adapt.noise.write import write_noisy_labels

    with _progress("writing noisy labels") as on_progress:
        report = write_noisy_labels(dataset, options.root, noise, options.out, options.workers, on_progress)
    hit, changed = _percent(report.hit, report.units), report.changed_share
    print(f"{report.images} labels with noise in {options.out}: {report.hit} of {report.units} units hit ({hit}),")
    print(f"{'no' if changed is None else f'{100 * changed:.2f}% of the'} labelled pixels changed.")
    if not report.units and noise.rate:
        print("Nothing could be hit: no label holds a unit of this model.")
    return _print_problems(report.problems)


def read_noise(model: str, rate: float, seed: int, overrides: Sequence[str]) -> NoiseSettings:
    """Read the settings of a noise model from the command line.

    Raises:
        SpecError: names the setting, what is allowed and the closest to it.
    """
    from adapt.noise.settings import NoiseSettings
    from experiments.document import Document, parse_override

    data = {"name": model, "rate": rate, "seed": seed}
    options = {"name": "--model", "rate": "--rate", "seed": "--seed"}
    document = Document(data, {(key,): option for key, option in options.items()})
    for text in overrides:
        override = parse_override(text)
        for key in data.keys() & override.data.keys():
            raise SpecError(f"override {text!r}: give {options[key]} instead.")
        document = document.merged(override)
    settings: NoiseSettings = _validate(NoiseSettings, "noise", document)
    return settings


def read_dataset(type_name: str, split: str | None, classes: str | None) -> DatasetSettings:
    """Read which frames are meant; without a split those that networks are trained on.

    Raises:
        SpecError: a folder comes without the names of its classes, or another type with such names.
    """
    from adapt.data.settings import DatasetSettings, FolderSettings
    from experiments.document import Document

    if type_name != FOLDER_TYPE:
        if classes is not None:
            raise SpecError(f"--classes is for type {FOLDER_TYPE}: '{type_name}' has classes of its own. Leave it out.")
        return DatasetSettings(type=type_name, split=split or find_type(type_name).train_split)
    if classes is None:
        raise SpecError(
            f"Type {FOLDER_TYPE} needs the names of its classes in train id order: --classes road,car,person"
        )
    data = {"split": split or FOLDER_SPLIT, "classes": [name.strip() for name in classes.split(",")]}
    settings: DatasetSettings = _validate(
        FolderSettings, "dataset", Document(data, {(key,): f"--{key}" for key in data})
    )
    return settings


def _validate(shape: Any, name: str, document: Document) -> Any:
    """Validate what the command line says; errors have `name` for the whole."""
    from experiments.document import Document
    from experiments.explain import validate

    origins = {(name, *path): origin for path, origin in document.origins.items()}
    return validate(shape, document.data, Document({name: document.data}, {(): "command line", **origins}), at=(name,))


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f}%" if whole else "none"


def _print_problems(problems: tuple[object, ...]) -> int:
    for problem in problems[:SHOWN_PROBLEMS]:
        print(f"  {problem}")
    if len(problems) > SHOWN_PROBLEMS:
        print(f"  ... and {len(problems) - SHOWN_PROBLEMS} more.")
    return 1 if problems else 0


@contextmanager
def _progress(title: str) -> Iterator[Callable[[int, int], None]]:
    from rich.progress import Progress

    with Progress(transient=True) as progress:
        bar = progress.add_task(title, total=None)
        yield lambda done, total: progress.update(bar, completed=done, total=total)
