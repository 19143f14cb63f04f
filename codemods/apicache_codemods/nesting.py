"""How many loops stand around a place, told from its frame."""

from apicache_codemods.blocks import LOOP_BODY
from apicache_codemods.scopes import Frame, Scope


def loops_around(frame: Frame) -> int:
    """The loops of its own function around a place: statements whose bodies hold it, and a comprehension's `for`s."""
    found = sum(branch[2] == LOOP_BODY for branch in frame.block or ())
    scope: Scope | None = frame.scope
    while scope is not None and scope.kind == "comprehension":
        found += len(getattr(scope.node, "generators", ()))
        scope = scope.parent
    return found
