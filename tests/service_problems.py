"""The service for tests: in this process without sockets, and as a process of its own."""

import asyncio
import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from urllib.parse import quote

import pyarrow as pa

from mcfast.serve import Settings
from mcfast.serve.processes import create
from serving_problems import N_ITEMS

JSON = {"content-type": "application/json"}


class Service:
    """The application, asked as a server would, in a thread with a loop of its own."""

    def __init__(self, root, folder, **settings):
        settings = {"poll_seconds": 0.05, "sample_seconds": 0.05, **settings}
        self.app = create(Settings(root, **settings), folder / "metrics")
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._told = asyncio.Queue()
        self._events = {name: threading.Event() for name in ("startup", "shutdown")}
        self._lifespan = asyncio.run_coroutine_threadsafe(
            self.app({"type": "lifespan", "asgi": {}}, self._told.get, self._heard), self._loop
        )
        self._tell("startup")

    async def _heard(self, message):
        self._events[message["type"].split(".")[1]].set()

    def _tell(self, name):
        self._loop.call_soon_threadsafe(self._told.put_nowait, {"type": f"lifespan.{name}"})
        assert self._events[name].wait(30)

    def close(self):
        self._tell("shutdown")
        self._lifespan.result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30)
        self._loop.close()

    def ask(self, method, path, body=None, *, headers=None, receive=None, app=None):
        """Return status, headers, and the body, parsed if it is JSON."""
        return self.begin(method, path, body, headers=headers, receive=receive, app=app).result(60)

    def begin(self, method, path, body=None, *, headers=None, receive=None, app=None):
        """The same as a future."""
        request = self._request(method, path, body, headers, receive, app or self.app)
        return asyncio.run_coroutine_threadsafe(request, self._loop)

    async def _request(self, method, path, body, headers, receive, app):
        content = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        given = {} if content is None else {**JSON, "content-length": str(len(content))}
        given |= headers or {}
        path, _, query = path.partition("?")
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "path": path,
            "raw_path": quote(path).encode(),
            "query_string": query.encode(),
            "root_path": "",
            "scheme": "http",
            "headers": [(name.encode(), value.encode("latin-1")) for name, value in given.items()],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
        }
        sent = []

        async def received():
            return {"type": "http.request", "body": content or b"", "more_body": False}

        async def send(message):
            sent.append(message)

        await app(scope, receive or received, send)
        status, found = sent[0]["status"], {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        text = b"".join(message.get("body", b"") for message in sent[1:])
        return status, found, json.loads(text) if found["content-type"] == "application/json" else text.decode()


@contextlib.contextmanager
def service(root, folder, **settings):
    """The application while it lives."""
    opened = Service(root, folder, **settings)
    try:
        yield opened
    finally:
        opened.close()


class Process:
    """`mcfast serve` in a process of its own."""

    def __init__(self, root, log, *options, environment=None):
        self.log = log
        command = [sys.executable, "-W", "error", "-m", "mcfast", "serve", str(root), "--port", "0"]
        with log.open("ab") as file:
            self.process = subprocess.Popen(
                [*command, "--poll-seconds", "0.05", *options], stderr=file, env=os.environ | (environment or {})
            )
        self.port = wait_for(lambda: self.events("listening"))[0]["port"]
        wait_for(lambda: self.ask("GET", "/readyz")[0] == 200)

    def events(self, name):
        """Return what was logged under a name."""
        return [line for line in map(json.loads, self.log.read_text().splitlines()) if line["event"] == name]

    def ask(self, method, path, body=None, headers=None):
        """Return status and body over a new connection; (0, None) where there is no answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            content = None if body is None else json.dumps(body)
            connection.request(method, path, content, ({} if body is None else JSON) | (headers or {}))
            answer = connection.getresponse()
            text = answer.read()
            return answer.status, json.loads(text) if answer.headers["content-type"] == "application/json" else text
        except (OSError, http.client.HTTPException):
            return 0, None
        finally:
            connection.close()

    def stop(self):
        """Let it end as a service manager would; return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


@contextlib.contextmanager
def process(root, log, *options, environment=None):
    """The process while it lives."""
    started = Process(root, log, *options, environment=environment)
    try:
        yield started
    finally:
        started.stop()


def wait_for(condition, seconds=30):
    """Wait until something holds, and return it."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(FileNotFoundError, ValueError):
            if found := condition():
                return found
        time.sleep(0.02)
    raise AssertionError("it did not come true")


def titles():
    """Attributes of the items of the model of `serving_problems`."""
    return pa.table(
        {
            "id": range(N_ITEMS),
            "title": [f"Item {i}" for i in range(N_ITEMS)],
            "genres": [["even"] if i % 2 == 0 else ["odd", "strange"] for i in range(N_ITEMS)],
        }
    )


def metric(client, name):
    """The value of one line of the metrics, 0 where there is none."""
    lines = client.ask("GET", "/metrics")[2].splitlines()
    return next((float(line.rsplit(" ", 1)[1]) for line in lines if line.rsplit(" ", 1)[0] == name), 0.0)
