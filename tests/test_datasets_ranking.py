"""Data sets for ranking: LightGCN split files, and the exposures of KuaiRand."""

import datetime

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import csv

import mcfast
from mcfast import FormatError
from mcfast.datasets import kuairand, read_split_files

SPLIT = {"train": "0 3 1\n2 1\n\n-7\n", "valid": "0 5\n", "test": "2 3 9\n"}


def write(folder, **parts):
    for name, text in parts.items():
        (folder / f"{name}.txt").write_text(text)


def test_split_files(tmp_path):
    write(tmp_path, **SPLIT)
    split = read_split_files(tmp_path)
    assert [part.to_arrow().to_pylist() for part in split] == [
        [{"user": user, "item": item, "score": 1} for user, item in pairs]
        for pairs in ([(0, 3), (0, 1), (2, 1)], [(0, 5)], [(2, 3), (2, 9)])
    ]
    assert all(part.item_ids.values.tolist() == [1, 3, 5, 9] for part in split)
    assert split.train.user_ids.values.tolist() == [0, 2]
    (tmp_path / "valid.txt").unlink()
    assert read_split_files(tmp_path).valid is None


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"train": "0 1\n2 x\n"}, "train.txt: line 2: '2 x', expected integers"),
        ({"train": "0 1.5\n"}, "train.txt: line 1"),
        ({"train": f"0 {2**63}\n"}, "train.txt: line 1"),
        ({"train": "0\n"}, "train.txt: no pairs"),
        ({"train": ""}, "train.txt: no pairs"),
        ({"test": "0 3\n"}, "user 0 has item 3 twice, in one file or in two"),
        ({"valid": "2 4 4\n"}, "user 2 has item 4 twice"),
    ],
)
def test_split_files_that_are_not_right(tmp_path, parts, words):
    write(tmp_path, **{**SPLIT, **parts})
    with pytest.raises(FormatError, match=words):
        read_split_files(tmp_path)


def test_split_files_that_are_not_there(tmp_path):
    write(tmp_path, train="0 1\n")
    with pytest.raises(FormatError, match=r"test\.txt: does not exist"):
        read_split_files(tmp_path)


def test_gowalla(data_folder):
    """The numbers of the data set, and what popularity reaches on it, as others have published."""
    train, valid, test = read_split_files(data_folder / "gowalla")
    assert (len(train), len(valid), len(test)) == (719_081, 91_047, 217_242)
    assert (train.n_users, train.n_items) == (29_858, 40_981)
    got = mcfast.evaluate(mcfast.popularity(train.concatenate(valid)), test, 20)
    assert got["users"] == 29_858
    assert got["recall@20"] == pytest.approx(0.0416, abs=5e-5)
    assert got["ndcg@20"] == pytest.approx(0.0317, abs=5e-5)


VIDEOS = {
    "video_id": [0, 1],
    "author_id": [5, 6],
    "video_type": ["NORMAL", "AD"],
    "upload_dt": [datetime.date(2022, 4, 10), datetime.date(2022, 4, 9)],
    "upload_type": ["Kmovie", "LongImport"],
    "visible_status": [0.0, 1.0],
    "video_duration": [10.5, None],
    "server_width": [720.0, 1280.0],
    "server_height": [1280.0, 720.0],
    "music_id": [9155697141, 2],
    "music_type": [9.0, None],
    "tag": ["20,43", "unknown"],
}
USERS = {
    "user_id": [7],
    "user_active_degree": ["full_active"],
    "is_live_streamer": [-124],
    "is_video_author": [1],
    "follow_user_num_range": ["500+"],
    "fans_user_num_range": ["[1,10)"],
    "friend_user_num_range": ["0"],
    "register_days_range": ["730+"],
    **{f"onehot_feat{i}": [float(i)] for i in range(18)},
}


def exposures(*rows):
    users, videos, clicks, times = zip(*rows, strict=True)
    return pa.table({"user_id": users, "video_id": videos, "is_click": clicks, "time_ms": times, "play_time_ms": times})


@pytest.fixture
def log(tmp_path):
    train = exposures((7, 0, 0, 10), (7, 0, 1, 11), (7, 1, 0, 12), (7, 0, 0, 13), (8, 0, 1, 14), (7, 0, 1, 15))
    pq.write_table(train, tmp_path / "events-2022-04-25.parquet")
    pq.write_table(exposures((8, 1, 1, 20), (9, 1, 0, 21)), tmp_path / "events-2022-05-01.parquet")
    history = {"user_id": [7, 10], "watch_seq": [[1, 3, 3], []], "long_watch_seq": [[3], [4]], "like_seq": [[], []]}
    pq.write_table(pa.table(history), tmp_path / "history-to-2022-04-24.parquet")
    csv.write_csv(pa.table(VIDEOS), tmp_path / "videos.csv")
    csv.write_csv(pa.table(USERS), tmp_path / "users.csv")
    return tmp_path


def test_kuairand(log):
    data = kuairand(log)
    assert data.train.to_arrow().to_pydict() == {
        "user": [7, 7, 8],
        "item": [0, 1, 0],
        "score": [1, 0, 1],
        "time": [15, 12, 14],
    }
    assert data.test.to_arrow().to_pydict() == {"user": [8, 9], "item": [1, 1], "score": [1, 0], "time": [20, 21]}
    pairs = set(zip(*data.history.to_arrow().to_pydict().values(), strict=True))
    assert pairs == {(7, 1, 0), (7, 3, 1), (10, 4, 1)}
    assert data.train.user_ids.values.tolist() == [7, 8, 9, 10]
    assert data.test.item_ids is data.train.item_ids
    assert data.items.to_pydict() == {
        "id": [0, 1],
        "author_id": ["5", "6"],
        "video_type": ["NORMAL", "AD"],
        "upload_type": ["Kmovie", "LongImport"],
        "music_id": ["9155697141", "2"],
        "music_type": ["9", None],
        "tags": [["20", "43"], []],
        "video_duration": [10.5, None],
        "server_width": [720, 1280],
        "server_height": [1280, 720],
        "upload_day": [datetime.date(2022, 4, 10), datetime.date(2022, 4, 9)],
    }
    assert data.users.num_columns == 1 + 7 + 18
    assert data.users.to_pylist()[0].items() >= {"id": 7, "is_live_streamer": "-124", "onehot_feat17": "17"}.items()


def test_kuairand_that_is_not_there(log):
    (log / "users.csv").unlink()
    with pytest.raises(FormatError, match=r"no folder of KuaiRand-Pure: users\.csv does not exist"):
        kuairand(log)


def test_the_whole_of_kuairand(data_folder):
    data = kuairand(data_folder / "kuairand-pure")
    assert (len(data.train), data.train.scores.sum()) == (91_229, 40_983)
    assert (len(data.test), data.test.scores.sum()) == (129_875, 58_786)
    assert (len(data.items), len(data.users)) == (7_583, 27_285)
    assert np.isin(data.train.scores, [0, 1]).all()
