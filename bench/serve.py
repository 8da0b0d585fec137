"""Load on `mcfast serve`: latency at a rate of requests that does not wait for answers, and what HTTP adds.

python bench/serve.py [--users 100000] [--items 100000] [--index hnswlib] [--rates 500 1000 2000 3000] [-k 50]

Open loop: requests are due at random times that are fixed beforehand (a Poisson process). The latency of one counts
from when it was due, however late it could be sent, so that a service that stalls is charged for all who would have
waited: nothing is omitted. Answers of a sample are checked against the recaller before something is timed. The service
runs on the first core, the load on the second, where there are two.

`--url` puts load on a service that runs already; its users are 0 to `--users` - 1.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

import mcfast
from serving import model_of

CONNECTIONS = 64


class Connection(asyncio.Protocol):
    """One connection; requests wait in line for their answers, as HTTP/1.1 has it."""

    def __init__(self) -> None:
        self.waiting: collections.deque[float] = collections.deque()
        self.seconds: list[float] = []
        self.statuses: collections.Counter[int] = collections.Counter()
        self._left = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what is written to."""
        self.transport = transport

    def send(self, request: bytes, due: float) -> None:
        """Send a request that was due at a time."""
        self.waiting.append(due)
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Take the time of each whole answer."""
        now = time.perf_counter()
        self._left += data
        while (head := self._left.find(b"\r\n\r\n")) >= 0:
            start = self._left.index(b"content-length: ") + 16
            end = head + 4 + int(self._left[start : self._left.index(b"\r\n", start)])
            if len(self._left) < end:
                return
            self.statuses[int(self._left[9:12])] += 1
            self._left = self._left[end:]
            self.seconds.append(now - self.waiting.popleft())


async def load(host: str, port: int, requests: list[bytes], rate: float, seconds: float) -> dict[str, float]:
    """Send requests at a rate, and return the latencies in milliseconds by percentile, and the statuses."""
    loop = asyncio.get_running_loop()
    connections = [(await loop.create_connection(Connection, host, port))[1] for _ in range(CONNECTIONS)]
    due = np.cumsum(np.random.default_rng(0).exponential(1 / rate, int(rate * seconds))).tolist()
    start = time.perf_counter() + 0.1
    late = 0.0
    for i, at in enumerate(due):
        while (left := start + at - time.perf_counter()) > 0:
            await asyncio.sleep(left if left > 0.002 else 0)
        late = max(late, -left)
        idle = min(connections[i % CONNECTIONS :: 8], key=lambda connection: len(connection.waiting))
        idle.send(requests[i % len(requests)], start + at)
    deadline = time.perf_counter() + 30
    while any(connection.waiting for connection in connections) and time.perf_counter() < deadline:
        await asyncio.sleep(0.01)
    lost = sum(len(connection.waiting) for connection in connections)
    taken = np.concatenate([connection.seconds for connection in connections])
    statuses: collections.Counter[int] = sum((connection.statuses for connection in connections), collections.Counter())
    for connection in connections:
        connection.transport.close()
    p50, p99, p999 = 1e3 * np.percentile(taken, [50, 99, 99.9])
    refused = sum(count for status, count in statuses.items() if status != 200)
    whole = time.perf_counter() - start
    return {
        "rate": rate,
        "answered": statuses[200] / max(whole, due[-1]),
        "p50": p50,
        "p99": p99,
        "p99.9": p999,
        "max": 1e3 * taken.max(),
        "refused": refused,
        "lost": lost,
        "late": 1e3 * late,
    }


def asked(users: np.ndarray, k: int, host: str) -> list[bytes]:
    """Return requests, as bytes."""
    return [f"GET /v1/recall/{user}?k={k} HTTP/1.1\r\nhost: {host}\r\n\r\n".encode() for user in users]


def check(url: str, root: Path, users: list[int], k: int) -> None:
    """Compare answers with those of the recaller."""
    with mcfast.open(root) as recaller:
        for user in users:
            with urllib.request.urlopen(f"{url}/v1/recall/{user}?k={k}") as answer:
                found = json.load(answer)
            assert found["ids"] == recaller.recall(user, k).ids.tolist()


def in_process(root: Path, users: list[int], k: int) -> tuple[float, float, float]:
    """Time the same recalls in this process: milliseconds at the median, at p99, and of the processor at the mean."""
    seconds = []
    with mcfast.open(root) as recaller:
        recaller.recall(users[0], k)
        began = time.process_time()
        for user in users:
            start = time.perf_counter()
            recaller.recall(user, k)
            seconds.append(time.perf_counter() - start)
        processor = 1e3 * (time.process_time() - began) / len(users)
    p50, p99 = 1e3 * np.percentile(seconds[len(seconds) // 10 :], [50, 99])
    return float(p50), float(p99), processor


def processor_seconds(process: int) -> float:
    """Return how long a process has kept processors busy."""
    fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def closed_loop(host: str, port: int, requests: list[bytes]) -> float:
    """Ask one after the other over one connection; return milliseconds at the median."""
    import socket

    seconds = []
    with socket.create_connection((host, port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for request in requests:
            start = time.perf_counter()
            connection.sendall(request)
            answer = b""
            while b"\r\n\r\n" not in answer:
                answer += connection.recv(65536)
            head, _, body = answer.partition(b"\r\n\r\n")
            length = int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
            while len(body) < length:
                body += connection.recv(65536)
            seconds.append(time.perf_counter() - start)
    return float(1e3 * np.median(seconds[len(seconds) // 10 :]))


def serving(root: Path, log: Path, core: int, options: list[str]) -> tuple[subprocess.Popen[bytes], int]:
    """Start the service on a core, and return the process and the port."""
    command = [sys.executable, "-m", "mcfast", "serve", str(root), "--port", "0", *options]
    with log.open("wb") as file:
        process = subprocess.Popen(
            command, stderr=file, preexec_fn=lambda: os.sched_setaffinity(0, {core}), env=os.environ
        )
    port = 0
    for _ in range(600):
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        port = next((line["port"] for line in lines if line["event"] == "listening"), 0)
        if any(line["event"] == "version" for line in lines):
            return process, port
        time.sleep(0.1)
    raise RuntimeError(log.read_text())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--factors", type=int, default=64)
    parser.add_argument("--seen", type=int, default=50, help="items seen by each user")
    parser.add_argument("--index", default="hnswlib", choices=list(mcfast.recall.BACKENDS))
    parser.add_argument("--recall", type=float, default=0.95, help="what an approximate index must reach")
    parser.add_argument("-k", type=int, default=50)
    parser.add_argument("--rates", type=float, nargs="+", default=[500, 1000, 2000, 3000], help="requests a second")
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--root", type=Path, help="a served folder that exists; otherwise one is made")
    parser.add_argument("--url", help="a service that runs already, with --root, to be checked against")
    given = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as folder:
        root = given.root or Path(folder) / "serving"
        if given.root is None:
            model = model_of(given.users, given.items, given.factors, given.seen)
            options = {} if given.index == "exact" else {"recall": given.recall}
            mcfast.publish(model, root, index=given.index, **options)
            del model
        (current,) = [version for version in mcfast.versions(root) if version.current]
        print(
            f"{current.users:,} users, {current.items:,} items, k={given.k}, index {current.index['backend']}", end=""
        )
        print(f", recall {current.index.get('recall', 'exact')}")
        users = np.random.default_rng(1).integers(0, min(given.users, current.users), 20_000)
        process = None
        if given.url is None:
            process, port = serving(root, Path(folder) / "log", cores[0], ["--max-in-flight", "256"])
            host = "127.0.0.1"
        else:
            host, port = urlsplit(given.url).hostname or "", urlsplit(given.url).port or 80
        try:
            os.sched_setaffinity(0, {cores[-1]})
            check(f"http://{host}:{port}", root, users[:20].tolist(), given.k)
            requests = asked(users, given.k, host)
            closed_loop(host, port, requests[:2000])
            alone = in_process(root, users[:5000].tolist(), given.k)
            before = 0.0 if process is None else processor_seconds(process.pid)
            over = closed_loop(host, port, requests[:5000])
            print(
                f"in process  p50 {alone[0]:.3f} ms, p99 {alone[1]:.3f} ms, {alone[2]:.3f} ms of the processor",
                flush=True,
            )
            print(f"over HTTP   p50 {over:.3f} ms, one at a time: HTTP adds {1e3 * (over - alone[0]):.0f} microseconds")
            if process is not None:
                busy = (processor_seconds(process.pid) - before) / 5000
                print(f"the service keeps a processor busy for {1e6 * busy:.0f} microseconds a request", flush=True)
            print(f"{'rate':>7} {'answered':>9} {'p50':>8} {'p99':>8} {'p99.9':>8} {'max':>8}  ms from when it was due")
            for rate in given.rates:
                found = asyncio.run(load(host, port, requests, rate, given.seconds))
                shown = " ".join(f"{found[name]:8.2f}" for name in ("p50", "p99", "p99.9", "max"))
                print(f"{rate:7.0f} {found['answered']:9.0f} {shown}", end="  ")
                print(
                    f"refused {found['refused']}, lost {found['lost']}, sent up to {found['late']:.1f} ms late",
                    flush=True,
                )
        finally:
            if process is not None:
                process.terminate()
                process.wait()


if __name__ == "__main__":
    main()
