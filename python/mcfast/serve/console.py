"""The page on which a person sees what the service does. It asks the same routes as everybody."""

from __future__ import annotations

from importlib.resources import files

from fastapi import FastAPI, Response

FILES = {
    "/": ("index.html", "text/html"),
    "/console.js": ("console.js", "text/javascript"),
    "/map.js": ("map.js", "text/javascript"),
    "/console.css": ("console.css", "text/css"),
}
HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
}


def add(app: FastAPI) -> None:
    """Serve the files of the page."""
    folder = files(__package__) / "page"
    for path, (name, media_type) in FILES.items():
        content = (folder / name).read_bytes()

        async def page(content: bytes = content, media_type: str = media_type) -> Response:
            return Response(content, headers=HEADERS, media_type=media_type)

        app.add_api_route(path, page, include_in_schema=False)
