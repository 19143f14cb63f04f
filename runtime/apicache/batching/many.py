"""Many calls at once: which of them memory has not answered, and their answers in their places."""

from collections.abc import Mapping, Sequence
from typing import Any

from apicache.errors import InputError
from apicache.far_hits import Missed
from apicache.flow import Answer
from apicache.planning import Plan


def check_bounds(**bounds: int | None) -> None:
    """Raises InputError for a bound below 1."""
    for name, bound in bounds.items():
        if bound is not None and bound < 1:
            raise InputError(f"{name}={bound} is not at least 1; give how many calls may be under way, such as 16")


def missing_in(found: Sequence[Any]) -> dict[int, Plan | Missed]:
    """What is still to be answered, by its place."""
    return {place: each for place, each in enumerate(found) if type(each) is Missed or type(each) is Plan}


def filled_in(
    found: Sequence[Any],
    missing: Mapping[int, Plan | Missed],
    loaded: Sequence[Answer | BaseException],
    *,
    return_exceptions: bool,
) -> list[Any]:
    """All answers; raises the first exception, unless they are to stand in their places."""
    answers = list(found)
    for place, answer in zip(missing, loaded, strict=True):
        if isinstance(answer, BaseException):
            if not return_exceptions:
                raise answer
            answers[place] = answer
        else:
            answers[place] = answer.value
    return answers
