"""Duplicate groups: the call sites that share an endpoint, ranked, and the findings they give."""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from apicache_codemods.endpoints import means_something
from apicache_codemods.llm_endpoints import llm_operation, sdk_operation
from apicache_codemods.model import CallSite, DuplicateGroup, Finding, Kind
from apicache_codemods.operation_names import distinct, suggested

DUPLICATE_CALL = "AC001"
_FEWEST = 2
_NAMED_SITES = 5


class Grouping(msgspec.Struct, frozen=True):
    """What endpoint-wide facts every site of a scan gets: its group's id and its operation's name, by endpoint."""

    groups: Mapping[str, str]
    operations: Mapping[str, str | None]


def grouping(endpoints: Iterable[tuple[str, Kind]]) -> Grouping:
    """Groups and operation names for the endpoints of all call sites, one element per site with a known endpoint.

    Groups are numbered by how many sites they hold, then by endpoint, so a scan of the same code gives the same ids.
    """
    counts: dict[str, int] = {}
    kinds: dict[str, Kind] = {}
    for endpoint, kind in endpoints:
        counts[endpoint] = counts.get(endpoint, 0) + 1
        kinds[endpoint] = "llm" if kind == "llm" else kinds.get(endpoint, kind)
    ranked = sorted(counts, key=lambda endpoint: (-counts[endpoint], endpoint))
    duplicated = [endpoint for endpoint in ranked if counts[endpoint] >= _FEWEST and means_something(endpoint)]
    return Grouping(
        groups={endpoint: f"G{number}" for number, endpoint in enumerate(duplicated, start=1)},
        operations=distinct((endpoint, operation_of(endpoint, kinds[endpoint])) for endpoint in ranked),
    )


def operation_of(endpoint: str, kind: Kind) -> str | None:
    """The operation an endpoint's calls would become, before names are made distinct."""
    known = sdk_operation(endpoint) if kind == "llm" else llm_operation(endpoint)
    return known or suggested(endpoint)


def duplicate_groups(sites: Sequence[CallSite]) -> tuple[DuplicateGroup, ...]:
    """The groups that sites say they belong to, in the order of their numbers."""
    members: dict[str, list[CallSite]] = {}
    for site in sites:
        if site.group is not None:
            members.setdefault(site.group, []).append(site)
    return tuple(
        DuplicateGroup(
            id=name,
            endpoint=group[0].endpoint or "",
            operation=group[0].operation,
            sites=tuple((site.path, site.line) for site in group),
        )
        for name, group in sorted(members.items(), key=lambda item: int(item[0][1:]))
    )


def findings(groups: Sequence[DuplicateGroup]) -> tuple[Finding, ...]:
    """One finding a group, at its first site."""
    return tuple(
        Finding(rule=DUPLICATE_CALL, path=group.sites[0][0], line=group.sites[0][1], message=_message(group))
        for group in groups
    )


def _message(group: DuplicateGroup) -> str:
    named = [f"{path}:{line}" for path, line in group.sites[1 : _NAMED_SITES + 1]]
    more = len(group.sites) - 1 - len(named)
    others = ", ".join(named) + (f" and {more} more" if more > 0 else "")
    return (
        f"duplicate call: {group.endpoint} is called from {len(group.sites)} places, also {others} (group {group.id}); "
        "whether their payloads repeat is not known"
    )
