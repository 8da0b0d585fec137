"""The command line: what each command prints, and that an error is one line and an exit code."""

import functools
import inspect
import json
import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest

import mcfast
from mcfast import cli

COMMANDS = [
    "demo",
    "fit",
    "tune",
    "evaluate",
    "recommend",
    "info",
    "publish",
    "recall",
    "serve",
    "rollback",
    "versions",
    "bench-recall",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A training file, a test file, and a model trained by the command."""
    path = tmp_path_factory.mktemp("cli")
    rng = np.random.default_rng(0)
    cells = rng.permutation(30 * 20)[:400]
    lines = [f"{u},i{i},{1 + (u + i) % 5}" for u, i in zip(cells // 20, cells % 20, strict=True)]
    for name, part in (("train.csv", lines[:350]), ("test.csv", lines[350:])):
        (path / name).write_text("\n".join(["userId,movieId,rating", *part]) + "\n")
    assert cli.main(["fit", str(path / "train.csv"), "--out", str(path / "model"), *COLUMNS, "--epochs", "3"]) == 0
    return path


COLUMNS = ["--user", "userId", "--item", "movieId", "--score", "rating"]


@pytest.fixture
def run(folder, run_command, capsys, monkeypatch):
    """Run a command in the folder; return its exit code, and what it printed."""
    monkeypatch.chdir(folder)
    capsys.readouterr()

    return run_command


def process(*arguments, **options):
    return subprocess.run([sys.executable, "-m", "mcfast", *arguments], capture_output=True, text=True, **options)


def test_fit_prints_the_epochs_and_writes_a_model(run, folder):
    code, out, err = run("fit", "train.csv", "--out", "a", *COLUMNS, "--epochs", "2", "--factors", "5", "--no-biases")
    assert (code, err) == (0, "")
    assert "350 scores of 30 users and 20 items" in out
    assert [line.split()[0] for line in out.splitlines()[1:4]] == ["epoch", "1", "2"]
    model = mcfast.load(folder / "a")
    assert (model.factors, model.n_users, model.n_items) == (5, 30, 20)
    assert not model.user_biases.any()


def test_fit_is_the_function_fit(run, folder):
    options = ["--factors", "6", "--epochs", "4", "--seed", "3", "--regularization", "0.2", "--learning-rate", "0.05"]
    code, out, _ = run("fit", "train.csv", "--out", "b", *COLUMNS, *options, "--json")
    triples = mcfast.read_triples(folder / "train.csv", user="userId", item="movieId", score="rating")
    model = mcfast.fit(triples, factors=6, epochs=4, seed=3, regularization=0.2, learning_rate=0.05)
    np.testing.assert_array_equal(mcfast.load(folder / "b").user_factors, model.user_factors)
    report = json.loads(out)
    assert code == 0
    assert report["triples"] == 350
    assert [epoch["loss"] for epoch in report["history"]] == [epoch["loss"] for epoch in model.history]


@pytest.mark.parametrize("validation", ["0.1", "test.csv"])
def test_fit_validates_on_a_fraction_or_a_file(run, validation):
    _, out, _ = run("fit", "train.csv", "--out", "c", *COLUMNS, "--epochs", "3", "--validation", validation, "--json")
    report = json.loads(out)
    assert all(epoch["validation"] > 0 for epoch in report["history"])
    assert report["metrics"]["validation_rmse"] == min(epoch["validation"] for epoch in report["history"])


def test_fit_without_a_header_and_from_a_model(run, folder):
    (folder / "plain.dat").write_text("31::x::5\n31::y::1\n")
    arguments = ["plain.dat", "--out", "d", "--init", "model", "--separator", "::", "--no-header", "--item", "1"]
    assert run("fit", *arguments, "--epochs", "1")[0] == 0
    assert mcfast.load(folder / "d").n_users == 31


def test_fit_scores_a_log(run, folder):
    (folder / "log.csv").write_text("user,item,action\n1,a,exposure\n1,a,click\n1,b,exposure\n2,b,like\n2,b,share\n")
    assert run("fit", "log.csv", "--out", "e", "--event", "action", "--epochs", "1")[0] == 0
    assert mcfast.load(folder / "e").mean == pytest.approx(1)  # of 1, 0 and 2


@pytest.mark.parametrize(
    ("options", "arguments"),
    [
        (["--user-regularization", "0.2", "--item-regularization", "0.1", "--bias-regularization", "0"],
         {"user_regularization": 0.2, "item_regularization": 0.1, "bias_regularization": 0.0}),
        (["--l1-regularization", "0.03", "--nonnegative"], {"l1_regularization": 0.03, "nonnegative": True}),
        (["--regularize", "row", "--loss", "huber"], {"regularize": "row", "loss": "huber"}),
        (["--clip"], {"clip": True}),
        (["--clip", "-1", "4.5"], {"clip": (-1.0, 4.5)}),
    ],
)  # fmt: skip
def test_fit_takes_every_setting(run, folder, options, arguments):
    assert run("fit", "train.csv", "--out", "f", *COLUMNS, "--epochs", "2", "--factors", "4", *options)[0] == 0
    triples = mcfast.read_triples(folder / "train.csv", user="userId", item="movieId", score="rating")
    expected, model = mcfast.fit(triples, epochs=2, factors=4, **arguments), mcfast.load(folder / "f")
    np.testing.assert_array_equal(model.item_factors, expected.item_factors)
    assert model.scale == expected.scale


def test_every_argument_of_fit_is_an_option_or_meant_for_python(run):
    _, out, _ = run("fit", "--help")
    arguments = set(inspect.signature(mcfast.fit).parameters) - {
        "triples",
        "callback",
        "blocks",
        "weights",
        "hard_negatives",
    }
    assert {name for name in arguments if f"--{name.replace('_', '-')}" not in out} == set()


def test_numbers_or_words():
    assert [cli.fit.number_or_word(text) for text in ("0.5", "learnt")] == [0.5, "learnt"]


def test_fit_weighs_by_a_column(run, folder):
    (folder / "weighted.csv").write_text("user,item,score,w\n1,a,1,1.5\n1,b,5,0.5\n2,b,1,1.5\n2,a,5,0.5\n")
    assert run("fit", "weighted.csv", "--out", "g", "--weight", "w", "--epochs", "1")[0] == 0
    assert mcfast.load(folder / "g").mean == pytest.approx(2)
    (folder / "bad.csv").write_text("user,item,score,w\n1,a,1,0\n")
    assert "column 'w': got 0, expected numbers > 0" in run("fit", "bad.csv", "--out", "g", "--weight", "w")[2]


def test_fit_scores_a_wide_log(run, folder):
    (folder / "wide.csv").write_text("user,item,is_click,like\n1,a,1,0\n1,b,0,0\n2,b,1,1\n")
    wide = ["fit", "wide.csv", "--out", "h", "--epochs", "1", "--actions", "is_click=click", "like"]
    assert run(*wide)[0] == 0
    assert mcfast.load(folder / "h").mean == pytest.approx(1)  # of 1, 0 and 2
    assert run(*wide, "--points", "click=1", "like=4", "exposure=0")[0] == 0
    assert mcfast.load(folder / "h").mean == pytest.approx(2)
    assert run(*wide, "--ignore", "like")[0] == 0
    assert mcfast.load(folder / "h").mean == pytest.approx(2 / 3, abs=1e-6)


def test_evaluate_is_the_function_evaluate(run, folder):
    code, out, _ = run("evaluate", "model", "test.csv", *COLUMNS, "-k", "2", "5", "--relevant", "4", "--json")
    test = mcfast.read_triples(folder / "test.csv", user="userId", item="movieId", score="rating")
    expected = mcfast.evaluate(mcfast.load(folder / "model"), test, [2, 5], relevant=4)
    assert code == 0
    assert json.loads(out) == expected


def test_evaluate_prints_intervals_and_buckets_as_columns(run):
    code, out, _ = run("evaluate", "model", "test.csv", *COLUMNS, "-k", "3", "--buckets", "2", "--confidence", "0.9")
    assert code == 0
    header = ["@3", "@3.low", "@3.high", *(f"@3.bucket{b}{end}" for b in (1, 2) for end in ("", ".low", ".high"))]
    lines = [line.split() for line in out.split("\n\n")[1].splitlines()]
    assert lines[0] == header
    assert {line[0]: len(line) - 1 for line in lines[1:]}.items() >= {"recall": 9, "ndcg": 9, "coverage": 1}.items()


def test_evaluate_prints_a_column_for_each_cut(run):
    code, out, _ = run("evaluate", "model", "test.csv", *COLUMNS, "-k", "2", "5")
    lines = [line.split() for line in out.splitlines()]
    assert code == 0
    assert ["@2", "@5"] in lines
    assert {"rmse", "mae", "recall", "ndcg"} <= {line[0] for line in lines if line}


def test_recommend_is_the_method_recommend(run, folder):
    code, out, _ = run("recommend", "model", "--user", "7", "3", "-k", "4", "--json")
    expected = mcfast.load(folder / "model").recommend([7, 3], k=4)
    lists = json.loads(out)
    assert code == 0
    assert [entry["user"] for entry in lists] == [7, 3]
    assert [[item["id"] for item in entry["items"]] for entry in lists] == expected.ids.tolist()
    np.testing.assert_allclose([[item["score"] for item in entry["items"]] for entry in lists], expected.scores)


def test_recommend_to_the_users_of_a_file_and_from_a_list_of_items(run, folder):
    (folder / "users.txt").write_text("4\n9\n")
    (folder / "items.txt").write_text("i1\ni2\ni3\n")
    limits = ["--allow", "items.txt", "--no-exclude-seen", "-k", "5"]
    _, out, _ = run("recommend", "model", "--users-from", "users.txt", *limits)
    rows = [line.split("\t") for line in out.splitlines()]
    assert rows[0] == ["user", "item", "score"]
    assert [row[0] for row in rows[1:]] == ["4"] * 3 + ["9"] * 3
    assert {row[1] for row in rows[1:]} == {"i1", "i2", "i3"}


def test_recommend_to_everyone(run):
    _, out, _ = run("recommend", "model", "--everyone", "-k", "1")
    assert len(out.splitlines()) == 1 + 30


def test_info_of_a_model(run):
    code, out, _ = run("info", "model", "--json")
    facts = json.loads(out)
    assert code == 0
    assert (facts["users"], facts["items"], facts["factors"], facts["seen"]) == (30, 20, 64, 350)
    assert facts["bytes"] == sum(facts["files"].values())
    assert ["factors", "64"] in [line.split() for line in run("info", "model")[1].splitlines()]


def test_info_of_the_build(run):
    assert json.loads(run("info", "--json")[1]) == mcfast.build_info()
    assert "compiler" in run("info")[1]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_examples(run, command):
    code, out, _ = run(command, "--help")
    assert code == 0
    assert f"\nexamples:\n  mcfast {command}" in out


def test_help_tells_the_defaults_of_the_functions(run):
    out = " ".join(run("fit", "--help")[1].split())
    assert "length of the vectors, 1..1024 (default: that of --init, or 64)" in out
    assert "at most as many with --validation (default: 20)" in out


ERRORS = {
    "no such file": (["fit", "none.csv", "--out", "x"], "none.csv: does not exist"),
    "no such column": (
        ["fit", "train.csv", "--out", "x", "--user", "who"],
        "user: got 'who', expected one of the columns of train.csv: 'userId',",
    ),
    "nowhere to write": (["fit", "none.csv", "--out", "no/such/place"], "no/such does not exist"),
    "in the way": (["fit", "none.csv", "--out", "."], "not empty"),
    "out of range": (["fit", "train.csv", "--out", "x", *COLUMNS, "--factors", "0"], "factors: got 0, expected"),
    "not a choice": (["fit", "train.csv", "--out", "x", *COLUMNS, "--loss", "no"], "loss: got 'no', expected one of"),
    "validation": (["fit", "train.csv", "--out", "x", *COLUMNS, "--validation", "7"], "validation: got 7"),
    "not a score": (["fit", "words.csv", "--out", "x"], "words.csv"),
    "counted": (["fit", "train.csv", "--out", "x", "--event", "e", "--duplicates", "sum"], "--duplicates: does not go"),
    "no model": (["evaluate", "train.csv", "test.csv"], "train.csv: not a mcfast-model"),
    "altered model": (["info", "altered"], "altered"),
    "points of what": (
        ["fit", "train.csv", "--out", "x", "--actions", "a", "--points", "click=much"],
        "points: got 'much', expected ACTION=X",
    ),
    "points without a log": (
        ["fit", "train.csv", "--out", "x", "--points", "click=2"],
        "--points: wants --event or --actions, too",
    ),
    "one bound": (["fit", "train.csv", "--out", "x", *COLUMNS, "--clip", "1"], "clip: got (1.0,)"),
    "newer model": (["info", "newer"], "pip install -U mcfast"),
    "no cut": (["evaluate", "model", "test.csv", *COLUMNS, "-k", "0"], "k: got 0, expected"),
    "unknown user": (["recommend", "model", "--user", "99"], "unknown ids 99"),
    "not an id": (["recommend", "model", "--user", "ann"], "--user: got 'ann', expected integers"),
    "no list": (["recommend", "model", "--user", "1", "--allow", "none.txt"], "none.txt"),
}


@pytest.fixture(scope="module")
def wrong(folder):
    """Add files that are wrong to the folder."""
    (folder / "words.csv").write_text("user,item,score\n1,2,good\n")
    for name in ("altered", "newer"):
        shutil.copytree(folder / "model", folder / name)
    array = next((folder / "altered").rglob("item_biases.npy"))
    array.write_bytes(array.read_bytes()[:-1] + b"x")
    manifest = folder / "newer" / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"format": 3', '"format": 99'))


@pytest.mark.parametrize("case", ERRORS)
def test_an_error_is_one_line_and_exit_code_1(run, wrong, folder, case):
    arguments, expected = ERRORS[case]
    code, out, err = run(*arguments)
    assert (code, out) == (1, "")
    assert err.startswith("mcfast: error: ")
    assert err.count("\n") == 1
    assert expected in err
    assert not (folder / "x").exists()


@pytest.mark.parametrize("arguments", [[], ["fit"], ["fly"], ["fit", "a.csv", "--out", "x", "--factors", "many"]])
def test_wrong_usage_is_exit_code_2(run, arguments):
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("usage: ")


def test_traceback_shows_where_an_error_comes_from(run):
    with pytest.raises(FileNotFoundError):
        run("fit", "none.csv", "--out", "x", "--traceback")


def test_a_bug_is_not_hidden(run, monkeypatch):
    monkeypatch.setattr("mcfast.cli.info.build_info", lambda: {}["bug"])
    with pytest.raises(KeyError):
        run("info")


def test_as_a_process_an_error_has_no_traceback(folder):
    done = process("fit", "none.csv", "--out", "x", cwd=folder)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "mcfast: error: none.csv: does not exist\n")


def test_the_installed_command(folder):
    command = shutil.which("mcfast", path=os.path.dirname(sys.executable))  # noqa: PTH120
    if command is None:
        pytest.skip("the package is not installed here")
    done = subprocess.run([command, "--version"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, f"mcfast {mcfast.__version__}\n")


def test_a_reader_that_goes_is_no_error(folder):
    command = f"{sys.executable} -m mcfast recommend model --everyone -k 20 --no-exclude-seen | head -1"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, cwd=folder)
    assert (done.stdout, done.stderr) == ("user\titem\tscore\n", "")


def test_ctrl_c_leaves_the_model_of_a_whole_epoch(folder):
    arguments = ["fit", "train.csv", "--out", "stopped", *COLUMNS, "--epochs", "100000", "--progress"]
    command = [sys.executable, "-m", "mcfast", *arguments]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        said = b""
        while b"loss" not in said and (more := child.stderr.read1()):  # until an epoch is done
            said += more
        child.send_signal(signal.SIGINT)
        said += child.communicate()[1]
    assert child.returncode == 130
    assert b"interrupted" in said
    assert b"Traceback" not in said
    assert mcfast.load(folder / "stopped").interrupted


def test_ctrl_c_before_the_first_epoch_leaves_nothing(run, folder, monkeypatch):
    @functools.wraps(mcfast.fit)
    def interrupted(*_args, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr("mcfast.cli.fit.fit", interrupted)
    code, out, err = run("fit", "train.csv", "--out", "never", *COLUMNS)
    assert (code, out, err) == (130, "", "mcfast: interrupted\n")
    assert not (folder / "never").exists()
