"""Which model an LLM call names."""

import ast
from collections.abc import Iterable, Iterator

from apicache_codemods.arguments import argument
from apicache_codemods.detector import Argument
from apicache_codemods.resolver import Resolver
from apicache_codemods.scopes import Frame
from apicache_codemods.values import Literal, exact

_NAMED = ("model", "model_id", "modelId", "model_name", "engine")


def model_of(call: ast.Call, frame: Frame, payload: Iterable[Argument], texts: Resolver) -> str | None:
    """The model's name, from a keyword or the payload's display, constants followed; None when it is not known."""
    for given in _given(call, frame, payload, texts):
        found = exact(texts.text(*given))
        if found:
            return found
    return None


def _given(
    call: ast.Call, frame: Frame, payload: Iterable[Argument], texts: Resolver
) -> Iterator[tuple[ast.expr, Frame]]:
    yield from ((keyword.value, frame) for keyword in call.keywords if keyword.arg in _NAMED)
    for where in payload:
        body = argument(call, where)
        for value in texts.evaluate(body, frame) if body is not None else ():
            if isinstance(value, Literal) and isinstance(value.node, ast.Dict):
                for key, item in zip(value.node.keys, value.node.values, strict=True):
                    if isinstance(key, ast.Constant) and key.value in _NAMED:
                        yield item, value.frame
