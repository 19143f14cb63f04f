"""The labelled tree: `# site: ENDPOINT` beside each call site, `# none` beside what looks like one and is none.

`; ` parts two sites of one line, ` | ` the endpoints of a conditional URL; `?` is an endpoint that is not known.
"""

import itertools
import re
from collections import Counter
from pathlib import Path

import pytest

from apicache_codemods.endpoints import means_something
from apicache_codemods.scan import scan

ROOT = Path(__file__).parent / "labelled"
SITE = re.compile(r"# site: (.+)$")
REFUSAL = re.compile(r"# none$")


def labels():
    """(path, line) -> the endpoints of its sites; the lines that are refusals."""
    sites, refusals = {}, set()
    for path in sorted(ROOT.rglob("*.py")):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            place = (path.relative_to(ROOT).as_posix(), number)
            label = SITE.search(line)
            if label is not None:
                sites[place] = [tuple(one.split(" | ")) for one in label[1].strip().split(" ; ")]
            elif REFUSAL.search(line):
                refusals.add(place)
    return sites, refusals


SITES, REFUSALS = labels()


@pytest.fixture(scope="module")
def report():
    return scan([ROOT], ROOT)


def pairs(groups):
    return {frozenset(pair) for members in groups for pair in itertools.combinations(sorted(members), 2)}


def labelled_groups():
    by_endpoint = {}
    for place, sites in SITES.items():
        for index, endpoints in enumerate(sites):
            by_endpoint.setdefault(endpoints[0], []).append((*place, index))
    return [members for endpoint, members in by_endpoint.items() if endpoint != "?" and counts(endpoint)]


def counts(endpoint):
    return endpoint.startswith("SELECT ") or means_something(endpoint)


def test_the_tree_has_enough_shapes_and_half_of_them_are_refusals():
    sites = sum(map(len, SITES.values()))
    assert sites + len(REFUSALS) >= 160
    assert min(sites, len(REFUSALS)) >= 0.4 * (sites + len(REFUSALS))


def test_every_labelled_site_is_found_and_nothing_else(report, record_property):
    found = Counter((site.path, site.line) for site in report.call_sites)
    wanted = Counter({place: len(sites) for place, sites in SITES.items()})
    right = sum((found & wanted).values())
    precision, recall = right / sum(found.values()), right / sum(wanted.values())
    record_property("precision", precision)
    record_property("recall", recall)
    assert found - wanted == Counter()
    assert wanted - found == Counter()
    assert (precision, recall) == (1.0, 1.0)


def test_every_endpoint_is_the_labelled_one(report):
    found = {}
    for site in report.call_sites:
        found.setdefault((site.path, site.line), []).append((site.endpoint or "?", *site.alternatives))
    assert found == SITES


def test_the_groups_are_those_of_the_labels(report, record_property):
    index, groups = Counter(), {}
    for site in report.call_sites:
        place = (site.path, site.line)
        if site.group is not None:
            groups.setdefault(site.group, []).append((*place, index[place]))
        index[place] += 1
    found, wanted = pairs(groups.values()), pairs(labelled_groups())
    f1 = 2 * len(found & wanted) / (len(found) + len(wanted))
    record_property("pairwise F1", f1)
    assert found == wanted
    assert f1 == 1.0
