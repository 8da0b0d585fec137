"""What stands between the socket and the routes: it guards, counts, and answers the two fast routes itself.

FastAPI takes 65 to 100 microseconds to find a route, check its arguments and lay out the answer, several times what a
recall takes; `GET /v1/recall/{user}` and `POST /v1/recall` of one user do not pass it.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any
from urllib.parse import parse_qsl

from . import logs
from .models import Recall
from .replies import JSON, Headers, Refused, Reply, dump, problem
from .service import Answer, Service

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

API = "/v1/"
RECALL = "/v1/recall"
_USER = RECALL + "/"
_LENGTH = b"content-length"
_LABELS = {"interactions": "interactions", "items": "items", "users": "users", "versions": "versions", "map": "map"}
_FLAGS = {"true": True, "1": True, "false": False, "0": False}


class Front:
    """The service as an ASGI application, around the one that has the routes."""

    def __init__(self, app: App, service: Service) -> None:
        self.service = service
        self._app = app
        self._settings = service.settings
        self._token = None if self._settings.token is None else f"Bearer {self._settings.token}".encode()
        self._in_flight = 0

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start = time.perf_counter()
        status = 499  # the client has gone

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._guarded(scope, receive, sending)
        except Exception as error:
            reply = problem(error)
            if status == 499:
                await _send(sending, reply)
        finally:
            self.note(scope["method"], scope["path"], status, time.perf_counter() - start)

    def note(self, method: str, path: str, status: int, seconds: float) -> None:
        """Count a request that was answered, and log it if that is wanted."""
        self.service.metrics.request(_label(method, path), status, seconds)
        if self._settings.access_log or status >= 500:
            level = logging.ERROR if status >= 500 else logging.INFO
            milliseconds = round(1e3 * seconds, 3)
            logs.event("request", level, method=method, path=path, status=status, milliseconds=milliseconds)

    def authorize(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Raise Refused where a token is asked for and the headers do not have it."""
        if self._token is None:
            return
        given = next((value for name, value in headers if name == b"authorization"), b"")
        if not hmac.compare_digest(given, self._token):
            raise Refused(401, "a token is asked for: Authorization: Bearer TOKEN", ((b"www-authenticate", b"Bearer"),))

    def enter(self) -> None:
        """Count a request as under way; raises Refused where there are too many."""
        if self._in_flight >= self._settings.max_in_flight:
            raise Refused(429, f"{self._in_flight} requests are under way; try again", ((b"retry-after", b"1"),))
        self._in_flight += 1
        self.service.metrics.set("in_flight", self._in_flight)

    def leave(self) -> None:
        """Count a request that was let in as answered."""
        self._in_flight -= 1
        self.service.metrics.set("in_flight", self._in_flight)

    async def _guarded(self, scope: Message, receive: Receive, send: Send) -> None:
        path: str = scope["path"]
        api = path.startswith(API)
        if api or path == "/metrics":
            self.authorize(scope["headers"])
        if not api:
            await self._app(scope, receive, send)
            return
        body = await self._body(scope, receive)
        self.enter()
        try:
            await asyncio.sleep(0)  # all requests that have come are counted before one is worked on
            if (reply := await self._short(scope, body)) is not None:
                await _send(send, reply)
            else:
                await self._app(scope, _replay(body, receive), send)
        finally:
            self.leave()

    async def _short(self, scope: Message, body: bytes) -> Reply | None:
        """Answer a fast route; None if it is another one."""
        method, path = scope["method"], scope["path"]
        if method == "GET" and path.startswith(_USER) and len(path) > len(_USER):
            k, exclude_seen = _query(scope["query_string"])
            user = path[len(_USER) :]
            return await self._answered(lambda: self.service.recall_user(user, k, exclude_seen), quick=True)
        if method == "POST" and path == RECALL:
            asked = Recall.model_validate_json(body)
            return await self._answered(lambda: self.service.recall(asked), quick=_quick(asked))
        return None

    async def _answered(self, ask: Callable[[], Answer], *, quick: bool) -> Reply:
        """Ask here, or in a thread where it takes long or waits for a server."""
        if quick and self.service.local:
            return Reply(200, dump(ask()))
        return Reply(200, await asyncio.to_thread(lambda: dump(ask())))

    async def _body(self, scope: Message, receive: Receive) -> bytes:
        """Read the body, within the limits of its size and of time."""
        headers = dict(scope["headers"])
        if _LENGTH not in headers and b"transfer-encoding" not in headers:
            if scope["method"] == "POST":
                raise Refused(415, "expected a JSON body")
            return b""
        limit = self._settings.max_body
        if int(headers.get(_LENGTH, b"0")) > limit:
            raise Refused(413, f"the body has more than {limit} bytes")
        # Also for what it keeps out: pages of other sites may send forms and text anywhere, but no JSON.
        if scope["method"] == "POST" and headers.get(b"content-type", b"").split(b";")[0].strip().lower() != JSON:
            raise Refused(415, "expected a body of the type application/json")
        try:
            return await asyncio.wait_for(_read(receive, limit), self._settings.body_seconds)
        except asyncio.TimeoutError:
            raise Refused(408, f"the body did not come within {self._settings.body_seconds:g} seconds") from None


async def _read(receive: Receive, limit: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Refused(400, "the body was cut short")
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise Refused(413, f"the body has more than {limit} bytes")
        chunks.append(chunk)
        if not message.get("more_body", False):
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return what gives a body that was read already, and then goes on with the original."""
    left: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> Message:
        return left.pop() if left else await receive()

    return replayed


def laid_out(reply: Reply) -> bytes:
    """Return an answer as bytes, but for its status."""
    more = b"".join([b"%b: %b\r\n" % header for header in reply.headers])
    return b"content-type: %b\r\ncontent-length: %d\r\ncache-control: no-store\r\n%b\r\n%b" % (
        reply.media_type,
        len(reply.body),
        more,
        reply.body,
    )


async def _send(send: Send, reply: Reply) -> None:
    headers: Headers = (
        (b"content-type", reply.media_type),
        (_LENGTH, str(len(reply.body)).encode()),
        (b"cache-control", b"no-store"),
        *reply.headers,
    )
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})


def _quick(asked: Recall) -> bool:
    """Tell whether an answer takes so little that going to a thread would take longer."""
    users = asked.user_ids
    return (
        users is not None and len(users) == 1 and not (asked.attributes or asked.exact or asked.filter or asked.version)
    )


def _query(text: bytes) -> tuple[int, bool]:
    """Return k and exclude_seen of a query string."""
    k, exclude_seen = 20, True
    for name, value in parse_qsl(text.decode("latin-1"), keep_blank_values=True) if text else ():
        if name == "k":
            if not (value.isascii() and value.isdecimal()) or len(value) > 18:
                raise Refused(422, f"k: got {value!r}, expected an integer >= 1")
            k = int(value)
        elif name == "exclude_seen":
            if value.lower() not in _FLAGS:
                raise Refused(422, f"exclude_seen: got {value!r}, expected true or false")
            exclude_seen = _FLAGS[value.lower()]
        else:
            raise Refused(422, f"got the parameter {name!r}, expected k or exclude_seen")
    return k, exclude_seen


def _label(method: str, path: str) -> str:
    """Return what a route is called in the metrics; few names, whatever paths are asked for."""
    if path.startswith(_USER):
        return "recall_user"
    if path == RECALL:
        return "recall"
    if path.startswith(API):
        if path.endswith("/similar"):
            return "similar"
        label = _LABELS.get(path[len(API) :].split("/")[0], "other")
        return "forget" if method == "DELETE" and label == "users" else label
    return "other"
