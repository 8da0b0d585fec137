"""Sets of rows as the core takes them: a bit each, 64 a word."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.uint64]


def packed(mask: npt.NDArray[np.bool_] | npt.NDArray[np.uint8]) -> Words:
    """Return the rows where a mask is not 0."""
    words = np.zeros(-(-len(mask) // 64), np.uint64)
    octets = np.packbits(mask, bitorder="little")
    words.view(np.uint8)[: len(octets)] = octets
    return words if np.little_endian else words.byteswap()
