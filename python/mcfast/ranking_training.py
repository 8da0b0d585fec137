"""Training under a ranking loss: positives against sampled negatives."""

from __future__ import annotations

import warnings
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from . import _core, checks
from .data.histories import Histories
from .data.triples import Triples
from .encoders import Described, Encoder
from .epochs import Learnt, Outcome, Settings, export, run
from .measures import Protocol, measure
from .model import Model
from .ranking_options import WHY_NOT_EXPOSED, Ranking
from .seen import Seen

CUT = 20  # of the ranking by which the best epoch is found

Flags = npt.NDArray[np.bool_]
Int32 = npt.NDArray[np.int32]
Pairs = tuple[Int32, Int32]
Sides = tuple[Described | None, Described | None]  # of users and of items; None where vectors are not composed


def positives(data: Triples, name: str, ranking: Ranking) -> Flags:
    """Return which triples are positives; there must be one."""
    found: Flags = data.scores > 0 if ranking.positive is None else data.scores >= ranking.positive
    if not found.any():
        wanted = "above 0" if ranking.positive is None else f"of {ranking.positive:g} or more"
        raise ValueError(checks.message(name, f"no score {wanted}", "a positive to learn from"))
    return found


def tell_of_exposed(data: Triples, ranking: Ranking) -> None:
    """Say that rows that are not positives are left out, unless told what to do with them."""
    n = int((~positives(data, "scores", ranking)).sum())
    if n and ranking.exposed is None:
        message = (
            f"{n} of {len(data)} triples are not positive: refused as negatives and left out, since {WHY_NOT_EXPOSED}. "
            'exposed="ignore" leaves them out without a word, exposed="hard" with negatives="hard" uses them.'
        )
        warnings.warn(message, UserWarning, stacklevel=4)


def hard_rows(pairs: Any, data: Triples) -> Pairs | None:
    """Return rows of the ids of pairs (users, items)."""
    if pairs is None:
        return None
    if not isinstance(pairs, tuple | list) or len(pairs) != 2:
        raise TypeError(checks.message("hard_negatives", type(pairs).__name__, "(users, items)"))
    users, items = data.user_ids.rows(pairs[0], "hard_negatives"), data.item_ids.rows(pairs[1], "hard_negatives")
    if len(users) != len(items) or not len(users):
        raise ValueError(checks.message("hard_negatives", f"{len(users)} users and {len(items)} items", "pairs"))
    return users, items


def train_ranking(
    data: Triples,
    held_out: Triples | None,
    settings: Settings,
    epochs: int,
    init: Model | None,
    *,
    ranking: Ranking,
    hard: Pairs | None,
    sides: Sides,
) -> tuple[Outcome, _core.RankingTrainer]:
    """Run up to `epochs` of the `settings.epochs` epochs that the step is laid out for.

    `hard` are pairs of rows to take hard negatives from; None looks for them. `sides` have the attributes.
    """
    positive = positives(data, "scores", ranking)
    if ranking.exposed == "hard" and hard is None:
        hard = data.users[~positive], data.items[~positive]
    users, items = np.ascontiguousarray(data.users[positive]), np.ascontiguousarray(data.items[positive])
    histories = None
    if ranking.history:
        times = None if data.times is None else data.times[positive]
        histories = Histories.of(users, items, times, data.n_users, ranking.history)
    of_users, of_items = sides
    trainer = _core.RankingTrainer(
        users,
        items,
        data.n_users,
        data.n_items,
        factors=settings.factors,
        loss=settings.loss,
        margin=ranking.margin,
        negative_weight=ranking.negative_weight,
        cosine=ranking.similarity == "cosine",
        temperature=ranking.temperature,
        learn_temperature=ranking.learn_temperature,
        l2=(settings.user_regularization, settings.item_regularization),
        dropout=ranking.dropout,
        subsampling=ranking.subsampling,
        hide_known=ranking.mask_known,
        negatives=ranking.sources(),
        given=hard,
        pool=ranking.hard_pool,
        exponent=ranking.popularity_exponent,
        logq=1.0 if isinstance(ranking.logq, str) else ranking.logq,
        corrected=ranking.logq == "corrected",
        optimizer=ranking.optimizer,
        batch=ranking.batch_size,
        user_terms=None
        if of_users is None
        else of_users.terms(_met(users, data.n_users), histories, data.n_items, ranking.hidden, settings.factors),
        item_terms=None
        if of_items is None
        else of_items.terms(_met(items, data.n_items), None, 0, ranking.hidden, settings.factors),
        id_dropout=ranking.id_dropout,
        seed=settings.seed,
        threads=settings.threads,
    )
    if init is not None:
        unit = ranking.similarity == "cosine"
        for rows, into in ((init.user_rows, trainer.import_users), (init.item_rows, trainer.import_items)):
            into(np.arange(len(rows), dtype=np.int32), _core.unit_rows(rows, settings.threads) if unit else rows)
    validate = None
    if held_out is not None:
        wanted = positives(held_out, "validation scores", ranking)
        seen = Seen.of(data.users, data.items, data.n_users, settings.threads)
        validate = partial(_ndcg, trainer, data, seen, held_out.select(wanted), settings)
    outcome = run(trainer, int(positive.sum()), validate, settings, epochs, higher_is_better=True)
    return outcome, trainer


def _ndcg(trainer: _core.RankingTrainer, train: Triples, seen: Seen, held_out: Triples, settings: Settings) -> float:
    """Measure the full ranking of what was not seen in training: the mean NDCG over users with something held out."""
    model = Model(
        users=train.user_ids,
        items=train.item_ids,
        factors=settings.factors,
        **export(trainer, settings.threads).rows(),
        seen=seen,
    )
    protocol = Protocol([CUT], threads=settings.threads, progress=False)
    return float(np.mean(measure(model, held_out.users, held_out.items, protocol).by_user[f"ndcg@{CUT}"]))


def sides_of(user_features: Any, item_features: Any, data: Triples, ranking: Ranking) -> Sides:
    """Read the tables of attributes; with a history, users are composed without one too."""
    with_users, with_items = user_features is not None or ranking.history > 0, item_features is not None
    return (
        Described.of(user_features, data.user_ids, "user_features") if with_users else None,
        Described.of(item_features, data.item_ids, "item_features") if with_items else None,
    )


def encoders(sides: Sides, learnt: Learnt, ranking: Ranking, n_items: int) -> dict[str, Any]:
    """Return how the vectors of a model are made, by their names there."""
    unit = ranking.similarity == "cosine"
    out: dict[str, Any] = {}
    for name, side, learnt_parameters, histories in (
        ("user_encoder", sides[0], learnt.user_parameters, n_items if ranking.history else 0),
        ("item_encoder", sides[1], learnt.item_parameters, 0),
    ):
        if side is not None and learnt_parameters is not None:
            out[name] = Encoder.trained(side.features, learnt_parameters, histories, unit, ranking.hidden)
    return out


def _met(rows: Int32, n: int) -> Flags:
    return np.bincount(rows, minlength=n) > 0


def parameters(ranking: Ranking, trainer: _core.RankingTrainer) -> dict[str, Any]:
    """Return what a model keeps of the options."""
    kept = asdict(ranking)
    return kept | ({"learnt_temperature": trainer.temperature} if ranking.learn_temperature else {})
