"""The first of what pydantic finds wrong, in one line."""

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError

from pointrend_repro.base.first_problem import first_problem


class Part(BaseModel):
    size: int


CONTENT: TypeAdapter[dict[str, Part]] = TypeAdapter(dict[str, Part])


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ({"a": {}, "b": {}}, "a.size: Field required"),
        ([], "the file: Input should be a valid dictionary"),
        ({"a\x1b[2J\nb": 1}, "a?[2J b: Input should be a valid dictionary or instance of Part"),
    ],
)
def test_a_problem_is_one_line_with_its_key(content: object, problem: str) -> None:
    with pytest.raises(ValidationError) as caught:
        CONTENT.validate_python(content)
    assert first_problem(caught.value) == problem
