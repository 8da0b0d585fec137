"""Types of the compiled core (csrc/bind). Arrays are C-contiguous and of exactly these dtypes: nothing is converted."""

from collections.abc import Callable, Sequence
from typing import Any, overload

import numpy as np
import numpy.typing as npt

_Int32s = npt.NDArray[np.int32]
_Int64s = npt.NDArray[np.int64]
_Floats = npt.NDArray[np.float32]
_Doubles = npt.NDArray[np.float64]
_Bytes = npt.NDArray[np.uint8]
_Rows = npt.NDArray[np.float32] | npt.NDArray[np.uint16]  # fp32, or the bits of fp16
_Words = npt.NDArray[np.uint64]
_Terms = tuple[_Int64s, _Int32s, _Floats, int, int, _Int64s | None, int, float, int]

losses: dict[str, str]
measures: tuple[str, ...]
row_alignment: int

def build_info() -> dict[str, Any]: ...
def set_isa(name: str) -> None: ...
def available_threads() -> int: ...
@overload
def encode(chunks: Sequence[_Int64s], threads: int) -> tuple[_Int32s, _Int64s]: ...
@overload
def encode(chunks: Sequence[_Int32s], threads: int) -> tuple[_Int32s, _Int64s]: ...
def finite(values: _Floats, threads: int) -> bool: ...
def first_of_pair(users: _Int32s, items: _Int32s, n_users: int, n_items: int, threads: int) -> tuple[int, _Int64s]: ...
def where(codes: _Int32s, indptr: _Int64s | None, chosen: _Bytes) -> _Bytes: ...
def items_of_users(users: _Int32s, items: _Int32s, n_users: int, threads: int) -> tuple[_Int64s, _Int32s]: ...
def predict_pairs(
    user_factors: _Floats,
    item_factors: _Floats,
    user_offsets: _Doubles,
    item_offsets: _Floats,
    users: _Int32s,
    items: _Int32s,
    threads: int,
) -> _Floats: ...
def predict_block(
    user_factors: _Floats, item_factors: _Floats, user_offsets: _Doubles, item_offsets: _Floats, threads: int
) -> _Floats: ...
def compose_rows(
    indptr: _Int64s,
    parameters: _Int32s,
    coefficients: _Floats,
    default_id: int,
    table: _Floats,
    rows: _Int32s,
    dropped: _Bytes | None,
    unit: bool,
    units: int,
    threads: int,
) -> _Floats: ...
def compose_gradients(
    indptr: _Int64s,
    parameters: _Int32s,
    coefficients: _Floats,
    default_id: int,
    table: _Floats,
    rows: _Int32s,
    dropped: _Bytes | None,
    unit: bool,
    units: int,
    d_block: _Floats,
) -> tuple[_Int32s, _Floats]: ...
def compose_rows_f64(
    indptr: _Int64s,
    parameters: _Int32s,
    coefficients: _Floats,
    default_id: int,
    table: _Doubles,
    rows: _Int32s,
    dropped: _Bytes | None,
    unit: bool,
    units: int,
    threads: int,
) -> _Doubles: ...
def compose_gradients_f64(
    indptr: _Int64s,
    parameters: _Int32s,
    coefficients: _Floats,
    default_id: int,
    table: _Doubles,
    rows: _Int32s,
    dropped: _Bytes | None,
    unit: bool,
    units: int,
    d_block: _Doubles,
) -> tuple[_Int32s, _Doubles]: ...
def ranking_measures(
    ranked: _Int64s,
    relevant_indptr: _Int64s,
    relevant_rows: _Int32s,
    n_relevant: _Int64s,
    cuts: Sequence[int],
    threads: int,
) -> _Doubles: ...
def rank(
    rows: _Floats,
    offsets: _Floats | None,
    metric: str,
    queries: _Floats,
    candidates: _Int64s,
    k: int,
    exclude_indptr: _Int64s | None,
    exclude_rows: _Int32s | None,
    allow: _Words | None,
    threads: int,
) -> tuple[_Int64s, _Floats, _Int64s]: ...
def unit_rows(rows: _Floats, threads: int) -> _Floats: ...

class Exact:
    def __init__(self, rows: _Rows, offsets: _Floats | None, threads: int, metric: str = "ip") -> None: ...
    @property
    def size(self) -> int: ...
    @property
    def bytes(self) -> int: ...
    @property
    def changed(self) -> bool: ...
    @property
    def added(self) -> int: ...
    def add(self, rows: _Floats, offsets: _Floats | None) -> int: ...
    def put(self, ids: _Int32s, rows: _Floats, offsets: _Floats | None) -> None: ...
    def remove(self, ids: _Int32s) -> None: ...
    def vectors(self, ids: _Int32s) -> tuple[_Floats, _Floats]: ...
    def put_rows(self) -> _Int32s: ...
    def removed_rows(self) -> _Int32s: ...
    def search(
        self,
        queries: _Floats,
        k: int,
        exclude_indptr: _Int64s | None,
        exclude_rows: _Int32s | None,
        allow: _Words | None,
        threads: int,
    ) -> tuple[_Int64s, _Floats, _Int64s]: ...

def cut(
    rows: _Floats, offsets: _Floats | None, metric: str, queries: _Floats, n_regions: int, seed: int, threads: int
) -> tuple[_Int32s, _Doubles, _Floats]: ...

class Regions:
    def __init__(
        self,
        rows: _Rows,
        offsets: _Floats | None,
        metric: str,
        order: _Int32s,
        regions: _Doubles,
        directions: _Floats,
        threads: int,
    ) -> None: ...
    @property
    def size(self) -> int: ...
    @property
    def bytes(self) -> int: ...
    @property
    def changed(self) -> bool: ...
    @property
    def added(self) -> int: ...
    def add(self, rows: _Floats, offsets: _Floats | None) -> int: ...
    def put(self, ids: _Int32s, rows: _Floats, offsets: _Floats | None) -> None: ...
    def remove(self, ids: _Int32s) -> None: ...
    def vectors(self, ids: _Int32s) -> tuple[_Floats, _Floats]: ...
    def put_rows(self) -> _Int32s: ...
    def removed_rows(self) -> _Int32s: ...
    def search(
        self,
        queries: _Floats,
        k: int,
        exclude_indptr: _Int64s | None,
        exclude_rows: _Int32s | None,
        allow: _Words | None,
        threads: int,
        reach: float,
    ) -> tuple[_Int64s, _Floats, _Int64s]: ...

class Trainer:
    def __init__(
        self,
        users: _Int32s,
        items: _Int32s,
        scores: _Floats,
        weights: _Floats | None,
        n_users: int,
        n_items: int,
        factors: int,
        biases: bool,
        loss: str,
        l2: tuple[float, float, float],
        l1: tuple[float, float],
        by_row: bool,
        nonnegative: bool,
        seed: int,
        blocks: tuple[int, int],
        threads: int,
    ) -> None: ...
    @property
    def mean(self) -> float: ...
    @property
    def scale(self) -> float: ...
    @property
    def n_users(self) -> int: ...
    @property
    def n_items(self) -> int: ...
    @property
    def width(self) -> int: ...
    @property
    def blocks(self) -> tuple[int, int]: ...
    @property
    def repeated(self) -> int: ...
    def epoch(
        self, number: int, learning_rate: float, threads: int, progress: Callable[[int], object] | None
    ) -> float: ...
    def checkpoint(self, threads: int) -> None: ...
    def restore(self, threads: int) -> None: ...
    def drop_checkpoint(self) -> None: ...
    def squared_error(self, users: _Int32s, items: _Int32s, scores: _Floats, threads: int) -> float: ...
    def loss(self, users: _Int32s, items: _Int32s, scores: _Floats, threads: int) -> float: ...
    def import_users(self, rows: _Int32s, factors: _Floats, biases: _Floats | None) -> None: ...
    def import_items(self, rows: _Int32s, factors: _Floats, biases: _Floats | None) -> None: ...
    def export_users(self, factors: _Floats, biases: _Floats, threads: int) -> None: ...
    def export_items(self, factors: _Floats, biases: _Floats, threads: int) -> None: ...

ranking_losses: list[str]

class RankingTrainer:
    def __init__(
        self,
        users: _Int32s,
        items: _Int32s,
        n_users: int,
        n_items: int,
        *,
        factors: int,
        loss: str,
        margin: float,
        negative_weight: float,
        cosine: bool,
        temperature: float,
        learn_temperature: bool,
        l2: tuple[float, float],
        dropout: float,
        subsampling: float,
        hide_known: bool,
        negatives: Sequence[tuple[str, int]],
        given: tuple[_Int32s, _Int32s] | None,
        pool: int,
        exponent: float,
        logq: float,
        corrected: bool,
        optimizer: str,
        batch: int,
        user_terms: _Terms | None,
        item_terms: _Terms | None,
        id_dropout: float,
        seed: int,
        threads: int,
    ) -> None: ...
    @property
    def n_users(self) -> int: ...
    @property
    def n_items(self) -> int: ...
    @property
    def width(self) -> int: ...
    @property
    def temperature(self) -> float: ...
    def user_parameters(self) -> _Floats | None: ...
    def item_parameters(self) -> _Floats | None: ...
    def negatives(self, epoch: int, tile: int, batch: _Int32s, first: int) -> tuple[_Int32s, _Floats]: ...
    def epoch(
        self, number: int, learning_rate: float, threads: int, progress: Callable[[int], object] | None
    ) -> float: ...
    def checkpoint(self, threads: int) -> None: ...
    def restore(self, threads: int) -> None: ...
    def drop_checkpoint(self) -> None: ...
    def import_users(self, rows: _Int32s, factors: _Floats) -> None: ...
    def import_items(self, rows: _Int32s, factors: _Floats) -> None: ...
    def export_users(self, factors: _Floats, biases: _Floats, threads: int) -> None: ...
    def export_items(self, factors: _Floats, biases: _Floats, threads: int) -> None: ...
