"""The HTTP service at its limits: what it refuses, what it tells of itself, and its command."""

import asyncio
import json
import os
import threading

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

import mcfast
from mcfast.cli import main
from mcfast.serve import Settings
from service_problems import metric, service, titles, wait_for
from serving_problems import made

# --- limits -----------------------------------------------------------------------------------------------------------


def test_a_token_is_asked_for(root, tmp_path):
    mcfast.publish(made(), root)
    with service(root, tmp_path, token="secret") as client:
        for given in (None, "Bearer wrong", "secret", "Bearer secret2"):
            headers = {} if given is None else {"authorization": given}
            for path in ("/v1/recall/100", "/metrics", "/v1/nothing"):
                status, found, answer = client.ask("GET", path, headers=headers)
                assert (status, found["www-authenticate"]) == (401, "Bearer")
                assert "secret" not in answer["error"]
        assert client.ask("GET", "/v1/recall/100", headers={"authorization": "Bearer secret"})[0] == 200
        for path in ("/", "/healthz", "/readyz", "/openapi.json"):
            assert client.ask("GET", path)[0] == 200
    assert "secret" not in repr(Settings(root, token="secret"))


def test_limits_of_a_request(root, tmp_path):
    mcfast.publish(made(), root)
    with service(root, tmp_path, max_k=50, max_batch=3, max_body=1000, body_seconds=0.2) as client:
        assert client.ask("GET", "/v1/recall/100?k=50")[0] == 200
        for path in ("/v1/recall/100?k=51", "/v1/recall/100?k=1000000000", "/v1/recall/100?k=-1", "/v1/recall/100?q=1"):
            assert client.ask("GET", path)[0] == 422
        assert client.ask("POST", "/v1/recall", {"user_ids": [1], "k": 10**9})[0] == 422
        assert client.ask("POST", "/v1/recall", {"user_ids": [1, 2, 3, 4]})[0] == 422
        status, _, answer = client.ask("POST", "/v1/recall", {"user_ids": [1], "version": 9})
        assert (status, answer["error"]) == (404, "version: got 9, there is 1")
        assert client.ask("POST", "/v1/interactions", {"user_id": 1, "items": [1, 2, 3, 4]})[0] == 422
        assert client.ask("POST", "/v1/recall", b" " * 1001)[0] == 413
        assert client.ask("POST", "/v1/recall", b"{}", headers={"content-type": "text/plain"})[0] == 415
        assert client.ask("POST", "/v1/recall")[0] == 415

        async def endless():
            return {"type": "http.request", "body": b" " * 100, "more_body": True}

        async def never():
            await asyncio.sleep(60)

        async def gone():
            return {"type": "http.disconnect"}

        chunked = {"transfer-encoding": "chunked", "content-type": "application/json"}
        for receive, status in ((endless, 413), (never, 408), (gone, 400)):
            assert client.ask("POST", "/v1/recall", headers=chunked, receive=receive)[0] == status


def test_requests_beyond_those_under_way_are_refused_at_once(root, tmp_path):
    mcfast.publish(made(), root)
    with service(root, tmp_path, max_in_flight=4) as client:
        asked = [client.begin("GET", f"/v1/items/{i}/similar") for i in range(40)]
        answers = [one.result(60) for one in asked]
        statuses = [status for status, _, _ in answers]
        assert statuses.count(200) >= 4
        assert set(statuses) == {200, 429}
        assert all(headers["retry-after"] == "1" for status, headers, _ in answers if status == 429)
        assert client.ask("GET", "/v1/recall/100")[0] == 200
        assert client.ask("GET", "/healthz")[0] == 200
        assert metric(client, 'mcfast_in_flight{worker="0"}') == 0


ids = st.one_of(st.integers(), st.text(max_size=5), st.none(), st.floats(allow_nan=False), st.booleans())
anything = st.recursive(
    ids, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)
few = st.lists(ids, max_size=2)
names = (
    "user_ids vectors items scores k exclude_seen exclude allow filter exact attributes version user_id fold_in else"
)
bodies = st.one_of(
    st.binary(max_size=30),
    st.dictionaries(st.sampled_from(names.split()), anything, max_size=5),
    anything,
    st.fixed_dictionaries({"user_ids": few}, optional={"k": ids, "filter": anything, "allow": anything}),
    st.fixed_dictionaries({"items": st.lists(few, max_size=2)}, optional={"scores": anything}),
    st.fixed_dictionaries({"user_id": ids, "items": few}, optional={"scores": anything}),
)
ends = ["", "/similar", "?k=3", "?k=x", "?text=%00", "?exclude_seen=maybe", "/similar?k=0", "?k="]
requests = st.one_of(
    st.tuples(st.just("POST"), st.sampled_from(["/v1/recall", "/v1/interactions"]), bodies),
    st.tuples(
        st.sampled_from(["GET", "DELETE", "PUT", "HEAD", "OPTIONS", "FROB"]),
        st.builds(
            lambda a, b, c: a + b + c,
            st.sampled_from(["/v1/recall/", "/v1/items/", "/v1/users/", "/v1/map", "/v1/items", "/v1/", "/"]),
            st.text(max_size=6),
            st.sampled_from(
                ["", "/similar", "?k=3", "?k=x", "?text=%00", "?exclude_seen=maybe", "/similar?k=0", "?k="]
            ),
        ),
        st.none(),
    ),
)


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("service")
    mcfast.publish(made(), folder / "serving", items=titles())
    with service(folder / "serving", folder) as opened:
        yield opened


@settings(max_examples=600, suppress_health_check=[HealthCheck.too_slow])
@given(asked=requests)
def test_whatever_is_asked_gets_an_answer_that_is_no_bug(shared, asked):
    method, path, body = asked
    status, _, answer = shared.ask(method, path, body)
    assert status in (200, 400, 404, 405, 415, 422)
    if status != 200 and method != "HEAD":
        assert isinstance(answer["error"], str)
        assert answer["error"]


def test_filling_the_disk_is_told_and_no_bug_either(client, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mcfast.snapshot.live.Live.record", full)
    status, headers, answer = client.ask("POST", "/v1/interactions", {"user_id": 1, "items": [2]})
    assert (status, headers["retry-after"]) == (503, "1")
    assert "No space left" in answer["error"]


@pytest.mark.parametrize("path", ["/v1/recall/100", "/v1/items/7/similar"])
def test_a_bug_is_a_500_whose_traceback_is_in_the_log_only(client, monkeypatch, path):
    for name in ("recall", "similar_items"):
        monkeypatch.setattr(mcfast.Recaller, name, lambda *_, **__: 1 / 0)
    status, _, answer = client.ask("GET", path)
    assert (status, answer) == (500, {"error": "internal error; the log of the service has it"})


# --- metrics, OpenAPI, command line -----------------------------------------------------------------------------------


def test_metrics(client):
    for _ in range(3):
        client.ask("GET", "/v1/recall/100")
    client.ask("GET", "/v1/recall/999")
    client.ask("GET", "/v1/recall/x")
    client.ask("POST", "/v1/recall", {"user_ids": [100, 999]})
    client.ask("POST", "/v1/interactions", {"user_id": 1, "items": [1, 2, 3]})
    families = {family.name: family for family in text_string_to_metric_families(client.ask("GET", "/metrics")[2])}
    counts = {tuple(sample.labels.values()): sample.value for sample in families["mcfast_requests"].samples}
    assert counts["recall_user", "200"] == 4
    assert counts["recall_user", "422"] == 1
    assert counts["recall", "200"] == 1
    sources = {sample.labels["source"]: sample.value for sample in families["mcfast_answers"].samples}
    assert sources == {"exact": 4, "popular": 2, "index": 0, "folded": 0}
    assert metric(client, "mcfast_interactions_total") == 3
    assert metric(client, 'mcfast_version{worker="0"}') == 1
    assert metric(client, "mcfast_workers") == 1
    buckets = [s for s in families["mcfast_request_seconds"].samples if s.labels.get("route") == "recall_user"]
    values = [sample.value for sample in buckets if sample.name.endswith("_bucket")]
    assert values == sorted(values)
    assert values[-1] == 5


def test_the_recall_of_an_approximate_index_is_measured_on_live_users(root, tmp_path):
    model = made()
    mcfast.publish(model, root, index="hnswlib", recall=0.3, index_options={"M": 8, "seed": 1})
    with mcfast.open(root) as recaller, service(root, tmp_path) as client:
        source = recaller.recall(100, 5).source
        assert source == "index"

        def sampled():
            client.ask("GET", "/v1/recall/100")
            return metric(client, "mcfast_measured_recall_users") >= 2

        wait_for(sampled)
        found, exact = recaller.recall(100, 50), recaller.recall(100, 50, exact=True)
        expected = np.mean(found.scores >= exact.scores[-1])
        assert metric(client, "mcfast_measured_recall") == pytest.approx(expected, abs=1e-6)


def test_what_is_done_aside_gives_way_to_requests(client):
    def priority():
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    async def of_the_loop():
        return priority()

    own = asyncio.run_coroutine_threadsafe(of_the_loop(), client._loop).result(10)
    assert client.app.service._aside.submit(priority).result(10) == min(own + 10, 19)


def test_openapi_has_examples_that_are_answered(client):
    description = client.ask("GET", "/openapi.json")[2]
    assert {"/v1/recall", "/v1/recall/{user}", "/v1/interactions", "/healthz", "/readyz", "/metrics"} <= set(
        description["paths"]
    )
    for path in ("/v1/recall", "/v1/interactions"):
        body = description["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
        schema = description["components"]["schemas"][body["$ref"].rsplit("/", 1)[1]]
        for example in schema["examples"]:
            status, _, answer = client.ask("POST", path, example)
            assert status == 200 or "year" in answer["error"]
    assert "429" in description["paths"]["/v1/recall"]["post"]["responses"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--port", "70000"], "port: got 70000"),
        (["--workers", "0"], "workers: got 0"),
        (["--max-k", "0"], "max_k: got 0"),
        (["--token-env", "MCFAST_NO_SUCH"], "--token-env: got 'MCFAST_NO_SUCH'"),
        ([], "not a served folder"),
    ],
)
def test_the_command_refuses(tmp_path, capsys, options, words):
    assert main(["serve", str(tmp_path / "none"), *options]) == 1
    assert words in capsys.readouterr().err


def test_without_the_extra_the_command_says_how_to_get_it(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "uvicorn", None)
    assert main(["serve", str(tmp_path)]) == 1
    assert "pip install 'mcfast[serve]'" in capsys.readouterr().err


def test_lines_of_the_log_are_json(capfd, root, tmp_path):
    from mcfast.serve import logs

    logs.start()
    try:
        raise ValueError("why")
    except ValueError as error:
        logs.event("something", error=error, number=3)
    line = json.loads(capfd.readouterr().err)
    assert (line["event"], line["number"], line["level"]) == ("something", 3, "info")
    assert "ValueError: why" in line["traceback"]
