"""Rules about what a call sends: method, endpoint, body, sampling, and what hides it."""

import ast
import re
from collections.abc import Collection, Iterator, Mapping

from apicache_codemods.llm_endpoints import llm_operation, sdk_operation
from apicache_codemods.rewriting.library import library_named
from apicache_codemods.rewriting.subject import Subject
from apicache_codemods.rewriting.verdicts import Verdict
from apicache_codemods.values import Literal as Display

_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_LLM_READING = frozenset({"completion", "embedding", "rerank", "moderation"})
_SEARCHING = re.compile(r"(?:.*/)?(?:_?m?search|[^/]*:search)/?", re.IGNORECASE)
_GRAPHQL = re.compile(r"(?:.*/)?graphql/?", re.IGNORECASE)
_AUTHENTICATION = re.compile(
    r"(?:.*/)?(?:oauth2?(?:/.*)?|(?:access_|refresh_)?token|log_?in|log_?out|sign_?in|sign_?out|authorize|authenticate|csrf|nonce)/?",
    re.IGNORECASE,
)
_AUTHENTICATION_NAME = re.compile(r"(?:^|_)(?:access_token|refresh_token|auth_token|login|logout|authenticate)(?:_|$)")
_STREAMING_ATTRIBUTES = frozenset({"stream", "with_streaming_response"})
_STREAMING_METHODS = frozenset({"stream", "iter_content", "iter_lines", "iter_bytes", "iter_raw", "iter_text"})
_KEPT_UPSTREAM = ("background", "conversation", "store", "previous_response_id")
_FRESH = re.compile(
    r"(?:^|\.)(?:uuid[1-8]|time|time_ns|monotonic|perf_counter|now|utcnow|token_hex|token_urlsafe|token_bytes|urandom|getrandbits"
    r"|random|randint|randrange|choice|shuffle|sample|nonce|generate_nonce)$"
)
_ONE_TIME = frozenset({"open", "iter", "BytesIO", "StringIO", "MultipartEncoder"})


def rewritten_library(subject: Subject) -> Verdict | None:
    """M113: databases, libraries without an adapter, clients that another library has wrapped."""
    site = subject.site
    if site.kind == "db":
        return Verdict("M113", "never", "migrate does not rewrite database queries yet")
    library = library_named(site.library)
    if not library.is_rewritten:
        return Verdict("M113", "never", f"migrate does not rewrite calls of {site.library} yet")
    if not library.has_adapter:
        return Verdict("M113", "never", f"there is no adapter for {site.library} yet")
    if site.wrapped_by is not None:
        return Verdict("M113", "never", f"its client is wrapped by {site.wrapped_by}, which acts on every call")
    return None


def adapter(subject: Subject) -> Verdict | None:
    """M113: a call or a client that no adapter knows."""
    site, client = subject.site, subject.resolved.client
    library = library_named(site.library)
    if library.calls is not None and ".".join(subject.path) not in library.calls:
        return Verdict("M113", "never", f"no adapter knows {site.call}")
    if client.holder == "library" and not library.module_client:
        return Verdict("M113", "never", f"no adapter knows the client that {site.library} keeps for its module")
    if client.class_name is not None and library.clients is not None and client.class_name not in library.clients:
        return Verdict("M113", "never", f"no adapter knows the client {client.class_name}")
    return None


def streaming(subject: Subject) -> Verdict | None:
    """M102: the body arrives in pieces."""
    if _STREAMING_ATTRIBUTES.intersection(subject.path):
        return Verdict("M102", "never", f"{subject.site.call} streams its response")
    wanted = subject.arguments.get("stream")
    if wanted is not None and not _is_constant(wanted, {False, None}):
        return Verdict("M102", "never", f"stream={ast.unparse(wanted)}")
    for key, value in payload_items(subject):
        if key == "stream" and not _is_constant(value, {False, None}):
            return Verdict("M102", "never", f"its body says stream: {ast.unparse(value)}")
    read = sorted(name for name in subject.response_attributes if name.removeprefix("a") in _STREAMING_METHODS)
    if read:
        return Verdict("M102", "never", f"the response is read in pieces by {read[0]}()")
    return None


def one_time_body(subject: Subject) -> Verdict | None:
    """M103: uploads, file objects and generators."""
    files = subject.arguments.get("files")
    if files is not None and not _is_constant(files, {None}):
        return Verdict("M103", "never", "it uploads files")
    for name in ("data", "content", "json"):
        value = subject.arguments.get(name)
        if value is not None and any(map(_is_one_time, _values(subject, value))):
            return Verdict("M103", "never", f"{name} can be read only once")
    return None


def _values(subject: Subject, value: ast.expr) -> Iterator[ast.expr]:
    yield value
    if isinstance(value, ast.Name):
        for binding in subject.bindings(value):
            source = getattr(binding.source, "value", None)
            if isinstance(source, ast.expr):
                yield source


def _is_one_time(value: ast.expr) -> bool:
    if isinstance(value, ast.GeneratorExp):
        return True
    name = getattr(value.func, "id", getattr(value.func, "attr", "")) if isinstance(value, ast.Call) else ""
    return name in _ONE_TIME


def hidden_arguments(subject: Subject) -> Verdict | None:
    """M114: `*args` and `**kwargs` may hold method, URL or stream."""
    if any(isinstance(value, ast.Starred) for value in subject.call.args):
        return Verdict("M114", "unsafe", "its positional arguments are hidden in *")
    hidden = [keyword.value for keyword in subject.call.keywords if keyword.arg is None]
    if hidden:
        return Verdict("M114", "unsafe", f"**{ast.unparse(hidden[0])} may hold stream, files or hooks")
    return None


def known_request(subject: Subject) -> Verdict | None:
    """M109: method and URL have to be seen, and the request made here."""
    if subject.path and subject.path[-1] == "send":
        return Verdict("M109", "unsafe", "it sends a request that was prepared elsewhere")
    if subject.site.method is None:
        return Verdict("M109", "unsafe", "its HTTP method is not known")
    return None


def read_only(subject: Subject) -> Verdict | None:
    """M101: only what is known to read may be answered from a cache."""
    method, endpoint = subject.site.method, subject.site.endpoint
    if method in _READING:
        return None
    if method != "POST":
        return Verdict("M101", "never", f"{method} changes state upstream")
    if endpoint is None:
        return Verdict("M101", "never", "POST to an endpoint that is not known")
    verdicts = (_reading_post(subject, each) for each in (endpoint, *subject.site.alternatives))
    return next((verdict for verdict in verdicts if verdict is not None), None)


def _reading_post(subject: Subject, endpoint: str) -> Verdict | None:
    known = sdk_operation(endpoint) if subject.site.kind == "llm" else llm_operation(endpoint)
    if known in _LLM_READING:
        return _kept_upstream(subject)
    path = endpoint.partition(" ")[2].partition("/")[2]
    if _SEARCHING.fullmatch(path):
        return None
    if _GRAPHQL.fullmatch(path):
        return _graphql(subject)
    return Verdict("M101", "never", f"{endpoint} is not known to only read")


def _kept_upstream(subject: Subject) -> Verdict | None:
    given = {**dict(payload_items(subject)), **subject.arguments}
    for name in _KEPT_UPSTREAM:
        if name in given and not _is_constant(given[name], {False, None}):
            return Verdict("M101", "never", f"{name}={ast.unparse(given[name])} leaves state upstream")
    return None


def _graphql(subject: Subject) -> Verdict | None:
    document = next((value for key, value in payload_items(subject) if key == "query"), None)
    text = subject.text(document) if document is not None else None
    if text is None:
        return Verdict("M101", "never", "its GraphQL document is not a literal, so it may be a mutation")
    if re.search(r"^\s*(?:mutation|subscription)\b", text, re.MULTILINE):
        return Verdict("M101", "never", "its GraphQL document holds a mutation or a subscription")
    return None


def authentication(subject: Subject) -> Verdict | None:
    """M117: tokens, log-ins and log-outs."""
    name = subject.function.name if subject.function is not None else ""
    if _AUTHENTICATION_NAME.search(name):
        return Verdict("M117", "never", f"{name} hands out or takes back credentials")
    for endpoint in (subject.site.endpoint or "", *subject.site.alternatives):
        if _AUTHENTICATION.fullmatch(endpoint.partition(" ")[2].partition("/")[2]):
            return Verdict("M117", "never", f"{endpoint} hands out or takes back credentials")
    return None


def sampled(subject: Subject) -> Verdict | None:
    """M105: every answer of a sampled completion is another one."""
    if subject.site.kind != "llm":
        return None
    given = {**dict(payload_items(subject)), **subject.arguments}
    for name, neutral in (("temperature", {0, None}), ("n", {1, None}), ("best_of", {1, None})):
        if name in given and not _is_constant(_followed(subject, given[name]), neutral):
            return Verdict("M105", "unsafe", f"{name}={ast.unparse(given[name])}: a repeated call would answer anew")
    return None


def _followed(subject: Subject, value: ast.expr) -> ast.expr:
    """The constant that a name stands for, else the expression itself."""
    if isinstance(value, ast.Name):
        assigned = subject.assigned_to(value)
        if len(assigned) == 1 and len(subject.bindings(value)) == 1:
            return assigned[0]
    return value


def fresh_values(subject: Subject) -> Verdict | None:
    """M116: a nonce or a timestamp makes every call another one."""
    for name, value in subject.arguments.items():
        for part in ast.walk(value):
            call = _fresh_call(part)
            if call is None and isinstance(part, ast.Name) and isinstance(part.ctx, ast.Load):
                calls = (_fresh_call(inner) for each in subject.assigned_to(part) for inner in ast.walk(each))
                call = next((found for found in calls if found is not None), None)
            if call is not None:
                return Verdict("M116", "unsafe", f"{name} holds {call}(), which is new every time")
    return None


def _fresh_call(node: ast.AST) -> str | None:
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name | ast.Attribute):
        return None
    written = ast.unparse(node.func)
    return written if _FRESH.search(written) else None


_REQUEST_OBJECTS = ("hooks", "event_hooks", "transport", "mounts", "auth")


def acting_objects(subject: Subject) -> Verdict | None:
    """M115: hooks, transports and authentication objects do something on every request, which a hit would not do."""
    plain = library_named(subject.site.library).plain
    for name in _REQUEST_OBJECTS:
        value = subject.arguments.get(name)
        if value is not None and _acts(name, value, plain):
            return Verdict("M115", "never", f"{name}={ast.unparse(value)} acts on every request")
    constructed = subject.resolved.client.constructed
    for keyword in constructed.keywords if constructed is not None else ():
        if keyword.arg in _REQUEST_OBJECTS and _acts(keyword.arg, keyword.value, plain):
            return Verdict("M115", "never", f"its client has {keyword.arg}={ast.unparse(keyword.value)}")
    return None


def _acts(name: str, value: ast.expr, plain: Mapping[str, frozenset[str]]) -> bool:
    if _is_constant(value, {None}):
        return False
    if not isinstance(value, ast.Call):
        return name != "auth" or isinstance(value, ast.Lambda)  # auth=(user, password), or a name for it
    return ast.unparse(value.func).rpartition(".")[2] not in plain.get(name, frozenset())


def payload_items(subject: Subject) -> Iterator[tuple[str, ast.expr]]:
    """The keys and values of the body, as far as it is a dictionary display that can be seen."""
    for name in ("json", "extra_body", "data"):
        value = subject.arguments.get(name)
        if value is None:
            continue
        for worth in subject.evaluate(value):
            if isinstance(worth, Display) and isinstance(worth.node, ast.Dict):
                for key, item in zip(worth.node.keys, worth.node.values, strict=True):
                    if isinstance(key, ast.Constant) and isinstance(key.value, str):
                        yield key.value, item
        if isinstance(value, ast.Name):
            yield from _added_items(subject, value.id)


def _added_items(subject: Subject, name: str) -> Iterator[tuple[str, ast.expr]]:
    """What `payload["stream"] = True` adds in the same function."""
    for node in ast.walk(subject.function) if subject.function is not None else ():
        match node:
            case ast.Assign(
                targets=[ast.Subscript(value=ast.Name(id=holder), slice=ast.Constant(value=str() as key))], value=value
            ) if holder == name:
                yield key, value
            case _:
                continue


def _is_constant(value: ast.expr, allowed: Collection[object]) -> bool:
    return isinstance(value, ast.Constant) and any(value.value == each for each in allowed)
