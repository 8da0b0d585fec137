"""The pictures of the demo. They need matplotlib, and no display."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..data.triples import Triples
from ..errors import MissingExtraError
from ..model import Model

N_USERS, N_ITEMS = 40, 25  # the piece of the matrix that is shown
TITLE_LENGTH = 32

Int64 = npt.NDArray[np.int64]


def learning_curve(model: Model, path: Path) -> Path:
    """Draw the training and validation error by epoch, and mark the best epoch."""
    figure = _figure(7, 4.2)
    axes = figure.add_subplot()
    epochs = [epoch["number"] for epoch in model.history]
    validation = [epoch["validation"] for epoch in model.history]
    axes.plot(
        epochs,
        [math.sqrt(2 * epoch["loss"]) for epoch in model.history],
        "o-",
        ms=4,
        label="training, each rating before its step",
    )
    axes.plot(epochs, validation, "o-", ms=4, label="validation")
    best = int(np.argmin(validation))
    axes.axvline(epochs[best], color="0.6", lw=1, ls="--", zorder=0)
    axes.annotate(
        f"best: epoch {epochs[best]}, {validation[best]:.3f}",
        (epochs[best], validation[best]),
        xytext=(-8, 14),
        textcoords="offset points",
        ha="right",
    )
    axes.set(title="Learning curve", xlabel="epoch", ylabel="RMSE of ratings")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    return _save(figure, path)


def completion(model: Model, train: Triples, titles: Mapping[Any, str], path: Path) -> Path:
    """Draw a piece of the matrix: beside each other the observed cells, and all cells as the model completes them."""
    users, items = _piece(train)
    user_ids, item_ids = train.user_ids.take(users), train.item_ids.take(items)
    completed = model.predict_block(user_ids, item_ids).T
    order_items, order_users = _by_likeness(completed)
    observed = _observed(train, users, items).T[order_items][:, order_users]
    completed = completed[order_items][:, order_users]
    share = np.isfinite(observed).mean()

    figure = _figure(12, 6.2)
    panels = figure.subplots(1, 2, sharey=True)
    contents = (
        (observed, f"Before: the ratings that exist ({share:.0%} of the cells)"),
        (completed, "After: every cell, as the model completes it"),
    )
    for axes, (values, title) in zip(panels, contents, strict=True):
        image = axes.imshow(values, cmap="RdYlBu", vmin=1, vmax=5, aspect="auto", interpolation="nearest")
        axes.set_facecolor("0.92")
        axes.set(title=title, xlabel=f"{N_USERS} users")
        axes.set_xticks([])
        axes.tick_params(length=0)
    names = [_short(titles[item]) for item in item_ids[order_items]]
    panels[0].set_yticks(range(len(names)), names, fontsize=8)
    figure.colorbar(image, ax=list(panels), label="rating", pad=0.015, fraction=0.03)
    return _save(figure, path)


def recall_and_speed(index: Mapping[str, Any], path: Path) -> Path:
    """Draw what an approximate index measured: recall against queries a second by ef, and the exact index beside."""
    figure = _figure(7, 4.2)
    axes = figure.add_subplot()
    curve, exact = index["curve"], index["exact"]
    tried = f"ef from {curve[-1]['ef']} to {curve[0]['ef']}"
    for k, colour in zip(exact["recall"], ("C0", "C1"), strict=False):
        speed = [point["queries_per_second"][k] for point in curve]
        recall = [point["recall"][k] for point in curve]
        axes.plot(speed, recall, "o-", ms=4, color=colour, label=f"k = {k}, {tried}")
        axes.plot(exact["queries_per_second"][k], exact["recall"][k], "*", ms=13, color=colour, label=f"k = {k}, exact")
        for point, *place in zip(curve, speed, recall, strict=True):
            if point["ef"] == index.get("ef"):
                axes.plot(*place, "o", ms=11, mfc="none", color=colour)
                axes.annotate(f"serves: ef = {point['ef']}", place, (-8, -16), textcoords="offset points", ha="right")
    axes.axhline(index["recall_target"], color="0.6", lw=1, ls="--", zorder=0, label="asked for")
    axes.set(
        title=f"{index['backend']}, {index['size']:,} items: recall against speed",
        xlabel="queries a second, in batches, one thread",
        ylabel="share of the exact answer",
        xscale="log",
    )
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    return _save(figure, path)


def indexes(report: Mapping[str, Any], path: Path) -> Path:
    """Draw recall against queries a second of several indexes: the curve that each measured, and where it serves."""
    figure = _figure(7.5, 4.6)
    axes = figure.add_subplot()
    k = str(report["k"])
    for place, index in enumerate(report["indexes"]):
        colour = f"C{place}"
        curve = [point for point in index["info"].get("curve", []) if k in point["recall"]]
        speed = [point["queries_per_second"][k] for point in curve]
        axes.plot(speed, [point["recall"][k] for point in curve], "o-", ms=4, color=colour, alpha=0.6)
        name = index["name"] + (", falls short: answers exactly" if index["exact"] and curve else "")
        axes.plot(index["queries_per_second"]["batch"], index["recall"], "*", ms=14, color=colour, label=name)
        axes.plot(index["queries_per_second"]["single"], index["recall"], "d", ms=7, mfc="none", color=colour)
    axes.axhline(report["recall_target"], color="0.6", lw=1, ls="--", zorder=0, label="asked for")
    axes.set_ylim(top=1.01)
    axes.set(
        title=f"{report['items']:,} items, {report['factors']} factors: recall against speed, one thread",
        xlabel=f"queries a second, k = {k}; dots: tried; \u2605 as it serves, in batches; \u25c7 one at a time",
        ylabel=f"recall@{k}",
        xscale="log",
    )
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    return _save(figure, path)


def _piece(train: Triples) -> tuple[Int64, Int64]:
    """Choose the items rated most often, and users who rated about half of them: there is something to complete."""
    items = np.argsort(-np.bincount(train.items, minlength=train.n_items), kind="stable")[:N_ITEMS]
    rated = np.bincount(train.users[np.isin(train.items, items)], minlength=train.n_users)
    users = np.argsort(np.abs(rated - N_ITEMS / 2), kind="stable")[:N_USERS]
    return users, items


def _observed(train: Triples, users: Int64, items: Int64) -> npt.NDArray[np.float32]:
    """Return the scores of a piece of the matrix, NaN where there is none."""
    place_of_user, place_of_item = np.full(train.n_users, -1), np.full(train.n_items, -1)
    place_of_user[users], place_of_item[items] = np.arange(len(users)), np.arange(len(items))
    u, i = place_of_user[train.users], place_of_item[train.items]
    inside = (u >= 0) & (i >= 0)
    piece = np.full((len(users), len(items)), np.nan, np.float32)
    piece[u[inside], i[inside]] = train.scores[inside]
    return piece


def _by_likeness(values: npt.NDArray[np.float32]) -> tuple[Int64, Int64]:
    """Return an order of rows and one of columns that puts like beside like: by the first singular vectors."""
    centred = values - values.mean(axis=0) - values.mean(axis=1, keepdims=True) + values.mean()
    left, _, right = np.linalg.svd(centred)
    return np.argsort(left[:, 0], kind="stable"), np.argsort(right[0], kind="stable")


def _short(title: str) -> str:
    return title if len(title) <= TITLE_LENGTH else title[: TITLE_LENGTH - 1].rstrip() + "…"


def _figure(width: float, height: float) -> Any:
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError("matplotlib", "plot", "drawing pictures") from None
    return Figure((width, height), dpi=110, layout="constrained")


def _save(figure: Any, path: Path) -> Path:
    figure.savefig(path)
    return path
