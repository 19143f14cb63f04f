"""The rules in their order: the first that speaks decides."""

from collections.abc import Callable, Collection
from typing import Final, TypeAlias

from apicache_codemods.rewriting import rules_place, rules_request
from apicache_codemods.rewriting.subject import Subject
from apicache_codemods.rewriting.verdicts import Verdict

Rule: TypeAlias = Callable[[Subject], Verdict | None]

_RULES: Final[tuple[Rule, ...]] = (
    rules_place.test_file,
    rules_place.generated_file,
    rules_place.already_cached,
    rules_place.passed_on,
    rules_request.rewritten_library,
    rules_request.streaming,
    rules_request.adapter,
    rules_request.hidden_arguments,
    rules_request.known_request,
    rules_request.authentication,
    rules_request.read_only,
    rules_request.one_time_body,
    rules_request.acting_objects,
    rules_place.import_time,
    rules_request.sampled,
    rules_request.fresh_values,
    rules_place.context_manager,
    rules_place.connection_facts,
    rules_place.effect,
)


def judge(subject: Subject, polled: Collection[str]) -> Verdict | None:
    """Why a site is not rewritten; None when rewriting it is safe."""
    for rule in _RULES:
        verdict = rule(subject)
        if verdict is not None:
            return verdict
    return rules_place.polling(subject, polled)
