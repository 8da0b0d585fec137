"""Real Redis servers on loopback ports: one, and a cluster of three."""

import contextlib
import signal
import socket
import subprocess
import time

SLOTS = 16384


class Server:
    """A server of its own, which can be killed and started again."""

    def __init__(self, folder, *options):
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        where = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(folder)]
        self._command = ["redis-server", *where, *options]
        self.start()

    def start(self):
        self.process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        wait(self._answers)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(30)

    def ask(self, *command):
        """Return what redis-cli prints."""
        asking = ["redis-cli", "-p", str(self.port), *map(str, command)]
        return subprocess.run(asking, check=True, capture_output=True, text=True).stdout

    def _answers(self):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
            return True


def cluster(folder, n=3):
    """Start n servers, which share the slots between them."""
    servers = []
    for i in range(n):
        own, bus = folder / str(i), free_port()
        own.mkdir(parents=True)
        options = ["--cluster-enabled", "yes", "--cluster-port", str(bus), "--cluster-node-timeout", "2000"]
        servers.append(Server(own, "--save", "", *options))
        first, end = SLOTS * i // n, SLOTS * (i + 1) // n
        servers[i].ask("CLUSTER", "ADDSLOTSRANGE", first, end - 1)
        if i:
            assert "OK" in servers[0].ask("CLUSTER", "MEET", "127.0.0.1", servers[i].port, bus)
    for server in servers:
        wait(lambda server=server: "cluster_state:ok" in server.ask("CLUSTER", "INFO"))
        wait(lambda server=server: f"cluster_known_nodes:{n}" in server.ask("CLUSTER", "INFO"))
    return servers


def cluster_url(servers):
    return "redis+cluster://" + ",".join(f"127.0.0.1:{server.port}" for server in servers)


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def wait(done):
    for _ in range(1500):
        if done():
            return
        time.sleep(0.02)
    raise TimeoutError
