"""Open-loop load on an HTTP service, from one thread: requests are due whether or not earlier ones were answered.

They are due at random times that are fixed beforehand (a Poisson process), and go out on a connection that waits for
nothing; where there is none, they wait for one. The latency of a request counts from when it was due.
"""

from __future__ import annotations

import collections
import gc
import select
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

CONNECTIONS = 64
PATIENCE = 30.0  # seconds after the last request was due


@dataclass
class Taken:
    """What came of a load."""

    seconds: list[float] = field(default_factory=list)  # of the answers, from when they were due
    statuses: collections.Counter[int] = field(default_factory=collections.Counter)
    lost: int = 0
    late: float = 0.0  # seconds by which the generator itself came too late, at most
    whole: float = 0.0  # seconds until the last answer

    def __iadd__(self, other: Taken) -> Taken:
        """Add what came of another load."""
        self.seconds += other.seconds
        self.statuses += other.statuses
        self.lost += other.lost
        self.late = max(self.late, other.late)
        self.whole += other.whole
        return self

    def milliseconds(self, *percentiles: float) -> list[float]:
        """Return percentiles of the latency."""
        return (1e3 * np.percentile(self.seconds, percentiles)).tolist()


class _Connection:
    def __init__(self, host: str, port: int) -> None:
        self.socket = socket.create_connection((host, port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.due = 0.0
        self._come = b""
        self._whole = 0

    def send(self, request: bytes, due: float) -> None:
        self.due, self._come, self._whole = due, b"", 0
        self.socket.sendall(request)

    def receive(self) -> bytes | None:
        """Return the answer if all of it has come."""
        if not (come := self.socket.recv(1 << 16)):
            raise ConnectionResetError
        self._come = self._come + come if self._come else come
        if not self._whole and (head := self._come.find(b"\r\n\r\n")) >= 0:
            at = self._come.index(b"content-length: ") + 16
            self._whole = head + 4 + int(self._come[at : self._come.index(b"\r", at)])
        return self._come if self._whole and len(self._come) >= self._whole else None


def load(
    host: str,
    port: int,
    requests: list[bytes],
    rate: float,
    seconds: float,
    look: Callable[[int, bytes], None] | None = None,
    rest: float = 0.0,
) -> Taken:
    """Send requests at a rate for some seconds; `look` is shown the number of each request and its answer.

    Without `rest` this keeps a processor busy; with it, it waits so many seconds for answers where none is there, and
    requests may be as late.
    """
    due = np.cumsum(np.random.default_rng(0).exponential(1 / rate, int(rate * seconds))).tolist()
    connections = {}
    poll = select.epoll()
    for _ in range(CONNECTIONS):
        connection = _Connection(host, port)
        connections[connection.socket.fileno()] = connection
        poll.register(connection.socket, select.EPOLLIN)
    idle = collections.deque(connections.values())
    numbers: dict[_Connection, int] = {}
    taken = Taken()
    sent = 0
    gc.collect()
    gc.disable()
    clock = time.perf_counter
    start = clock() + 0.01
    last = clock()
    end = due[-1] + PATIENCE
    while (sent < len(due) or numbers) and last - start < end:
        now = clock()
        if idle and sent < len(due) and start + due[sent] <= now:
            taken.late = max(taken.late, now - max(last, start + due[sent]))
            while idle and sent < len(due) and start + due[sent] <= now:
                connection = idle.popleft()  # in turn: a service closes connections that rest for long
                numbers[connection] = sent
                connection.send(requests[sent % len(requests)], start + due[sent])
                sent += 1
        last = clock()
        for descriptor, _ in poll.poll(rest):
            connection = connections[descriptor]
            if (answer := connection.receive()) is not None:
                taken.seconds.append(clock() - connection.due)
                taken.statuses[int(answer[9:12])] += 1
                number = numbers.pop(connection)
                idle.append(connection)
                if look is not None:
                    look(number, answer)
    gc.enable()
    taken.whole = last - start
    taken.lost = len(numbers) + len(due) - sent
    for connection in connections.values():
        connection.socket.close()
    return taken
