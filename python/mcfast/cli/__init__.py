"""The command line: one file a command, registered here."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import warnings
from collections.abc import Iterator, Sequence

from .. import errors
from .._core import build_info
from . import bench_recall, demo, evaluate, fit, info, publish, recall, recommend, rollback, serve, tune, versions
from .common import INTERRUPTED, say

COMMANDS = (demo, fit, tune, evaluate, recommend, info, publish, recall, serve, rollback, versions, bench_recall)

# What bad input, a full disk, a busy folder or a missing package raise. Anything else is a bug and shows its traceback.
EXPECTED = (
    ValueError,
    TypeError,
    OSError,
    MemoryError,
    errors.UnknownIdError,
    errors.DivergenceError,
    errors.BusyError,
    errors.MissingExtraError,
)

BROKEN_PIPE = 141  # as shells count: 128 and the signal


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments; by default those of the process.

    Returns
    -------
    int
        The exit code: 0; 1 after an expected error, which is told in one line on standard error; 130 after Ctrl-C.
        Wrong usage exits with 2.
    """
    arguments = _parser().parse_args(argv)
    try:
        with _plain_warnings():
            code: int = arguments.run(arguments)
            sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        say("interrupted")
        return INTERRUPTED
    except BrokenPipeError:  # the reader has gone, as `head` does; Python must not flush to it at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except EXPECTED as error:
        if arguments.traceback:
            raise
        say(f"error: {' '.join(str(error).split()) or type(error).__name__}")
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mcfast",
        description="From a log of ratings to the items a user will want: train, measure, recommend, serve.",
        epilog="Try `mcfast demo` first, and `mcfast COMMAND --help` for the rest.",
    )
    parser.add_argument("--version", action="version", version=f"mcfast {build_info()['version']}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in COMMANDS:
        command.register(commands)
    return parser


@contextlib.contextmanager
def _plain_warnings() -> Iterator[None]:
    """Show a warning as one line, without the place in the source."""
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_args, **_options: say(f"warning: {message}")
        yield
