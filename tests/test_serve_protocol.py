"""The way without a task: byte for byte, and in the metrics, what the way through uvicorn and `Front` answers."""

import asyncio

import pytest
import uvicorn
from hypothesis import given, settings
from hypothesis import strategies as st
from uvicorn.server import ServerState

import mcfast
from mcfast.serve import Settings, service
from mcfast.serve.processes import create
from mcfast.serve.protocol import Protocol
from serving_problems import N_USERS, made

LONG_WAY = b"content-length: 0\r\n"  # a header that makes a request go through a task


class Wire(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self):
        super().__init__()
        self.written, self.closed = b"", False

    def write(self, data):
        self.written += data

    def is_closing(self):
        return self.closed

    def pause_reading(self):
        pass

    def resume_reading(self):
        pass

    def close(self):
        self.closed = True


class Server:
    """Connections to a service, without sockets."""

    def __init__(self, root, folder, **options):
        self.front = create(Settings(root, **options), folder / "metrics")
        self.front.service.refresh()
        self.config = uvicorn.Config(self.front, log_config=None, proxy_headers=False)
        self.config.load()
        self.state = ServerState()

    def connect(self):
        connection = Protocol(self.config, self.state, {}, asyncio.get_running_loop())
        connection.connection_made(Wire())
        return connection

    async def answer(self, sent, connections=1):
        """Send the same on some connections; return what is written on each once all is answered."""
        opened = [self.connect() for _ in range(connections)]
        for connection in opened:
            connection.data_received(sent)
        while self.state.tasks or any(connection._waiting for connection in opened):
            await asyncio.sleep(0)
        for connection in opened:
            connection._unset_keepalive_if_required()
        return [connection.transport for connection in opened]

    def ask(self, sent, connections=1):
        return [wire.written for wire in asyncio.run(self.answer(sent, connections))]

    def counted(self):
        return [line for line in self.front.service.metrics.text().splitlines() if "mcfast_requests_total{" in line]


@pytest.fixture
def clock(monkeypatch):
    """Let no time pass: answers tell how long they took."""
    monkeypatch.setattr(service.time, "perf_counter", lambda: 0.0)


@pytest.fixture
def server(tmp_path, clock):
    mcfast.publish(made(), tmp_path / "root")
    return Server(tmp_path / "root", tmp_path)


def head(target, *headers):
    return b"GET %b HTTP/1.1\r\nhost: a\r\n%b\r\n" % (target, b"".join(headers))


targets = st.builds(
    lambda user, k: f"/v1/recall/{user}{k}".encode(),
    st.one_of(
        st.integers(100, 100 + N_USERS).map(str),
        st.integers().map(str),
        st.text("0123456789abc_.~-", min_size=1, max_size=25),
    ),
    st.one_of(st.just(""), st.integers(0, 1200).map("?k={}".format), st.integers(0).map("?k={}".format)),
)


def test_both_ways_answer_the_same_bytes(server, monkeypatch):
    tasks = []
    start = Protocol._start_asgi_task
    monkeypatch.setattr(Protocol, "_start_asgi_task", lambda *of: (tasks.append(of), start(*of)))

    @settings(max_examples=150, deadline=None)
    @given(asked=st.lists(targets, min_size=1, max_size=3))
    def check(asked):
        tasks.clear()
        short = server.ask(b"".join(map(head, asked)))
        short_ways = len(asked) - len(tasks)
        assert short_ways == len(asked) or any(len(target.partition(b"?k=")[2]) > 18 for target in asked)
        before = server.counted()
        long = b"".join(server.ask(head(target, LONG_WAY))[0] for target in asked)
        assert short == [long]
        assert len(tasks) == 2 * len(asked) - short_ways
        if short_ways == len(asked):
            after = server.counted()
            assert server.ask(b"".join(map(head, asked))) == short
            assert differences(before, after) == differences(after, server.counted())

    check()


def differences(before, after):
    """How much each count has grown."""
    old = dict(line.rsplit(" ", 1) for line in before)
    grown = {name: int(count) - int(old.get(name, 0)) for name, count in (line.rsplit(" ", 1) for line in after)}
    return {name: count for name, count in grown.items() if count}


def test_answers_come_in_the_order_of_the_requests_whichever_way_they_go(server):
    users = list(range(100, 108))
    (written,) = server.ask(b"".join(head(b"/v1/recall/%d" % user, LONG_WAY * (user % 3 == 0)) for user in users))
    assert [int(part.split(b",")[0]) for part in written.split(b'"user_id":')[1:]] == users


@pytest.mark.parametrize("way", [b"", LONG_WAY], ids=["short", "long"])
def test_limits_hold_on_both_ways(tmp_path, way, clock):
    mcfast.publish(made(), tmp_path / "root")
    server = Server(tmp_path / "root", tmp_path, max_in_flight=4, token="secret")
    assert server.ask(head(b"/v1/recall/100", way))[0].startswith(b"HTTP/1.1 401 Unauthorized\r\n")
    allowed = head(b"/v1/recall/100", way, b"Authorization: Bearer secret\r\n")
    answers = server.ask(allowed, connections=10)
    assert [answer.split(b" ")[1] for answer in answers] == [b"200"] * 4 + [b"429"] * 6
    assert b"retry-after: 1\r\n" in answers[-1]
    assert server.ask(allowed)[0].startswith(b"HTTP/1.1 200")


def test_a_stop_waits_for_what_has_come_and_a_client_that_is_gone_gets_nothing(server):
    async def run():
        stopped, gone = server.connect(), server.connect()
        for connection in (stopped, gone):
            connection.data_received(head(b"/v1/recall/100"))
        stopped.shutdown()
        assert not stopped.transport.closed
        gone.transport.close()
        while stopped._waiting or gone._waiting:
            await asyncio.sleep(0)
        assert stopped.transport.written.startswith(b"HTTP/1.1 200")
        assert stopped.transport.closed
        assert not gone.transport.written

    asyncio.run(run())
    assert 'mcfast_requests_total{route="recall_user",status="499"} 1' in server.counted()
