"""Where ids stand in a table of arrays: integers, ascending; then strings, by the CRC-32 of their UTF-8.

No dictionary of all ids is made: both kinds are found by a binary search in arrays that stay on the disk.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from operator import itemgetter

import numpy as np
import numpy.typing as npt

from . import keys
from .keys import Id, Int64
from .record import offsets_of, runs

Bytes = npt.NDArray[np.uint8]

_INTEGER = ord("i")


@dataclass(frozen=True)
class Places:
    """The ids of a table, in the order of its rows.

    Attributes
    ----------
    integers : numpy.ndarray
        int64, ascending.
    hashes : numpy.ndarray
        uint32: of each string, the CRC-32 of its UTF-8; ascending.
    offsets : numpy.ndarray
        int64: string i is ``utf8[offsets[i]:offsets[i + 1]]``.
    utf8 : numpy.ndarray
        uint8.
    """

    integers: Int64
    hashes: npt.NDArray[np.uint32]
    offsets: Int64
    utf8: Bytes

    def __len__(self) -> int:
        return len(self.integers) + len(self.hashes)

    @classmethod
    def of(cls, encoded: Sequence[bytes], long: Mapping[int, bytes]) -> tuple[Places, Int64]:
        """Return the places of distinct keys, and in the order of their rows the positions of the keys."""
        numbers, strings, texts = _split(encoded, long)
        integers = keys.of_integers(encoded if len(numbers) == len(encoded) else [encoded[i] for i in numbers])
        order = np.argsort(integers)
        crcs = np.fromiter(map(zlib.crc32, texts), np.uint32, len(texts))
        hashed = np.argsort(crcs, kind="stable")
        texts = [texts[i] for i in hashed.tolist()]
        sizes = np.fromiter(map(len, texts), np.int64, len(texts))
        places = cls(integers[order], crcs[hashed], offsets_of(sizes), np.frombuffer(b"".join(texts), np.uint8))
        return places, np.concatenate([numbers[order], strings[hashed]])

    def is_sound(self) -> bool:
        """Tell whether these are ids in their order."""
        sizes = np.diff(self.offsets)
        return bool(
            (self.integers[1:] > self.integers[:-1]).all()
            and (self.hashes[1:] >= self.hashes[:-1]).all()
            and len(self.offsets) == len(self.hashes) + 1
            and (self.offsets[0], self.offsets[-1]) == (0, len(self.utf8))
            and (sizes >= 0).all()
        )

    def find(self, key: bytes, long: bytes) -> int:
        """Return the row of a key, -1 if it is not here."""
        if key[:1] == b"i":
            id = int.from_bytes(key[1:], "big", signed=True)
            at = int(self.integers.searchsorted(id))
            return at if at < len(self.integers) and self.integers[at] == id else -1
        text = keys.text(key, long)
        crc = zlib.crc32(text)
        at = int(self.hashes.searchsorted(np.uint32(crc)))
        while at < len(self.hashes) and self.hashes[at] == crc:
            if self.utf8[self.offsets[at] : self.offsets[at + 1]].tobytes() == text:
                return len(self.integers) + at
            at += 1
        return -1

    def find_many(self, encoded: Sequence[bytes], long: Mapping[int, bytes]) -> Int64:
        """Return the row of each key, -1 where one is not here."""
        if isinstance(encoded, keys.Integers):
            return self._find_integers(encoded.ids)
        numbers, strings, texts = _split(encoded, long)
        rows = np.empty(len(encoded), np.int64)
        if len(numbers):
            rows[numbers] = self._find_integers(keys.of_integers([encoded[i] for i in numbers]))
        if texts:
            rows[strings] = self._find_texts(texts)
        return rows

    def ids(self, start: int, end: int) -> list[Id]:
        """Return the ids of rows."""
        n = len(self.integers)
        first: list[Id] = self.integers[start:end].tolist()
        offsets = self.offsets[max(0, start - n) : max(0, end - n) + 1]
        text = self.utf8[offsets[0] : offsets[-1]].tobytes()
        return first + [str(text[a:b], "utf-8") for a, b in pairwise((offsets - offsets[0]).tolist())]

    def _find_integers(self, ids: Int64) -> Int64:
        rows = self.integers.searchsorted(ids)
        if not len(self.integers):
            return np.full(len(ids), -1)
        rows[rows == len(self.integers)] = 0
        rows[self.integers[rows] != ids] = -1
        return rows

    def _find_texts(self, texts: list[bytes]) -> Int64:
        """Compare each text with the strings of its hash, one after the other: seldom is there more than one."""
        crcs = np.fromiter(map(zlib.crc32, texts), np.uint32, len(texts))
        sizes = np.fromiter(map(len, texts), np.int64, len(texts))
        utf8, starts = np.frombuffer(b"".join(texts), np.uint8), offsets_of(sizes)
        at = self.hashes.searchsorted(crcs)
        rows = np.full(len(texts), -1)
        left = np.arange(len(texts))
        while len(left := left[at[left] < len(self.hashes)]) and len(left := left[self.hashes[at[left]] == crcs[left]]):
            begins = self.offsets[at[left]]
            same = self.offsets[at[left] + 1] - begins == sizes[left]
            asked, begins, lengths = left[same], begins[same], sizes[left[same]]
            equal = self.utf8[runs(begins, lengths)] == utf8[runs(starts[asked], lengths)]
            differ = np.unique(np.repeat(np.arange(len(asked)), lengths)[~equal])
            found = np.delete(asked, differ)
            rows[found] = len(self.integers) + at[found]
            left = np.setdiff1d(left, found, assume_unique=True)
            at[left] += 1
        return rows


def _split(encoded: Sequence[bytes], long: Mapping[int, bytes]) -> tuple[Int64, Int64, list[bytes]]:
    """Return which keys are of integers, which are of strings, and these strings as UTF-8."""
    if isinstance(encoded, keys.Integers):
        return np.arange(len(encoded)), np.zeros(0, np.int64), []
    tags = np.fromiter(map(itemgetter(0), encoded), np.uint8, len(encoded))
    strings = np.flatnonzero(tags != _INTEGER)
    texts = [keys.text(encoded[i], long.get(i, b"")) if long else encoded[i][1:] for i in strings.tolist()]
    return np.flatnonzero(tags == _INTEGER), strings, texts
