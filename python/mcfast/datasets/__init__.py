"""Public data sets, fetched once and kept, or read from a folder that the user has."""

from __future__ import annotations

from .movielens import Dataset, movielens, movielens_100k

__all__ = ["Dataset", "movielens", "movielens_100k"]
