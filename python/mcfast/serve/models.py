"""What requests and answers look like; OpenAPI is made of this."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictFloat, StrictInt, StrictStr

Id = StrictInt | StrictStr
Number = StrictFloat | StrictInt

EXCLUDED = "Ids of items that may not come; unknown ones are passed over."
ALLOWED = "Ids of the only items that may come; unknown ones are passed over."
FILTERED = (
    "What attributes must be: a value, a list of values of which one must be there, or a range "
    '{"min": 1990, "max": 1999}, by name.'
)


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Recall(_Body):
    """Whose items are wanted: users, vectors, or lists of items; exactly one of the three."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"user_ids": [42, 43], "k": 10},
                {"items": [[1, 2, 3]], "scores": [[5, 4, 1]], "k": 10, "filter": {"year": {"min": 1990}}},
            ]
        }
    )

    user_ids: list[Id] | None = Field(None, description="Users; unknown ones get what is popular.")
    vectors: list[list[Number]] | None = Field(None, description="Vectors in the space of the version.")
    items: list[list[Id]] | None = Field(None, description="Lists of items, each of somebody whom nobody knows.")
    scores: list[list[Number] | None] | None = Field(None, description="Scores of these items.")
    k: StrictInt = Field(20, ge=1, description="How many items for each.")
    exclude_seen: StrictBool = Field(True, description="Leave out what the user has seen.")
    exclude: list[Id] | None = Field(None, description=EXCLUDED)
    allow: list[Id] | None = Field(None, description=ALLOWED)
    filter: dict[str, Any] | None = Field(None, description=FILTERED)
    exact: StrictBool = Field(False, description="Compare all items where the index is approximate.")
    attributes: StrictBool = Field(False, description="Tell the attributes of the items.")
    version: StrictInt | None = Field(None, ge=1, description="A version to ask instead of the current one.")


class Interactions(_Body):
    """What a user has met."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"user_id": 42, "items": [7, 9], "scores": [5, 3.5], "fold_in": True}]}
    )

    user_id: Id
    items: list[Id] = Field(description="Ids of items, known or not; seen from now on.")
    scores: list[Number] | None = Field(None, description="What they were worth, one score an item.")
    fold_in: StrictBool = Field(False, description="Then solve for the vector that the next request goes by.")


class List(BaseModel):
    """The items of one user, vector or list, best first."""

    user_id: Id | None = Field(None, description="The user, where one was asked for.")
    ids: list[Id]
    scores: list[float] = Field(
        description="Equal to what the model predicts; of popular items, how many users met them."
    )
    source: Annotated[str, Field(description="exact, index, folded or popular.", examples=["index"])]
    attributes: list[dict[str, Any]] | None = None


class Recalled(BaseModel):
    """The items of all, from one version."""

    results: list[List]
    version: int
    microseconds: int = Field(description="How long the search took.")


class RecalledUser(List):
    """The items of one user."""

    version: int
    microseconds: int


class Recorded(BaseModel):
    """What was recorded; it is on the disk."""

    user_id: Id
    recorded: int
    folded: bool = Field(description="Whether the user has a new vector.")
    version: int


class Similar(BaseModel):
    """The items whose vectors have the largest cosine with that of an item."""

    item_id: Id
    ids: list[Id]
    scores: list[float]
    attributes: list[dict[str, Any]] | None = None
    version: int
    microseconds: int


class Forgotten(BaseModel):
    """A user who is not known any more."""

    user_id: Id
    version: int


class User(BaseModel):
    """What is known of a user."""

    user_id: Id
    attributes: dict[str, Any]
    seen: list[Id] = Field(description="What the user has seen, the first of it.")
    titles: list[dict[str, Any]] = Field(description="The attributes of these.")
    n_seen: int
    version: int


class Item(BaseModel):
    """An item and its attributes."""

    id: Id
    attributes: dict[str, Any]


class Items(BaseModel):
    """Items whose title has a text."""

    items: list[Item]
    version: int


class Version(BaseModel):
    """A version that there is."""

    number: int
    current: bool
    created: str
    users: int
    items: int
    factors: int
    index: dict[str, Any]


class Versions(BaseModel):
    """The versions that there are."""

    versions: list[Version]


class Point(BaseModel):
    """An item on the map."""

    id: Id
    title: str
    x: float
    y: float
    group: str | None


class Map(BaseModel):
    """The most popular items in the two directions in which their vectors differ most."""

    points: list[Point]
    attribute: str | None = Field(description="What the groups are of.")
    attributes: list[str] = Field(description="What there is to group by.")
    version: int


class Problem(BaseModel):
    """Why there is no answer."""

    error: Annotated[str, Field(examples=["k: got 0, expected an integer in 1..1000"])]
