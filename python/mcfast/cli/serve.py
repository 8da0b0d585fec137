"""`mcfast serve`: answer over HTTP from the version that a folder serves."""

from __future__ import annotations

import argparse
import os
from typing import Any

from .. import serve
from . import common

OPTIONS: common.Described = {
    "host": (str, "the address to listen on"),
    "port": (int, "the port; 0 lets the system choose, and the log tells which"),
    "workers": (int, "processes; they share the port and the pages of the snapshot"),
    "max_k": (int, "the most items that an answer may have for each user"),
    "max_batch": (int, "the most users or items in a request"),
    "max_body": (int, "bytes of a body"),
    "max_in_flight": (int, "requests of a worker at a time; those beyond get 429"),
    "body_seconds": (float, "how long a client may take to send a body"),
    "grace_seconds": (int, "how long requests under way may take to end, at a stop"),
    "poll_seconds": (float, "how often to look for a new version"),
    "access_log": (bool, "log every request; what fails is logged in any case"),
}

EXAMPLES = """
  mcfast serve serving/
  mcfast serve serving/ --host 0.0.0.0 --port 80 --workers 2 --token-env MCFAST_TOKEN
  curl 'http://127.0.0.1:8000/v1/recall/42?k=10'
"""


def register(commands: Any) -> None:
    """Add the command."""
    summary = "answer over HTTP from a served folder, with a page to look at"
    parser = common.add_command(commands, "serve", run, summary, EXAMPLES)
    parser.add_argument("root", help="the folder that is served")
    parser.add_argument("--token-env", metavar="NAME", help="the environment variable with the token to be asked for")
    common.add_options(parser, serve.Settings, OPTIONS)


def run(arguments: argparse.Namespace) -> int:
    """Serve until a signal comes."""
    options = common.given(arguments, serve.Settings)
    if arguments.token_env is not None:
        options["token"] = os.environ.get(arguments.token_env)
        if not options["token"]:
            raise ValueError(f"--token-env: got {arguments.token_env!r}, expected an environment variable that is set")
    serve.run(serve.Settings(**options))
    return 0
