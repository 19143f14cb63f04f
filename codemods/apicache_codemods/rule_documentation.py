"""The page of the rules, made of what each rule says of itself."""

from apicache_codemods.rule import Rule, load_rules

_HEAD = """# Rules of `apicache scan`

What a scan has to say about the calls it found. This page is made of the rules' own documentation.

Choose rules with `--select` and `--ignore`, or in the configuration, by codes or the beginnings of codes (`AC00`). A
finding is ignored by a comment on any line of the call, or alone on the line above it; say why:

```python
response = requests.get(url)  # apicache: ignore[AC002] a health check has to reach the server
```

Several codes stand in one pair of brackets, separated by commas; without brackets every rule is ignored.

| code | name | severity | finds |
| --- | --- | --- | --- |
"""


_CONFIGURATION = """
## Configuration

In `pyproject.toml`, or without `tool.apicache.` in `apicache.toml`:

```toml
[tool.apicache.scan]
select = ["AC"]
ignore = ["AC002"]
exclude = ["vendor", "*_pb2.py", "src/generated/**"]
baseline = "apicache-baseline.json"
fail-on = "new"

# A client library that no detector knows: its class, and what each of its methods sends.
[[tool.apicache.scan.client]]
name = "acme.Client"
base_url = "https://api.acme.example"
calls = { fetch = "GET {path}", "users.list" = "GET /users", send = "{method} {url}" }

# A function of your own that makes requests: which parameters hold the method and the URL.
[[tool.apicache.scan.wrapper]]
function = "app.http.fetch"
method = "GET"
url = "path"
```

In `calls`, braces name the argument that holds the method or the URL; arguments in braces may be given by position in
their order, too. `async = true` says that a call is awaited, `kind = "llm"` or `"db"` what it asks.
"""


def rendered() -> str:
    """The page, in Markdown."""
    rules = load_rules().values()
    rows = "".join(
        f"| [{rule.code}](#{rule.code.lower()}-{rule.name}) | {rule.name} | {rule.severity} | {rule.summary} |\n"
        for rule in rules
    )
    return _HEAD + rows + "".join(map(_section, rules)) + _CONFIGURATION


def _section(rule: Rule) -> str:
    told = rule.documentation
    return (
        f"\n## {rule.code} {rule.name}\n\n{told.why}\n\n"
        f"```python\n{told.bad.strip()}\n```\n\nInstead:\n\n```python\n{told.good.strip()}\n```\n\n{told.fix}\n"
    )
