"""`fit`: from observed scores to a model."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from functools import partial
from numbers import Real
from typing import Any

from . import _core, checks
from .data.triples import Triples, as_triples
from .epochs import Epoch, Outcome, Settings
from .model import Model
from .partition import over, seen_pairs, split
from .ranking_options import Ranking, is_ranking, ranking_options, refuse
from .ranking_training import (
    Sides,
    encoders,
    hard_rows,
    parameters,
    positives,
    sides_of,
    tell_of_exposed,
    train_ranking,
)
from .rating_training import check_scores, clip_bounds, train_ratings
from .scale import LINK_OF, Scale

Trainer = _core.Trainer | _core.RankingTrainer
Learn = Callable[[Triples, Triples | None, Settings, int, Model | None], tuple[Outcome, Trainer]]


def fit(
    triples: Any,
    *,
    factors: int | None = None,
    epochs: int = 20,
    regularization: float = 0.05,
    user_regularization: float | None = None,
    item_regularization: float | None = None,
    bias_regularization: float | None = None,
    l1_regularization: float = 0.0,
    regularize: str = "rating",
    nonnegative: bool = False,
    learning_rate: float = 0.1,
    biases: bool = True,
    loss: str = "squared",
    weights: Any = None,
    clip: bool | tuple[float, float] = False,
    validation: float | Any | None = None,
    patience: int | None = 3,
    refit: bool = True,
    init: Model | None = None,
    seen: str = "all",
    callback: Callable[[Epoch], Any] | None = None,
    progress: bool | None = None,
    seed: int = 0,
    threads: int | None = None,
    blocks: tuple[int, int] | None = None,
    similarity: str = "ip",
    positive: float | None = None,
    exposed: str | None = None,
    negatives: str | Mapping[str, float] | None = None,
    n_negatives: int = 1024,
    popularity_exponent: float = 0.75,
    hard_negatives: Any = None,
    hard_pool: int = 4096,
    mask_known: bool = False,
    temperature: float | str | None = None,
    logq: float | str = 0.0,
    margin: float | None = None,
    negative_weight: float | None = None,
    subsampling: float = 0.0,
    dropout: float = 0.0,
    optimizer: str = "adagrad",
    batch_size: int = 4096,
    user_features: Any = None,
    item_features: Any = None,
    history: bool | int = False,
    id_dropout: float | None = None,
    hidden: int = 0,
) -> Model:
    r"""Learn factors of users and items from observed scores.

    Minimises, over the observed triples alone,

    .. math:: \sum (y - \hat y)^2 + \lambda (\sigma |a_u|^2 + \sigma |b_i|^2 + b_u^2 + b_i^2), \quad
       \hat y = \mu + b_u + b_i + \langle a_u, b_i \rangle

    by stochastic gradient descent over a grid of blocks, with row-wise AdaGrad and a step that falls linearly over the
    epochs. With ``biases=False, regularization=0`` it is plain matrix completion. The same seed gives the same bits on
    one instruction set, whatever the number of threads.

    Parameters
    ----------
    triples : Triples, tuple of arrays, (n, 3) array, table or path
        Users, items and scores: see `mcfast.data.triples.as_triples`.
    factors : int, optional
        K, 1..1024; by default that of `init`, or 64. More fit finer taste and need more data; multiples of 16 waste
        nothing.
    epochs : int, default 20
        Passes over the triples; at most as many with `validation`.
    regularization : float, default 0.05
        :math:`\lambda \ge 0`, for scores of standard deviation 1: scores are divided by theirs,
        :math:`\sigma`, so that one value suits stars of 1..5 and interest of 0..4. It counts once for each triple, so
        frequent rows are held as tightly as rare ones. Under losses that are not of ratings, scores are not scaled.
    user_regularization, item_regularization, bias_regularization : float, optional
        The strength for factors of users, factors of items, and biases of both; by default `regularization`.
    l1_regularization : float, default 0
        Strength of an L1 penalty on the factors, counted like `regularization`, by proximal steps: factors become
        exactly 0.
    regularize : {"rating", "row"}, default "rating"
        Whether `regularization` and the strengths of its kinds count once for each triple, or once for each row of
        factors. L1 always counts once for each triple.
    nonnegative : bool, default False
        Keep all factors at 0 or above; biases may be negative.
    learning_rate : float, default 0.1
        Step of the first epoch, > 0, before AdaGrad divides it by the root of a row's sum of mean squared gradients.
    biases : bool, default True
        Learn a mean, and a bias for each user and item.
    loss : str, default "squared"
        The loss of a triple with score :math:`y` and prediction :math:`z`:

        - "squared": :math:`(y - z)^2 / 2`; "absolute": :math:`|y - z|`; "huber": squared up to errors of one standard
          deviation of the scores, absolute beyond;
        - "logistic": scores are labels 0 and 1, or probabilities; :math:`z` is the log-odds of a 1, `Model.predict`
          gives its probability;
        - "poisson": scores are counts >= 0; :math:`z` is the logarithm of the mean, `Model.predict` gives the mean;
        - "hinge": scores are labels -1 and +1, or 0 and 1; :math:`\max(0, 1 - y z)`. `Model.predict` gives :math:`z`,
          whose sign tells the label.

        Or a ranking loss, which sets items that a user took against sampled negatives: "softmax", "bsl", "bpr",
        "pairwise-hinge", "ccl", and "logistic" where `negatives` are given. ``docs/ranking.md`` has their formulas.
        They learn no biases and scale no scores; `regularization` counts for each positive, and does nothing under
        cosine. All arguments from `similarity` on are theirs.
    weights : array_like, optional
        Of shape (n,): finite numbers > 0, in the order of the triples, by which their losses are multiplied. Best
        around 1, since they lengthen the steps. No pair may have been merged, or give a `Triples` (whose `with_weights`
        does the same). Validation is not weighted.
    clip : bool or (low, high), default False
        Bounds of what the model will predict: those given, or with True those of the scores in the data. Training and
        the order of recommendations do not change; errors, in `validation` too, are those of clipped predictions.
    validation : float, Triples or like `triples`, optional
        A fraction in (0, 1) drawn by `seed`, or data of its own. The best epoch is found on it: by RMSE for
        squared, absolute and huber loss, by NDCG@20 over all unseen items for ranking losses, else by the mean loss.
    patience : int or None, default 3
        With `validation`: stop after so many epochs without a new best; None never stops early.
    refit : bool, default True
        With `validation`: train anew on everything, for as many epochs as were best. Otherwise the model of the best
        epoch is returned.
    init : Model, optional
        Start from this model: its users and items keep their rows and start from their vectors, new ids are added, its
        seen pairs are kept. Must have the same `factors`.
    seen : {"all", "positive"}, default "all"
        Which pairs recommendations leave out later: all of the data, score 0 and validation included, or only those of
        a score above 0.
    callback : callable, optional
        Called after each epoch with an `Epoch`; returning True stops the training there. With `validation` it follows
        the search for the best epoch, not the refit.
    progress : bool, optional
        Show a progress bar; by default on a terminal, after two seconds.
    seed : int, default 0
        Of everything random, 0..2^64 - 1.
    threads : int, optional
        By default all the process may use. Has no influence on the result.
    blocks : (int, int), optional
        User and item stripes of the training grid. By default about 64 and 32, fewer for little data, more for many
        items. Changes the bits of the result.
    similarity : {"ip", "cosine"}, default "ip"
        What scores are made of. With "cosine" all vectors stay on the unit sphere, so that inner product, cosine and
        distance rank alike at recall.
    positive : float, optional
        Triples of this score or more are positives; by default those above 0.
    exposed : {"ignore", "hard"}, optional
        What the other triples are, items that were shown and not taken: left out, with a warning that says why if None;
        or the `hard_negatives`.
    negatives : {"uniform", "popularity", "in-batch", "hard", "all"} or mapping of them to shares, optional
        Where negatives come from, by default "uniform": any item; items by their number of positives to the power of
        `popularity_exponent`; other positives of the step; for each user the best scored unseen items of a random pool
        of `hard_pool`, or `hard_negatives`; every item, which makes softmax the full one. Shares mix them, say
        ``{"uniform": 0.5, "hard": 0.5}``.
    n_negatives : int, default 1024
        Negatives of a positive; 256 positives share them.
    popularity_exponent : float, default 0.75
        Of "popularity".
    hard_negatives : (users, items), optional
        Ids of pairs to draw hard negatives from. Users without any draw from all items.
    hard_pool : int, default 4096
        Items among which hard negatives are looked for.
    mask_known : bool, default False
        Keep all positives of a user from being its negatives, not only the one at hand; always so with "hard".
    temperature : float or "learnt", optional
        Scores are divided by it. By default 0.1 under cosine with "softmax" and "bsl", else 1; "learnt" starts there.
    logq : float or "corrected", default 0.0
        Of "softmax" and "bsl", how far scores are corrected for what is drawn more often: 1 estimates the full softmax,
        0 ranks by preference over what is drawn; "corrected" is 1 with the positive set apart.
    margin : float, optional
        Of "pairwise-hinge", by default 0.5, and "ccl", 0.8.
    negative_weight : float, optional
        What all negatives together weigh against the positive, in "bsl" and "logistic", by default 1, and "ccl", 150.
    subsampling : float, default 0.0
        Positives of items whose share of all is above it are left out at random, sqrt(subsampling / share) of them
        staying; 0 keeps all.
    dropout : float, default 0.0
        Share of the entries of a user's vector that is left out, anew for each positive.
    optimizer : {"adagrad", "adam"}, default "adagrad"
        With one mean square a row; adam moves rows only when they are met.
    batch_size : int, default 4096
        Positives of a step.
    user_features, item_features : path or table, optional
        Attributes: CSV, Parquet or Arrow, a pandas, Polars or Arrow table, or a dict of columns, with a column of ids,
        ``id`` or the first. Strings, integers, bools and lists of them are categories, floats and dates are numbers.
        A vector then is that of the id, plus the mean of those of its values, plus each number times one; new ids get
        theirs by `Model.encode_users` and `Model.encode_items`.
    history : bool or int, default False
        Add to the vector of a user those of the items that it took, which are learnt for this alone, divided by the
        root of their number. The latest 100, or as many as said. A positive is left out of its own history.
    id_dropout : float, optional
        With attributes or `history`, the share of ids in whose place a common vector is trained, which serves ids
        without data; by default 0.1.
    hidden : int, default 0
        With attributes or `history`, units of a hidden layer on top of them, at most 4096, rounded up to a multiple of
        16: x + W2 relu(W1 x + b1) + b2 in the place of a composed vector x, for users and items apart.

    Returns
    -------
    Model
        With `history` and, under `validation`, ``metrics["validation_rmse"]``, ``"validation_ndcg@20"`` for ranking
        losses, or ``"validation_loss"`` for others not of ratings. Ctrl-C ends the training with the model of the last
        whole epoch, under `validation` of the best one (`Model.interrupted`), or goes through if there is none.

    Raises
    ------
    ValueError, TypeError
        An argument is out of range, or the data is empty, not finite, or of a wrong type.
    DivergenceError
        The loss is not finite, at half the step neither.

    Notes
    -----
    Row-wise AdaGrad over blocks follows LIBMF [1]_; the objective with biases is that of [2]_.

    .. [1] Chin, Zhuang, Juan, Lin: "A learning-rate schedule for stochastic gradient methods to matrix factorization",
       PAKDD 2015.
    .. [2] Koren, Bell, Volinsky: "Matrix factorization techniques for recommender systems", Computer 42(8), 2009.

    Examples
    --------
    >>> import mcfast
    >>> model = mcfast.fit((["ann", "ann", "bob"], ["tea", "jam", "tea"], [5, 3, 4]), factors=2, epochs=5)
    >>> model.recommend("bob", k=1).ids
    array(['jam'], dtype=object)
    """
    given = dict(locals())
    if init is not None and not isinstance(init, Model):
        raise TypeError(checks.message("init", type(init).__name__, "a Model"))
    if factors is None:
        factors = 64 if init is None else init.factors
    if callback is not None and not callable(callback):
        raise TypeError(checks.message("callback", callback, "a function of an Epoch"))
    settings = Settings(
        factors=checks.integer(factors, "factors", 1, 1024),
        epochs=checks.integer(epochs, "epochs", 1, 100_000),
        regularization=checks.real(regularization, "regularization", 0),
        user_regularization=_strength(user_regularization, "user_regularization", regularization),
        item_regularization=_strength(item_regularization, "item_regularization", regularization),
        bias_regularization=_strength(bias_regularization, "bias_regularization", regularization),
        l1_regularization=checks.real(l1_regularization, "l1_regularization", 0),
        regularize=checks.choice(regularize, "regularize", ("rating", "row")),
        nonnegative=checks.flag(nonnegative, "nonnegative"),
        learning_rate=checks.real(learning_rate, "learning_rate", 0, above=True),
        biases=checks.flag(biases, "biases"),
        loss=checks.choice(loss, "loss", dict.fromkeys([*_core.losses, *_core.ranking_losses])),
        patience=None if patience is None else checks.integer(patience, "patience", 1),
        blocks=None if blocks is None else _blocks(blocks),
        seed=checks.integer(seed, "seed", 0, 2**64 - 1),
        threads=checks.thread_count(threads),
        progress=progress,
        callback=callback,
    )
    refit = checks.flag(refit, "refit")
    checks.choice(seen, "seen", ("all", "positive"))
    if init is not None and init.factors != settings.factors:
        raise ValueError(checks.message("factors", str(settings.factors), f"{init.factors}, as in init"))

    options = {name: given[name] for name in RANKING}
    hard_pairs, tables = options.pop("hard_negatives"), (options.pop("user_features"), options.pop("item_features"))
    described = any(table is not None for table in tables)
    ranking = None
    if is_ranking(loss, negatives):
        refuse({name: given[name] for name in RATING}, DEFAULTS, f"ranking loss {loss!r}")
        ranking = ranking_options(loss, hard_given=hard_pairs is not None, described=described, **options)
        if init is not None and (described or ranking.history):
            raise ValueError(checks.message("init", "a model", "none with user_features, item_features or history"))
    else:
        refuse({name: given[name] for name in RANKING}, DEFAULTS, f"loss {loss!r}")

    # Where nothing else looks at the triples before the trainer does, it finds pairs that occur twice by the way.
    known = clip is not False or any(given is not None for given in (weights, validation, init, ranking))
    data = as_triples(triples, threads=settings.threads, duplicates="last" if known else None)
    data = data if weights is None else data.with_weights(weights)
    check = partial(check_scores, loss=settings.loss) if ranking is None else partial(positives, ranking=ranking)
    check(data, "scores")
    scale = Scale() if ranking is not None else Scale(LINK_OF[_core.losses[loss]], clip_bounds(clip, data, loss))
    if init is not None:
        data = over(init.users, init.items, data)
    train, held_out, data = split(data, validation, check, seed=settings.seed, threads=settings.threads)
    sides: Sides = (None, None)
    learn: Learn = partial(train_ratings, clip=scale.clip, distinct=known or isinstance(triples, Triples))
    if ranking is not None:
        tell_of_exposed(data, ranking)
        sides = sides_of(*tables, data, ranking)
        learn = partial(train_ranking, ranking=ranking, hard=hard_rows(hard_pairs, data), sides=sides)
    outcome, trainer = learn(train, held_out, settings, settings.epochs, init)
    records, metrics = outcome.history, {}
    if held_out is not None:
        validated = [epoch.validation for epoch in records if epoch.validation is not None]
        if ranking is not None:
            metrics["validation_ndcg@20"] = max(validated)
        else:
            metrics[validation_name(settings.loss)] = min(validated)
        if refit and not outcome.interrupted:
            outcome, trainer = _refit(data, settings, outcome, trainer, init, learn)
    mean = trainer.mean if isinstance(trainer, _core.Trainer) else 0.0
    kept = _parameters(settings, scale, ranking, trainer)
    del trainer  # its memory, before more is needed
    return Model(
        users=data.user_ids,
        items=data.item_ids,
        factors=settings.factors,
        **outcome.learnt.rows(),
        **({} if ranking is None else encoders(sides, outcome.learnt, ranking, data.n_items)),
        mean=mean,
        scale=scale,
        seen=seen_pairs(data, init, positive=seen == "positive", threads=settings.threads),
        parameters={
            **kept,
            "validation": float(validation)
            if isinstance(validation, Real)
            else None
            if validation is None
            else "given",
            "duplicates": data.n_duplicates + outcome.n_duplicates,
            "refit": refit,
            "seen": seen,
            "epochs_run": len(outcome.history),
            "interrupted": outcome.interrupted,
        },
        history=[asdict(epoch) for epoch in records],
        metrics=metrics,
        predicts_scores=ranking is None and _core.losses[loss] != "signs",
    )


DEFAULTS = {name: parameter.default for name, parameter in inspect.signature(fit).parameters.items()}
# Arguments of one kind of loss alone.
RATING = ("bias_regularization", "l1_regularization", "regularize", "nonnegative", "weights", "clip", "blocks")
RANKING = tuple(DEFAULTS)[tuple(DEFAULTS).index("similarity") :]


def validation_name(loss: str) -> str:
    """Return what the error on a validation part is called among the metrics of a model."""
    return "validation_rmse" if _core.losses[loss] == "ratings" else "validation_loss"


def _parameters(settings: Settings, scale: Scale, ranking: Ranking | None, trainer: Trainer) -> dict[str, Any]:
    """Return what a model keeps of the arguments."""
    kept = {k: v for k, v in vars(settings).items() if k not in ("threads", "progress", "callback")}
    if isinstance(trainer, _core.Trainer):
        return kept | {"blocks": list(trainer.blocks), "clip": scale.fields()["clip"]}
    assert ranking is not None
    kept = {k: v for k, v in kept.items() if k not in (*RATING, "biases")}
    return kept | parameters(ranking, trainer)


def _blocks(value: Any) -> tuple[int, int]:
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise TypeError(checks.message("blocks", value, "(user stripes, item stripes)"))
    return checks.integer(value[0], "blocks[0]", 1, 1 << 20), checks.integer(value[1], "blocks[1]", 1, 1 << 20)


def _strength(value: float | None, name: str, default: float) -> float:
    return default if value is None else checks.real(value, name, 0)


def _refit(
    data: Triples, settings: Settings, search: Outcome, searched: Trainer, init: Model | None, learn: Learn
) -> tuple[Outcome, Trainer]:
    """Train anew on everything, for as many epochs as were best; Ctrl-C leaves what the search has found."""
    try:
        outcome, trainer = learn(data, None, replace(settings, callback=None), search.best, init)
    except KeyboardInterrupt:
        return replace(search, interrupted=True), searched
    return (replace(search, interrupted=True), searched) if outcome.interrupted else (outcome, trainer)
