"""`fit`: the same bits everywhere, planted truths found, and every refusal in plain words."""

import os
import pickle
import signal
import threading

import numpy as np
import pytest

import mcfast
from mcfast import _core, epochs
from mcfast.data.triples import Triples
from processes import finish, start


def planted(n_users=300, n_items=200, n=12_000, rank=3, noise=0.1, seed=0, biases=True):
    """Return (users, items, scores) of a rank-`rank` matrix with noise."""
    rng = np.random.default_rng(seed)
    pairs = rng.permutation(n_users * n_items)[:n]
    users, items = pairs // n_items, pairs % n_items
    a, b = rng.standard_normal((n_users, rank)), rng.standard_normal((n_items, rank))
    scores = np.einsum("nk,nk->n", a[users], b[items]) + noise * rng.standard_normal(n)
    if biases:
        scores += 3.5 + rng.standard_normal(n_users)[users] + rng.standard_normal(n_items)[items]
    return users, items, scores.astype(np.float32)


def same_bits(one, other):
    for name in ("user_factors", "item_factors", "user_biases", "item_biases"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert [e["loss"] for e in one.history] == [e["loss"] for e in other.history]


@pytest.mark.parametrize("isa", _core.build_info()["isa_available"])
@pytest.mark.parametrize("options", [{}, {"biases": False}, {"validation": 0.2}, {"blocks": (9, 5)}, {"factors": 130}])
def test_same_bits_for_any_number_of_threads(isa, options):
    chosen = _core.build_info()["isa"]
    _core.set_isa(isa)
    try:
        # More than 16 blocks of 8,000 triples, so that threads have something to share.
        data = planted(2000, 1500, 150_000)
        options = {"factors": 20, "epochs": 3, "seed": 5, **options}
        one = mcfast.fit(data, threads=1, **options)
        for threads in (1, 2, 3, 7):
            same_bits(one, mcfast.fit(data, threads=threads, **options))
    finally:
        _core.set_isa(chosen)


def test_seed_and_blocks_change_the_bits():
    data = planted()
    one = mcfast.fit(data, factors=4, epochs=2)
    for other in (mcfast.fit(data, factors=4, epochs=2, seed=1), mcfast.fit(data, factors=4, epochs=2, blocks=(3, 2))):
        assert not np.array_equal(one.user_factors, other.user_factors)
    assert mcfast.fit(data, factors=4, epochs=2, blocks=(3, 2)).parameters["blocks"] == [3, 2]


def test_a_planted_matrix_is_found():
    users, items, scores = planted()
    train, test = slice(0, 11_000), slice(11_000, None)
    model = mcfast.fit((users[train], items[train], scores[train]), factors=3, epochs=60, regularization=0.002)
    error = model.predict(users[test], items[test]) - scores[test]
    assert np.sqrt(np.mean(error**2)) < 0.2  # the noise is 0.1, the scores' own deviation 2.2


def test_plain_matrix_completion_has_no_mean_and_no_biases():
    users, items, scores = planted(biases=False, noise=0)
    model = mcfast.fit((users, items, scores), factors=3, epochs=200, regularization=0, biases=False)
    assert model.mean == 0
    assert not model.user_biases.any()
    assert not model.item_biases.any()
    error = model.predict(users, items) - scores
    assert np.sqrt(np.mean(error**2)) < 0.02


def test_history_and_parameters():
    seen = []
    model = mcfast.fit(planted(), factors=8, epochs=4, callback=seen.append)
    assert [epoch.number for epoch in seen] == [1, 2, 3, 4]
    assert [vars(epoch) for epoch in seen] == model.history
    losses = [epoch.loss for epoch in seen]
    assert losses == sorted(losses, reverse=True)
    assert all(epoch.validation is None and epoch.seconds > 0 for epoch in seen)
    rates = [epoch.learning_rate for epoch in seen]
    np.testing.assert_allclose(rates, [0.1, 0.075, 0.05, 0.025])
    assert model.parameters["factors"] == 8
    assert model.parameters["epochs_run"] == 4


def test_loss_is_half_the_squared_error_before_each_step():
    users, items, scores = np.array([0, 1]), np.array([0, 1]), np.array([1.0, 4.0])
    model = mcfast.fit((users, items, scores), factors=1, epochs=1, learning_rate=1e-12)
    errors = model.predict(users, items) - scores
    assert model.history[0]["loss"] == pytest.approx(np.mean(errors**2) / 2, rel=1e-4)


def test_validation_finds_the_best_epoch_and_refits_on_everything():
    data = planted(noise=1.0)
    options = {"factors": 16, "epochs": 40, "regularization": 0.001, "learning_rate": 0.3, "seed": 3}
    kept = mcfast.fit(data, validation=0.2, refit=False, **options)
    errors = [epoch["validation"] for epoch in kept.history]
    best = int(np.argmin(errors)) + 1
    assert best < len(errors) == best + 3  # overfits, and patience ends it
    assert kept.metrics["validation_rmse"] == min(errors)

    _, held_out = mcfast.Triples.from_arrays(*data).split_random(0.2, seed=3)
    rows = mcfast.evaluate(kept, held_out)
    assert rows["rmse"] == pytest.approx(min(errors), rel=1e-5)

    refitted = mcfast.fit(data, validation=0.2, **options)
    assert refitted.parameters["epochs_run"] == best
    again = []
    mcfast.fit(data, **options, callback=lambda epoch: again.append(epoch) or epoch.number == best)
    assert len(again) == best
    assert len(refitted.seen) == len(kept.seen) == len(data[0])
    assert len(mcfast.fit(data, validation=0.2, refit=False, patience=None, **options).history) == 40


def test_validation_data_of_its_own_may_hold_new_ids():
    users, items, scores = planted()
    held_out = (np.arange(len(users)) % 10 == 0) | (users >= 295)
    train, given = ((users[x], items[x], scores[x]) for x in (~held_out, held_out))
    model = mcfast.fit(train, validation=given, factors=3, epochs=60, regularization=0.002)
    assert model.n_users == 300
    assert len(model.seen) == len(users)
    assert model.parameters["validation"] == "given"
    assert np.sqrt(np.mean((model.predict(*given[:2]) - given[2]) ** 2)) < 0.2  # the refit has met them


def test_rows_without_a_triple_stay_at_the_mean():
    users, items, scores = planted()
    given = (["newcomer"], ["novelty"], [3.0])
    train = (users.astype(str), items.astype(str), scores)
    model = mcfast.fit(train, validation=given, refit=False, factors=3, epochs=2)
    assert not model.user_factors[300].any()
    assert not model.item_factors[200].any()
    assert model.predict("newcomer", "novelty")[0] == np.float32(model.mean)


def test_init_keeps_rows_and_adds_new_ids():
    users, items, scores = planted(noise=0)
    old = users < 250
    first = mcfast.fit((users[old], items[old], scores[old]), factors=3, epochs=40, regularization=0.001)
    second = mcfast.fit((users[~old], items[~old], scores[~old]), init=first, factors=3, epochs=1, learning_rate=1e-9)
    assert second.users.values[:250].tolist() == first.users.values.tolist()
    assert second.n_users == 300
    assert len(second.seen) == len(users)
    # Hardly a step was made: old users are predicted as before.
    np.testing.assert_allclose(
        second.predict(users[old], items[old]), first.predict(users[old], items[old]), rtol=1e-3, atol=2e-3
    )
    # A longer run learns the new users.
    third = mcfast.fit((users[~old], items[~old], scores[~old]), init=first, factors=3, epochs=40, regularization=0.001)
    error = third.predict(users[~old], items[~old]) - scores[~old]
    assert np.sqrt(np.mean(error**2)) < 0.2


def test_seen_can_be_narrowed_to_positive_scores():
    data = (["a", "a", "b"], ["x", "y", "x"], [0, 1, 0])
    assert len(mcfast.fit(data, factors=1, epochs=1).seen) == 3
    positive = mcfast.fit(data, factors=1, epochs=1, seen="positive")
    assert positive.seen.pairs()[1].tolist() == [1]


def test_callback_stops_the_training():
    model = mcfast.fit(planted(), factors=2, epochs=50, callback=lambda epoch: epoch.number == 3)
    assert len(model.history) == 3


def test_scores_of_any_scale_are_learnt_alike():
    users, items, scores = planted()
    one = mcfast.fit((users, items, scores), factors=4, epochs=10)
    other = mcfast.fit((users, items, scores * 1024), factors=4, epochs=10)
    np.testing.assert_allclose(other.predict(users, items), 1024 * one.predict(users, items), rtol=1e-3, atol=1)


@pytest.mark.parametrize("scores", [[3.0] * 12, [0.0] * 12, [-2.0] * 12])
@pytest.mark.parametrize("biases", [True, False])
def test_constant_scores(scores, biases):
    users, items = np.divmod(np.arange(12), 4)
    model = mcfast.fit((users, items, scores), factors=2, epochs=50, regularization=0, biases=biases)
    np.testing.assert_allclose(model.predict(users, items), scores, atol=0.05)


def test_one_triple_is_enough():
    model = mcfast.fit((["u"], ["i"], [4.0]), factors=1, epochs=1)
    assert model.predict("u", "i")[0] == pytest.approx(4, abs=0.02)


def test_divergence_goes_back_and_halves_the_step():
    data = planted(50, 40, 1000)

    def final_rate(learning_rate):
        model = mcfast.fit(data, factors=4, epochs=1, learning_rate=learning_rate)
        assert np.isfinite(model.predict_block(range(50), range(40))).all()
        return model.history[0]["learning_rate"]

    # The largest step that stays finite, by bisection; up to twice that is halved.
    low, high = 0.01, 1e30
    while high / low > 1.01:
        middle = (low * high) ** 0.5
        try:
            low, high = (middle, high) if final_rate(middle) == middle else (low, middle)
        except mcfast.DivergenceError:
            high = middle
    assert final_rate(low) == low
    assert final_rate(1.5 * low) == 0.75 * low
    with pytest.raises(mcfast.DivergenceError, match=r"lower learning_rate \(got 1e\+30\) or raise regularization"):
        final_rate(1e30)


def test_ctrl_c_gives_the_last_whole_epoch():
    data = planted(2000, 1500, 400_000)
    whole = []

    def interrupt_later(epoch):
        whole.append(epoch)
        if epoch.number == 2:
            threading.Timer(0.15, os.kill, (os.getpid(), signal.SIGINT)).start()

    with pytest.warns(RuntimeWarning, match="interrupted: the model is that of epoch"):
        model = mcfast.fit(data, factors=128, epochs=100_000, callback=interrupt_later, threads=2)
    assert model.interrupted
    assert len(model.history) == len(whole)
    again = mcfast.fit(data, factors=128, epochs=100_000, callback=lambda e: e.number == len(whole), threads=1)
    same_bits(model, again)


def test_ctrl_c_in_the_refit_leaves_what_the_search_has_found(monkeypatch):
    data = planted(noise=1.0)
    options = {"factors": 16, "epochs": 10, "validation": 0.2, "seed": 3}
    searched = mcfast.fit(data, refit=False, **options)
    runs = []

    def run(*arguments):
        runs.append(arguments)
        if len(runs) == 2:
            raise KeyboardInterrupt
        return epochs.run(*arguments)

    monkeypatch.setattr("mcfast.rating_training.run", run)
    model = mcfast.fit(data, **options)
    assert model.interrupted
    same_bits(model, searched)


class InterruptingBar:
    """A progress bar at which Ctrl-C is pressed as soon as it moves."""

    n = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def update(self, _):
        os.kill(os.getpid(), signal.SIGINT)


def test_ctrl_c_in_the_first_epoch_goes_through(monkeypatch):
    monkeypatch.setattr("mcfast.epochs.bar", lambda *_, **__: InterruptingBar())
    with pytest.raises(KeyboardInterrupt):
        mcfast.fit(planted(2000, 1500, 400_000), factors=512, epochs=100)


def test_progress_bar_only_when_asked(capfd):
    mcfast.fit(planted(), factors=2, epochs=2)
    assert capfd.readouterr().err == ""
    mcfast.fit(planted(), factors=2, epochs=2, progress=True)
    assert "24.0k/24.0k" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"factors": 0}, r"factors: got 0, expected an integer in 1\.\.1024"),
        ({"factors": 1025}, r"factors: got 1025, expected an integer in 1\.\.1024"),
        ({"factors": 8.0}, r"factors: got 8\.0 \(float\), expected an integer"),
        ({"epochs": 0}, "epochs: got 0"),
        ({"regularization": -0.1}, "regularization: got -0.1, expected a finite number >= 0"),
        ({"regularization": float("nan")}, "regularization: got nan"),
        ({"learning_rate": 0}, "learning_rate: got 0.0, expected a finite number > 0"),
        ({"loss": "cubic"}, "loss: got 'cubic', expected one of 'squared', 'absolute', 'huber'"),
        ({"validation": 1.5}, "validation: got 1.5, expected a finite number > 0 and <= 1"),
        ({"validation": 1e-9}, "validation: got 1e-09 of 12000 triples, expected a fraction that leaves"),
        ({"seed": -1}, "seed: got -1"),
        ({"threads": 0}, "threads: got 0"),
        ({"blocks": 5}, r"blocks: got 5 \(int\), expected \(user stripes, item stripes\)"),
        ({"blocks": (0, 1)}, r"blocks\[0\]: got 0"),
        ({"patience": 0}, "patience: got 0"),
        ({"seen": "some"}, "seen: got 'some', expected one of 'all', 'positive'"),
        ({"init": "model"}, "init: got str, expected a Model"),
        ({"callback": 5}, r"callback: got 5 \(int\), expected a function of an Epoch"),
        ({"validation": mcfast.Triples.from_arrays([1], [1], [1]).select([])}, "validation: got no rows"),
        ({"biases": 1}, r"biases: got 1 \(int\), expected True or False"),
    ],
)
def test_fit_refuses(options, words):
    with pytest.raises((ValueError, TypeError), match=words):
        mcfast.fit(planted(), **options)


def test_init_gives_the_number_of_factors():
    model = mcfast.fit(planted(), factors=3, epochs=1)
    assert mcfast.fit(planted(), init=model, epochs=1).factors == 3


def test_repeated_pairs_are_reported():
    assert mcfast.fit(([1, 1, 2], [1, 1, 1], [1, 2, 3]), factors=1, epochs=1).parameters["duplicates"] == 1


def test_fit_refuses_init_of_other_factors():
    model = mcfast.fit(planted(), factors=2, epochs=1)
    with pytest.raises(ValueError, match="factors: got 3, expected 2, as in init"):
        mcfast.fit(planted(), factors=3, init=model)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (([1, 2], [1, 2], [1.0, float("nan")]), "score"),
        (([1, 2], [1, 2], [1.0, float("inf")]), "score"),
        (([], [], []), "row|triple"),
        (([1, 2], [1], [1.0, 2.0]), "2.*1"),
        (([1.5, 2], [1, 2], [1.0, 2.0]), "user"),
        (mcfast.Triples.from_arrays([1, 2], [1, 2], [1, 2]).select([]), "triples: got no rows, expected at least one"),
        (np.array([[2**24 + 1, 1, 1]], np.float32), r"users.*below 16777216 as float32"),
        ("no-such-file.csv", "no-such-file.csv"),
    ],
)
def test_fit_refuses_data(data, words):
    with pytest.raises((ValueError, TypeError, OSError), match=words):
        mcfast.fit(data)


def test_repeated_pairs_are_found_on_the_way() -> None:
    rng = np.random.default_rng(0)
    users, items = rng.integers(0, 40, 900).astype(np.int32), rng.integers(0, 30, 900).astype(np.int32)
    scores = rng.normal(size=900).astype(np.float32)
    known = Triples.from_arrays(users, items, scores)
    assert known.n_duplicates > 0
    first = mcfast.fit((users, items, scores), factors=8, epochs=2)
    second = mcfast.fit(known, factors=8, epochs=2)
    assert first.parameters["duplicates"] == second.parameters["duplicates"] == known.n_duplicates
    for name in ("user_factors", "item_factors", "user_biases", "item_biases"):
        assert np.array_equal(getattr(first, name), getattr(second, name))


def test_what_was_seen_is_collected_late() -> None:
    model = mcfast.fit(([1, 1, 2, 2], [5, 4, 5, 6], [1.0, 2.0, 3.0, 4.0]), factors=2, epochs=1)
    again = pickle.loads(pickle.dumps(model.seen))
    for seen in (model.seen, again):
        assert seen.indptr.tolist() == [0, 2, 4]
        assert seen.rows.tolist() == [0, 1, 0, 2]


MEMORY = """
import re
from pathlib import Path
import mcfast

def status(key):
    return 1024 * int(re.search(rf"{key}:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

mcfast.fit((np.arange(9) % 3, np.arange(9), np.ones(9)), epochs=1)  # what is loaded for the first fit
random = np.random.default_rng(0)
n = int(args[0])
order = random.permutation(n)
users = order % 10_000
triples = users, (order // 10_000 * 37 + users) % 10_000, random.random(n, np.float32)  # no pair twice
before = status("VmRSS")
Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here
model = mcfast.fit(triples, factors=64, epochs=2, threads=2, progress=False)
factors = 4 * 64 * (model.n_users + model.n_items)
print(status("VmHWM") - before - 2 * factors)
"""


def test_peak_memory_is_20_bytes_a_triple_beside_twice_the_factors():
    few, many = (int(finish(start(MEMORY, n))) for n in (1_000_000, 3_000_000))  # both load what any fit needs
    assert (many - few) / 2_000_000 < 20
