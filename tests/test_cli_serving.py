"""The commands of served folders: publish, recall, rollback, versions."""

import datetime
import json
import re
from pathlib import Path

import numpy as np
import pytest

import mcfast
from mcfast.snapshot.root import Root

N_USERS, N_ITEMS = 30, 20


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Models with integer and with string ids of users, and tables of attributes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = tmp_path_factory.mktemp("models")
    cells = np.random.default_rng(0).permutation(N_USERS * N_ITEMS)[:300]
    users, items = cells // N_ITEMS, cells % N_ITEMS
    names = [f"i{item}" for item in items]
    scores = 1 + (users + items) % 5
    for name, ids in (("model", users), ("named", [f"u{user}" for user in users])):
        mcfast.fit((ids, names, scores), epochs=3, factors=8).save(path / name)
    (path / "films.csv").write_text("id,title\n" + "".join(f'i{i},"Film\t{i}"\n' for i in range(N_ITEMS)))
    released = pa.array([datetime.date(2000, 1, 1 + i) for i in range(N_ITEMS)])
    pq.write_table(pa.table({"id": [f"i{i}" for i in range(N_ITEMS)], "released": released}), path / "films.parquet")
    return path


@pytest.fixture
def run(models, tmp_path, run_command, monkeypatch):
    """Run a command in a folder of the test, where the models are; return its exit code, and what it printed."""
    for file in models.iterdir():
        (tmp_path / file.name).symlink_to(file)
    monkeypatch.chdir(tmp_path)

    return run_command


@pytest.fixture
def published(run):
    """The same, with two versions of a served folder."""
    for _ in range(2):
        assert run("publish", "model", "root")[0] == 0
    return run


def rows(out):
    return [line.split("\t") for line in out.splitlines()]


# --- publish ------------------------------------------------------------------------------------------------------


def test_publish_says_what_is_served(run):
    code, out, err = run("publish", "model", "root")
    assert (code, err) == (0, "")
    assert out.splitlines()[0] == "root: version 1 is served"
    facts = dict(line.split(maxsplit=1) for line in out.splitlines()[1:])
    assert facts.keys() == {"index", "recall", "bytes", "seconds"}
    assert (facts["index"], facts["recall"]) == ("exact", "exact")
    (version,) = mcfast.versions("root")
    assert facts["bytes"] == f"{version.bytes:,}"


def test_publish_tells_the_recall_that_was_measured(run):
    code, out, _ = run("publish", "model", "root", "--index", "hnswlib")
    assert code == 0
    assert re.search(r"^index +hnswlib$", out, re.MULTILINE)
    measured = mcfast.versions("root")[0].index["recall"]
    assert re.search(rf"^recall +{measured['10']:.3f} @10, {measured['20']:.3f} @20$", out, re.MULTILINE)


def test_publish_as_a_document(run):
    document = json.loads(run("publish", "model", "root", "--index", "hnswlib", "--recall", "0.9", "--json")[1])
    assert (document["root"], document["number"], document["current"]) == ("root", 1, True)
    assert (document["users"], document["items"], document["factors"]) == (N_USERS, N_ITEMS, 8)
    assert document["index"]["recall_target"] == 0.9
    assert document["seconds"] > 0


def test_publish_keeps_as_many_versions_as_it_is_told(published):
    assert published("publish", "model", "root", "--keep", "1")[0] == 0
    assert [version.number for version in mcfast.versions("root")] == [3]
    for _ in range(4):
        assert published("publish", "model", "root", "--keep", "all")[0] == 0
    assert [version.number for version in mcfast.versions("root")] == [3, 4, 5, 6, 7]


@pytest.mark.filterwarnings("always::mcfast.recall.RecallWarning")
def test_a_recall_that_is_not_reached_is_said_in_a_line(run, monkeypatch):
    monkeypatch.setattr("mcfast.recall.approximate._cheapest", lambda curve, target: (len(curve), curve[-1]))
    code, out, err = run("publish", "model", "root", "--index", "hnswlib")
    assert code == 0
    assert re.search(r"^recall +exact$", out, re.MULTILINE)
    assert err.startswith("mcfast: warning: hnswlib: recall@10")
    assert err.count("\n") == 1


# --- recall -------------------------------------------------------------------------------------------------------


def test_recall_is_the_method_recall(published):
    code, out, _ = published("recall", "root", "--user", "7", "99", "-k", "4")
    assert code == 0
    table = rows(out)
    assert table[0] == ["user", "item", "score", "source", "version"]
    expected = mcfast.load("model").recommend(7, k=4)
    assert [row[1] for row in table[1:5]] == expected.ids.tolist()
    np.testing.assert_allclose([float(row[2]) for row in table[1:5]], expected.scores, atol=1e-4)
    assert [row[0] for row in table[1:]] == ["7"] * 4 + ["99"] * 4
    assert [row[3:] for row in table[1:]] == [["exact", "2"]] * 4 + [["popular", "2"]] * 4


def test_recall_shows_titles_where_there_are_some(run):
    run("publish", "model", "root", "--items", "films.csv")
    table = rows(run("recall", "root", "--user", "1", "-k", "3")[1])
    assert table[0][-1] == "title"
    assert [row[5] for row in table[1:]] == [f"Film {row[1][1:]}" for row in table[1:]]  # its tab is a space
    assert {len(row) for row in table} == {6}


def test_recall_as_a_document_has_everything(run):
    run("publish", "model", "root", "--items", "films.parquet")
    (entry,) = json.loads(run("recall", "root", "--user", "1", "-k", "3", "--json")[1])
    assert (entry["user"], entry["source"], entry["version"]) == (1, "exact", 1)
    assert [item["attributes"] for item in entry["items"]] == [
        {"released": f"2000-01-{1 + int(item['id'][1:]):02}"} for item in entry["items"]
    ]
    with mcfast.open("root") as recaller:
        assert [item["score"] for item in entry["items"]] == recaller.recall(1, 3).scores.tolist()


def test_recall_for_the_users_of_a_file_and_from_a_list_of_items(published, tmp_path):
    (tmp_path / "users.txt").write_text("4\n9\n")
    (tmp_path / "some.txt").write_text("i1\ni2\ni3\nnever\n")
    (tmp_path / "not.txt").write_text("i2\n")
    limits = ["--allow", "some.txt", "--exclude", "not.txt", "--no-exclude-seen"]
    table = rows(published("recall", "root", "--users-from", "users.txt", *limits)[1])
    assert [row[0] for row in table[1:]] == ["4"] * 2 + ["9"] * 2
    assert {row[1] for row in table[1:]} == {"i1", "i3"}


def test_recall_leaves_out_what_was_recorded(published):
    first = rows(published("recall", "root", "--user", "7", "-k", "1")[1])[1][1]
    with mcfast.open("root") as recaller:
        recaller.record(7, [first])
    assert first not in [row[1] for row in rows(published("recall", "root", "--user", "7")[1])]
    everything = published("recall", "root", "--user", "7", "--no-exclude-seen")[1]
    assert first in [row[1] for row in rows(everything)]


def test_recall_takes_ids_as_the_version_has_them(run):
    run("publish", "named", "root")
    assert rows(run("recall", "root", "--user", "u7", "7", "-k", "1")[1])[1][3] == "exact"
    assert rows(run("recall", "root", "--user", "u7", "7", "-k", "1")[1])[2][3] == "popular"


def test_recall_measures_the_time_of_single_recalls(published, tmp_path):
    code, out, err = published("recall", "root", "--user", "7", "3", "5", "-k", "2", "--measure")
    assert (code, len(out.splitlines())) == (0, 1 + 3 * 2)
    found = re.fullmatch(r"mcfast: 3 single recalls, one thread: p50 (\S+) ms, p99 (\S+) ms\n", err)
    assert 0 < float(found[1]) <= float(found[2])
    (tmp_path / "nobody.txt").write_text("")
    code, out, err = published("recall", "root", "--users-from", "nobody.txt", "--measure")
    assert (code, out, err) == (0, "user\titem\tscore\tsource\tversion\n", "")


# --- rollback and versions ----------------------------------------------------------------------------------------


def test_rollback_and_forth(published):
    assert published("rollback", "root") == (0, "root: version 1 is served\n", "")
    assert rows(published("recall", "root", "--user", "1", "-k", "1")[1])[1][4] == "1"
    code, out, _ = published("rollback", "root", "--to", "2", "--json")
    assert (code, json.loads(out)) == (0, {"root": "root", "version": 2})


def test_versions_are_listed_with_the_current_one_marked(published):
    published("publish", "model", "root", "--index", "hnswlib")
    published("rollback", "root")
    code, out, err = published("versions", "root")
    assert (code, err) == (0, "")
    header, *lines = (line.split() for line in out.splitlines())
    assert header == ["version", "current", "created", "users", "items", "factors", "index", "recall", "MB"]
    assert [line[0] for line in lines] == ["1", "2", "3"]
    assert ["yes" in line for line in lines] == [False, True, False]
    assert [line[-3:-1] for line in lines[:2]] == [["exact", "exact"]] * 2
    assert "hnswlib" in lines[2]


def test_publish_says_why_it_chose_an_index(published):
    code, out, _ = published("publish", "model", "root", "--index", "auto")
    assert code == 0
    assert mcfast.versions("root")[-1].index["chosen"]["why"] in out


def test_versions_to_keep_are_a_number_or_all(published):
    code, _, err = published("publish", "model", "root", "--keep", "some")
    assert code == 2
    assert "argument --keep: got 'some', expected an integer >= 1, or all" in err
    assert len(mcfast.versions("root")) == 2


def test_a_damaged_version_is_listed_as_such(published):
    Path("root/versions/1/manifest.json").write_text("{")
    code, out, err = published("versions", "root")
    assert code == 0
    assert err.startswith("mcfast: root/versions/1/manifest.json: ")
    assert out.splitlines()[1].split()[:2] == ["1", "damaged"]
    assert mcfast.versions("root")[1].problem is None
    assert json.loads(published("versions", "root", "--json")[1])["versions"][0]["problem"] in err


def test_versions_as_a_document(published):
    document = json.loads(published("versions", "root", "--json")[1])
    assert document["removed"] == []
    assert [version["number"] for version in document["versions"]] == [1, 2]
    assert [version["bytes"] for version in document["versions"]] == [v.bytes for v in mcfast.versions("root")]


def test_versions_are_pruned(published):
    code, out, err = published("versions", "root", "--prune", "1")
    assert (code, err) == (0, "mcfast: removed 1\n")
    assert [line.split()[0] for line in out.splitlines()] == ["version", "2"]
    assert json.loads(published("versions", "root", "--prune", "1", "--json")[1])["removed"] == []


# --- errors -------------------------------------------------------------------------------------------------------

ERRORS = {
    "no model": (["publish", "none", "new"], "none: not a mcfast-model: it does not exist"),
    "no parent": (["publish", "model", "no/such/root"], "no/such does not exist"),
    "in the way": (["publish", "model", "model"], "not a served folder, and not empty"),
    "no such index": (["publish", "model", "new", "--index", "no"], "index: got 'no', expected one of 'exact'"),
    "no such store": (["publish", "model", "new", "--store", "no"], "store: got 'no', expected one of"),
    "passing store": (["publish", "model", "new", "--store", "memory"], "store: got 'memory'"),
    "no such table": (["publish", "model", "new", "--items", "none.csv"], "none.csv"),
    "keep none": (["publish", "model", "new", "--keep", "0"], "keep: got 0, expected an integer >= 1"),
    "recall too high": (["publish", "model", "new", "--index", "hnswlib", "--recall", "2"], "recall: got 2.0"),
    "no root": (["recall", "none", "--user", "1"], "none: not a served folder: it does not exist"),
    "a model is no root": (["recall", "model", "--user", "1"], "model: not a served folder: it has no versions/"),
    "not an id": (["recall", "root", "--user", "1", "ann"], "--user: got 'ann', expected integers"),
    "too long an id": (["recall", "root", "--user", "9" * 20], "expected an integer of 64 bits"),
    "k": (["recall", "root", "--user", "1", "-k", "0"], "k: got 0, expected an integer >= 1"),
    "no list": (["recall", "root", "--user", "1", "--allow", "none.txt"], "none.txt"),
    "no such version": (["rollback", "root", "--to", "9"], "root: no version 9; there is 1, 2"),
    "nothing to roll back": (["rollback", "none"], "none: not a served folder"),
    "nothing to list": (["versions", "none"], "none: not a served folder"),
    "prune all": (["versions", "root", "--prune", "0"], "keep: got 0, expected an integer >= 1"),
    "busy, publish": (["publish", "model", "busy", "--no-wait"], "busy: another process is publishing"),
    "busy, rollback": (["rollback", "busy", "--no-wait"], "busy: another process is publishing"),
    "busy, prune": (["versions", "busy", "--prune", "1", "--no-wait"], "busy: another process is publishing"),
}


@pytest.mark.parametrize("case", ERRORS)
def test_an_error_is_one_line_and_exit_code_1(published, tmp_path, case):
    arguments, expected = ERRORS[case]
    if "busy" in arguments:
        (tmp_path / "root").rename(tmp_path / "busy")
        with Root("busy").locked(wait=True):
            code, out, err = published(*arguments)
    else:
        code, out, err = published(*arguments)
    assert (code, out) == (1, "")
    assert err.startswith("mcfast: error: ")
    assert err.count("\n") == 1
    assert expected in err
    assert "--recall" in arguments or not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    "arguments", [["publish", "model"], ["recall", "root"], ["recall", "root", "--user"], ["rollback"], ["versions"]]
)
def test_wrong_usage_is_exit_code_2(run, arguments):
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("usage: ")
