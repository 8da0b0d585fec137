"""Load on `mcfast serve`: latency at a rate of requests that does not wait for answers, and what HTTP adds.

python bench/serve.py [--users 100000] [--items 100000] [--index regions] [--rates 1000 2000 3000] [-k 50]

Open loop, see `load.py`: a service that stalls is charged for all who would have waited. Answers of a sample are
checked against the recaller before something is timed. The service runs on the first core, the load on the second,
where there are two. Beside it, the same load on uvicorn with an application that does nothing.

`--publishes N` publishes versions meanwhile, see `publishes.py`. `--url` puts load on a service that runs already; its
users are 0 to `--users` - 1.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

import mcfast
import publishes
from load import load
from serving import model_of

BARE = """
import socket, sys, uvicorn

BODY = b"x" * int(sys.argv[1])
HEADERS = ((b"content-type", b"application/json"), (b"content-length", sys.argv[1].encode()))


async def answer(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": BODY})


options = dict(loop="uvloop", http="httptools", lifespan="off", access_log=False, log_level="warning")
config = uvicorn.Config(answer, server_header=False, date_header=False, **options)
uvicorn.Server(config).run([socket.socket(fileno=int(sys.argv[2]))])
"""


def asked(users: np.ndarray, k: int, host: str) -> list[bytes]:
    """Return requests, as bytes."""
    return [f"GET /v1/recall/{user}?k={k} HTTP/1.1\r\nhost: {host}\r\n\r\n".encode() for user in users]


def check(url: str, root: Path, users: list[int], k: int) -> int:
    """Compare answers with those of the recaller; return how long an answer is."""
    with mcfast.open(root) as recaller:
        for user in users:
            with urllib.request.urlopen(f"{url}/v1/recall/{user}?k={k}") as answer:
                found = json.loads(body := answer.read())
            assert found["ids"] == recaller.recall(user, k).ids.tolist()
    return len(body)


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


@contextlib.contextmanager
def serving(root: Path, log: Path, core: int, *options: str) -> Iterator[tuple[int, int]]:
    """Run the service on a core; yields its process and its port."""
    command = [sys.executable, "-m", "mcfast", "serve", str(root), "--port", "0", *options]
    with log.open("wb") as file, _running(command, core, stderr=file) as process:
        for _ in range(600):
            lines = [json.loads(line) for line in log.read_text().splitlines()]
            port = next((line["port"] for line in lines if line["event"] == "listening"), 0)
            if any(line["event"] == "version" for line in lines) and _listens(port):
                break
            time.sleep(0.1)
        else:
            raise RuntimeError(log.read_text())
        yield process.pid, port


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False


@contextlib.contextmanager
def bare(length: int, core: int) -> Iterator[tuple[int, int]]:
    """Run uvicorn on a core with an application that does nothing; yields its process and its port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        descriptor = listening.fileno()
        command = [sys.executable, "-c", BARE, str(length), str(descriptor)]
        with _running(command, core, pass_fds=[descriptor]) as process:
            yield process.pid, listening.getsockname()[1]


@contextlib.contextmanager
def _running(command: list[str], core: int, **options: object) -> Iterator[subprocess.Popen[bytes]]:
    def pin() -> None:
        os.sched_setaffinity(0, {core})

    process = subprocess.Popen(command, preexec_fn=pin, **options)  # type: ignore[call-overload]
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def under_load(
    host: str, port: int, process: int | None, requests: list[bytes], rates: list[float], seconds: float
) -> None:
    """Print what comes of requests at several rates."""
    print(
        "   rate answered      p50      p99    p99.9      max  ms from when it was due; microseconds of the processor"
    )
    for rate in rates:
        before = 0.0 if process is None else processor_seconds(process)
        taken = load(host, port, requests, rate, seconds)
        busy = 0.0 if process is None else 1e6 * (processor_seconds(process) - before) / len(taken.seconds)
        shown = " ".join(f"{value:8.2f}" for value in taken.milliseconds(50, 99, 99.9, 100))
        refused = taken.statuses.total() - taken.statuses[200]
        print(f"{rate:7.0f} {taken.statuses[200] / taken.whole:8.0f} {shown} {busy:8.0f}", end="  ")
        print(f"refused {refused}, lost {taken.lost}, sent up to {1e3 * taken.late:.2f} ms late", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--factors", type=int, default=64)
    parser.add_argument("--seen", type=int, default=50, help="items seen by each user")
    parser.add_argument("--index", default="regions", choices=list(mcfast.recall.BACKENDS))
    parser.add_argument("--recall", type=float, default=0.99, help="what an approximate index must reach")
    parser.add_argument("-k", type=int, default=50)
    parser.add_argument("--rates", type=float, nargs="+", default=[1000, 2000, 3000], help="requests a second")
    parser.add_argument("--seconds", type=float, default=6)
    parser.add_argument("--root", type=Path, help="a served folder that exists; otherwise one is made")
    parser.add_argument("--publishes", type=int, default=0, help="versions to publish under load, of one rate")
    parser.add_argument("--every", type=float, default=6, help="seconds from one to the next")
    parser.add_argument("--url", help="a service that runs already, with --root, to be checked against")
    given = parser.parse_args()
    first, *others = sorted(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        root = given.root or Path(folder) / "serving"
        if given.root is None:
            model = model_of(given.users, given.items, given.factors, given.seen)
            mcfast.publish(
                model, root, index=given.index, **({} if given.index == "exact" else {"recall": given.recall})
            )
            del model
        (current,) = [version for version in mcfast.versions(root) if version.current]
        reached = current.index.get("recall", "exact")
        print(f"{current.users:,} users, {current.items:,} items, k={given.k}, {current.index['backend']}: {reached}")
        users = np.random.default_rng(1).integers(0, min(given.users, current.users), 20_000)
        judge = publishes.judge_of(root, users[:1000], given.k) if given.publishes else None
        process, host = None, "127.0.0.1"
        if given.url is None:
            service = serving(root, Path(folder) / "log", first, "--max-in-flight", "256")
            process, port = stack.enter_context(service)
        else:
            host, port = urlsplit(given.url).hostname or "", urlsplit(given.url).port or 80
        os.sched_setaffinity(0, others[:1] or {first})
        requests = asked(users, given.k, host)
        if judge is not None and process is not None:
            publishes.run(root, process, port, requests[:1000], judge, given)
            return
        length = check(f"http://{host}:{port}", root, users[:20].tolist(), given.k)
        closed_loop(host, port, requests[:2000])
        p50, p99, busy = in_process(root, users[:5000].tolist(), given.k)
        over = closed_loop(host, port, requests[:5000])
        print(f"in process  p50 {p50:.3f} ms, p99 {p99:.3f} ms, {busy:.3f} ms of the processor")
        print(f"over HTTP   p50 {over:.3f} ms, one at a time: HTTP adds {1e3 * (over - p50):.0f} microseconds")
        under_load(host, port, process, requests, given.rates, given.seconds)
        if process is not None:
            stack.close()
            with bare(length, first) as (process, port):
                closed_loop(host, port, requests[:2000])
                print("uvicorn with an application that does nothing")
                under_load(host, port, process, requests, given.rates[-1:], given.seconds)


if __name__ == "__main__":
    main()
