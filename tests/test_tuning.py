"""`tune`: the same bits under a budget of trials, in time under one of seconds, better settings than the defaults."""

import functools
import itertools
import json
import math
import os
import signal
from types import SimpleNamespace

import numpy as np
import pytest

import mcfast
from mcfast import cli, tuning
from mcfast.halving import FIRST, RANGES, proposals

DEFAULTS = {"factors": 64, "regularization": 0.05, "learning_rate": 0.1, "epochs": 20}


def planted(n_users=300, n_items=200, n=12_000, rank=3, noise=0.3, seed=0):
    """Return (users, items, scores) of a rank-`rank` matrix with biases and noise."""
    rng = np.random.default_rng(seed)
    users, items = np.divmod(rng.permutation(n_users * n_items)[:n], n_items)
    a, b = rng.standard_normal((n_users, rank)), rng.standard_normal((n_items, rank))
    scores = 3.5 + rng.standard_normal(n_users)[users] + rng.standard_normal(n_items)[items]
    scores += np.einsum("nk,nk->n", a[users], b[items]) + noise * rng.standard_normal(n)
    return users, items, scores.astype(np.float32)


def search(error, n=10_000, fixed=None, max_factors=512, seed=0):
    """Return the trials of a search over a function of settings, up to `n`."""
    trials = []
    for settings in proposals(trials, DEFAULTS, fixed or {}, max_factors, seed):
        trials.append(tuning.Trial(len(trials) + 1, settings, error(settings), 0.0))
        if len(trials) == n:
            break
    return trials


def valley(settings):
    """An error whose lowest place is a narrow valley, beside the middle of the ranges, deeper with more factors."""
    x, y, z = (math.log(settings[name] / best) for name, best in zip(RANGES, (0.01, 0.05, 9), strict=True))
    return 0.8 + 0.2 * (y + z - x) ** 2 + 0.01 * (x * x + y * y + z * z) + 0.1 / settings["factors"]


@pytest.mark.parametrize("seed", range(5))
def test_the_search_finds_the_floor_of_a_valley_and_ends(seed):
    trials = search(valley, seed=seed)
    best = min(trials, key=lambda trial: trial.error)
    assert len(trials) < 3000
    assert best.settings["factors"] == 512
    assert best.error < 0.8 + 0.1 / 512 + 0.0005


def test_the_better_half_goes_on_with_twice_the_factors():
    trials = search(valley, n=1 + 16 + 8 + 4 + 2 + 1)
    assert trials[0].settings == DEFAULTS
    sizes = [16, 8, 4, 2, 1]
    rungs = [trials[1 + sum(sizes[:i]) :][:size] for i, size in enumerate(sizes)]
    for i, rung in enumerate(rungs):
        assert {trial.settings["factors"] for trial in rung} == {16 * 2**i}
    for rung, following in itertools.pairwise(rungs):
        better = sorted(rung, key=lambda trial: trial.error)[: len(rung) // 2]
        for one, next_one in zip(better, following, strict=True):
            assert next_one.settings == {**one.settings, "factors": 2 * one.settings["factors"]}


def test_the_first_candidates_lie_in_all_parts_of_the_ranges():
    rung = [trial.settings for trial in search(valley, n=1 + FIRST)[1:]]
    for name in ("regularization", "learning_rate"):
        low, high = RANGES[name]
        places = np.log(np.array([settings[name] for settings in rung]) / low) / math.log(high / low)
        np.testing.assert_allclose(np.sort(places), (np.arange(FIRST) + 0.5) / FIRST, atol=0.5 / FIRST + 1e-3)


@pytest.mark.parametrize(
    ("fixed", "n"),
    [
        ({"factors": 24}, None),
        ({"regularization": 0.0}, None),
        ({"epochs": 7, "learning_rate": 0.1}, None),
        ({name: DEFAULTS[name] for name in RANGES}, 1 + 6),  # 16, 32, ..., 512
        (DEFAULTS, 1),
    ],
)
def test_what_is_fixed_is_not_searched(fixed, n):
    trials = search(lambda settings: valley({**settings, "regularization": 0.01}), fixed=fixed)
    assert all(trial.settings.items() >= fixed.items() for trial in trials)
    assert n is None or len(trials) == n


@pytest.mark.parametrize("max_factors", [1, 8, 100])
def test_factors_grow_up_to_their_limit(max_factors):
    assert max(trial.settings["factors"] for trial in search(valley, n=100, max_factors=max_factors)) == max_factors


def test_a_search_without_a_finite_error_ends():
    assert len(search(lambda _: math.inf)) < 100


@pytest.mark.parametrize("loss", ["squared", "logistic"])
def test_the_error_has_the_name_of_its_loss(loss):
    users, items, scores = planted(n=3000)
    found = mcfast.tune((users, items, scores > 3), "2 trials", validation=0.2, loss=loss)
    name = {"squared": "validation_rmse", "logistic": "validation_loss"}[loss]
    assert found.model.metrics == {name: found.best.error}


def test_bounds_of_predictions_count_in_the_search():
    found = mcfast.tune(planted(), "2 trials", validation=0.2, clip=(3, 4))
    assert found.best.error > mcfast.tune(planted(), "2 trials", validation=0.2).best.error
    assert found.model.scale.clip == (3, 4)


def test_a_budget_of_trials_gives_the_same_bits():
    one, other = (mcfast.tune(planted(), "20 trials", seed=3, threads=threads) for threads in (1, 2))
    assert len(one.trials) == 20
    for mine, its in zip(one.trials, other.trials, strict=True):
        assert (mine.settings, mine.error) == (its.settings, its.error)
    np.testing.assert_array_equal(one.model.user_factors, other.model.user_factors)
    assert mcfast.tune(planted(), "3 trials", seed=4).trials[1].settings != one.trials[1].settings


def test_the_settings_give_the_model():
    found = mcfast.tune(planted(), "12 trials", seed=3, biases=False)
    again = mcfast.fit(planted(), **found.settings)
    np.testing.assert_array_equal(found.model.item_factors, again.item_factors)
    assert found.settings["biases"] is False
    assert found.model.metrics == {"validation_rmse": found.best.error}
    assert found.best.error == min(trial.error for trial in found.trials)


def test_the_error_of_a_trial_is_that_of_its_last_epoch():
    data = mcfast.Triples.from_arrays(*planted())
    trial = mcfast.tune(data, "1 trial", validation=0.2, seed=3).best
    train, held_out = data.split_random(0.2, seed=3)
    model = mcfast.fit(train, **trial.settings, seed=3)
    assert trial.error == pytest.approx(mcfast.evaluate(model, held_out, k=1)["rmse"], rel=1e-6)


def test_tuned_settings_predict_better_than_the_defaults():
    train, test = mcfast.Triples.from_arrays(*planted()).split_random(0.1)
    found = mcfast.tune(train, "60 trials", validation=0.1)
    defaults = mcfast.evaluate(mcfast.fit(train), test, k=1)["rmse"]
    assert mcfast.evaluate(found.model, test, k=1)["rmse"] < 0.8 * defaults


def test_validation_data_of_its_own_is_trained_on_in_the_end():
    users, items, scores = planted()
    held_out = (np.arange(len(users)) % 10 == 0) | (users >= 295)
    train, given = ((users[x], items[x], scores[x]) for x in (~held_out, held_out))
    found = mcfast.tune(train, "2 trials", validation=given)
    assert found.model.n_users == 300
    assert len(found.model.seen) == len(users)


@pytest.mark.parametrize("budget", [100, 200, 500])
def test_a_budget_of_time_leaves_time_for_the_last_fit(monkeypatch, budget):
    ticks = itertools.count()  # a clock that moves on when it is read, as it is once an epoch
    monkeypatch.setattr("mcfast.tuning.time", SimpleNamespace(perf_counter=lambda: float(next(ticks))))
    found = mcfast.tune(planted(), budget, validation=0.1)
    assert 0.5 * budget < next(ticks) + found.best.seconds / 0.9 <= budget + 4  # ticks around the fits
    assert sum(trial.seconds for trial in found.trials) <= budget


def test_the_least_budget_makes_one_trial():
    assert len(mcfast.tune(planted(), 1e-9).trials) == 1


def test_a_callback_sees_the_trials_and_ends_the_search():
    seen = []
    found = mcfast.tune(planted(), "9 trials", callback=lambda trial: seen.append(trial) or trial.number == 4)
    assert seen == found.trials
    assert len(seen) == 4
    assert not found.interrupted


def interrupt(trial):
    if trial.number == 3:
        os.kill(os.getpid(), signal.SIGINT)


def test_ctrl_c_gives_the_best_so_far():
    with pytest.warns(
        RuntimeWarning, match="interrupted: the model is that of trial [123], fitted to the training part"
    ):
        found = mcfast.tune(planted(), "9 trials", callback=interrupt)
    assert found.interrupted
    assert len(found.trials) == 3
    assert found.model.parameters["factors"] == found.settings["factors"]


def test_ctrl_c_within_a_trial_gives_the_best_so_far(monkeypatch):
    calls = []

    @functools.wraps(mcfast.fit)
    def fit(*arguments, **options):
        calls.append(options)
        if len(calls) == 3:
            options["callback"] = lambda _: os.kill(os.getpid(), signal.SIGINT)
        return mcfast.fit(*arguments, **options)

    monkeypatch.setattr("mcfast.tuning.fit", fit)
    with pytest.warns(RuntimeWarning, match="interrupted"):
        assert len(mcfast.tune(planted(), "9 trials").trials) == 2


def test_ctrl_c_before_a_trial_goes_through(monkeypatch):
    def fit(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("mcfast.tuning.fit", fit)
    with pytest.raises(KeyboardInterrupt):
        mcfast.tune(planted(), "9 trials")


def test_a_diverged_trial_counts_as_the_worst(monkeypatch):
    @functools.wraps(mcfast.fit)
    def fit(*arguments, **options):
        if options["learning_rate"] == 0.1:
            raise mcfast.DivergenceError("diverged")
        return mcfast.fit(*arguments, **options)

    monkeypatch.setattr("mcfast.tuning.fit", fit)
    found = mcfast.tune(planted(), "4 trials")
    assert found.trials[0].error == math.inf
    assert found.best.error < math.inf
    with pytest.raises(mcfast.DivergenceError, match="no trial stayed finite"):
        mcfast.tune(planted(), "4 trials", learning_rate=0.1)


def test_progress_bar_only_when_asked(capfd):
    mcfast.tune(planted(), "2 trials")
    assert capfd.readouterr().err == ""
    mcfast.tune(planted(), "2 trials", progress=True)
    said = capfd.readouterr().err
    assert "2.00/2.00" in said
    assert "validation RMSE" in said


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"budget": "soon"}, 'budget: got \'soon\', expected "90s", "5m", "1h", a number of seconds, or "40 trials"'),
        ({"budget": "1.2.3s"}, "budget: got '1.2.3s'"),
        ({"budget": "0 trials"}, "budget: got 0, expected an integer >= 1"),
        ({"budget": 0}, "budget: got 0.0, expected a finite number > 0"),
        ({"budget": None}, r"budget: got None \(NoneType\)"),
        ({"validation": 1.5}, "validation: got 1.5"),
        ({"validation": 1e-9}, "validation: got 1e-09 of 12000 triples, expected a fraction that leaves"),
        ({"max_factors": 2000}, r"max_factors: got 2000, expected an integer in 1\.\.1024"),
        ({"seed": -1}, "seed: got -1"),
        ({"threads": 0}, "threads: got 0"),
        ({"callback": 5}, r"callback: got 5 \(int\), expected a function of a Trial"),
        (
            {"lamda": 0.1},
            "tune: got an argument lamda, expected an argument of tune, or of fit one of .*regularization",
        ),
        ({"patience": 3}, "tune: got an argument patience"),
        ({"negatives": "uniform"}, "tune: got an argument negatives"),
        ({"loss": "softmax"}, "loss: got 'softmax', expected one of 'squared'"),
        ({"factors": 0}, r"factors: got 0, expected an integer in 1\.\.1024"),
        ({"regularization": -1}, "regularization: got -1"),
    ],
)
def test_tune_refuses(options, words):
    with pytest.raises((ValueError, TypeError), match=words):
        mcfast.tune(planted(), **options)


@pytest.mark.parametrize(
    ("budget", "expected"),
    [
        ("90s", (90, None)),
        ("1.5 m", (90, None)),
        ("2h", (7200, None)),
        ("7", (7, None)),
        (0.5, (0.5, None)),
        ("40 trials", (math.inf, 40)),
        ("1 trial", (math.inf, 1)),
    ],
)
def test_budgets(budget, expected):
    assert tuning._budget(budget) == expected


def test_the_command(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [f"{u},{i},{score}" for u, i, score in zip(*planted(), strict=True)]
    (tmp_path / "train.csv").write_text("\n".join(["user,item,score", *rows]) + "\n")
    arguments = ["tune", "train.csv", "--out", "model", "--budget", "5 trials", "--learning-rate", "0.05"]
    assert cli.main([*arguments, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    found = mcfast.tune(mcfast.read_triples("train.csv"), "5 trials", learning_rate=0.05)
    assert report["settings"] == found.settings
    assert [trial["error"] for trial in report["trials"]] == [trial.error for trial in found.trials]
    np.testing.assert_array_equal(mcfast.load("model").user_factors, found.model.user_factors)

    assert cli.main([*arguments, "--no-biases", "--validation", "train.csv"]) == 0
    out = capsys.readouterr().out
    assert "the best of 5 trials:\ntrial  factors  regularization" in out
    assert not mcfast.load("model").user_biases.any()
