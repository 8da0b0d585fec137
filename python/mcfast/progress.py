"""Progress bars: on standard error, for work that takes more than two seconds, where a person is watching."""

from __future__ import annotations

import functools
import os
import sys
import threading
from typing import Any

DELAY = 2.0  # seconds before a bar appears


def bar(total: float, description: str, *, show: bool | None = None, unit: str = "it", **options: Any) -> Any:
    """Return a tqdm bar.

    Parameters
    ----------
    total : float
        The amount of work, in `unit`.
    description : str
        What is being done.
    show : bool, optional
        None (the default) shows the bar if standard error is a terminal and the work takes more than two seconds; True
        shows it at once, False never.
    unit : str, default "it"
        What is counted.
    **options
        Passed to tqdm.

    Returns
    -------
    tqdm.tqdm
        A context manager with ``update(n)`` and ``set_postfix_str(text)``.
    """
    hidden = not sys.stderr.isatty() if show is None else not show
    delay = 0.0 if show else DELAY
    return _bar_class()(
        total=total, desc=description, unit=unit, unit_scale=True, disable=hidden, delay=delay, **options
    )


@functools.cache
def _bar_class() -> Any:
    """Return tqdm with a lock of this process: its own is shared with forks, and stays with one that is killed."""
    from tqdm import tqdm

    class Bar(tqdm):  # type: ignore[misc]
        """A bar of mcfast."""

    def renew() -> None:
        Bar.set_lock(threading.RLock())

    renew()
    os.register_at_fork(after_in_child=renew)
    return Bar
