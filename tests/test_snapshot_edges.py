"""Served folders and users, items and ids at the edge; forgetting, and what belongs to one version."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest

import mcfast
from mcfast.snapshot.live import FILE, TABLES, Live
from mcfast.store.lmdb_environment import Environment
from served import N_ITEMS, N_USERS, UNKNOWN, publish

# --- ids and users at the edge ----------------------------------------------------------------------------------------

LONG = [f"{'é' * 300}{i}" for i in range(4)]  # over the 511 bytes of a key


def model_with(users, items, seen=None):
    random = np.random.default_rng(1)
    a, b = random.standard_normal((len(users), 3)), random.standard_normal((len(items), 3))
    return mcfast.Model.from_factors(a, b, users=users, items=items, seen=seen)


@pytest.mark.parametrize(
    ("users", "items"),
    [
        (LONG, LONG),
        (["a", "", "\0", "ü"], ["x", "", "\n", "🎬"]),
        ([-(2**63), -1, 0, 2**63 - 1], [-(2**63), -1, 0, 2**63 - 1]),
        (LONG, [-5, -1, 7, 8]),
        ([-5, -1, 7, 8], LONG),
    ],
    ids=["long", "short", "integers", "long users", "long items"],
)
def test_ids_of_every_kind_are_recorded_put_and_forgotten(root, users, items):
    new_user, new_item = (ids[0] * 2 + "new" if isinstance(ids[0], str) else 12345 for ids in (users, items))
    model = model_with(users, items)
    mcfast.publish(model, root)
    with mcfast.open(root) as recaller:
        for user in (*users, new_user):
            recaller.record(user, [items[1], new_item], scores=[1, 2])
            assert recaller.seen(user).tolist() == [items[1]]
            assert set(recaller.recall(user, 9).ids.tolist()) == {items[0], *items[2:]}
        recaller.put_user(new_user, model.user_factors[2])
        recaller.put_item(new_item, [9.0, 9.0, 9.0], attributes={"title": "t"})
        recaller.put_item(items[0], [0.0, 0.0, 0.0], 1e6)
        for user in (users[2], new_user):
            assert set(recaller.seen(user).tolist()) == {items[1], new_item}
            answer = recaller.recall(user, 9, exclude_seen=False)
            assert {*answer.ids.tolist()} == {*items, new_item}
            assert answer.ids[0] == items[0]
            assert recaller.recall(user, 9, exclude=[items[0]], allow=[items[0], items[3]]).ids.tolist() == [items[3]]
        assert recaller.recall(new_user, 9).source == "folded"
        assert recaller.item_attributes(new_item) == {"title": "t"}
        for user in (users[0], new_user):
            recaller.forget(user)
            assert recaller.recall(user, 9).source == "popular"
            assert len(recaller.seen(user)) == 0
        mcfast.publish(model, root)
        recaller.reload()
        assert recaller.recall(users[0], 9).source == "popular"
        assert recaller.recall(users[1], 9).source == "exact"
        assert set(recaller.recall(users[1], 9).ids.tolist()) == {items[0], *items[2:]}
    (table,) = root.glob("versions/2/arrays-*/table.bin")
    with mcfast.store.open("lmdb", table, readonly=True) as published:
        assert {id for ids, _ in published.iterate() for id in ids} == {*users[1:]}


@pytest.mark.parametrize("id", [1.5, None, b"a", True, (1,)])
def test_ids_of_no_kind(served, id):
    with mcfast.open(served) as recaller:
        for call in (
            lambda: recaller.recall(id),
            lambda: recaller.record(id, [1]),
            lambda: recaller.record(1, [id]),
            lambda: recaller.forget(id),
            lambda: recaller.seen(id),
            lambda: recaller.put_user(id, [1.0, 1.0]),
            lambda: recaller.put_item(id, [1.0, 1.0]),
            lambda: recaller.recall(1, exclude=[id]),
        ):
            with pytest.raises(TypeError, match=r"(user|users|item|items|exclude): got"):
                call()


@pytest.mark.parametrize("new", [["a"], [7], [7, "a"]])
def test_an_empty_catalogue_takes_items_of_either_kind(root, new):
    mcfast.publish(mcfast.Model.from_factors(np.ones((2, 2)), np.ones((0, 2))), root)
    with mcfast.open(root) as recaller:
        for user in (0, UNKNOWN):
            assert [len(part) for part in recaller.recall(user, 10**9)[:2]] == [0, 0]
        recaller.record(0, new)
        assert recaller.seen(0).tolist() == []
        for item in new:
            recaller.put_item(item, [1.0, 2.0])
        assert recaller.recall(1, 5).ids.tolist() == new
        assert recaller.recall(UNKNOWN, 5).ids.tolist() == new
        assert recaller.recall(1, 5, exclude=new[:1]).ids.tolist() == new[1:]
        assert recaller.recall(0, 5).ids.tolist() == []
        assert recaller.seen(0).tolist() == new


def test_one_item_and_one_user(root):
    mcfast.publish(model_with(["u"], ["i"]), root)
    with mcfast.open(root) as recaller:
        assert recaller.recall("u", 10**9).ids.tolist() == ["i"]
        assert recaller.recall_many(["u", "v"], 10**9).ids.tolist() == [["i"], ["i"]]
        recaller.record("u", ["i"])
        answer = recaller.recall("u", 10**9)
        assert (answer.ids.tolist(), answer.scores.tolist(), answer.source) == ([], [], "exact")
        assert recaller.recall("u", 1, exclude_seen=False).ids.tolist() == ["i"]
        assert recaller.recall("v", 1, allow=[]).ids.tolist() == []


def test_who_has_seen_everything_gets_nothing_from_any_source(root):
    everything = [0] * 4, [0, 1, 2, 3]
    mcfast.publish(model_with([0, 1], [0, 1, 2, 3], everything), root)
    with mcfast.open(root) as recaller:
        recaller.put_user(8, [1.0, 2.0, 3.0])
        for user in (8, 9):
            recaller.record(user, [0, 1, 2, 3])
        for user, source in ((0, "exact"), (8, "folded"), (9, "popular")):
            answer = recaller.recall(user, 3)
            assert (answer.ids.tolist(), answer.source) == ([], source)
        many = recaller.recall_many([0, 1, 8, 9], 3)
        assert many.counts.tolist() == [0, 3, 0, 0]
        assert many.sources == ["exact", "exact", "folded", "popular"]


# --- forgetting, and what belongs to one version ----------------------------------------------------------------------


def knows(recaller, user):
    return recaller.recall(user, 5).source != "popular"


def test_who_is_forgotten_is_hidden_from_all_versions_and_left_out_of_new_ones(served):
    with mcfast.open(served) as recaller:
        recaller.forget(0)
        publish(4, served, keep=None)
        for number in (1, 2, 3, 4):
            mcfast.rollback(served, number)
            recaller.reload()
            assert not knows(recaller, 0)
            assert recaller.user_attributes(0) == {}
            assert knows(recaller, 1)
        recaller.record(0, [9])
        publish(5, served, keep=None)
        for number in (1, 2, 3, 4, 5):
            mcfast.rollback(served, number)
            recaller.reload()
            assert knows(recaller, 0) == (number == 5)
            assert 9 in recaller.seen(0)
        recaller.forget(0)
        assert not knows(recaller, 0)
        recaller.put_user(0, [1.0, 1.0])
        assert recaller.recall(0, 5).source == "folded"
        assert len(recaller.seen(0)) == 0


def test_attributes_of_who_is_forgotten_are_left_out_of_new_versions(served):
    with mcfast.open(served) as recaller:
        recaller.forget(0)
    publish(4, served)
    (file,) = served.glob("versions/4/arrays-*/users.bin")
    assert pa.ipc.open_file(pa.memory_map(str(file))).read_all()["id"].to_pylist() == []


def test_who_is_forgotten_and_returns_while_a_version_is_built_stays_hidden_from_it(served, monkeypatch):
    write = mcfast.snapshot.version.write

    def forget_and_write(*arguments):
        with mcfast.open(served) as recaller:
            recaller.forget(0)
            recaller.record(0, [9])
        write(*arguments)

    monkeypatch.setattr(mcfast.snapshot.version, "write", forget_and_write)
    publish(4, served)
    monkeypatch.undo()
    with mcfast.open(served) as recaller:
        assert recaller.version == 4
        assert not knows(recaller, 0)
        publish(5, served)
        recaller.reload()
        assert knows(recaller, 0)


def test_who_is_forgotten_while_folded_in_has_no_vector(served, monkeypatch):
    put_folded = Live.put_folded

    def forget_and_put(*arguments):
        with mcfast.open(served) as recaller:
            recaller.forget(70)
        put_folded(*arguments)

    with mcfast.open(served) as recaller:
        for user in (70, 71):
            recaller.record(user, [4], scores=[1.0])
        monkeypatch.setattr(Live, "put_folded", forget_and_put)
        publish(4, served)
        recaller.reload()
        assert not knows(recaller, 70)
        assert recaller.recall(71, 5).source == "folded"


def test_vectors_put_online_go_with_their_version(served):
    with mcfast.open(served) as recaller:
        recaller.put_user(50, [3.0, -1.0], 3.0)
        recaller.put_item(90, [1.0, 0.0], 3.0, attributes={"title": "new"})
        recaller.put_user(51, [1.0, -1.0], version=2)
        for version, users in ((2, {51}), (1, set()), (3, {50})):
            mcfast.rollback(served, version)
            recaller.reload()
            assert {user for user in (50, 51) if knows(recaller, user)} == users
            assert (90 in recaller.recall(0, 99).ids) == (version == 3)
            assert recaller.item_attributes(90) == ({"title": "new"} if version == 3 else {})
        publish(4, served, keep=1)
        recaller.reload()
        assert not knows(recaller, 50)
        with pytest.raises(mcfast.FormatError, match="no version 3; there is 4"):
            recaller.put_user(50, [3.0, -1.0], version=3)
    environment = Environment.open(served / "live" / FILE, TABLES)
    for table in ("vectors", "items"):
        assert (
            environment.read(lambda transaction, tables, table=table: transaction.stat(tables[table])["entries"]) == 0
        )
    environment.close()


def test_the_manifest_of_a_version_says_what_it_is(served):
    said = json.loads((served / "versions" / "3" / "manifest.json").read_text())
    assert (said["kind"], said["format"], said["number"]) == ("mcfast-version", 2, 3)
    assert (said["users"], said["items"], said["factors"]) == (N_USERS, N_ITEMS, 2)
