"""KuaiRand-Pure, an exposure log of short videos (https://kuairand.com), as Parquet files of its days."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..checks import thread_count
from ..data import tables
from ..data.duplicates import without_duplicates
from ..data.ids import Ids, encode
from ..data.triples import Triples
from ..errors import FormatError

if TYPE_CHECKING:
    import pyarrow

TRAIN, TEST, HISTORY = "events-2022-04-25.parquet", "events-2022-05-01.parquet", "history-to-2022-04-24.parquet"
VIDEOS, USERS = "videos.csv", "users.csv"

# What is known of a video before anyone has seen it, and of a user before the exposure. The columns left out are those
# of the outcome (all of them in the log), and the visibility of a video, which changes after its exposures.
VIDEO_CATEGORIES = ("author_id", "video_type", "upload_type", "music_id", "music_type")
VIDEO_NUMBERS = ("video_duration", "server_width", "server_height")
USER_CATEGORIES = (
    "user_active_degree",
    "is_live_streamer",
    "is_video_author",
    "follow_user_num_range",
    "fans_user_num_range",
    "friend_user_num_range",
    "register_days_range",
    *(f"onehot_feat{i}" for i in range(18)),
)


@dataclass(frozen=True)
class KuaiRand:
    """A log of exposures cut in time, and what was known before them.

    Attributes
    ----------
    train, test : Triples
        One a pair of user and video that was exposed, from 2022-04-25 to 04-30 and from 2022-05-01 to 05-08, under
        shared vocabularies; score 1 if any of its exposures was clicked, else 0; the time of the last one in
        milliseconds since 1970.
    items : pyarrow.Table
        id (int64); author_id, video_type, upload_type, music_id, music_type (string), tags (list of string);
        video_duration (milliseconds), server_width, server_height (float64), upload_day (date).
    users : pyarrow.Table
        id (int64) and attributes, all of them categories (string).
    history : Triples
        What users watched before 2022-04-25, at most the last 50 videos each: score 1 if watched long, else 0. It is
        no part of `train`: a figure that uses it says so.
    """

    train: Triples
    test: Triples
    items: pyarrow.Table
    users: pyarrow.Table
    history: Triples


def kuairand(path: str | os.PathLike[str]) -> KuaiRand:
    """Read KuaiRand-Pure, cut in time.

    Parameters
    ----------
    path : path-like
        The folder of the log (`TRAIN`, `TEST`, `HISTORY`) and the tables of videos and users.

    Returns
    -------
    KuaiRand

    Raises
    ------
    FormatError
        A file is missing or not as it should be.
    """
    folder = Path(path)
    for name in (TRAIN, TEST, HISTORY, VIDEOS, USERS):
        if not (folder / name).is_file():
            raise FormatError(f"{folder}: no folder of KuaiRand-Pure: {name} does not exist")
    parts = [_events(folder / TRAIN), _events(folder / TEST), _history(folder / HISTORY)]
    users, user_ids = encode(np.concatenate([part[0] for part in parts]))
    items, item_ids = encode(np.concatenate([part[1] for part in parts]))
    ends = np.cumsum([len(part[0]) for part in parts[:-1]])
    train, test, history = (
        _triples(*rows, scores, times, user_ids, item_ids)
        for rows, (_, _, scores, times) in zip(
            zip(np.split(users, ends), np.split(items, ends), strict=True), parts, strict=True
        )
    )
    return KuaiRand(train, test, _videos(folder / VIDEOS), _users(folder / USERS), history)


Column = npt.NDArray[Any]


def _events(path: Path) -> tuple[Column, Column, Column, Column]:
    """Return users, videos, clicks and times of the exposures."""
    wanted = {name: name for name in ("user_id", "video_id", "is_click", "time_ms")}
    users, items, clicks, times = (column.to_numpy() for column in tables.read(path, wanted, numbers=()).values())
    return users, items, clicks, times


def _history(path: Path) -> tuple[Column, Column, Column, None]:
    """Return users, videos, whether they were watched long; a pair of both lists comes twice."""
    wanted = {name: name for name in ("user_id", "watch_seq", "long_watch_seq")}
    ids, *lists = (column.combine_chunks() for column in tables.read(path, wanted, numbers=()).values())
    users = [ids.to_numpy()[column.value_parent_indices().to_numpy()] for column in lists]
    items = [column.flatten().to_numpy() for column in lists]
    scores = np.repeat([0, 1], [len(part) for part in items])
    return np.concatenate(users), np.concatenate(items), scores, None


def _triples(
    users: Column, items: Column, scores: Column, times: Column | None, user_ids: Ids, item_ids: Ids
) -> Triples:
    """Return one triple a pair: 1 if any of its rows is 1."""
    every = Triples(users, items, scores.astype(np.float32), times, user_ids, item_ids)
    merged = without_duplicates(every, "sum", thread_count(None))
    return replace(merged, scores=np.minimum(merged.scores, 1))


def _videos(path: Path) -> pyarrow.Table:
    import pyarrow as pa
    import pyarrow.compute as pc

    read = _read(path, ("video_id", *VIDEO_CATEGORIES, *VIDEO_NUMBERS, "tag", "upload_dt"))
    tags = pc.if_else(pc.equal(read["tag"], "unknown"), "", _text(read["tag"]))
    columns = {"id": read["video_id"]}
    columns |= {name: _text(read[name]) for name in VIDEO_CATEGORIES}
    columns["tags"] = pa.array(
        [[tag for tag in text.split(",") if tag] for text in tags.to_pylist()], pa.list_(pa.string())
    )
    columns |= {name: read[name].cast(pa.float64()) for name in VIDEO_NUMBERS}
    return pa.table(columns | {"upload_day": read["upload_dt"].cast(pa.date32())})


def _users(path: Path) -> pyarrow.Table:
    import pyarrow as pa

    read = _read(path, ("user_id", *USER_CATEGORIES))
    return pa.table({"id": read["user_id"], **{name: _text(read[name]) for name in USER_CATEGORIES}})


def _read(path: Path, names: tuple[str, ...]) -> dict[str, Any]:
    return tables.read(path, {name: name for name in names}, numbers=())


def _text(column: Any) -> Any:
    """Return categories as text; those with missing values were read as floats."""
    import pyarrow as pa

    whole = column.cast(pa.int64()) if pa.types.is_floating(column.type) else column
    return whole.cast(pa.string())
