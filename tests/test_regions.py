"""What is particular to the index of regions: a recall that it keeps, by going as far as that takes."""

import numpy as np
import pytest

import oracle
from mcfast import _core, recall
from mcfast.recall import regions
from recall_problems import built, check, csr, problem


def clustered(n, dimension=16, seed=0):
    random = np.random.default_rng(seed)
    centres = random.standard_normal((40, dimension))
    items, queries = (centres[random.integers(0, 40, m)] + random.standard_normal((m, dimension)) for m in (n, 1024))
    return items * np.exp(0.5 * random.standard_normal((n, 1))), queries


@pytest.mark.parametrize("metric", recall.METRICS)
@pytest.mark.parametrize("target", [0.8, 0.99])
def test_the_recall_asked_for_is_kept_by_other_queries(metric, target):
    items, queries = clustered(20_000)
    index = recall.build("regions", items, metric, recall=target, queries=queries[:512])
    info = index.info
    assert info["measured_on"] == "queries"
    for k, reached in info["recall"].items():
        assert reached >= target
        assert recall.measure(index, queries[:512], int(k)) == pytest.approx(reached, abs=1e-12)
        assert recall.measure(index, queries[512:], int(k)) >= target - 0.02
    reaches = [point["reach"] for point in info["curve"]]
    assert reaches == sorted(reaches)
    assert None not in reaches
    for reach in info["reach"].values():  # what was tried last and did not suffice is near
        assert reach / max([1.0, *(tried for tried in reaches if tried < reach)]) < 1.02


def test_less_recall_does_less():
    items, queries = clustered(20_000)
    low, high = (recall.build("regions", items, recall=share, queries=queries) for share in (0.7, 0.999))
    assert recall.measure(low, queries, 100) < recall.measure(high, queries, 100)
    assert low.info["reach"]["100"] < high.info["reach"]["100"]


@pytest.mark.parametrize("metric", recall.METRICS)
def test_regions_are_the_same_for_any_number_of_threads_and_instruction_set(metric):
    items, _ = clustered(5000)
    rows = recall.build("exact", items, metric)._items.rows
    offsets = None if metric != "ip" else rows[:, 0].copy()
    core_metric = "l2" if metric == "l2" else "ip"
    before = _core.build_info()["isa"]
    expected = _core.cut(rows, offsets, core_metric, rows[:50], 30, 4, 1)
    for isa in _core.build_info()["isa_available"]:
        _core.set_isa(isa)
        for threads in (1, 3):
            for ours, theirs in zip(
                _core.cut(rows, offsets, core_metric, rows[:50], 30, 4, threads), expected, strict=True
            ):
                assert ours.tobytes() == theirs.tobytes()
    _core.set_isa(before)
    order, found, _ = expected
    assert sorted(order) == list(range(5000))
    assert found[:, 0].sum() == 5000
    assert found[:, 0].min() > 0


def test_regions_are_balanced():
    random = np.random.default_rng(1)
    # Nine items of ten are one cluster, which one centre would take.
    items = np.where(random.random((20_000, 1)) < 0.9, 10, random.standard_normal((20_000, 8)) * 10)
    items = (items + random.standard_normal((20_000, 8))).astype(np.float32)
    rows = np.pad(items, ((0, 0), (0, 8)))
    _, found, _ = _core.cut(rows, None, "l2", rows[:50], 100, 0, 2)
    assert found[:, 0].max() < 12 * 200


def test_where_no_reach_suffices_all_regions_are_searched(monkeypatch):
    monkeypatch.setattr(regions, "LADDER", (0.01, np.inf))
    items, queries = clustered(4000)
    index = recall.build("regions", items, recall=1.0, queries=queries)
    assert index.is_exact
    for k in (1, 7, 100):
        assert recall.measure(index, queries, k) == 1


@pytest.mark.parametrize("metric", recall.METRICS)
def test_filters_make_it_go_on(metric):
    _, queries, _, truth = problem(metric)
    best = oracle.nearest(truth, 300)[0]
    index = built("regions", metric)
    check(index, index.search(queries, 10, exclude=csr(best)), truth, 10, best)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"centres": 0}, "centres: got 0"),
        ({"recall": 0}, "recall: got 0"),
        ({"recall": 1.5}, "recall: got 1.5"),
        ({"seed": -1}, "seed: got -1"),
        ({"queries": np.zeros((0, 2))}, "queries: got none"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        recall.build("regions", np.eye(2), **options)
