"""The way of the request that is asked most: `GET /v1/recall/{user}?k=`, answered without a task.

For each request uvicorn makes a task, an event, a scope and two messages, about as much work as all else that it takes
to answer. Here such a request is answered from the loop, as soon as its head has come; what it is answered with, what
is counted and what is refused is as `Front` has it. Whatever is not that plain goes on to `Front` through uvicorn.
"""

from __future__ import annotations

import http
import re
import time

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from .front import Front, laid_out
from .replies import Refused, Reply, dump, problem

_PLAIN = re.compile(rb"(/v1/recall/([\w.~-]+))(?:\?k=([0-9]{1,18}))?")
_OTHERWISE = {b"content-length", b"transfer-encoding", b"expect", b"upgrade"}  # headers that take more
_STATUS = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in http.HTTPStatus}

Asked = re.Match[bytes]


class Protocol(HttpToolsProtocol):
    """A connection."""

    _waiting = 0  # plain requests whose head has come
    _closing = False  # after them

    def on_headers_complete(self) -> None:
        """Begin to answer a request."""
        asked = _PLAIN.fullmatch(self.url)
        front = self.app
        if asked is None or not isinstance(front, Front) or not self._is_plain(front):
            super().on_headers_complete()
            return
        start = time.perf_counter()
        refused = None
        try:
            front.authorize(self.headers)
            front.enter()
        except Refused as error:
            refused = error
        self._waiting += 1
        # Not at once: all requests that have come are counted before one is worked on.
        self.loop.call_soon(self._answer, front, asked, start, refused)

    def on_message_complete(self) -> None:
        """Note the end of a body."""
        if self.cycle is not None:
            super().on_message_complete()

    def shutdown(self) -> None:
        """Close the connection after what is under way."""
        if self._waiting:
            self._closing = True
        else:
            super().shutdown()

    def _is_plain(self, front: Front) -> bool:
        """Whether the request needs no more than its head, and its answer may be the next."""
        return (
            front.service.local
            and self.parser.get_method() == b"GET"
            and self.parser.get_http_version() == "1.1"
            and self.parser.should_keep_alive()
            and self._is_free
            and not self.flow.write_paused
            and _OTHERWISE.isdisjoint([name for name, _ in self.headers])
        )

    @property
    def _is_free(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _answer(self, front: Front, asked: Asked, start: float, refused: Refused | None) -> None:
        path, user, k = asked.groups()
        self._waiting -= 1
        status = 499  # the client has gone
        try:
            if not self.transport.is_closing():
                reply = problem(refused) if refused else _reply(front, user, k)
                status = reply.status
                self.transport.write(_STATUS[status] + laid_out(reply))
        finally:
            if refused is None:
                front.leave()
            front.note("GET", path.decode(), status, time.perf_counter() - start)
        self.server_state.total_requests += 1
        if self._waiting or not self._is_free:
            return
        if self._closing:
            self.transport.close()
        elif not self.transport.is_closing():
            self._unset_keepalive_if_required()
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )


def _reply(front: Front, user: bytes, k: bytes | None) -> Reply:
    try:
        return Reply(200, dump(front.service.recall_user(user.decode(), 20 if k is None else int(k), True)))
    except Exception as error:
        return problem(error)
