"""The service as a process: workers that die, versions that change under load, clients that misbehave."""

import os
import random
import signal
import socket
import threading
import time

import numpy as np
import pytest

import mcfast
from service_problems import process, service, wait_for
from serving_problems import N_ITEMS, N_USERS, made


@pytest.fixture
def root(tmp_path):
    mcfast.publish(made(), tmp_path / "serving")
    return tmp_path / "serving"


@pytest.fixture
def log(tmp_path):
    return tmp_path / "log"


def shifted(version):
    """A model of which every answer tells its version: all scores are moved by it."""
    model = made()
    return mcfast.Model.from_factors(
        model.user_factors,
        model.item_factors[:, :] * 0.01,
        users=model.users.values,
        items=model.items.values,
        item_biases=np.full(N_ITEMS, 1000.0 * version),
    )


def workers(running):
    """The processes that answer requests."""
    return [line["process"] for line in running.events("version")]


def test_two_workers_share_a_port_and_count_together_and_one_that_dies_is_replaced(root, log):
    with process(root, log, "--workers", "2") as running:
        wait_for(lambda: len(workers(running)) == 2)
        recorded = []
        asked = 60
        victim = workers(running)[0]
        for i in range(asked):
            if i == asked // 2:
                os.kill(victim, signal.SIGKILL)
            status, _ = running.ask("POST", "/v1/interactions", {"user_id": 900 + i, "items": [i]})
            if status == 200:
                recorded.append(i)
        assert len(recorded) >= asked - 2
        wait_for(lambda: len(workers(running)) == 3)
        assert running.events("worker died")[0]["worker"] == victim
        text = running.ask("GET", "/metrics")[1].decode()
        lines = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
        counted = int(lines['mcfast_requests_total{route="interactions",status="200"}'])
        assert len(recorded) <= counted <= asked
        assert running.stop() == 0
    with mcfast.open(root) as recaller:
        for i in recorded:
            assert i in recaller.seen(900 + i)


def test_workers_end_with_their_parent(root, log):
    with process(root, log, "--workers", "2") as running:
        wait_for(lambda: len(workers(running)) == 2)
        running.process.kill()
        running.process.wait(30)
        wait_for(lambda: running.ask("GET", "/healthz")[0] == 0)


def test_a_stop_lets_requests_under_way_end(root, log):
    with process(root, log) as running, socket.create_connection(("127.0.0.1", running.port)) as slow:
        head = b"POST /v1/recall HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 18\r\n\r\n"
        slow.sendall(head + b'{"user_ids"')
        time.sleep(0.2)
        running.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        slow.sendall(b":[100]}")
        slow.settimeout(10)
        assert slow.recv(100).startswith(b"HTTP/1.1 200")
        assert running.stop() == 0


def test_publishes_under_load_leave_no_failed_and_no_mixed_answer(root, log):
    with process(root, log, "--workers", "2", "--max-in-flight", "1000") as running:
        wrong, versions = [], set()
        stop = threading.Event()

        def load(seed):
            users = random.Random(seed)
            while not stop.is_set():
                user = 100 + users.randrange(N_USERS)
                if users.random() < 0.5:
                    status, found = running.ask("GET", f"/v1/recall/{user}?k=50")
                    results = [found]
                else:
                    batch = {"user_ids": [user, 100, 101], "k": 50}
                    status, found = running.ask("POST", "/v1/recall", batch)
                    results = (found or {}).get("results", [])
                if status != 200:
                    wrong.append((status, found))
                    continue
                versions.add(found["version"])
                for result in results if found["version"] > 1 else ():
                    expected = 1000.0 * found["version"]
                    if not all(abs(score - expected) < 100 for score in result["scores"]):
                        wrong.append(found)

        threads = [threading.Thread(target=load, args=(seed,)) for seed in range(2)]
        for thread in threads:
            thread.start()
        for number in range(2, 10):
            mcfast.publish(shifted(number), root, keep=2)
            if number == 6:
                mcfast.rollback(root)
            time.sleep(0.15)
        wait_for(lambda: 9 in versions)
        stop.set()
        for thread in threads:
            thread.join(30)
        assert not wrong
        assert len(versions) >= 4


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GARBAGE\r\n\r\n", b"400"),
        (b"GET /v1/recall/%ff%fe HTTP/1.1\r\nhost: a\r\n\r\n", b"422"),
        (b"GET /v1/recall/100?k=%zz HTTP/1.1\r\nhost: a\r\n\r\n", b"422"),
        (b"POST /v1/recall HTTP/1.1\r\nhost: a\r\ncontent-length: 99999999999\r\n\r\n", b"413"),
        (b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nhost: a\r\n\r\n", b"4"),
        (b"POST /v1/recall HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n", b"408"),
    ],
)
def test_what_is_no_good_request_is_refused(shared, sent, status):
    with socket.create_connection(("127.0.0.1", shared.port)) as client:
        client.sendall(sent)
        client.settimeout(10)
        assert client.recv(4096).startswith(b"HTTP/1.1 " + status)
    assert shared.ask("GET", "/v1/recall/100")[0] == 200


def test_slow_clients_keep_nobody_waiting(shared):
    head = b"POST /v1/recall HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n"
    slow = [socket.create_connection(("127.0.0.1", shared.port)) for _ in range(150)]
    try:
        for client in slow:
            client.sendall(head)
        start = time.monotonic()
        for _ in range(20):
            assert shared.ask("GET", "/v1/recall/100")[0] == 200
        assert time.monotonic() - start < 5
    finally:
        for client in slow:
            client.close()


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("process")
    mcfast.publish(made(), folder / "serving")
    with process(folder / "serving", folder / "log", "--body-seconds", "1") as running:
        yield running


def test_what_fails_in_following_versions_is_tried_again(root, tmp_path, monkeypatch):
    with service(root, tmp_path) as client:
        failing = iter([RuntimeError("at once"), RuntimeError("again")])
        refresh = client.app.service.refresh

        def sometimes():
            if error := next(failing, None):
                raise error
            refresh()

        monkeypatch.setattr(client.app.service, "refresh", sometimes)
        mcfast.publish(made(7), root)
        wait_for(lambda: client.ask("GET", "/readyz")[2]["version"] == 2)
