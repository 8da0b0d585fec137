"""The routes, as FastAPI has them; `front` has guarded what comes here."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any

from fastapi import FastAPI, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from .._core import build_info
from . import browse, console, models
from .replies import JSON, Reply, dump, problem, validation_text
from .service import Answer, Service

PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"model": models.Problem, "description": text}
    for status, text in {
        400: "The body is no text, or was cut short.",
        401: "The token is missing or wrong.",
        404: "There is no such thing.",
        408: "The body took too long.",
        413: "The body is too large.",
        415: "The body is not of the type application/json.",
        422: "An argument is not as described.",
        429: "Too many requests are under way; Retry-After says when to try again.",
        503: "No version is open, or the disk is full; Retry-After says when to try again.",
    }.items()
}
K = Annotated[int, Query(ge=1, description="How many items.")]
UserId = Annotated[str, Path(description="The id of a user.", examples=["42"])]
ItemId = Annotated[str, Path(description="The id of an item.", examples=["7"])]


def make(service: Service) -> FastAPI:
    """Return the application with all routes; it starts and stops the service."""

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await service.start()
        yield
        await service.stop()

    app = FastAPI(
        title="mcfast",
        version=build_info()["version"],
        summary="From user id to the items that the user will want.",
        lifespan=lifespan,
        docs_url=None,  # these load scripts from other hosts
        redoc_url=None,
        redirect_slashes=False,
        responses=PROBLEMS,
    )
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _refused)
    _add_recall(app, service)
    _add_users(app, service)
    _add_browsing(app, service)
    _add_operation(app, service)
    console.add(app)
    return app


def _add_recall(app: FastAPI, service: Service) -> None:
    @app.post("/v1/recall", response_model=models.Recalled, tags=["recall"])
    async def recall(asked: models.Recall) -> Response:
        """Recall items for users, for vectors, or for lists of items; all from one version."""
        return await _answered(service.recall, asked)

    @app.get("/v1/recall/{user:path}", response_model=models.RecalledUser, tags=["recall"])
    async def recall_user(user: UserId, k: K = 20, exclude_seen: bool = True) -> Response:
        """Recall items for one user."""
        return await _answered(service.recall_user, user, k, exclude_seen)

    @app.get("/v1/items/{item:path}/similar", response_model=models.Similar, tags=["recall"])
    async def similar(item: ItemId, k: K = 10, attributes: bool = False) -> Response:
        """Find items like an item: those whose vectors have the largest cosine with its own."""
        return await _answered(service.similar, item, k, attributes)


def _add_users(app: FastAPI, service: Service) -> None:
    @app.post("/v1/interactions", response_model=models.Recorded, tags=["users"])
    async def record(asked: models.Interactions) -> Response:
        """Record what a user has met: on the disk when the answer comes, and seen in every worker from then on."""
        return await _answered(service.record, asked)

    @app.get("/v1/users/{user:path}", response_model=models.User, tags=["users"])
    async def look(user: UserId) -> Response:
        """Tell what is known of a user."""
        return await _answered(browse.user, service, user)

    @app.delete("/v1/users/{user:path}", response_model=models.Forgotten, tags=["users"])
    async def forget(user: UserId) -> Response:
        """Forget a user: the vector, what was seen, and the interactions."""
        return await _answered(service.forget, user)


def _add_browsing(app: FastAPI, service: Service) -> None:
    @app.get("/v1/items", response_model=models.Items, tags=["items"])
    async def find(text: Annotated[str, Query(max_length=200)], k: K = 20) -> Response:
        """Find items by a text in their title, the most popular ones first."""
        return await _answered(browse.find, service, text, k)

    @app.get("/v1/map", response_model=models.Map, tags=["items"])
    async def lay_out(attribute: str | None = None) -> Response:
        """Lay the most popular items out in the two directions in which their vectors differ most."""
        return await _answered(browse.lay_out, service, attribute)

    @app.get("/v1/versions", response_model=models.Versions, tags=["operation"])
    async def versions() -> Response:
        """List the versions that there are."""
        return await _answered(browse.listed, service)


def _add_operation(app: FastAPI, service: Service) -> None:
    @app.get("/healthz", tags=["operation"])
    async def healthz() -> dict[str, str]:
        """Tell that the process lives."""
        return {"status": "lives"}

    @app.get("/readyz", tags=["operation"])
    async def readyz() -> Response:
        """Tell whether a version is open."""
        return await _answered(lambda: {"version": service.recaller.version})

    @app.get("/metrics", tags=["operation"], response_class=Response)
    async def metrics() -> Response:
        """Count for Prometheus, all workers together."""
        return Response(service.metrics.text(), media_type="text/plain; version=0.0.4")


async def _answered(ask: Callable[..., Answer], *arguments: Any) -> Response:
    """Ask in a thread: what comes here may take long, or write to the disk."""
    try:
        return _response(Reply(200, await asyncio.to_thread(lambda: dump(ask(*arguments)))))
    except Exception as error:
        return _response(problem(error))


def _response(reply: Reply) -> Response:
    headers = {name.decode(): value.decode() for name, value in reply.headers}
    return Response(reply.body, reply.status, {"cache-control": "no-store", **headers}, JSON.decode())


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return _response(Reply(422, dump({"error": validation_text(list(error.errors()))})))


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    headers = tuple((name.encode(), value.encode()) for name, value in (error.headers or {}).items())
    return _response(Reply(error.status_code, dump({"error": error.detail}), headers))
