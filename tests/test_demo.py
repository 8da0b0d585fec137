"""The demo, in its short form, on the real ratings."""

import json
import re
import struct

import pytest

import mcfast
from mcfast import cli
from mcfast.cli import plots


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return tmp_path_factory.mktemp("demo") / "pictures"


@pytest.fixture(scope="module")
def printed(pictures):
    import contextlib
    import io

    outputs = []
    for extra in ([], ["--json"]):
        with contextlib.redirect_stdout(io.StringIO()) as out:
            assert cli.main(["demo", "--short", "--out", str(pictures), *extra]) == 0
        outputs.append(out.getvalue())
    return outputs[0], json.loads(outputs[1])


def test_the_text_shows_measures_movies_and_timings(printed):
    text, _ = printed
    for part in ("MovieLens-100K: 90,000 training and 10,000 test ratings of 943 users", "test RMSE", "NDCG@20"):
        assert part in text
    assert text.count("rated highest") == 3
    assert "Popularity ranks better than squared loss here" in text
    assert "Seconds: read" in text
    assert "learning-curve.png" in text


def test_the_text_shows_what_is_served(printed, pictures):
    text, _ = printed
    assert re.search(rf"Served from {pictures}/serving, version 1; hnswlib, measured recall \S+ @10, \S+ @100\n", text)
    assert text.count(", index:") == 3
    assert "user 944, popular:  Star Wars (1977); " in text
    assert "now watches Star Wars (1977):\n  user 944, then:    Return of the Jedi (1983); " in text
    assert re.search(r"943 single recalls, one thread: p50 \d+\.\d+ ms, p99 \d+\.\d+ ms\n", text)
    assert re.search(r"For k = 10 in batches, one thread: [\d,]+ queries/s by this index, [\d,]+ by exact\n", text)


def test_what_is_served_is_the_model(printed):
    _, document = printed
    served = document["served"]
    *users, visitor = served["recalled"]
    assert [user["source"] for user in users] == ["index"] * 3
    expected = [[entry["title"] for entry in user["recommended"][:3]] for user in document["users"]]
    assert [user["titles"] for user in users] == expected
    assert visitor["source"] == "popular"
    assert served["recorded"]["title"] == visitor["titles"][0]
    assert served["recorded"]["then"][:2] == visitor["titles"][1:]
    assert min(served["index"]["recall"].values()) >= 0.95
    assert 0 < served["latency"]["p50_ms"] <= served["latency"]["p99_ms"]


def test_the_second_run_in_a_folder_publishes_a_second_version(printed, pictures):
    text, document = printed
    assert document["served"]["version"] == 2
    for answer in document["served"]["recalled"]:  # nothing of the first run has stayed
        assert f"user {answer['user']}, {answer['source'] + ':':9} {'; '.join(answer['titles'])}\n" in text
    with mcfast.open(pictures / "serving") as recaller:
        assert recaller.version == 2
        assert recaller.user_attributes(1)["occupation"] == "technician"


def test_the_document_says_the_same(printed, pictures):
    _, document = printed
    measures = document["measures"]
    assert 0.85 < measures["squared loss"]["rmse"] < 0.93
    assert not any("rmse" in measures[name] for name in ("softmax, cosine", "item neighbours", "popularity"))
    reached = [measures[name]["recall@20"] for name in ("popularity", "item neighbours", "softmax, cosine")]
    assert 0.1 < reached[0] < reached[1] < reached[2]
    assert [len(user["recommended"]) for user in document["users"]] == [5, 5, 5]
    rated = [{entry["title"] for entry in user["rated"]} for user in document["users"]]
    recommended = [{entry["title"] for entry in user["recommended"]} for user in document["users"]]
    assert not any(a & b for a, b in zip(rated, recommended, strict=True))
    ((movie, similar),) = document["similar"].items()
    assert movie.startswith("Star Wars")
    assert any("Empire Strikes Back" in entry["title"] for entry in similar)
    drawn = ["learning-curve.png", "completion.png", "recall-and-speed.png"]
    assert document["pictures"] == [str(pictures / name) for name in drawn]


def test_the_pictures_are_drawn(printed, pictures):
    for path in sorted(pictures.glob("*.png")):
        data = path.read_bytes()
        assert data[:8] == b"\x89PNG\r\n\x1a\n"
        assert min(struct.unpack(">II", data[16:24])) > 400
        assert len(data) > 20_000


def test_without_matplotlib_it_goes_on_and_says_what_to_install(monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    assert cli.main(["demo", "--short", "--out", str(tmp_path), "--json"]) == 0
    printed = capsys.readouterr()
    assert "pip install 'mcfast[plot]'" in printed.err
    assert json.loads(printed.out)["pictures"] == []


def test_the_piece_shown_is_neither_empty_nor_full(printed):
    from mcfast.datasets import movielens_100k

    train, _ = movielens_100k().triples.split_random(0.1, seed=0)
    users, items = plots._piece(train)
    assert (len(users), len(items)) == (plots.N_USERS, plots.N_ITEMS)
    piece = plots._observed(train, users, items)
    assert 0.4 < (piece == piece).mean() < 0.6
