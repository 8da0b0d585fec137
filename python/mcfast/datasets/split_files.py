"""Split files as the LightGCN line of papers hands them out: a line is a user and the items of the user."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..data.ids import Ids
from ..data.triples import Triples
from ..errors import FormatError


class Split(NamedTuple):
    """Parts of one data set, which share their vocabularies; every score is 1.

    Attributes
    ----------
    train : Triples
        To train on.
    valid : Triples or None
        To choose settings by; None where there is no such file.
    test : Triples
        To measure on, with the settings chosen, after training on ``train.concatenate(valid)``.
    """

    train: Triples
    valid: Triples | None
    test: Triples


def read_split_files(path: str | os.PathLike[str]) -> Split:
    """Read ``train.txt``, ``test.txt`` and, if there, ``valid.txt`` from a folder.

    Published figures on Gowalla, Yelp2018 and Amazon-Book are the Recall@20 and NDCG@20 of the full ranking: of all
    items that a user has not met in training, recall divided by the number of test items, as `mcfast.evaluate`
    measures by default.

    Parameters
    ----------
    path : path-like
        The folder. A line of each file is a user and the items of the user, integers with spaces between.

    Returns
    -------
    Split
        Users and items in the order of their ids.

    Raises
    ------
    FormatError
        A file is missing or empty, a line holds something else than integers, or a pair occurs twice, in one file or
        in two.
    """
    folder = Path(path)
    files = {part: folder / f"{part}.txt" for part in Split._fields}
    pairs = {part: _read(file) for part, file in files.items() if part != "valid" or file.exists()}
    together = np.concatenate(list(pairs.values()))
    user_ids, users = np.unique(together[:, 0], return_inverse=True)
    item_ids, items = np.unique(together[:, 1], return_inverse=True)
    distinct, counts = np.unique(users.astype(np.int64) * len(item_ids) + items, return_counts=True)
    if (counts > 1).any():
        user, item = divmod(int(distinct[counts > 1][0]), len(item_ids))
        raise FormatError(f"{folder}: user {user_ids[user]} has item {item_ids[item]} twice, in one file or in two")
    whole = Triples(
        users.astype(np.int32),
        items.astype(np.int32),
        np.ones(len(together), np.float32),
        None,
        Ids(user_ids),
        Ids(item_ids),
    )
    ends = np.cumsum([len(part) for part in pairs.values()])
    parts = {
        part: whole.select(slice(end - len(rows), end))
        for (part, rows), end in zip(pairs.items(), ends.tolist(), strict=True)
    }
    return Split(parts["train"], parts.get("valid"), parts["test"])


def _read(file: Path) -> npt.NDArray[np.int64]:
    """Return the pairs of a file."""
    if not file.is_file():
        raise FormatError(f"{file}: does not exist; looked for train.txt, test.txt and perhaps valid.txt")
    pairs = []
    for number, line in enumerate(file.read_text().splitlines(), 1):
        words = line.split()
        try:
            ids = np.array(words, np.int64)
        except (ValueError, OverflowError):
            raise FormatError(f"{file}: line {number}: {line[:40]!r}, expected integers: a user, its items") from None
        pairs.append(np.column_stack([np.broadcast_to(ids[:1], len(ids[1:])), ids[1:]]))
    together = np.concatenate(pairs) if pairs else np.empty((0, 2), np.int64)
    if not len(together):
        raise FormatError(f"{file}: no pairs")
    return together
