"""`fit`: from observed scores to a model."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from numbers import Real
from typing import Any

import numpy as np
import numpy.typing as npt

from . import _core, checks
from .data.ids import Ids
from .data.triples import Triples, as_triples
from .epochs import Epoch, Outcome, Settings, export, run
from .model import Model
from .scale import LINK_OF, Scale, bounds
from .seen import Seen


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
    weights : array_like, optional
        Of shape (n,): finite numbers > 0, in the order of the triples, by which their losses are multiplied. Best
        around 1, since they lengthen the steps. No pair may have been merged, or give a `Triples` (whose `with_weights`
        does the same). Validation is not weighted.
    clip : bool or (low, high), default False
        Bounds of what the model will predict: those given, or with True those of the scores in the data. Training and
        the order of recommendations do not change; errors, in `validation` too, are those of clipped predictions.
    validation : float, Triples or like `triples`, optional
        A fraction in (0, 1) drawn by `seed`, or data of its own. The best epoch is found on it: by RMSE for
        squared, absolute and huber loss, else by the mean loss.
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

    Returns
    -------
    Model
        With `history` and, under `validation`, ``metrics["validation_rmse"]``, or ``"validation_loss"`` where the
        scores are not ratings. Ctrl-C ends the training with the model of the last whole epoch, under `validation` of
        the best one (`Model.interrupted`), or goes through if there is none.

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
        loss=checks.choice(loss, "loss", _core.losses),
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

    data = as_triples(triples, threads=settings.threads)
    data = data if weights is None else data.with_weights(weights)
    _check_scores(data, settings.loss, "scores")
    scale = Scale(LINK_OF[_core.losses[settings.loss]], _bounds(clip, data, settings.loss))
    if init is not None:
        data = _over(init.users, init.items, data)
    train, held_out, data = _split(data, validation, settings)
    outcome, trainer = _train(train, held_out, settings, settings.epochs, init, scale.clip)
    history, metrics = outcome.history, {}
    if held_out is not None:
        errors = [epoch.validation for epoch in history if epoch.validation is not None]
        metrics[validation_name(settings.loss)] = min(errors)
        if refit and not outcome.interrupted:
            outcome, trainer = _refit(data, settings, outcome, trainer, init)
    mean, stripes = trainer.mean, trainer.blocks
    del trainer  # its memory, before more is needed
    return Model(
        users=data.user_ids,
        items=data.item_ids,
        factors=settings.factors,
        **outcome.learnt._asdict(),
        mean=mean,
        scale=scale,
        predicts_scores=_core.losses[settings.loss] != "signs",
        seen=_seen(data, init, positive=seen == "positive", threads=settings.threads),
        parameters={
            **{k: v for k, v in vars(settings).items() if k not in ("threads", "progress", "callback")},
            "clip": scale.fields()["clip"],
            "validation": float(validation)
            if isinstance(validation, Real)
            else None
            if validation is None
            else "given",
            "duplicates": data.n_duplicates,
            "refit": refit,
            "seen": seen,
            "blocks": list(stripes),
            "epochs_run": len(outcome.history),
            "interrupted": outcome.interrupted,
        },
        history=[asdict(epoch) for epoch in history],
        metrics=metrics,
    )


def validation_name(loss: str) -> str:
    """Return what the error on a validation part is called among the metrics of a model."""
    return "validation_rmse" if _core.losses[loss] == "ratings" else "validation_loss"


def _blocks(value: Any) -> tuple[int, int]:
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise TypeError(checks.message("blocks", value, "(user stripes, item stripes)"))
    return checks.integer(value[0], "blocks[0]", 1, 1 << 20), checks.integer(value[1], "blocks[1]", 1, 1 << 20)


def _bounds(clip: Any, data: Triples, loss: str) -> tuple[float, float] | None:
    """Return the bounds of predictions."""
    if not isinstance(clip, bool | np.bool_):
        return bounds(clip)
    if not clip:
        return None
    scores = _scores(data, loss)
    return float(scores.min()), float(scores.max())


def _strength(value: float | None, name: str, default: float) -> float:
    return default if value is None else checks.real(value, name, 0)


def _check_scores(data: Triples, loss: str, name: str) -> None:
    """Raise unless the loss knows such scores."""
    kind, scores = _core.losses[loss], data.scores
    if kind == "ratings" or not len(data):
        return
    low, high = float(scores.min()), float(scores.max())
    expected, fits = {
        "labels": ("0..1", low >= 0 and high <= 1),
        "counts": ("numbers >= 0", low >= 0),
        "signs": ("-1 and 1, or 0 and 1", bool(np.isin(scores, (0, 1)).all() or np.isin(scores, (-1, 1)).all())),
    }[kind]
    if not fits:
        raise ValueError(checks.message(name, f"{low:g} to {high:g}", f"{expected} with loss={loss!r}"))


def _scores(data: Triples, loss: str) -> npt.NDArray[np.float32]:
    """Return the scores as the core wants them: labels 0 and 1 of a loss of signs become -1 and 1."""
    return np.where(data.scores > 0, np.float32(1), np.float32(-1)) if _core.losses[loss] == "signs" else data.scores


def _over(users: Ids, items: Ids, data: Triples) -> Triples:
    """Return the triples over given vocabularies, to which their own new ids are added."""
    user_ids, user_rows = users.union(data.user_ids)
    item_ids, item_rows = items.union(data.item_ids)
    return replace(data, users=user_rows[data.users], items=item_rows[data.items], user_ids=user_ids, item_ids=item_ids)


def _split(data: Triples, validation: Any, settings: Settings) -> tuple[Triples, Triples | None, Triples]:
    """Return what to train on, what to validate on, and both together; all over one vocabulary."""
    if validation is None:
        return data, None, data
    if isinstance(validation, Real):
        fraction = checks.real(validation, "validation", 0, 1, above=True)
        train, held_out = data.split_random(fraction, seed=settings.seed)
        if not len(train) or not len(held_out):
            got = f"{fraction:g} of {len(data)} triples"
            raise ValueError(checks.message("validation", got, "a fraction that leaves triples on both sides"))
        return train, held_out, data
    given = as_triples(validation, threads=settings.threads, name="validation")
    _check_scores(given, settings.loss, "validation scores")
    held_out = _over(data.user_ids, data.item_ids, given)
    # A union keeps the rows of its first side.
    train = replace(data, times=None, user_ids=held_out.user_ids, item_ids=held_out.item_ids)
    both = replace(
        train,
        users=np.concatenate([train.users, held_out.users]),
        items=np.concatenate([train.items, held_out.items]),
        scores=np.concatenate([train.scores, held_out.scores]),
        weights=None if train.weights is None else np.concatenate([train.weights, np.ones(len(held_out), np.float32)]),
    )
    return train, held_out, both


def _train(
    data: Triples,
    held_out: Triples | None,
    settings: Settings,
    epochs: int,
    init: Model | None,
    clip: tuple[float, float] | None = None,
) -> tuple[Outcome, _core.Trainer]:
    """Run up to `epochs` of the `settings.epochs` epochs that the step is laid out for."""
    trainer = _core.Trainer(
        data.users,
        data.items,
        _scores(data, settings.loss),
        data.weights,
        data.n_users,
        data.n_items,
        settings.factors,
        settings.biases,
        settings.loss,
        (settings.user_regularization, settings.item_regularization, settings.bias_regularization),
        (settings.l1_regularization, settings.l1_regularization),
        settings.regularize == "row",
        settings.nonnegative,
        settings.seed,
        settings.blocks or (0, 0),
        settings.threads,
    )
    if init is not None:
        # The old biases stand on the old mean.
        user_biases = init.user_biases + np.float32(init.mean - trainer.mean) if settings.biases else None
        item_biases = init.item_biases if settings.biases else None
        trainer.import_users(np.arange(init.n_users, dtype=np.int32), init.user_rows, user_biases)
        trainer.import_items(np.arange(init.n_items, dtype=np.int32), init.item_rows, item_biases)

    def validation_error(part: Triples) -> float:
        scores = _scores(part, settings.loss)
        if _core.losses[settings.loss] != "ratings":
            return trainer.loss(part.users, part.items, scores, settings.threads) / len(part)
        if clip is None:
            return math.sqrt(trainer.squared_error(part.users, part.items, scores, settings.threads) / len(part))
        users, items, user_biases, item_biases = export(trainer, settings.threads)
        offsets = trainer.mean + user_biases.astype(np.float64)
        sums = _core.predict_pairs(users, items, offsets, item_biases, part.users, part.items, settings.threads)
        return float(np.sqrt(np.mean((np.clip(sums, *clip).astype(np.float64) - scores) ** 2)))

    validate = None if held_out is None else partial(validation_error, held_out)
    return run(trainer, len(data), validate, settings, epochs), trainer


def _refit(
    data: Triples, settings: Settings, search: Outcome, searched: _core.Trainer, init: Model | None
) -> tuple[Outcome, _core.Trainer]:
    """Train anew on everything, for as many epochs as were best; Ctrl-C leaves what the search has found."""
    try:
        outcome, trainer = _train(data, None, replace(settings, callback=None), search.best, init)
    except KeyboardInterrupt:
        return replace(search, interrupted=True), searched
    return (replace(search, interrupted=True), searched) if outcome.interrupted else (outcome, trainer)


def _seen(data: Triples, init: Model | None, *, positive: bool, threads: int) -> Seen:
    users, items = data.users, data.items
    if positive:
        users, items = users[data.scores > 0], items[data.scores > 0]
    if init is not None:
        old_users, old_items = init.seen.pairs()
        users, items = np.concatenate([old_users, users]), np.concatenate([old_items, items])
    return Seen.of(users, items, data.n_users, threads)
