"""What well-known functions outside the project give: of the standard library, of web frameworks, of URL libraries."""

import ast
from typing import TYPE_CHECKING

from apicache_codemods import texts
from apicache_codemods.containers import Containers
from apicache_codemods.evaluator import united
from apicache_codemods.values import (
    HOLE,
    UNKNOWN,
    Client,
    Collection,
    External,
    Generated,
    Literal,
    Partial,
    Row,
    Text,
    Unknown,
    Unnamed,
    Value,
    Values,
    exact,
    join,
    literal,
    text_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from apicache_codemods.resolver import Resolver
    from apicache_codemods.scopes import Frame

_SAME = frozenset(
    {
        "contextlib.closing",
        "contextlib.aclosing",
        "contextlib.nullcontext",
        "copy.copy",
        "copy.deepcopy",
        "textwrap.dedent",
        "apicache.per_event_loop",
        "functools.cache",
        "functools.lru_cache",
        "functools.wraps",
        "builtins.staticmethod",
        "builtins.classmethod",
        "asgiref.sync.sync_to_async",
        "asgiref.sync.async_to_sync",
        "asyncio.wait_for",
        "asyncio.shield",
        "asyncio.create_task",
        "asyncio.ensure_future",
        "weakref.proxy",
        "wrapt.ObjectProxy",
    }
)
_CALLING = frozenset(
    {
        "werkzeug.local.LocalProxy",
        "lazy_object_proxy.Proxy",
        "django.utils.functional.SimpleLazyObject",
        "django.utils.functional.lazy",
        "fastapi.Depends",
        "fastapi.Security",
        "fastapi.params.Depends",
    }
)
"""Functions that call what they are passed."""
_TEXTS = frozenset(
    {
        "builtins.str",
        "yarl.URL",
        "httpx.URL",
        "furl.furl",
        "rfc3986.uri_reference",
        "pydantic.HttpUrl",
        "pydantic.AnyHttpUrl",
        "pydantic.AnyUrl",
        "urllib3.util.parse_url",
    }
)
_JOINING = frozenset({"posixpath.join", "os.path.join"})
_URL_JOINING = frozenset({"urllib.parse.urljoin", "requests.compat.urljoin", "yarl.URL.join"})
_ENVIRONMENT = frozenset({"os.getenv", "os.environ.get", "os.environ.pop", "os.environ.setdefault", "decouple.config"})
_LISTS = frozenset(
    {"builtins.list", "builtins.tuple", "builtins.set", "builtins.sorted", "builtins.reversed", "itertools.cycle"}
)
_ONE_OF = frozenset({"builtins.next", "random.choice", "builtins.min", "builtins.max"})
_FIELDS = frozenset({"dataclasses.field", "pydantic.Field", "attr.ib", "attr.attrib", "attrs.field", "attr.field"})
_FACTORIES = frozenset({"default_factory", "factory"})
_QUOTING = frozenset({"urllib.parse.quote", "urllib.parse.quote_plus", "requests.utils.quote"})


class Standard:
    """Calls of functions that lie outside the project, by their qualified names."""

    def __init__(self, resolver: "Resolver", containers: Containers) -> None:
        self._resolver = resolver
        self._containers = containers
        self._by_name: dict[str, Callable[[ast.Call, Frame], Values]] = {
            **dict.fromkeys(_ENVIRONMENT, self._environment),
            **dict.fromkeys(_TEXTS, self._text),
            **dict.fromkeys(_QUOTING, self._quoted),
            **dict.fromkeys(_JOINING, self._path_joined),
            **dict.fromkeys(_URL_JOINING, self._url_joined),
            **dict.fromkeys(_LISTS, self._listed),
            **dict.fromkeys(_ONE_OF, self._one_of),
            **dict.fromkeys(_FIELDS, self._field),
            **dict.fromkeys(_CALLING, self._calling),
            **dict.fromkeys(_SAME, self._same),
            "typing.cast": self._cast,
            "typing_extensions.cast": self._cast,
            "functools.partial": self._partial,
            "builtins.getattr": self._getattr,
            "builtins.enumerate": self._enumerated,
            "builtins.zip": self._zipped,
            "builtins.dict": self._dictionary,
            "collections.OrderedDict": self._dictionary,
            "contextvars.ContextVar": self._context_variable,
            "asyncio.gather": self._gathered,
        }

    def called(self, name: str, call: ast.Call, frame: "Frame") -> Values:
        """What calling the function of this qualified name gives."""
        known = self._by_name.get(name)
        if known is not None:
            return known(call, frame) or (UNKNOWN,)
        if name in self._resolver.catalogue.texts and call.args:
            return (self._resolver.text(call.args[0], frame),)
        return (UNKNOWN,)

    def _first(self, call: ast.Call, frame: "Frame") -> Values:
        return self._resolver.evaluate(call.args[0], frame) if call.args else ()

    def _same(self, call: ast.Call, frame: "Frame") -> Values:
        if not call.args and isinstance(call.func, ast.Name | ast.Attribute):
            return (External("functools.cache"),)  # `lru_cache(maxsize=1)`, to be called with the function
        return self._first(call, frame)

    def _cast(self, call: ast.Call, frame: "Frame") -> Values:
        return self._resolver.classes.annotated(call.args[0], frame) if call.args else ()

    def _text(self, call: ast.Call, frame: "Frame") -> Values:
        given = call.args or [keyword.value for keyword in call.keywords]
        return (self._resolver.text(given[0], frame),) if given else ()

    def _quoted(self, call: ast.Call, frame: "Frame") -> Values:
        text = text_of(self._first(call, frame))
        return (text if exact(text) is not None else HOLE,)

    def _environment(self, call: ast.Call, frame: "Frame") -> Values:
        name = exact(text_of(self._first(call, frame)))
        if name is None:
            return ()
        defaults = [*call.args[1:2], *(each.value for each in call.keywords if each.arg == "default")]
        return united((setting(name),), *(self._resolver.evaluate(default, frame) for default in defaults))

    def _path_joined(self, call: ast.Call, frame: "Frame") -> Values:
        pieces = [self._resolver.text(argument, frame) for argument in call.args]
        return (join(*[part for piece in pieces for part in (literal("/"), piece)][1:]),)

    def _url_joined(self, call: ast.Call, frame: "Frame") -> Values:
        base, *more = (self._resolver.text(argument, frame) for argument in call.args)
        return (texts.url_joined(base, more[0]) if more else base,)

    def _partial(self, call: ast.Call, frame: "Frame") -> Values:
        if not call.args or isinstance(call.args[0], ast.Starred):
            return ()
        return tuple(Partial(function, call, frame) for function in self._first(call, frame) if _is_callable(function))

    def _getattr(self, call: ast.Call, frame: "Frame") -> Values:
        if len(call.args) < 2:  # noqa: PLR2004 - object and name
            return ()
        holders = self._first(call, frame)
        names = [exact(option) for option in self._resolver.text(call.args[1], frame).options]
        default = self._resolver.evaluate(call.args[2], frame) if len(call.args) > 2 else ()  # noqa: PLR2004
        found = [self._attribute(holder, name) for holder in holders for name in names]
        return united(*found, tuple(value for value in default if not isinstance(value, Unknown)))

    def _attribute(self, holder: Value, name: str | None) -> Values:
        if name is not None:
            return self._resolver.attribute(holder, name)
        return (Unnamed(holder),) if isinstance(holder, Client | External) else (UNKNOWN,)

    def _each(self, argument: ast.expr, frame: "Frame") -> Values:
        return self._containers.iterated(argument, frame)

    def _listed(self, call: ast.Call, frame: "Frame") -> Values:
        return (Collection(self._each(call.args[0], frame)),) if call.args else ()

    def _one_of(self, call: ast.Call, frame: "Frame") -> Values:
        return self._each(call.args[0], frame) if call.args else ()

    def _enumerated(self, call: ast.Call, frame: "Frame") -> Values:
        return (Collection((Row(((UNKNOWN,), self._each(call.args[0], frame))),)),) if call.args else ()

    def _zipped(self, call: ast.Call, frame: "Frame") -> Values:
        return (Collection((Row(tuple(self._each(argument, frame) for argument in call.args)),)),)

    def _dictionary(self, call: ast.Call, frame: "Frame") -> Values:
        if call.args:
            return self._first(call, frame)
        keys = [ast.Constant(keyword.arg) if keyword.arg is not None else None for keyword in call.keywords]
        return (Literal(ast.Dict(keys=list(keys), values=[keyword.value for keyword in call.keywords]), frame),)

    def _context_variable(self, call: ast.Call, frame: "Frame") -> Values:
        defaults = [self._resolver.evaluate(each.value, frame) for each in call.keywords if each.arg == "default"]
        return (Collection(united(*defaults)),) if defaults else ()

    def _gathered(self, call: ast.Call, frame: "Frame") -> Values:
        if any(isinstance(argument, ast.Starred) for argument in call.args):
            return ()
        return (Row(tuple(self._resolver.evaluate(argument, frame) for argument in call.args)),)

    def _field(self, call: ast.Call, frame: "Frame") -> Values:
        for keyword in call.keywords:
            if keyword.arg in _FACTORIES:
                return self._made_by(keyword.value, frame)
            if keyword.arg == "default":
                return self._resolver.evaluate(keyword.value, frame)
        return self._first(call, frame)

    def _calling(self, call: ast.Call, frame: "Frame") -> Values:
        return self._made_by(call.args[0], frame) if call.args else ()

    def _made_by(self, factory: ast.expr, frame: "Frame") -> Values:
        made = ast.copy_location(ast.Call(func=factory, args=[], keywords=[]), factory)
        found: list[Values] = []
        for value in self._resolver.evaluate(made, frame):
            match value:
                case Generated(function=generator):
                    found.append(self._resolver.functions.yielded(generator))
                case _:
                    found.append((value,))
        return united(*found)


def setting(name: str) -> Text:
    """The text of a setting: `{API_URL}`."""
    return Text((Unknown(name=name),))


def _is_callable(value: Value) -> bool:
    return not isinstance(value, Unknown | Text)
