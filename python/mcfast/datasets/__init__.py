"""Public data sets, fetched once and kept, or read from a folder that the user has."""

from __future__ import annotations

from .kuairand import KuaiRand, kuairand
from .movielens import Dataset, movielens, movielens_100k
from .split_files import Split, read_split_files

__all__ = ["Dataset", "KuaiRand", "Split", "kuairand", "movielens", "movielens_100k", "read_split_files"]
