"""What became of every site, as the report says it."""

from apicache.policy import OPERATION_TTL
from apicache_codemods.rewriting.candidates import Cluster, llm_kind
from apicache_codemods.rewriting.choosing import Choice
from apicache_codemods.rewriting.subject import Subject
from apicache_codemods.rewriting.verdicts import Decision, SiteDecision, Style, Verdict


def decisions(choice: Choice) -> list[SiteDecision]:
    """A decision for every site, in the order of paths and lines."""
    found = [_decision(each, "skipped", None, verdict) for each, verdict in choice.skipped.items()]
    found += [_decision(each, "rewritten", "wrap", verdict) for each, verdict in choice.wrapped.items()]
    for joined in choice.joined:
        name = joined.operation.name
        verdict = Verdict("M001", "safe", f"one more call of the operation {name}")
        found.append(_decision(joined.candidate.subject, "rewritten", "operation", verdict, name))
    for _, cluster in choice.clusters:
        verdict = _cluster_verdict(cluster)
        found += [
            _decision(member.subject, "rewritten", "operation", verdict, cluster.name) for member in cluster.members
        ]
    return sorted(found, key=lambda each: each.place)


def _decision(
    subject: Subject, decision: Decision, style: Style | None, verdict: Verdict, operation: str | None = None
) -> SiteDecision:
    site = subject.site
    return SiteDecision(
        path=site.path,
        line=site.line,
        column=site.column,
        end_line=site.end_line,
        function=site.function,
        endpoint=site.endpoint,
        decision=decision,
        style=style,
        operation=operation,
        safety=verdict.safety,
        code=verdict.code,
        reason=verdict.reason,
    )


def _cluster_verdict(cluster: Cluster) -> Verdict:
    count = len(cluster.members)
    replaces = f"; it takes the place of apicache's own {cluster.name}" if cluster.name in OPERATION_TTL else ""
    if count == 1:
        kind = llm_kind(cluster.members[0].subject)
        return Verdict("M002", "safe", f"its endpoint is a known LLM endpoint ({kind}){replaces}")
    return Verdict("M001", "safe", f"{count} calls of one endpoint became one operation{replaces}")
