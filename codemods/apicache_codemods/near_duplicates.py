"""Near-duplicates: call sites that look alike but are not proven to be one request, with what differs.

Three kinds: one endpoint with different query or payload names; one method and path of which one host is not known;
the same call under an endpoint that is not known. Sites are looked up under what they share, never compared in pairs.
"""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import TypeAlias

from apicache_codemods.endpoints import means_something
from apicache_codemods.model import CallSite, NearDuplicate

_FEWEST = 2
_UNKNOWN = "*"
_NAMED = 3
_Shape: TypeAlias = tuple[tuple[str, ...], tuple[str, ...]]
_Found: TypeAlias = tuple[Sequence[CallSite], str]


def near_duplicates(sites: Sequence[CallSite], structures: Mapping[int, Hashable]) -> tuple[NearDuplicate, ...]:
    """The near-duplicates among `sites`, by place; `structures` has the structure of those whose URL is not known."""
    found = [*_other_shapes(sites), *_unknown_hosts(sites), *_same_structures(sites, structures)]
    found.sort(key=lambda each: [(site.path, site.line, site.column) for site in each[0]])
    return tuple(
        NearDuplicate(
            id=f"N{number}",
            sites=tuple((site.path, site.line) for site in group),
            endpoints=tuple(sorted({site.endpoint or "?" for site in group})),
            differs=differs,
        )
        for number, (group, differs) in enumerate(found, start=1)
    )


def _shape(site: CallSite) -> _Shape:
    return site.query, site.payload


def _is_known(shape: _Shape) -> bool:
    return _UNKNOWN not in shape[0] and _UNKNOWN not in shape[1]


def _other_shapes(sites: Sequence[CallSite]) -> Iterator[_Found]:
    """Sites of one group whose query or payload names are known and differ."""
    groups: dict[str, dict[_Shape, list[CallSite]]] = {}
    for site in sites:
        if site.group is not None and site.sql is None and _is_known(_shape(site)):
            groups.setdefault(site.group, {}).setdefault(_shape(site), []).append(site)
    for shapes in groups.values():
        if len(shapes) > 1:
            members = sorted((site for each in shapes.values() for site in each), key=_place)
            yield members, _differences(shapes)


def _differences(shapes: Mapping[_Shape, Sequence[CallSite]]) -> str:
    told = []
    for index, what in enumerate(("query", "payload")):
        names = {name for shape in shapes for name in shape[index]}
        for name in sorted(names):
            holders = [site for shape, group in shapes.items() if name in shape[index] for site in group]
            total = sum(map(len, shapes.values()))
            if len(holders) < total:
                told.append(f"{what} name {name!r} only at {_places(holders)}")
    return "; ".join(told)


def _places(sites: Sequence[CallSite]) -> str:
    named = ", ".join(f"{site.path}:{site.line}" for site in sorted(sites, key=_place)[:_NAMED])
    more = len(sites) - _NAMED
    return f"{named} and {more} more" if more > 0 else named


def _unknown_hosts(sites: Sequence[CallSite]) -> Iterator[_Found]:
    """Sites of one method and path: some on one known host, others on a host that is not known."""
    by_path: dict[tuple[str, str], dict[str, list[CallSite]]] = {}
    for site in sites:
        if site.endpoint is not None and site.kind != "db" and means_something(site.endpoint):
            method, _, place = site.endpoint.partition(" ")
            host, slash, path = place.partition("/")
            if path and path.replace("{}", "").strip("/"):
                by_path.setdefault((method, slash + path), {}).setdefault(host, []).append(site)
    for by_host in by_path.values():
        unknown = by_host.get("{}")
        if unknown and len(by_host) == _FEWEST:
            (host,) = by_host.keys() - {"{}"}
            members = sorted([*unknown, *by_host[host]], key=_place)
            yield members, f"the host is {host} or not known: not known at {_places(unknown)}"


def _same_structures(sites: Sequence[CallSite], structures: Mapping[int, Hashable]) -> Iterator[_Found]:
    alike: dict[Hashable, list[CallSite]] = {}
    for index, site in enumerate(sites):
        if index in structures:
            alike.setdefault(structures[index], []).append(site)
    for group in alike.values():
        if len(group) >= _FEWEST:
            yield group, "the same call, of an endpoint that is not known: whether the URLs are the same is not known"


def _place(site: CallSite) -> tuple[str, int, int]:
    return site.path, site.line, site.column
