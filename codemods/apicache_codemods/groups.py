"""Duplicate groups: the call sites that share an endpoint, ranked by what caching them would save."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from apicache_codemods.endpoints import means_something
from apicache_codemods.estimates import estimate
from apicache_codemods.llm_endpoints import llm_operation, sdk_operation
from apicache_codemods.model import CallSite, DuplicateGroup
from apicache_codemods.operation_names import distinct, suggested
from apicache_codemods.reading import known_to_read
from apicache_codemods.sql import is_about_data

_FEWEST = 2
_FROM = re.compile(r"\bfrom\s+[\"'`\[]?([\w.]+)", re.IGNORECASE)


class Grouping(msgspec.Struct, frozen=True):
    """What endpoint-wide facts every site of a scan gets: its group's id and its operation's name, by endpoint."""

    groups: Mapping[str, str]
    operations: Mapping[str, str | None]

    def settled(self, site: CallSite) -> CallSite:
        """The site with its group, its operation and whether it is cacheable."""
        endpoint = site.endpoint
        return msgspec.structs.replace(
            site,
            group=self.groups.get(endpoint) if endpoint is not None else None,
            operation=self.operations.get(endpoint) if endpoint is not None else None,
            cacheable=known_to_read(site.method, endpoint, site.kind, site.sql),
        )


def grouping(sites: Sequence[CallSite]) -> Grouping:
    """Groups and operation names for the endpoints of all call sites.

    Groups are numbered by what caching them would save, US dollars first, then calls, then sites, then by endpoint, so
    a scan of the same code gives the same ids. An operation's plain name goes to the endpoint with the most sites.
    """
    members: dict[str, list[CallSite]] = {}
    for site in sites:
        if site.endpoint is not None:
            cacheable = known_to_read(site.method, site.endpoint, site.kind, site.sql)
            members.setdefault(site.endpoint, []).append(msgspec.structs.replace(site, cacheable=cacheable))
    duplicated = [name for name, group in members.items() if len(group) >= _FEWEST and _is_meant(group)]
    duplicated.sort(key=lambda endpoint: _rank(members[endpoint]))
    by_count = sorted(members, key=lambda endpoint: (-len(members[endpoint]), endpoint))
    is_sql = {endpoint: members[endpoint][0].sql is not None for endpoint in by_count}
    return Grouping(
        groups={endpoint: f"G{number}" for number, endpoint in enumerate(duplicated, start=1)},
        operations={
            **distinct((endpoint, _operation_of(members[endpoint])) for endpoint in by_count if not is_sql[endpoint]),
            **_numbered((endpoint, _select_of(members[endpoint])) for endpoint in by_count if is_sql[endpoint]),
        },
    )


def _is_meant(group: Sequence[CallSite]) -> bool:
    """Whether a shared endpoint or statement is more than coincidence."""
    sql = group[0].sql
    return is_about_data(sql) if sql is not None else means_something(group[0].endpoint or "")


def _rank(group: Sequence[CallSite]) -> tuple[float, float, int, str]:
    saved = estimate(group)
    return -(saved.usd or 0.0), -saved.calls, -len(group), group[0].endpoint or ""


def _operation_of(group: Sequence[CallSite]) -> str | None:
    """The operation an endpoint's calls would become, before names are made distinct."""
    endpoint = group[0].endpoint or ""
    is_llm = any(site.kind == "llm" for site in group)
    return (sdk_operation(endpoint) if is_llm else llm_operation(endpoint)) or suggested(endpoint)


def _select_of(group: Sequence[CallSite]) -> str | None:
    """`select_users` for a SELECT from the table `users`; None for another statement."""
    table = _FROM.search(group[0].sql or "")
    return f"select_{table[1].replace('.', '_').lower()}" if table is not None and group[0].cacheable else None


def _numbered(named: Iterable[tuple[str, str | None]]) -> Mapping[str, str | None]:
    """Endpoint -> name, the second and further of one name with a number."""
    seen: Counter[str] = Counter()
    found: dict[str, str | None] = {}
    for endpoint, name in named:
        if name is not None:
            seen[name] += 1
        found[endpoint] = f"{name}_{seen[name]}" if name is not None and seen[name] > 1 else name
    return found


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
            estimate=estimate(group),
        )
        for name, group in sorted(members.items(), key=lambda item: int(item[0][1:]))
    )
