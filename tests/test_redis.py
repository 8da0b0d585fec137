"""Tables on Redis: pointers, versions that share a server, and servers that go away. What all tables do: test_store."""

import json
import signal
import time

import numpy as np
import pytest
import redis

import mcfast
from mcfast import store
from mcfast.cli import main
from redis_servers import Server
from service_problems import service, wait_for
from serving_problems import made


@pytest.fixture
def client(redis_url):
    with redis.Redis.from_url(redis_url) as opened:
        opened.flushall()
        yield opened


def pointer(root, version):
    (file,) = root.glob(f"versions/{version}/*/table.bin")
    return json.loads(file.read_text())


def lasting(client):
    """The tables that do not vanish by themselves."""
    return {key.decode() for key in client.scan_iter() if client.ttl(key) == -1}


def test_versions_on_a_server_answer_as_those_in_files_and_go_with_their_folders(root, tmp_path, client, redis_url):
    for seed in range(3):
        assert mcfast.publish(made(seed), root, store="redis", store_url=redis_url, keep=2) == seed + 1
        mcfast.publish(made(seed), tmp_path / "files")
        with mcfast.open(root) as there, mcfast.open(tmp_path / "files") as here:
            for user in (100, 101, 999):
                found, expected = there.recall(user, 9), here.recall(user, 9)
                assert found.source == expected.source
                assert found.ids.tolist() == expected.ids.tolist()
                np.testing.assert_array_equal(found.scores, expected.scores)
                assert sorted(there.seen(user)) == sorted(here.seen(user))
    assert lasting(client) == {pointer(root, 2)["key"], pointer(root, 3)["key"]}
    assert pointer(root, 3) | {"key": ""} == {
        "kind": "mcfast-redis",
        "format": 1,
        "url": redis_url,
        "key": "",
        "size": made().n_users,
    }
    mcfast.rollback(root)
    with mcfast.open(root) as recaller:
        assert recaller.recall(100, 5).ids.tolist() == made(1).recommend(100, 5).ids.tolist()


def test_who_still_reads_a_version_that_was_pruned_goes_on(root, client):
    mcfast.publish(made(), root, store="redis")
    with mcfast.open(root) as recaller:
        mcfast.publish(made(1), root, store="redis", keep=1)
        assert recaller.recall(100, 5).version == 1
        for key in client.scan_iter():
            if client.ttl(key) > 0:
                client.unlink(key)  # its time has come
        assert recaller.recall(100, 5).version == 2


@pytest.mark.parametrize("where", ["mcfast.snapshot.version.Version.try_out", "mcfast.recall.Index.save"])
def test_a_publication_that_fails_leaves_nothing_on_the_server(root, client, monkeypatch, where):
    mcfast.publish(made(), root, store="redis")
    before = lasting(client)

    def fails(*_, **__):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(where, fails)
        with pytest.raises(OSError, match="No space"):
            mcfast.publish(made(1), root, store="redis")
    assert lasting(client) == before
    assert mcfast.publish(made(1), root, store="redis") == 2


def test_what_a_killed_publisher_left_is_removed_by_the_next(root, client):
    mcfast.publish(made(), root, store="redis")
    (root / "versions/1").rename(root / "versions/.building-2-abc")
    (root / "CURRENT").unlink()
    mcfast.publish(made(), root, store="redis")
    assert len(lasting(client)) == 1


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("redis://:secret@127.0.0.1/0", "url: got one with a name, a password or a query, expected none of them"),
        ("redis://127.0.0.1/0?password=secret", "url: got one with"),
        ("http://127.0.0.1", "url: got 'http://127.0.0.1', expected redis://HOST:PORT/DATABASE"),
        (7, "url: got 7, expected"),
    ],
)
def test_addresses_with_secrets_and_others_are_refused(tmp_path, url, words):
    with pytest.raises(ValueError) as caught:
        store.open("redis", tmp_path / "table", url=url)
    assert str(caught.value).startswith(words)
    assert "secret" not in str(caught.value).replace("secrets", "")
    with pytest.raises(ValueError, match="as store 'lmdb' has no server"):
        store.open("lmdb", tmp_path / "table", url="redis://127.0.0.1")


def test_altered_pointers_are_corrupt(tmp_path, redis_url):
    with store.open("redis", tmp_path / "table") as table:
        table.put_many([1], [[1.0]])
    text = (tmp_path / "table").read_text()
    for bad in (text[:-9], text.replace('"format": 1', '"format": 9'), "[]", ""):
        (tmp_path / "table").write_text(bad)
        with pytest.raises(mcfast.CorruptError, match="pointer"):
            store.open("redis", tmp_path / "table")
    with pytest.raises(mcfast.FormatError, match="does not exist"):
        store.open("redis", tmp_path / "none", readonly=True)


@pytest.fixture
def server(tmp_path):
    (tmp_path / "redis").mkdir()
    started = Server(tmp_path / "redis", "--save", "", "--appendonly", "yes", "--requirepass", "secret")
    yield started
    started.kill()


def test_a_server_that_is_killed_and_comes_back(root, tmp_path, server, monkeypatch):
    with pytest.raises(ConnectionError, match="redis: "):
        mcfast.publish(made(), root, store="redis", store_url=server.url)
    monkeypatch.setenv("MCFAST_REDIS_PASSWORD", "secret")
    mcfast.publish(made(), root, store="redis", store_url=server.url)
    assert "secret" not in "".join(file.read_text("latin-1") for file in root.rglob("*") if file.is_file())
    time.sleep(1.1)  # the server syncs its log once a second
    with service(root, tmp_path) as client:
        expected = client.ask("GET", "/v1/recall/100?k=5")[2]["ids"]
        client.ask("POST", "/v1/interactions", {"user_id": 100, "items": [expected[0]]})
        server.process.send_signal(signal.SIGSTOP)
        waiting = client.begin("GET", "/v1/recall/100?k=5")
        time.sleep(0.2)
        assert client.ask("GET", "/healthz")[0] == 200
        assert not waiting.done()
        server.process.send_signal(signal.SIGCONT)
        assert waiting.result(30)[0] == 200
        server.kill()
        status, headers, answer = client.ask("GET", "/v1/recall/100?k=5")
        assert (status, headers["retry-after"]) == (503, "1")
        assert answer["error"].startswith("redis: ")
        assert client.ask("POST", "/v1/interactions", {"user_id": 100, "items": [expected[1]]})[0] == 200
        server.start()
        wait_for(lambda: client.ask("GET", "/v1/recall/100?k=5")[0] == 200)
        found = client.ask("GET", "/v1/recall/100?k=5")[2]
        assert found["source"] == "exact"
        assert found["ids"][:3] == expected[2:]
        with redis.Redis.from_url(server.url, password="secret") as other:
            other.flushall()
        status, _, answer = client.ask("GET", "/v1/recall/100?k=5")
        assert status == 503
        assert "not on the server any more" in answer["error"]


def test_from_the_command_line(root, tmp_path, redis_url, capsys):
    made().save(tmp_path / "model")
    assert main(["publish", str(tmp_path / "model"), str(root), "--store", "redis", "--store-url", redis_url]) == 0
    assert main(["recall", str(root), "--user", "100"]) == 0
    assert "\texact\t1" in capsys.readouterr().out
    assert main(["publish", str(tmp_path / "model"), str(root), "--store", "redis", "--store-url", "x"]) == 1
    assert "url: got 'x'" in capsys.readouterr().err
