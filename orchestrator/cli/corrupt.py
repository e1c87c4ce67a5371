"""`segshift corrupt`: write corrupted copies of a folder of images, draw one picture of all corruptions, or list them."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from adapt.errors import SpecError
from corruptions.errors import CorruptionError
from corruptions.image_id import KINDS, ImageIds
from corruptions.protocol import CHOICES, PROTOCOLS
from corruptions.protocol_file import find_protocol
from corruptions.selection import select_cells
from orchestrator.cli.options import add_command

if TYPE_CHECKING:
    from corruptions.protocol import Cell, Protocol

EXAMPLES = f"""\
  what there is: corruptions with their constants, and the cells of the protocols
    segshift corrupt --list
  look first: one picture, a row for each corruption, a column for each severity
    segshift corrupt street.jpg --preview corruptions.png
  every image of a folder under the 15 x 5 cells of a protocol, the pixels of a benchmark on Cityscapes
    segshift corrupt /data/cityscapes/leftImg8bit/val /data/cityscapes-c --protocol michaelis --image-suffix _leftImg8bit.png
  a part of it; the rest can be added later, into the same folder
    segshift corrupt images copies --protocol michaelis --only fog snow --severity 3 5
  a protocol of your own, in a YAML file:   {{name: winter, cells: {{fog: [1, 3, 5], snow: [3]}}}}
    segshift corrupt images copies --protocol winter.yaml --seed 1

OUT/CORRUPTION/SEVERITY/...  the folders and names of SRC; PNG files (lossless), so the suffix becomes .png
OUT/manifest.json            protocol, backend and its version, seed; for each copy its source, seed and both hashes

protocols: {", ".join(PROTOCOLS)}
SRC holds images only: labels are not corrupted and not copied, and label images inside SRC would be taken for images.
elastic_transform, zoom_blur and glass_blur move pixels, and the labels do not follow: report means with and without them.
The pixels of a copy depend on the seed, the image's id, corruption, severity and the backend's version alone. The id is the
file's name without its folders and without --image-suffix (else its extension): give the suffix that the data set has, and
copies equal what benchmarks, streams and transforms make of its frames.
Copies that are there, with the hash that the manifest says, stay; after an interruption the same command goes on.
Exit codes: 0 done, 1 done but for some images (listed), 2 nothing was done, 130 stopped by Ctrl-C.
"""
SHOWN_PROBLEMS = 50


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = add_command(commands, "corrupt", "write corrupted copies of a folder of images", EXAMPLES)
    parser.add_argument(
        "source", nargs="?", type=Path, metavar="SRC", help="folder of images, or one image for --preview"
    )
    parser.add_argument("out", nargs="?", metavar="OUT", help="folder of the copies; not inside SRC")
    parser.add_argument("--protocol", metavar="NAME|FILE", help="which corruptions and severities, and the backend")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of all draws, with the image's id (0)")
    parser.add_argument("--image-suffix", metavar="TEXT", help="end of the images' names; other files are left out")
    parser.add_argument(
        "--ids",
        choices=KINDS,
        default=KINDS[0],
        help="of images: their name, or path inside SRC if names are not unique",
    )
    parser.add_argument("--backend", choices=CHOICES, help="instead of the protocol's")
    parser.add_argument("--only", nargs="+", default=[], metavar="CORRUPTION", help="these of the protocol only")
    parser.add_argument("--severity", nargs="+", type=int, default=[], metavar="S", help="these only (1 to 5)")
    parser.add_argument(
        "--workers", type=int, default=os.cpu_count() or 1, metavar="N", help="processes (default: all cores)"
    )
    parser.add_argument(
        "--preview",
        type=Path,
        metavar="FILE.png",
        help="draw this picture of SRC (of a folder: its first image) instead",
    )
    parser.add_argument("--list", action="store_true", help="print corruptions, constants and protocols instead")
    parser.set_defaults(run=run, late_argument="out")


def run(options: argparse.Namespace) -> int:
    """Write copies or a preview, or list what there is; the exit code is 1 where images could not be dealt with."""
    if options.list:
        return _list()
    if options.source is None:
        raise SpecError(
            "Which images? segshift corrupt SRC OUT --protocol NAME; SRC stands before --only and --severity, which take all "
            "that follows. What there is: segshift corrupt --list"
        )
    if options.seed < 0:
        raise SpecError(f"--seed {options.seed}: a seed is 0 or more, as in a stage.")
    try:
        return _preview(options) if options.preview is not None else _copy(options)
    except CorruptionError as error:
        raise SpecError(f"{error}.") from error


def _list() -> int:
    from corruptions.listing import format_corruptions, format_protocols

    print(f"{format_corruptions()}\n\n{format_protocols()}")
    return 0


def _copy(options: argparse.Namespace) -> int:
    if options.out is None:
        raise SpecError(
            "Copies need a folder: segshift corrupt SRC OUT --protocol NAME. For one picture: --preview FILE.png"
        )
    if options.source.is_file():
        raise SpecError(
            f"'{options.source}' is a file, and copies are made of a folder: give its folder, or --preview FILE.png for one "
            "picture of this image."
        )
    if options.protocol is None:
        raise SpecError(f"Which corruptions? Give --protocol {', '.join(PROTOCOLS)}, or a YAML file of your own.")
    if options.workers < 1:
        raise SpecError(f"--workers {options.workers}: at least one process is needed.")
    protocol, cells = _narrow(find_protocol(options.protocol), options)
    ids = ImageIds(options.ids, options.image_suffix)

    from corruptions.copies import write_copies

    with _progress("writing copies") as on_progress:
        report = write_copies(
            options.source, Path(options.out), protocol, options.seed, cells, options.workers, on_progress, ids
        )
    print(f"{report.images} images in {options.out}: {report.written} copies written, {report.kept} were there.")
    if report.left_out:
        print(f"{report.left_out} image files whose names do not end in {options.image_suffix} were left out.")
    for source, reason in report.problems[:SHOWN_PROBLEMS]:
        print(f"  {source}: {reason}")
    if len(report.problems) > SHOWN_PROBLEMS:
        print(f"  ... and {len(report.problems) - SHOWN_PROBLEMS} more; all stand in manifest.json under `problems`.")
    return 1 if report.problems else 0


def _preview(options: argparse.Namespace) -> int:
    source, target = options.source, options.preview
    if options.out is not None:
        raise SpecError("--preview draws one picture, and OUT is a folder of copies. Leave one of them out.")
    if target.suffix.lower() != ".png":
        raise SpecError(f"--preview {target}: the picture is a PNG file. Give a name that ends in .png")
    if target.is_dir() or not target.absolute().parent.is_dir():
        raise SpecError(f"--preview {target}: that is a folder, or the folder does not exist. Give the name of a file.")
    if not source.exists():
        raise SpecError(f"'{source}' does not exist. Give an image, or a folder of images.")

    from corruptions.image_file import decode_image, encode_png, list_images, write_whole
    from corruptions.preview import ALL_CELLS, draw_preview
    from corruptions.protocol import Protocol

    ids = ImageIds(options.ids, options.image_suffix)
    everything = Protocol("all corruptions", ALL_CELLS)
    protocol, cells = _narrow(everything if options.protocol is None else find_protocol(options.protocol), options)
    name = ids.select(list_images(source) if source.is_dir() else [source.name])[0]
    path = source / name if source.is_dir() else source
    if target.exists() and target.samefile(path):
        raise SpecError(f"--preview {target} is the image itself, which would be lost. Give another name.")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SpecError(f"'{path}' cannot be read ({error.strerror or error}). Mend its permissions.") from error
    image = decode_image(data, f"'{path}'")
    with _progress("drawing") as on_progress:
        page = draw_preview(
            image,
            ids.identify(name),
            cells,
            options.seed,
            protocol.backend,
            channel_order=protocol.channel_order,
            on_progress=on_progress,
        )
    write_whole(target, encode_png(page))
    print(f"{path} under {len(cells)} corruptions and severities: {target}")
    return 0


def _narrow(protocol: Protocol, options: argparse.Namespace) -> tuple[Protocol, tuple[Cell, ...]]:
    """Return the protocol with the backend, and those of its cells, that the command line asks for."""
    if options.backend is not None:
        protocol = protocol.with_backend(options.backend)
    return protocol, select_cells(protocol, options.only, options.severity)


@contextmanager
def _progress(title: str) -> Iterator[Callable[[int, int], None]]:
    from rich.progress import Progress

    with Progress(transient=True) as progress:
        bar = progress.add_task(title, total=None)
        yield lambda done, total: progress.update(bar, completed=done, total=total)
