"""The image cache: equal pixels, a bound that holds, and no damage that is ever an error."""

from __future__ import annotations

import logging
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from adapt.data.cache import VERSION, CacheSettings, ImageCache

HEADER = 24  # 8 + 4 * 4 bytes: magic, height, width, channels, checksum


class Maker:
    """Decodes a file by repeating its first byte, and counts how often."""

    def __init__(self, file: Path, shape: tuple[int, ...] = (5, 4, 3)) -> None:
        self.file = file
        self.shape = shape
        self.calls = 0

    def __call__(self) -> NDArray[np.uint8]:
        self.calls += 1
        start = self.file.read_bytes()[0]
        return (np.arange(int(np.prod(self.shape)), dtype=np.uint8) + start).reshape(self.shape)


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def list_entries(folder: Path) -> list[Path]:
    return sorted(folder.glob("??/*.pixels"))


def measure(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("??/*"))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write(tmp_path / "image.png", b"\x07rest")


@pytest.fixture
def cache(tmp_path: Path) -> ImageCache:
    return ImageCache(tmp_path / "cache", 10**6)


@pytest.mark.parametrize("shape", [(5, 4, 3), (5, 4, 4), (3, 8), (1, 1)])
def test_what_was_made_is_read_back(cache: ImageCache, file: Path, shape: tuple[int, ...]) -> None:
    make = Maker(file, shape)
    first = cache.fetch((file,), "r", make)
    second = cache.fetch((file,), "r", make)
    other_process = pickle.loads(pickle.dumps(ImageCache(cache.folder, cache.max_bytes))).fetch((file,), "r", make)

    assert make.calls == 1
    for pixels in (first, second, other_process):
        assert pixels.dtype == np.uint8
        assert np.array_equal(pixels, Maker(file, shape)())
        pixels[0, 0] = 1  # a reader may write
    assert cache.fetch((file,), "r", make)[0, 0].max() != 1


def test_pixels_in_any_memory_order_are_kept(cache: ImageCache, file: Path) -> None:
    pixels = np.arange(24, dtype=np.uint8).reshape(4, 6)[::-1, ::2]
    assert np.array_equal(cache.fetch((file,), "r", lambda: pixels), pixels)
    assert np.array_equal(cache.fetch((file,), "r", Maker(file)), pixels)


def test_content_and_recipe_are_the_key(
    cache: ImageCache, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = Maker(file)
    label = write(tmp_path / "label.png", b"\x01")
    cache.fetch((file,), "r", make)
    copy = write(tmp_path / "elsewhere.png", file.read_bytes())
    assert np.array_equal(cache.fetch((copy,), "r", make), make())
    assert make.calls == 2  # the second by this test itself: equal bytes elsewhere are one entry

    for files, recipe in (((file,), "other"), ((file, label), "r"), ((label, file), "r")):
        before = make.calls
        cache.fetch(files, recipe, make)
        assert make.calls == before + 1
    monkeypatch.setattr("adapt.data.cache.VERSION", VERSION + 1)
    before = make.calls
    cache.fetch((file,), "r", make)
    assert make.calls == before + 1


def test_a_file_that_changes_is_made_anew(cache: ImageCache, file: Path) -> None:
    make = Maker(file)
    cache.fetch((file,), "r", make)
    times = file.stat().st_atime_ns, file.stat().st_mtime_ns
    write(file, b"\x09rest")  # of the same length
    os.utime(file, ns=times)

    assert cache.fetch((file,), "r", make)[0, 0, 0] == 9


def test_a_file_that_changes_while_it_is_decoded_is_not_kept(cache: ImageCache, file: Path) -> None:
    def make() -> NDArray[np.uint8]:
        write(file, b"\x09 changed")
        return Maker(file)()

    cache.fetch((file,), "r", make)
    assert list_entries(cache.folder) == []
    write(file, b"\x07rest")
    assert cache.fetch((file,), "r", Maker(file))[0, 0, 0] == 7


def flip_bit(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[: HEADER - 1],
        lambda data: data[:HEADER],
        lambda data: data[:-1],
        lambda data: data + b"x",
        lambda data: flip_bit(data, 0),
        lambda data: flip_bit(data, 8),
        lambda data: flip_bit(data, HEADER - 1),
        lambda data: flip_bit(data, HEADER + 30),
        lambda data: data[:8] + b"\xff" * 12 + data[20:],  # of a size that no memory holds
        lambda data: b"no entry at all, but long enough to hold one" * 3,
    ],
)
def test_a_damaged_entry_is_made_anew(cache: ImageCache, file: Path, damage: Callable[[bytes], bytes]) -> None:
    make = Maker(file)
    expected = cache.fetch((file,), "r", make)
    (entry,) = list_entries(cache.folder)
    entry.write_bytes(damage(entry.read_bytes()))

    assert np.array_equal(cache.fetch((file,), "r", make), expected)
    assert make.calls == 2
    cache.fetch((file,), "r", make)
    assert make.calls == 2


def test_the_least_recently_used_go_first(tmp_path: Path) -> None:
    size = HEADER + 60
    cache = ImageCache(tmp_path / "cache", 8 * size)
    makers = [Maker(write(tmp_path / f"{index}.png", bytes([index]))) for index in range(9)]
    for age, make in enumerate(makers[:8]):
        cache.fetch((make.file,), "r", make)
        newest = max(list_entries(cache.folder), key=lambda path: path.stat().st_mtime_ns)
        os.utime(newest, (1000 + age, 1000 + age))
    cache.fetch((makers[0].file,), "r", makers[0])  # used: now it is the newest
    assert measure(cache.folder) == 8 * size

    cache.fetch((makers[8].file,), "r", makers[8])

    # Seven eighths are kept: one of eight goes, and it is the second.
    assert measure(cache.folder) == 8 * size
    for index, make in enumerate(makers):
        make.calls = 0
        if index != 1:
            cache.fetch((make.file,), "r", make)
        assert make.calls == 0, index
    cache.fetch((makers[1].file,), "r", makers[1])
    assert makers[1].calls == 1


def test_what_would_never_fit_is_not_kept(tmp_path: Path, file: Path) -> None:
    cache = ImageCache(tmp_path / "cache", HEADER + 59)
    assert cache.fetch((file,), "r", Maker(file)).shape == (5, 4, 3)
    assert list_entries(tmp_path / "cache") == []
    assert ImageCache(tmp_path / "cache", HEADER + 60).fetch((file,), "r", Maker(file)).shape == (5, 4, 3)
    assert len(list_entries(tmp_path / "cache")) == 1


def test_an_entry_larger_than_what_an_eviction_frees_has_room_made(tmp_path: Path) -> None:
    size = HEADER + 60
    cache = ImageCache(tmp_path / "cache", size * 3 // 2)
    for index in range(3):
        make = Maker(write(tmp_path / f"{index}.png", bytes([index])))
        cache.fetch((make.file,), "r", make)
        assert measure(cache.folder) == size
        cache.fetch((make.file,), "r", make)
        assert make.calls == 1


def test_a_lost_count_is_counted_again(tmp_path: Path) -> None:
    size = HEADER + 60
    cache = ImageCache(tmp_path / "cache", 8 * size)
    for index in range(20):
        (tmp_path / "cache" / ".bytes").unlink(missing_ok=True)
        make = Maker(write(tmp_path / f"{index}.png", bytes([index])))
        cache.fetch((make.file,), "r", make)
        assert measure(cache.folder) <= cache.max_bytes
    (tmp_path / "cache" / ".bytes").write_text("nonsense")
    cache.fetch((write(tmp_path / "x", b"x"),), "r", Maker(tmp_path / "x"))
    assert int((tmp_path / "cache" / ".bytes").read_text()) >= measure(cache.folder) > 0


def test_what_a_killed_process_left_is_removed_with_time(tmp_path: Path) -> None:
    size = HEADER + 60
    cache = ImageCache(tmp_path / "cache", 4 * size)
    folder = tmp_path / "cache" / "ab"
    folder.mkdir(parents=True)
    old, young = (write(folder / f".{'ab' * 32}.pixels.{index}.partial", bytes(9)) for index in (1, 2))
    os.utime(old, (1000, 1000))
    cache.fetch((write(tmp_path / "x", b"x"),), "r", Maker(tmp_path / "x"))
    assert not old.exists()
    assert young.exists()


def test_files_of_others_stay(tmp_path: Path) -> None:
    size = HEADER + 60
    cache = ImageCache(tmp_path / "cache", 2 * size)
    thesis = tmp_path / "cache" / "ab" / "thesis.txt"
    thesis.parent.mkdir(parents=True)
    thesis.write_text("mine")
    os.utime(thesis, (0, 0))
    for index in range(5):
        make = Maker(write(tmp_path / f"{index}.png", bytes([index])))
        cache.fetch((make.file,), "r", make)

    assert thesis.read_text() == "mine"
    assert len(list_entries(cache.folder)) <= 2


def test_a_folder_that_cannot_be_used_is_said_once(
    tmp_path: Path, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    blocked = write(tmp_path / "blocked", b"a file where the folder should be")
    cache, make = ImageCache(blocked, 10**6), Maker(file)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert np.array_equal(cache.fetch((file,), "r", make), Maker(file)())
    assert make.calls == 3
    assert [record.message.partition("(")[0] for record in caplog.records] == [
        f"The image cache '{blocked}' cannot be written to "
    ]


def test_a_missing_file_is_left_to_whoever_reads_it(cache: ImageCache, tmp_path: Path) -> None:
    def make() -> NDArray[np.uint8]:
        raise LookupError("the reader's own words")

    with pytest.raises(LookupError, match="own words"):
        cache.fetch((tmp_path / "none.png",), "r", make)


# Fetches twelve files in an order of its own; prints how often pixels were wrong or entries took more than they may.
SHARING = """
import fcntl
import sys
from pathlib import Path
import numpy as np
from adapt.data.cache import ImageCache

folder, seed, max_bytes = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
cache = ImageCache(folder / "cache", max_bytes)
wrong = 0
for index in np.random.default_rng(seed).integers(0, 12, 150).tolist():
    pixels = np.full((20, 20, 3), index, np.uint8)
    wrong += not np.array_equal(cache.fetch((folder / f"{index}.png",), "r", pixels.copy), pixels)
    with (cache.folder / ".gate").open("w") as gate:
        fcntl.flock(gate, fcntl.LOCK_EX)  # nobody writes or evicts meanwhile
        wrong += sum(path.stat().st_size for path in cache.folder.glob("??/*")) > max_bytes
print(wrong)
"""


def test_processes_share_a_folder(tmp_path: Path) -> None:
    for index in range(12):
        write(tmp_path / f"{index}.png", bytes([index]))
    max_bytes = 7 * (HEADER + 1200)  # a little more than half of them
    running = [
        subprocess.Popen(
            [sys.executable, "-c", SHARING, str(tmp_path), str(seed), str(max_bytes)], stdout=subprocess.PIPE, text=True
        )
        for seed in range(2)
    ]
    assert [process.communicate(timeout=60)[0].strip() for process in running] == ["0", "0"]
    assert 0 < measure(tmp_path / "cache") <= max_bytes


def test_settings_give_bytes(tmp_path: Path) -> None:
    assert CacheSettings(folder=tmp_path).max_bytes == 50 * 10**9
    assert CacheSettings(folder=tmp_path, max_gb=0.5).max_bytes == 500_000_000
