"""What the service is told: where it listens, and its limits."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from .. import checks


@dataclass(frozen=True)
class Settings:
    """What to serve, where, and within which limits. Limits of requests hold for each worker.

    Parameters
    ----------
    root : path-like
        The served folder.
    host : str, default "127.0.0.1"
        The address to listen on: by default this machine only.
    port : int, default 8000
        0 lets the system choose; the log tells which.
    workers : int, default 1
        Processes. They share the pages of the snapshot and the port.
    token : str, optional
        What requests must carry as ``Authorization: Bearer TOKEN``. By default none is asked for.
    max_k : int, default 1000
        The most items that an answer may have for each user.
    max_batch : int, default 1000
        The most users, vectors or lists in a request, and the most interactions.
    max_body : int, default 1 MiB
        Bytes of a body.
    max_in_flight : int, default 64
        Requests that wait or are worked on at a time; those beyond get 429 at once.
    body_seconds : float, default 10
        How long a client may take to send a body.
    grace_seconds : int, default 10
        How long requests under way may take to end, at a stop.
    poll_seconds : float, default 1
        How often to look for a new version.
    sample_seconds : float, default 1
        How often a recall out of an approximate index is compared with an exact one; less often where that takes more
        than a thousandth of the time.
    access_log : bool, default False
        Whether each request is logged; what fails is in any case.
    """

    root: str | os.PathLike[str]
    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = 1
    token: str | None = field(default=None, repr=False)
    max_k: int = 1000
    max_batch: int = 1000
    max_body: int = 1 << 20
    max_in_flight: int = 64
    body_seconds: float = 10.0
    grace_seconds: int = 10
    poll_seconds: float = 1.0
    sample_seconds: float = 1.0
    access_log: bool = False

    def __post_init__(self) -> None:
        checks.integer(self.port, "port", 0, 65535)
        for name in ("workers", "max_k", "max_batch", "max_body", "max_in_flight"):
            checks.integer(getattr(self, name), name, 1)
        checks.integer(self.grace_seconds, "grace_seconds", 0)
        for name in ("body_seconds", "poll_seconds", "sample_seconds"):
            checks.real(getattr(self, name), name, 0, above=True)
        if self.token is not None and not (isinstance(self.token, str) and self.token.isascii() and self.token):
            raise ValueError("token: got an empty one or one with other characters, expected ASCII")
