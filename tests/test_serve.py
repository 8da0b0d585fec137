"""The HTTP service: its answers are those of the recaller, of one version at a time."""

import contextlib
import time

import numpy as np
import pytest

import mcfast
from mcfast.serve.routes import make
from service_problems import metric, service, wait_for
from serving_problems import N_ITEMS, K, made

LONG = 9_007_199_254_740_993  # more than a JavaScript number holds


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
    routes = make(client.app.service)
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
    assert client.ask("POST", "/v1/recall", {"user_ids": [100], "version": 9})[0] == 404
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
