"""Tables on a cluster of Redis servers: those that never change lie on all nodes, the others on one."""

import json

import numpy as np
import pytest
import redis

import mcfast
from mcfast import store
from mcfast.store import redis_pointer
from redis_servers import cluster, cluster_url
from serving_problems import made
from table_problems import values
from test_store import (  # noqa: F401
    filling,
    path,
    table,
    test_a_hash_that_meets_another_id_is_never_answered,
    test_an_empty_table,
    test_delete,
    test_every_kind_of_id_gets_its_own_value,
    test_iterate_shows_everything_once,
    test_replace_all_may_change_the_width,
    test_vectors_may_be_rounded_to_float16,
)


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    started = cluster(tmp_path_factory.mktemp("cluster"))
    yield started
    for server in started:
        server.kill()


@pytest.fixture(autouse=True)
def url(servers, monkeypatch):
    address = cluster_url(servers)
    monkeypatch.setenv("MCFAST_REDIS_URL", address)
    return address


@pytest.fixture
def changeable():
    return "redis"


@pytest.fixture(params=["build", "put_many", "replace_all"])
def filled(request, path):  # noqa: F811
    with filling("redis", request.param, path) as fill:
        yield fill


def lasting(servers):
    """The hashes of each node that do not vanish by themselves."""
    clients = [redis.Redis.from_url(server.url) for server in servers]
    return [{key for key in client.scan_iter() if client.ttl(key) == -1} for client in clients]


def test_a_table_that_never_changes_lies_on_all_nodes(servers, tmp_path):
    n = 5000
    vectors, biases, seen = values(n)
    with store.build("redis", tmp_path / "table", np.arange(n), vectors, biases, seen) as built:
        pointer = json.loads((tmp_path / "table").read_text())
        assert sum(pointer["parts"]) == n
        on_nodes = [{key for key in keys if pointer["key"].encode() in key} for keys in lasting(servers)]
        assert all(len(keys) > redis_pointer.PARTS / 10 for keys in on_nodes)
        assert sum(map(len, on_nodes)) == redis_pointer.PARTS
        asked = np.random.default_rng(0).integers(-500, n + 500, 2000)
        many = built.get_many(asked)
        known = (asked >= 0) & (asked < n)
        assert np.array_equal(many.found, known)
        assert np.array_equal(many.vectors[known], vectors[asked[known]])
        assert len(built) == n
    with store.build("redis", tmp_path / "table", [1], [[1.0]]) as built:
        assert built.get(1).vector == 1
    gone = [{key for key in keys if pointer["key"].encode() in key} for keys in lasting(servers)]
    assert not any(gone)


def test_versions_on_a_cluster_answer_as_those_in_files_and_go_with_their_folders(root, tmp_path, servers, url):
    before = lasting(servers)
    for seed in range(3):
        mcfast.publish(made(seed), root, store="redis", store_url=url, keep=1)
        mcfast.publish(made(seed), tmp_path / "files")
        with mcfast.open(root) as there, mcfast.open(tmp_path / "files") as here:
            found, expected = there.recall_many([100, 101, 999], 9), here.recall_many([100, 101, 999], 9)
            assert found.ids.tolist() == expected.ids.tolist()
            np.testing.assert_array_equal(found.scores, expected.scores)
    new = sum(len(after - old) for after, old in zip(lasting(servers), before, strict=True))
    assert 0 < new <= made().n_users  # of the last version only


def test_a_node_that_is_away_and_one_that_has_lost_its_data(tmp_path, monkeypatch, tmp_path_factory):
    own = cluster(tmp_path_factory.mktemp("own"))
    try:
        with store.build("redis", tmp_path / "table", np.arange(500), np.ones((500, 2)), url=cluster_url(own)):
            pass
        with store.open("redis", tmp_path / "table", readonly=True) as opened:
            own[1].ask("FLUSHALL")
            with pytest.raises(mcfast.CorruptError, match="not on the server any more"):
                opened.get_many(np.arange(500))
            own[1].kill()
            with pytest.raises(ConnectionError, match="redis: "):
                opened.get_many(np.arange(500))
            with pytest.raises(ConnectionError, match="redis: "):
                store.build("redis", tmp_path / "other", np.arange(500), np.ones((500, 2)), url=cluster_url(own))
    finally:
        for server in own:
            server.kill()
    assert not (tmp_path / "other").exists()
    with pytest.raises(ConnectionError, match="redis: "):
        store.open("redis", tmp_path / "table", readonly=True)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("redis+cluster://:secret@127.0.0.1", "url: got one with a name, a password or a query"),
        ("redis+cluster://127.0.0.1/3", "expected no database but 0"),
        ("redis+cluster://", "expected redis://HOST:PORT/DATABASE"),
    ],
)
def test_addresses_that_are_none(tmp_path, url, words):
    with pytest.raises(ValueError, match=words):
        store.open("redis", tmp_path / "table", url=url)
