"""What a model has to beat: the most popular items, neighbours of items, and a linear model in closed form."""

from __future__ import annotations

from .ease import ease
from .neighbours import item_knn
from .popular import popularity

__all__ = ["ease", "item_knn", "popularity"]
