"""The HTTP service over a served folder: `mcfast serve ROOT`; ``docs/serving.md`` tells its routes.

Needs ``pip install 'mcfast[serve]'``. A request passes through few layers: uvicorn parses it, `front` guards it and
answers the routes that must be fast itself, `routes` (FastAPI) has the others, `service` asks the recaller.
"""

from __future__ import annotations

from .settings import Settings

__all__ = ["Settings", "run"]


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; requests under way are answered before it returns.

    Parameters
    ----------
    settings : Settings
        What to serve, where, and within which limits.

    Raises
    ------
    MissingExtraError
        FastAPI, uvicorn or orjson is not installed.
    FormatError
        The root is no served folder.
    OSError
        The address is not to be had.
    """
    from .processes import serve

    serve(settings)
