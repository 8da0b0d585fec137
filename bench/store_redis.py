"""Tables on Redis against what the server can do: bulk load and batches of reads beside redis-benchmark.

python bench/store_redis.py [--users 200000] [--factors 64] [--precision float16] [--seconds 2]

Starts a redis-server of its own on a free port of the loopback interface. redis-benchmark writes values of the same
size, 16 commands at a time over one connection, as a pipeline does, and reads them so.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np

import store as tables
from mcfast import store


@contextlib.contextmanager
def server(folder: Path):
    """Let a server live while it is needed; gives its port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait()


def benchmark(port: int, users: int, size: int, *command: str) -> float:
    """Return the commands a second of redis-benchmark."""
    options = ["-p", str(port), "-n", str(users), "-r", str(users), "-d", str(size), "-P", "16", "-c", "1", "--csv"]
    done = subprocess.run(["redis-benchmark", *options, *command], check=True, capture_output=True, text=True)
    return float(next(csv.DictReader(done.stdout.splitlines()))["rps"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=200_000)
    parser.add_argument("--factors", type=int, default=64)
    parser.add_argument("--precision", default="float32", choices=["float32", "float16"])
    parser.add_argument("--seconds", type=float, default=2.0, help="time for each measurement")
    given = parser.parse_args()
    generator = np.random.default_rng(0)
    vectors = generator.standard_normal((given.users, given.factors), np.float32)
    biases = generator.standard_normal(given.users, np.float32)
    size = 16 + np.dtype(given.precision).itemsize * given.factors
    options = {"precision": given.precision}
    with tempfile.TemporaryDirectory() as folder, server(Path(folder)) as port:
        start = time.perf_counter()
        url = f"redis://127.0.0.1:{port}/0"
        ids = np.arange(given.users)
        table = store.build("redis", Path(folder) / "table", ids, vectors, biases, url=url, **options)
        loaded = given.users / (time.perf_counter() - start)
        drawn = generator.integers(0, given.users, (64, 1000))
        nothing = np.zeros(0, np.int32)
        values = vectors.astype(given.precision), biases, (None, nothing)
        tables.check(table, drawn.ravel(), drawn.ravel(), values, 0)
        single = tables.rate(lambda call: len(table.get_many(drawn[0, call % 1000 :][:1]).found), given.seconds)
        batch = tables.rate(lambda call: len(table.get_many(drawn[call % len(drawn)]).found), given.seconds)
        table.close()
        writes = benchmark(port, given.users, size, "HSET", "bench", "__rand_int__", "x" * size)
        reads = benchmark(port, given.users, size, "HGET", "bench", "__rand_int__")
    print(f"values of {size} bytes       mcfast   redis-benchmark -P 16 -c 1")
    print(f"bulk load         {loaded:12,.0f} {writes:12,.0f} values a second")
    print(f"batches of 1,000  {batch:12,.0f} {reads:12,.0f} values a second")
    print(f"one at a time     {single:12,.0f}")


if __name__ == "__main__":
    main()
