"""Progress bars: on standard error, for work that takes more than two seconds, where a person is watching."""

from __future__ import annotations

import sys
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
    from tqdm import tqdm

    hidden = not sys.stderr.isatty() if show is None else not show
    delay = 0.0 if show else DELAY
    return tqdm(total=total, desc=description, unit=unit, unit_scale=True, disable=hidden, delay=delay, **options)
