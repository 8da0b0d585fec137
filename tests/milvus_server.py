"""A real Milvus server on a loopback port, as long as some tests need one.

It is a child of a process of its own, which stops it at the end of its input: so it does not outlive tests that are
killed, whose end of the pipe the system closes.
"""

import contextlib
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

LONGEST = 120  # seconds that a start may take
ETCD = """
name: default
data-dir: {folder}/etcd
listen-client-urls: http://127.0.0.1:0
advertise-client-urls: http://127.0.0.1:0
listen-peer-urls: http://127.0.0.1:0
initial-advertise-peer-urls: http://127.0.0.1:0
initial-cluster: default=http://127.0.0.1:0
"""


@contextlib.contextmanager
def running():
    """Start a server; give its address."""
    keeper = subprocess.Popen(
        [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    with keeper:  # closes the pipes and waits
        address = keeper.stdout.readline().strip()
        assert address, "the server did not start: see above"
        yield address


def keep():
    """Start the server, say where it listens, and stop it at the end of the input."""
    import milvus

    with tempfile.TemporaryDirectory(prefix="mcfast-milvus-server-", ignore_cleanup_errors=True) as folder:
        server = milvus.MilvusServer(wait_for_started=False)
        server.set_base_dir(folder)
        etcd = Path(folder) / "etcd.yaml"  # otherwise on ports of its own choice: one server a machine
        etcd.write_text(ETCD.format(folder=folder))
        os.environ["ETCD_CONFIG_PATH"] = str(etcd)
        server.start()
        try:
            _wait(server, Path(folder))
            print(f"http://127.0.0.1:{server.listen_port}", flush=True)
            sys.stdin.read()
        finally:
            server.stop()


def _wait(server, folder):
    last = time.monotonic() + LONGEST
    while time.monotonic() < last:
        if server.server_proc.poll() is not None:
            raise RuntimeError("the server ended:\n" + (folder / "logs" / "milvus-stderr.log").read_text()[:4000])
        with (
            contextlib.suppress(OSError),
            urllib.request.urlopen(f"http://127.0.0.1:{server.webservice_port}/healthz", timeout=5) as answer,
        ):
            if b"OK" in answer.read():
                return
        time.sleep(0.2)
    raise TimeoutError(f"the server is not ready after {LONGEST} s")


if __name__ == "__main__":
    keep()
