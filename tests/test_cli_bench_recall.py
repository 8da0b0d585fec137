"""`mcfast bench-recall`: a line for every index, and the same numbers as JSON and as a picture."""

import json

import numpy as np
import pytest

import mcfast
from mcfast import cli


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("bench") / "model"
    random = np.random.default_rng(0)
    factors = random.standard_normal((200, 8)), random.standard_normal((600, 8))
    mcfast.Model.from_factors(*factors).save(path)
    return path


def test_every_installed_index_is_measured(model, tmp_path, capsys):
    code = cli.main(["bench-recall", str(model), "--out", str(tmp_path / "out"), "--recall", "0.9", "--queries", "50"])
    printed = capsys.readouterr().out
    assert code == 0
    report = json.loads((tmp_path / "out" / "recall.json").read_text())
    assert [index["name"] for index in report["indexes"]] == ["exact", "regions", "faiss", "hnswlib"]
    for index in report["indexes"]:
        assert f"\n{index['name']} " in printed
        assert index["recall"] >= 0.85
        assert min(index["queries_per_second"].values()) > 0
    assert report["indexes"][0]["recall"] == 1
    assert (tmp_path / "out" / "recall.png").read_bytes()[:4] == b"\x89PNG"


def test_a_backend_with_its_option(model, tmp_path, capsys):
    names = ["faiss:IVF8,Flat", "faiss:HNSW8", f"milvus:{tmp_path / 'items.db'}"]
    options = ["--backends", *names, "--queries", "20", "-k", "7", "--json"]
    assert cli.main(["bench-recall", str(model), "--out", str(tmp_path), *options]) == 0
    report = json.loads(capsys.readouterr().out)
    assert [index["name"] for index in report["indexes"]] == names
    assert [index["info"]["parameters"].get("factory") for index in report["indexes"]] == ["IVF8,Flat", "HNSW8", None]
    assert report["k"] == 7


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--backends", "annoy"], "--backends: got 'annoy', expected one of 'exact'"),
        (["--backends", "exact:7"], "--backends: got 'exact:7', expected 'exact' alone"),
        (["--queries", "0"], "--queries: got 0"),
        (["-k", "0"], "-k: got 0"),
    ],
)
def test_bad_options(model, tmp_path, capsys, options, message):
    assert cli.main(["bench-recall", str(model), "--out", str(tmp_path), *options]) == 1
    assert message in capsys.readouterr().err
