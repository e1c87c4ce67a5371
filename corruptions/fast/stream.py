"""Random numbers as numpy's legacy generator draws them, several times as fast and without global state.

Implements MT19937 (Matsumoto & Nishimura, 1998) with the doubles, the normal deviates (Marsaglia's polar method), the
uniform deviates and the masked integers that `numpy.random.seed(s)` and the functions of `numpy.random` give. numpy
froze these streams (NEP 19). Deviations: none; the tests compare bit for bit.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from corruptions.fast.compiled import compiled

STATE_WORDS = 624  # 32-bit words of state, and of output per round
_SHIFTED = 397  # the word with which a word is mixed


@compiled
def _mix(upper: np.uint32, lower: np.uint32) -> np.uint32:
    word = (upper & np.uint32(0x80000000)) | (lower & np.uint32(0x7FFFFFFF))
    return (word >> np.uint32(1)) ^ ((word & np.uint32(1)) * np.uint32(0x9908B0DF))


@compiled
def _temper(word: np.uint32) -> np.uint32:
    word ^= word >> np.uint32(11)
    word ^= (word << np.uint32(7)) & np.uint32(0x9D2C5680)
    word ^= (word << np.uint32(15)) & np.uint32(0xEFC60000)
    word ^= word >> np.uint32(18)
    return word


@compiled
def _advance(key: NDArray[np.uint32]) -> None:
    """Replace the state by the next; three loops, because within each no iteration waits for the one before."""
    last = STATE_WORDS - 1
    for index in range(STATE_WORDS - _SHIFTED):
        key[index] = key[index + _SHIFTED] ^ _mix(key[index], key[index + 1])
    for index in range(STATE_WORDS - _SHIFTED, last):
        key[index] = key[index + _SHIFTED - STATE_WORDS] ^ _mix(key[index], key[index + 1])
    key[last] = key[_SHIFTED - 1] ^ _mix(key[last], key[0])


@compiled
def _next_doubles(key: NDArray[np.uint32], doubles: NDArray[np.float64]) -> None:
    """Fill 312 doubles in [0, 1), 53 bits of two words each."""
    _advance(key)
    for index in range(STATE_WORDS // 2):
        high = np.int32(_temper(key[2 * index]) >> np.uint32(5))
        low = np.int32(_temper(key[2 * index + 1]) >> np.uint32(6))
        doubles[index] = (high * 67108864.0 + low) / 9007199254740992.0


@compiled
def _fill_uniform(
    key: NDArray[np.uint32], doubles: NDArray[np.float64], used: int, low: float, width: float, out: NDArray[np.float64]
) -> int:
    filled = 0
    while filled < out.size:
        if used == doubles.size and out.size - filled >= doubles.size:
            block = out[filled : filled + doubles.size]  # made where it is to stay
            _next_doubles(key, block)
            _stretch(block, low, width, block)
            filled += doubles.size
            continue
        if used == doubles.size:
            _next_doubles(key, doubles)
            used = 0
        count = min(doubles.size - used, out.size - filled)
        _stretch(doubles[used : used + count], low, width, out[filled : filled + count])
        used += count
        filled += count
    return used


@compiled
def _stretch(doubles: NDArray[np.float64], low: float, width: float, out: NDArray[np.float64]) -> None:
    for index in range(out.size):
        out[index] = low + width * doubles[index]


@compiled
def _fill_normal(
    key: NDArray[np.uint32],
    doubles: NDArray[np.float64],
    used: int,
    mean: float,
    sigma: float,
    out: NDArray[np.float64],
) -> int:
    """Accept pairs inside the unit circle first, then take their logarithms: the second loop does not jump."""
    first, second, squared = np.empty(1024), np.empty(1024), np.empty(1024)
    filled = 0
    while filled < out.size:
        wanted = min(first.size, (out.size - filled + 1) // 2)
        pairs = 0
        while pairs < wanted:
            if used == doubles.size:  # never in the middle of a pair: 312 is even, and so is what is drawn
                _next_doubles(key, doubles)
                used = 0
            x, y = 2.0 * doubles[used] - 1.0, 2.0 * doubles[used + 1] - 1.0
            used += 2
            radius = x * x + y * y
            first[pairs], second[pairs], squared[pairs] = x, y, radius
            if radius < 1.0 and radius != 0.0:
                pairs += 1
        for pair in range(pairs):
            factor = math.sqrt(-2.0 * math.log(squared[pair]) / squared[pair])
            out[filled] = mean + sigma * (factor * second[pair])
            if filled + 1 < out.size:
                out[filled + 1] = mean + sigma * (factor * first[pair])
            filled += 2
    return used


@compiled
def _fill_integers(key: NDArray[np.uint32], used: int, count: int, low: int, out: NDArray[np.int8]) -> int:
    mask = np.uint32(1)
    while mask < count - 1:
        mask = np.uint32(2 * mask + 1)
    filled = 0
    while filled < out.size:
        if used == STATE_WORDS:
            _advance(key)
            used = 0
        value = _temper(key[used]) & mask
        used += 1
        out[filled] = low + np.int8(value)
        if value < count:
            filled += 1
    return used


class Stream:
    """A stream of random numbers of its own: equal seeds give equal numbers, and nothing else is disturbed.

    One stream serves either `uniform` and `normal` or `integers`, which read the generator in words of other sizes.
    """

    def __init__(self, seed: int) -> None:
        """Start where `numpy.random.seed(seed)` starts.

        Args:
            seed: In [0, 2**32).
        """
        state = np.random.RandomState(seed).get_state(legacy=False)
        self._key: NDArray[np.uint32] = np.array(state["state"]["key"], dtype=np.uint32)
        self._doubles = np.empty(STATE_WORDS // 2)
        self._used_doubles = self._doubles.size
        self._used_words = STATE_WORDS

    def uniform(self, low: float, high: float, out: NDArray[np.float64]) -> NDArray[np.float64]:
        """Fill an array as `numpy.random.uniform(low, high, out.shape)`.

        Args:
            low: Smallest value.
            high: Above the largest value.
            out: Contiguous float64 of any shape; filled.

        Returns:
            `out`.
        """
        self._used_doubles = _fill_uniform(
            self._key, self._doubles, self._used_doubles, float(low), float(high) - float(low), out.reshape(-1)
        )
        return out

    def normal(self, mean: float, sigma: float, out: NDArray[np.float64]) -> NDArray[np.float64]:
        """Fill an array as `numpy.random.normal(mean, sigma, out.shape)`.

        numpy keeps the second number of an odd last pair for the next call; here it is dropped, so that only the last
        array of a stream may have an odd size.

        Args:
            mean: Mean.
            sigma: Standard deviation.
            out: Contiguous float64 of any shape; filled.

        Returns:
            `out`.

        Raises:
            ValueError: If an odd number of doubles was drawn before.
        """
        if self._used_doubles % 2:
            raise ValueError("normal deviates are made of pairs of doubles, but an odd number was drawn before")
        self._used_doubles = _fill_normal(
            self._key, self._doubles, self._used_doubles, float(mean), float(sigma), out.reshape(-1)
        )
        return out

    def integers(self, low: int, high: int, out: NDArray[np.int8]) -> NDArray[np.int8]:
        """Fill an array as repeated `numpy.random.randint(low, high)` inside a loop that numba compiled.

        Args:
            low: Smallest value, at least -128.
            high: Above the largest value, at most 128.
            out: Contiguous int8 of any shape; filled.

        Returns:
            `out`.
        """
        self._used_words = _fill_integers(self._key, self._used_words, high - low, low, out.reshape(-1))
        return out
