"""What became of every site, as the report says it."""

from apicache_codemods.rewriting.candidates import Cluster, llm_kind
from apicache_codemods.rewriting.choosing import Choice
from apicache_codemods.rewriting.subject import Subject
from apicache_codemods.rewriting.verdicts import Decision, SiteDecision, Style, Verdict


def decisions(choice: Choice) -> list[SiteDecision]:
    """A decision for every site, in the order of paths and lines."""
    found = [_decision(each, "skipped", None, verdict) for each, verdict in choice.skipped.items()]
    found += [_decision(each, "rewritten", "wrap", verdict) for each, verdict in choice.wrapped.items()]
    for joined in choice.joined:
        verdict = Verdict("M001", "safe", f"one more call of the operation {joined.operation.name}")
        found.append(_decision(joined.candidate.subject, "rewritten", "operation", verdict))
    for _, cluster in choice.clusters:
        verdict = _cluster_verdict(cluster)
        found += [_decision(member.subject, "rewritten", "operation", verdict) for member in cluster.members]
    return sorted(found, key=lambda each: (each.path, each.line))


def _decision(subject: Subject, decision: Decision, style: Style | None, verdict: Verdict) -> SiteDecision:
    site = subject.site
    return SiteDecision(
        path=site.path,
        line=site.line,
        endpoint=site.endpoint,
        decision=decision,
        style=style,
        safety=verdict.safety,
        code=verdict.code,
        reason=verdict.reason,
    )


def _cluster_verdict(cluster: Cluster) -> Verdict:
    count = len(cluster.members)
    if count == 1:
        kind = llm_kind(cluster.members[0].subject)
        return Verdict("M002", "safe", f"its endpoint is a known LLM endpoint ({kind})")
    return Verdict("M001", "safe", f"{count} calls of one endpoint became one operation")
