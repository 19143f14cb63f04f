"""Templates of declared endpoints: `{parameter}` and `${ENVIRONMENT_VARIABLE}` in texts, and paths into JSON."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote

_VARIABLE: Final = re.compile(r"\$\{([A-Za-z_]\w*)\}")
_PARAMETER: Final = re.compile(r"(?<!\$)\{([A-Za-z_]\w*)\}")

NOTHING: Final = object()
"""What lies at a path that leads nowhere."""


def variables(text: str) -> list[str]:
    """The environment variables that a text refers to."""
    return _VARIABLE.findall(text)


def with_variables(text: str, values: Mapping[str, str]) -> str:
    """The text with each reference replaced."""
    return _VARIABLE.sub(lambda found: values[found[1]], text)


def parameters(template: Any) -> Iterator[str]:
    """The parameters that a template refers to, wherever in it."""
    if isinstance(template, str):
        yield from _PARAMETER.findall(template)
    elif isinstance(template, Mapping | list):
        for item in template.values() if isinstance(template, Mapping) else template:
            yield from parameters(item)


def filled(template: Any, values: Mapping[str, Any]) -> Any:
    """The template with its parameters in place.

    A text that is one reference becomes the value itself, with its type; within a longer text a value is written as
    text, or as JSON. What stands for None is left out of the object or the list that it is in.
    """
    if isinstance(template, Mapping):
        named = ((name, filled(item, values)) for name, item in template.items())
        return {name: item for name, item in named if item is not NOTHING}
    if isinstance(template, list):
        return [item for item in (filled(item, values) for item in template) if item is not NOTHING]
    if not isinstance(template, str):
        return template
    whole = _PARAMETER.fullmatch(template)
    if whole is None:
        return _PARAMETER.sub(lambda found: _as_text(values[found[1]]), template)
    value = values[whole[1]]
    return NOTHING if value is None else value


def filled_url(url: str, values: Mapping[str, Any]) -> str:
    """The URL with its parameters in place, quoted: none adds a path, a query or a host."""
    return _PARAMETER.sub(lambda found: quote(_as_text(values[found[1]]), safe=""), url)


def at_path(document: Any, path: str) -> Any:
    """What lies at a path such as `choices.0.message.content`; the document itself for an empty one, else NOTHING."""
    for step in path.split(".") if path else ():
        if isinstance(document, Mapping) and step in document:
            document = document[step]
        elif isinstance(document, list) and step.isdecimal() and int(step) < len(document):
            document = document[int(step)]
        else:
            return NOTHING
    return document


def _as_text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, allow_nan=False, ensure_ascii=False)
