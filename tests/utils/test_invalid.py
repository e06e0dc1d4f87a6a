"""What pydantic refuses is told as the key, the value and what to give instead."""

from typing import Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from src.utils.invalid import describe


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    size: int = Field(3, ge=1, lt=2**20)
    share: float = Field(0.5, gt=0, le=0.25)
    names: list[str] = Field([], max_length=2)
    by_name: dict[str, int] = {}
    kind: Literal["one", "two"] = "one"
    is_on: bool = False
    pair: tuple[int, int] = (1, 2)
    pattern: str = Field("a", pattern="^a")


class Outer(BaseModel):
    inner: Inner


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "inner: no value given"),
        ({"inner": 3}, "inner: 3 given; give keys with values, as in {key: value}"),
        ({"inner": {"sise": 3}}, "inner.sise: 3 given; there is no such key"),
        ({"inner": {"size": 0}}, "inner.size: 0 given; give at least 1"),
        ({"inner": {"size": 2**20}}, "inner.size: 1048576 given; give less than 1,048,576"),
        ({"inner": {"size": 1.5}}, "inner.size: 1.5 given; give a whole number"),
        ({"inner": {"size": "many"}}, "inner.size: 'many' given; give a whole number"),
        ({"inner": {"share": 0}}, "inner.share: 0 given; give more than 0"),
        ({"inner": {"share": 1}}, "inner.share: 1 given; give at most 0.25"),
        ({"inner": {"share": float("nan")}}, "inner.share: nan given; give a finite number"),
        ({"inner": {"share": "half"}}, "inner.share: 'half' given; give a number"),
        ({"inner": {"names": "one"}}, "inner.names: 'one' given; give a list, as in [one, two]"),
        ({"inner": {"names": ["a", "b", "c"]}}, "inner.names: ['a', 'b', 'c'] given; give at most 2 values"),
        ({"inner": {"names": [3]}}, "inner.names.0: 3 given; give a text"),
        ({"inner": {"by_name": 3}}, "inner.by_name: 3 given; give keys with values, as in {key: value}"),
        ({"inner": {"kind": "three"}}, "inner.kind: 'three' given; give 'one' or 'two'"),
        ({"inner": {"is_on": "perhaps"}}, "inner.is_on: 'perhaps' given; give true or false"),
        ({"inner": {"pair": 3}}, "inner.pair: 3 given; give a list, as in [one, two]"),
        ({"inner": {"pattern": "b"}}, "inner.pattern: 'b' given; String should match pattern '^a'"),
    ],
)
def test_each_fault_is_told_with_what_to_give(given, expected):
    with pytest.raises(ValidationError) as caught:
        Outer.model_validate(given)
    assert describe(caught.value) == expected


def test_many_faults_stay_on_one_line():
    with pytest.raises(ValidationError) as caught:
        Inner.model_validate({f"key_{number}": number for number in range(9)})
    assert describe(caught.value, "a.b").endswith("a.b.key_4: 4 given; there is no such key; and 4 more")
