"""Ranked calls as a scenario file, with the reasons beside them."""

import json
import re
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from apicache_scenarios.prediction.ranking import Ranked, Ranking

_NOT_PRINTABLE: Final = re.compile(
    "[^\t\n\r\x20-\x7e\u00a0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)
_REFERENCE: Final = "${{"


class Suggestion(msgspec.Struct, frozen=True):
    """The file's text; `written` calls are in it, `left_out` ones are not: the format cannot say them as they are.

    In those are texts that would be taken for `${{ }}` references, and numbers that YAML reads otherwise.
    """

    text: str
    written: int
    left_out: int


def suggestion(ranking: Ranking, *, now: float, horizon: float, source: str) -> Suggestion:
    """The calls as entries, the best first; `source` names where they come from.

    Only calls that the log holds whole come here: one with a redacted parameter is never among them.
    """
    entries = [(each, _entry(each)) for each in ranking.calls]
    written = [(each, text) for each, text in entries if text is not None]
    saving = sum(each.saving_usd for each, _ in written)
    price = sum(each.price_usd for each, _ in written)
    head = [
        f"# {len(written):,} calls that are likely within {_hours(horizon)} of {_moment(now)}, by {_comment(source)}.",
        f"# Of their popularity, the days before tell best: {ranking.model}.",
        f"# Warming all of them costs about ${price:,.4f} and is expected to save ${saving:,.4f}, waiting included.",
        "version: 1",
        "scenarios:" if written else "scenarios: []",
    ]
    body = [f"  # {_reason(each)}\n{text}" for each, text in written]
    return Suggestion("\n".join([*head, *body]) + "\n", len(written), len(entries) - len(written))


def _reason(each: Ranked) -> str:
    call = each.call
    uses = f"{call.uses:,} {'use' if call.uses == 1 else 'uses'}, the last {_moment(call.used_at)}"
    return f"{uses}; {each.probability:.0%} likely, expected to save ${each.saving_usd:,.4f} for ${each.price_usd:,.4f}"


def _entry(each: Ranked) -> str | None:
    """Two lines of YAML; None where they would not be read as the call was."""
    call = {"operation": each.call.operation, "params": dict(each.call.parameters)}
    texts = {name: _NOT_PRINTABLE.sub(_escaped, json.dumps(value, ensure_ascii=False)) for name, value in call.items()}
    if any(_REFERENCE in text for text in texts.values()):
        return None
    text = f"  - operation: {texts['operation']}\n    params: {texts['params']}"
    return text if _is_read_as(text, call) else None


def _is_read_as(text: str, call: dict[str, Any]) -> bool:
    try:
        read = YAML(typ="safe", pure=True).load(text)
    except (YAMLError, ValueError, RecursionError):
        return False
    return bool(json.dumps(read[0], sort_keys=True, default=str) == json.dumps(call, sort_keys=True))


def _escaped(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\u{code:04x}" if code < 0x1_0000 else f"\\U{code:08x}"  # noqa: PLR2004 - what four digits hold


def _comment(text: str) -> str:
    """One line, whatever a path has in it."""
    return "".join(character if character.isprintable() else "?" for character in text)


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:g} h"
