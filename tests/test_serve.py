"""The HTTP service: its answers are those of the recaller, and it stays within its limits."""

import asyncio
import contextlib
import json
import time

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

import mcfast
from mcfast.cli import main
from mcfast.serve import Settings
from mcfast.serve.routes import make
from service_problems import service, wait_for
from serving_problems import N_ITEMS, K, made

LONG = 9_007_199_254_740_993  # more than a JavaScript number holds


@pytest.fixture
def root(tmp_path):
    return tmp_path / "serving"


def titles():
    return pa.table(
        {
            "id": range(N_ITEMS),
            "title": [f"Item {i}" for i in range(N_ITEMS)],
            "genres": [["even"] if i % 2 == 0 else ["odd", "strange"] for i in range(N_ITEMS)],
        }
    )


@pytest.fixture
def client(root, tmp_path):
    mcfast.publish(made(), root, items=titles(), users=pa.table({"id": [100], "name": ["Ann"]}))
    with service(root, tmp_path) as opened:
        yield opened


# --- answers ----------------------------------------------------------------------------------------------------------


def test_one_user(client, root):
    with mcfast.open(root) as recaller:
        for user in (100, 105, -7):
            expected = recaller.recall(user, 7)
            status, _, found = client.ask("GET", f"/v1/recall/{user}?k=7")
            assert status == 200
            assert (found["user_id"], found["version"], found["source"]) == (user, 1, expected.source)
            assert found["ids"] == expected.ids.tolist()
            np.testing.assert_array_equal(np.float32(found["scores"]), expected.scores)
            assert 0 < found["microseconds"] < 10**7
        everything = client.ask("GET", "/v1/recall/100?k=1000&exclude_seen=false")[2]
        assert len(everything["ids"]) == N_ITEMS


def test_many_users_vectors_and_lists(client, root):
    model = made()
    options = {"k": 9, "exclude": [1, "2", "none"], "allow": list(range(150)), "filter": {"genres": "odd"}}
    with mcfast.open(root) as recaller:
        same = {**options, "exclude": [1, 2]}
        bodies = [
            ({"user_ids": [100, "101", 999]}, recaller.recall_many([100, 101, 999], **same)),
            ({"vectors": model.user_factors[:2].tolist()}, recaller.recall_vectors(model.user_factors[:2], **same)),
            (
                {"items": [[3, 4], ["5"], [9999]], "scores": [[5, 1.5], None, [2]]},
                recaller.recall_items_many([[3, 4], [5], [9999]], scores=[[5, 1.5], None, [2]], **same),
            ),
        ]
        for asked, expected in bodies:
            status, _, found = client.ask("POST", "/v1/recall", asked | options)
            assert (status, found["version"]) == (200, 1)
            assert [one["source"] for one in found["results"]] == expected.sources
            for i, one in enumerate(found["results"]):
                n = expected.counts[i]
                assert one["ids"] == expected.ids[i, :n].tolist()
                np.testing.assert_array_equal(np.float32(one["scores"]), expected.scores[i, :n])
        told = client.ask("POST", "/v1/recall", {"user_ids": [100], "k": 2, "attributes": True})[2]["results"][0]
        assert told["attributes"] == [recaller.item_attributes(id) for id in told["ids"]]
        for empty in ({"user_ids": []}, {"vectors": []}, {"items": []}):
            assert client.ask("POST", "/v1/recall", empty)[2]["results"] == []


def test_the_short_way_and_that_of_fastapi_answer_the_same(client):
    routes = make(client.app._service)
    for method, path, body in [
        ("GET", "/v1/recall/100?k=5", None),
        ("GET", "/v1/recall/100?k=5&exclude_seen=false", None),
        ("GET", "/v1/recall/abc", None),
        ("GET", "/v1/recall/100?k=0", None),
        ("GET", "/v1/recall/100?k=99999999999", None),
        ("POST", "/v1/recall", {"user_ids": [100], "k": 3}),
        ("POST", "/v1/recall", {"user_ids": [100], "vectors": []}),
        ("POST", "/v1/recall", {"user_ids": "100"}),
    ]:
        short, long = client.ask(method, path, body), client.ask(method, path, body, app=routes)
        assert short[0] == long[0]
        if short[0] == 200:
            short[2].pop("microseconds"), long[2].pop("microseconds")
            assert short[2] == long[2]
        else:
            assert short[2]["error"]
            assert long[2]["error"]


def test_interactions_count_at_once_and_fold_users_in(client, root):
    first = client.ask("GET", "/v1/recall/100?k=3")[2]["ids"]
    status, _, told = client.ask("POST", "/v1/interactions", {"user_id": "100", "items": [first[0], str(first[1])]})
    assert (status, told) == (200, {"user_id": 100, "recorded": 2, "folded": False, "version": 1})
    assert not set(first[:2]) & set(client.ask("GET", "/v1/recall/100?k=200")[2]["ids"])
    assert client.ask("GET", "/v1/recall/900")[2]["source"] == "popular"
    body = {"user_id": 900, "items": [3, 50], "scores": [5, 1], "fold_in": True}
    assert client.ask("POST", "/v1/interactions", body)[2]["folded"]
    assert client.ask("GET", "/v1/recall/900")[2]["source"] == "folded"
    with mcfast.open(root) as other:
        assert other.recall(900, 5).ids.tolist() == client.ask("GET", "/v1/recall/900?k=5")[2]["ids"]


def test_forgetting_similar_items_and_what_the_console_asks(client):
    model = made()
    similar = client.ask("GET", "/v1/items/77/similar?k=4&attributes=true")[2]
    assert similar["ids"] == model.similar_items(77, 4).ids.tolist()
    assert similar["attributes"][0] == {
        "title": f"Item {similar['ids'][0]}",
        "genres": similar["attributes"][0]["genres"],
    }
    assert client.ask("GET", "/v1/items/9999/similar")[0] == 404
    known = client.ask("GET", "/v1/users/100")[2]
    assert known["attributes"] == {"name": "Ann"}
    assert known["n_seen"] == len(known["seen"]) == len(model.seen.of_user(0))
    assert known["titles"][0]["title"] == f"Item {known['seen'][0]}"
    assert [item["id"] for item in client.ask("GET", "/v1/items?text=eM%2019&k=30")[2]["items"]].count(19) == 1
    assert client.ask("GET", "/v1/items?text=19")[2]["items"][0]["id"] == 19
    points = client.ask("GET", "/v1/map")[2]
    assert (len(points["points"]), points["attribute"]) == (N_ITEMS, "genres")
    assert {point["group"] for point in points["points"]} == {"even", "odd"}
    assert client.ask("GET", "/v1/map?attribute=none")[0] == 422
    assert [v["number"] for v in client.ask("GET", "/v1/versions")[2]["versions"]] == [1]
    assert client.ask("DELETE", "/v1/users/100")[2] == {"user_id": 100, "version": 1}
    assert client.ask("GET", "/v1/recall/100")[2]["source"] == "popular"
    assert client.ask("GET", "/v1/users/100")[2]["n_seen"] == 0


@pytest.mark.parametrize("kind", ["integers", "strings"])
def test_ids_are_brought_to_the_kind_of_the_version(root, tmp_path, kind):
    if kind == "integers":
        users, items, asked = [LONG, -1], [7, 8, 9], [LONG, str(LONG), f"+{LONG}"]
    else:
        users, items, asked = ["12", "a/b é?"], ["7", "x y", "9"], ["12", 12]
    mcfast.publish(made(users=users, items=items, seen=False), root)
    with service(root, tmp_path) as client:
        for id in asked:
            found = client.ask("POST", "/v1/recall", {"user_ids": [id], "exclude": [7, "7"]})[2]["results"][0]
            assert (found["user_id"], found["source"], len(found["ids"])) == (users[0], "exact", 2)
            assert client.ask("GET", f"/v1/recall/{id}")[2]["user_id"] == users[0]
        if kind == "strings":
            assert client.ask("GET", f"/v1/recall/{users[1].replace('?', '%3F')}")[2]["source"] == "popular"
            assert client.ask("POST", "/v1/recall", {"user_ids": [users[1]]})[2]["results"][0]["source"] == "exact"
        else:
            for bad in ("abc", "1.5", "", str(2**63), "\u0661"):
                status, _, answer = client.ask("POST", "/v1/recall", {"user_ids": [bad]})
                assert status == 422
                assert answer["error"].startswith("user: got")


def test_good_answers_where_there_is_little_to_say(root, tmp_path):
    model = made(users=[1], items=[1, 2], seen=False)
    mcfast.publish(model, root)
    with service(root, tmp_path) as client:
        client.ask("POST", "/v1/interactions", {"user_id": 1, "items": [1, 2]})
        found = client.ask("GET", "/v1/recall/1")[2]
        assert (found["ids"], found["source"]) == ([], "exact")
        found = client.ask("GET", "/v1/recall/5")[2]
        assert (found["ids"], found["source"]) == ([1, 2], "popular")
        nothing = mcfast.Model.from_factors(np.zeros((0, K)), np.zeros((0, K)), users=[], items=[])
        with contextlib.suppress(ValueError):  # an empty catalogue may be refused, and then the old one is served
            mcfast.publish(nothing, root)
            wait_for(lambda: client.ask("GET", "/readyz")[2]["version"] == 2)
            for path in ("/v1/recall/1", "/v1/map", "/v1/users/1", "/v1/items?text=a"):
                assert client.ask("GET", path)[0] == 200


# --- versions ---------------------------------------------------------------------------------------------------------


def test_a_new_version_is_followed_and_so_is_the_way_back(client, root):
    mcfast.publish(made(7), root)
    wait_for(lambda: client.ask("GET", "/readyz")[2]["version"] == 2)
    assert client.ask("GET", "/v1/recall/100?k=5")[2]["ids"] == made(7).recommend(100, 5).ids.tolist()
    old = client.ask("POST", "/v1/recall", {"user_ids": [100], "k": 5, "version": 1})[2]
    assert (old["version"], old["results"][0]["ids"]) == (1, made().recommend(100, 5).ids.tolist())
    assert client.ask("POST", "/v1/recall", {"user_ids": [100], "version": 9})[0] == 503
    mcfast.rollback(root)
    wait_for(lambda: client.ask("GET", "/readyz")[2]["version"] == 1)
    assert client.ask("GET", "/v1/recall/100?k=5")[2]["ids"] == made().recommend(100, 5).ids.tolist()


def test_another_kind_of_ids_in_a_new_version(client, root):
    mcfast.publish(made(users=["100", "b"], items=["x", "y"], seen=False), root)
    wait_for(lambda: client.ask("GET", "/readyz")[2]["version"] == 2)
    assert client.ask("POST", "/v1/recall", {"user_ids": [100]})[2]["results"][0]["user_id"] == "100"


def test_without_a_version_the_service_waits_for_one(root, tmp_path):
    mcfast.publish(made(), root)
    (root / "CURRENT").write_text("7\n")
    with service(root, tmp_path) as client:
        status, headers, answer = client.ask("GET", "/readyz")
        assert (status, headers["retry-after"]) == (503, "1")
        assert "names version 7, which does not exist" in answer["error"]
        assert client.ask("GET", "/healthz")[0] == 200
        assert client.ask("GET", "/v1/recall/100")[0] == 503
        assert client.ask("POST", "/v1/interactions", {"user_id": 1, "items": [2]})[0] == 503
        mcfast.rollback(root, 1)
        wait_for(lambda: client.ask("GET", "/readyz")[0] == 200)
        assert client.ask("GET", "/v1/recall/100")[2]["source"] == "exact"


def test_a_version_that_cannot_be_opened_leaves_the_old_one_in_service(client, root):
    mcfast.publish(made(7), root)
    wait_for(lambda: client.ask("GET", "/readyz")[2]["version"] == 2)
    for spoil in ("CURRENT to nothing", "CURRENT altered", "an index truncated"):
        if spoil == "an index truncated":
            mcfast.rollback(root, 1)
            wait_for(lambda: client.ask("GET", "/readyz")[2]["version"] == 1)
            rows = next((root / "versions/2/index").rglob("rows*"))
            rows.write_bytes(rows.read_bytes()[:-64])
            (root / "CURRENT").write_text("2\n")
        else:
            (root / "CURRENT").write_text("77\n" if spoil == "CURRENT to nothing" else "garbage")
        failures = metric(client, "mcfast_reload_failures_total")
        wait_for(lambda failures=failures: metric(client, "mcfast_reload_failures_total") > failures or failures)
        version = 1 if spoil == "an index truncated" else 2
        for _ in range(5):
            assert client.ask("GET", "/v1/recall/100?k=5")[2]["version"] == version
            time.sleep(0.02)
    mcfast.publish(made(3), root)
    wait_for(lambda: client.ask("GET", "/readyz")[2]["version"] == 3)


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


def metric(client, name):
    """The value of one line of the metrics, 0 where there is none."""
    lines = client.ask("GET", "/metrics")[2].splitlines()
    return next((float(line.rsplit(" ", 1)[1]) for line in lines if line.rsplit(" ", 1)[0] == name), 0.0)


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
