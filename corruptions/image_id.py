"""What an image is called where seeds are derived: the name of its frame, as benchmarks have it, or its path."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePath, PurePosixPath
from typing import Any, Literal, get_args

from corruptions.errors import CorruptionError, unknown_name

IdKind = Literal["name", "path"]
KINDS: tuple[IdKind, ...] = get_args(IdKind)


@dataclass(frozen=True)
class ImageIds:
    """How images of a folder get the ids from which their seeds are derived.

    Attributes:
        kind: "name": the file's name without its folders, which is unique within a data set: the pixels of a benchmark, a
            stream or a transform. "path": the path inside the folder, for images whose names are not unique.
        image_suffix: How file names of the data set's images end after their frame's name, such as "_leftImg8bit.png":
            other files are none of its images. None: all are, and the ids lack the extension alone.
    """

    kind: IdKind = "name"
    image_suffix: str | None = None

    def __post_init__(self) -> None:
        """Refuse a rule that does not exist."""
        if self.kind not in KINDS:
            raise unknown_name("kind of image ids", str(self.kind), KINDS)
        if self.image_suffix is not None and not PurePath("x" + self.image_suffix).suffix:
            raise CorruptionError(
                f"image suffix {self.image_suffix!r} has no extension: give all that follows the frame's name, such as "
                "_leftImg8bit.png"
            )

    def identify(self, source: str) -> str:
        """Return the id of an image.

        Args:
            source: Its path inside the folder, in POSIX form.

        Example:
            >>> ImageIds("name", "_leftImg8bit.png").identify("frankfurt/frankfurt_000000_000294_leftImg8bit.png")
            'frankfurt_000000_000294'
            >>> ImageIds("path").identify("day/0001.png")
            'day/0001'
        """
        name = name_frame(source, self.image_suffix)
        return name if self.kind == "name" else (PurePosixPath(source).parent / name).as_posix()

    def select(self, sources: Iterable[str]) -> list[str]:
        """Leave out what is no image of the data set.

        Args:
            sources: Paths inside the folder, in POSIX form.

        Returns:
            Those that end as the images do, in the same order.

        Raises:
            CorruptionError: If none does.
        """
        files = list(sources)
        found = [name for name in files if self.image_suffix is None or name.endswith(self.image_suffix)]
        if files and not found:
            raise CorruptionError(
                f"none of {len(files)} images ends in {self.image_suffix!r} (the first is '{files[0]}'): correct the image suffix, "
                "or leave it out"
            )
        return found

    def refuse_equal(self, sources: Iterable[str]) -> None:
        """Refuse images of one id, whose random corruptions would be the same.

        Args:
            sources: Paths inside the folder, in POSIX form.

        Raises:
            CorruptionError: If two have the same id; the text names both.
        """
        seen: dict[str, str] = {}
        for source in sources:
            name = self.identify(source)
            if name in seen:
                remedy = (
                    "or take the path inside the folder as id (`--ids path`; in Python ImageIds('path')), which no benchmark does"
                    if self.kind == "name"
                    else "or move one of them away"
                )
                raise CorruptionError(
                    f"'{seen[name]}' and '{source}' have the same id '{name}', from which seeds are derived: rename one of them, "
                    f"{remedy}"
                )
            seen[name] = source

    def describe(self) -> dict[str, Any]:
        """Return the rule as plain data."""
        return {"kind": self.kind, "image_suffix": self.image_suffix}


BY_NAME = ImageIds()


def name_frame(path: str, image_suffix: str | None = None) -> str:
    """Return the name of an image's frame, by which benchmarks seed its corruptions.

    Args:
        path: The image file.
        image_suffix: How file names of images end after it. None: the extension alone.

    Example:
        >>> name_frame("/data/camvid/test/0001TP_008550.png")
        '0001TP_008550'
    """
    file = PurePath(path)
    return file.stem if image_suffix is None else file.name.removesuffix(image_suffix)
