"""What is particular to the index milvus: a real server, a file that one process may open, and pointers to both."""

import gc
import json
import os
import re
import shlex
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pymilvus
import pytest
import yaml

import mcfast
from mcfast import CorruptError, MissingExtraError, recall, serve
from mcfast.recall.milvus import MOST, TOKEN, URI, Place, settle
from milvus_server import running
from recall_problems import DIMENSION, N, built, check, csr, milvus_file, problem
from redis_servers import Server
from service_problems import process
from serving_problems import made

DEPLOY = Path(__file__).parents[1] / "deploy"


@pytest.fixture(scope="module")
def server():
    with running() as uri:
        yield uri


@pytest.fixture(scope="module")
def on_server(server):
    """An index of each metric, each of another type, built once and at the same time: the server waits a lot."""

    def made(metric, index_type):
        vectors, queries, offsets, _ = problem(metric)
        options = {"index_type": index_type, "nlist": 16, "queries": queries, "uri": server}
        return recall.build("milvus", vectors, metric, offsets=offsets, **options)

    types = {"ip": "HNSW", "cosine": "IVF_FLAT", "l2": "FLAT"}
    with ThreadPoolExecutor(len(types)) as pool:
        return dict(zip(types, pool.map(made, *zip(*types.items(), strict=True)), strict=True))


def collections(uri):
    """The names of all collections at a place."""
    place = Place.checked(uri, 10)
    client = place.connect()
    try:
        return set(client.list_collections())
    finally:
        place.leave(client)


def gone():
    """Wait until what nothing refers to is gone."""
    gc.collect()
    settle()


def small(uri, **options):
    vectors = np.random.default_rng(0).standard_normal((50, 4))
    return recall.build("milvus", vectors, "l2", **{"index_type": "FLAT", "uri": uri, **options})


# --- a server -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", recall.METRICS)
def test_a_server_answers_as_every_index_does(on_server, metric):
    _, queries, _, truth = problem(metric)
    index = on_server[metric]
    info = index.info
    assert info["served_by"] == "milvus"
    assert min(info["recall"].values()) >= 0.95
    for k in (1, 10, 100):
        check(index, index.search(queries, k), truth, k)
    check(index, index.search(queries[:3], N + 20), truth[:3], N + 20)
    excluded = [[], np.arange(N), np.delete(np.arange(N), 13), *np.random.default_rng(5).integers(0, N, (57, 25))]
    allow = np.random.default_rng(6).random(N) < 0.4
    check(index, index.search(queries, 10, exclude=csr(excluded), allow=allow), truth, 10, excluded, allow)
    rows, scores = index.search(queries, 10)
    for threads in (1, 7):
        again = index.search(queries, 10, threads=threads)
        np.testing.assert_array_equal(again[0], rows)
        np.testing.assert_array_equal(again[1], scores)


@pytest.mark.parametrize("metric", recall.METRICS)
def test_what_is_saved_is_a_pointer_without_secrets(on_server, metric, server, tmp_path, monkeypatch):
    monkeypatch.setenv(TOKEN, "root:Milvus")
    _, queries, _, _ = problem(metric)
    index = on_server[metric]
    index.save(tmp_path / "index")
    assert "root:Milvus" not in (tmp_path / "index" / "manifest.json").read_text()
    assert (index.info["uri"], index.info["collection"][:7]) == (server, "mcfast_")
    loaded = recall.load(tmp_path / "index")
    assert loaded.info == index.info
    for ours, theirs in zip(index.search(queries, 20), loaded.search(queries, 20), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_the_form_that_is_not_kept_leaves_no_collection(on_server, server):
    gone()
    assert collections(server) == {index.info["collection"] for index in on_server.values()}


def test_a_collection_of_a_server_lives_as_long_as_what_points_to_it(server, tmp_path):
    index = small(server)
    index.save(tmp_path / "index")
    name = index.info["collection"]
    del index
    gone()
    assert recall.load(tmp_path / "index").size == 50
    recall.remove(tmp_path / "index")
    assert name not in collections(server)
    assert not (tmp_path / "index").exists()


def test_a_version_on_a_server(server, tmp_path, monkeypatch):
    before = collections(server)
    random = np.random.default_rng(0)
    model = mcfast.Model.from_factors(random.standard_normal((30, 4)), random.standard_normal((40, 4)))
    monkeypatch.setenv(URI, server)
    mcfast.publish(model, tmp_path / "serving", index="milvus", index_options={"index_type": "FLAT"})
    recaller = mcfast.open(tmp_path / "serving")
    assert recaller.info["index"]["uri"] == server
    answer = recaller.recall(3, k=5)
    assert (answer.source, answer.ids.tolist()) == ("index", model.recommend([3], k=5)[0][0].tolist())

    def unreachable(*_):
        raise ConnectionError("no server answers")

    with monkeypatch.context() as patch:
        patch.setattr("mcfast.recall.milvus.drop", unreachable)
        with pytest.warns(recall.RecallWarning, match="no server answers"):
            mcfast.publish(model, tmp_path / "serving", keep=1)
    assert len(collections(server) - before) == 1
    mcfast.prune(tmp_path / "serving")  # tries again
    assert collections(server) == before
    assert not list((tmp_path / "serving" / "versions").glob(".*"))


# --- a file -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("index_type", "name"), [("HNSW", "ef"), ("IVF_FLAT", "nprobe"), ("FLAT", None)])
def test_every_type_of_a_file_keeps_the_recall_that_it_measured(index_type, name, tmp_path):
    vectors, queries, _, truth = problem("l2")
    options = {"uri": milvus_file(), "index_type": index_type, "nlist": 16, "queries": queries}
    recall.build("milvus", vectors, "l2", **options).save(tmp_path / "index")
    index = recall.load(tmp_path / "index")
    assert [point.get(name) for point in index.info["curve"]][-1] == {"ef": 1024, "nprobe": 16, None: None}[name]
    for k, value in index.info["recall"].items():
        assert recall.measure(index, queries, int(k)) == pytest.approx(value, abs=1e-12)
    check(index, index.search(queries, 10), truth, 10)


def test_the_parameters_reach_the_file(tmp_path):
    """With 2 lists, one of them holds about half of the items: a coarse index finds much with nprobe 1."""
    vectors, queries, _, _ = problem("l2")
    curves = {}
    for nlist in (2, 128):
        options = {"uri": tmp_path / "x.db", "index_type": "IVF_FLAT", "nlist": nlist, "queries": queries}
        curves[nlist] = recall.build("milvus", vectors, "l2", **options).info["curve"]
    assert curves[2][0]["recall"]["10"] > curves[128][0]["recall"]["10"] + 0.2


def test_a_second_process_is_refused(tmp_path):
    index = small(tmp_path / "items.db")
    index.save(tmp_path / "index")
    code = f"import mcfast; mcfast.recall.load({str(tmp_path / 'index')!r})"
    refused = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert refused.returncode == 1
    assert refused.stderr.splitlines()[-1].startswith(f"mcfast.errors.BusyError: {tmp_path}/items.db: another process")
    assert "ERROR" not in refused.stderr
    del index
    gone()  # the last user in this process
    served = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (served.returncode, served.stderr) == (0, "")
    assert recall.load(tmp_path / "index").size == 50


def test_a_connection_that_is_closed_while_it_is_made_is_made_again(tmp_path, monkeypatch):
    """A server may close one that was idle, which later clients of the process share."""
    connect, attempts = pymilvus.MilvusClient, []

    def closed_at_first(**options):
        attempts.append(options["uri"])
        if len(attempts) == 1:
            raise pymilvus.MilvusException(message="Received a GOAWAY")
        return connect(**options)

    monkeypatch.setattr(pymilvus, "MilvusClient", closed_at_first)
    vectors = np.random.default_rng(0).standard_normal((30, 4))
    index = recall.build("milvus", vectors, uri=tmp_path / "items.db", index_type="FLAT")
    assert index.search(vectors[7:8], 30)[0].shape == (1, 30)
    assert len(attempts) == 2


def test_several_workers_are_refused(tmp_path):
    random = np.random.default_rng(0)
    model = mcfast.Model.from_factors(random.standard_normal((30, 4)), random.standard_normal((40, 4)))
    options = {"uri": tmp_path / "items.db", "index_type": "FLAT"}
    mcfast.publish(model, tmp_path / "serving", index="milvus", index_options=options)
    with pytest.raises(ValueError, match=r"workers: got 2 .* expected 1: version 1 has an index in a file"):
        serve.run(serve.Settings(tmp_path / "serving", port=0, workers=2))


def test_a_collection_that_is_gone_or_altered_is_found(tmp_path):
    index = small(tmp_path / "items.db")
    index.save(tmp_path / "index")
    index._proposer._client.delete(index.info["collection"], ids=[3])
    with pytest.raises(CorruptError, match="altered: 49 items"):
        recall.load(tmp_path / "index")
    index._proposer._client.drop_collection(index.info["collection"])
    with pytest.raises(CorruptError, match=r"items\.db: missing: the collection mcfast_"):
        recall.load(tmp_path / "index")
    with pytest.raises(ConnectionError, match=r"items\.db: Milvus says: "):
        index.search(np.zeros(4), 3)


def test_a_recall_that_is_not_reached_leaves_no_collection(tmp_path):
    vectors = problem("l2")[0]
    options = {"uri": tmp_path / "x.db", "index_type": "HNSW", "M": 2, "ef_construction": 1, "recall": 1.0}
    spread = vectors[np.random.default_rng(0).integers(0, 40, N)]  # many the same: the graph falls apart
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", recall.RecallWarning)
        index = recall.build("milvus", spread, "l2", **options)
    gone()
    assert len(collections(tmp_path / "x.db")) == (0 if index.is_exact else 1)


def test_more_than_milvus_gives_is_answered_exactly():
    index = built("milvus", "l2")
    assert (index._proposer.nearest(index._items.queries(np.zeros((2, DIMENSION))), MOST + 1, 1) == -1).all()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"uri": "http://root:secret@127.0.0.1:1"}, ValueError, "uri: got an address with a name or password in it"),
        ({"uri": "items.faiss"}, ValueError, r"uri: got 'items\.faiss', expected 'http://host:port', or a file"),
        ({"uri": 7}, TypeError, "uri: got 7"),
        ({"index_type": "SCANN"}, ValueError, "index_type: got 'SCANN', expected one of 'FLAT', 'HNSW', 'IVF_FLAT'"),
        ({"M": 1, "index_type": "HNSW"}, ValueError, "M: got 1"),
        ({"timeout": 0}, ValueError, r"timeout: got 0\.0"),
        ({"uri": "http://127.0.0.1:1", "timeout": 2}, ConnectionError, "http://127.0.0.1:1: Milvus says: .*server"),
        ({"uri": "/nowhere/x.db"}, ConnectionError, r"/nowhere/x\.db: Milvus says: .*not exist"),
    ],
)
def test_bad_options_of_milvus(arguments, error, message):
    with pytest.raises(error, match=message) as caught:
        small(**{"uri": milvus_file(), **arguments})
    assert "secret" not in str(caught.value)


def test_what_the_compose_file_configures_serves_from_redis_and_milvus(server, tmp_path, root):
    """The commands and the environment of the file, but for the names of hosts, which only Docker knows."""
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    (tmp_path / "redis").mkdir()
    redis = Server(tmp_path / "redis", *redis_options(services["redis"], "secret"))
    environment = services["serve"]["environment"] | {
        "MCFAST_TOKEN": "a-token",
        "MCFAST_REDIS_PASSWORD": "secret",
        "MCFAST_REDIS_URL": services["serve"]["environment"]["MCFAST_REDIS_URL"].replace(
            "redis:6379", f"127.0.0.1:{redis.port}"
        ),
        "MCFAST_MILVUS_URI": server,
    }
    options = json.loads(re.search(r"^CMD (.*)", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)[1])
    assert options[:4] == ["serve", "/serving", "--host", "0.0.0.0"]
    made().save(tmp_path / "model")
    try:
        publish = [sys.executable, "-m", "mcfast", "publish", str(tmp_path / "model"), str(root)]
        subprocess.run(
            [*publish, "--store", "redis", "--index", "milvus", "--json"],
            check=True,
            env=os.environ | environment,
            stdout=subprocess.DEVNULL,
        )
        assert "secret" not in "".join(file.read_text("latin-1") for file in root.rglob("*") if file.is_file())
        with process(root, tmp_path / "log", *options[4:], environment=environment) as started:
            assert started.ask("GET", "/v1/recall/100?k=5")[0] == 401
            status, found = started.ask("GET", "/v1/recall/100?k=5", headers={"authorization": "Bearer a-token"})
        assert (status, found["source"]) == (200, "index")
        assert found["ids"] == made().recommend(100, 5).ids.tolist()
    finally:
        redis.kill()
        recall.remove(next(root.glob("versions/1/index")))


def redis_options(service, password):
    """The options of redis-server in the command of the compose file."""
    command = service["command"][2].replace("$$PASSWORD", password)
    words = shlex.split(command)
    assert words[:2] == ["exec", "redis-server"]
    return words[2:]


def test_without_the_package_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pymilvus", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'mcfast\[milvus\]'"):
        small(milvus_file())
