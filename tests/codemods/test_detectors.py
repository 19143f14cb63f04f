"""One suite over every detector, and what holds for the folder they lie in."""

import importlib
import importlib.util
import pkgutil

import pytest

from apicache_codemods import detectors
from apicache_codemods.detector import Argument, Catalogue, load_detectors
from apicache_codemods.sql import statement_of

URL = "https://api.example.com/things"
SQL = "SELECT a FROM things"
DETECTORS = load_detectors()
CONSTRUCTORS = [(library, name) for library, detector in DETECTORS.items() for name in detector.constructors]
FUNCTIONS = [(library, name) for library, detector in DETECTORS.items() for name in detector.functions]


def kinds_of_client(detector):
    """One constructor of each kind that a detector knows; names that no code can hold are variants of others."""
    made = {id(constructor): name for name, constructor in detector.constructors.items() if "[" not in name}
    return [name for name in made.values() if detector.constructors[name].calls != {}]


CLIENTS = [(library, name) for library, detector in DETECTORS.items() for name in kinds_of_client(detector)]


def module_of(library):
    """The file that the card of a library stands in."""
    modules = (
        importlib.import_module(f"{detectors.__name__}.{each.name}")
        for each in pkgutil.iter_modules(detectors.__path__)
    )
    return next(
        module for module in modules if (module.DETECTOR.library or module.__name__.rpartition(".")[2]) == library
    )


def found(name):
    """What a qualified name stands for, its modules imported."""
    module, _, rest = name.partition(".")
    found = importlib.import_module(module)
    for part in rest.split("."):
        if not hasattr(found, part):
            importlib.import_module(f"{found.__name__}.{part}")
        found = getattr(found, part)
    return found


EARLIER = {
    "mistralai.Mistral",
    "mistralai.sdk.Mistral",
    "mistralai.client.MistralClient",
    "mistralai.async_client.MistralAsyncClient",
}
"""What is of another version than the one installed."""


def is_installed(library, name):
    """Whether a qualified name is one that code can hold, of a library that is here in the version that has it."""
    module = next(each for each in DETECTORS[library].modules if name.startswith(f"{each}."))
    try:
        return importlib.util.find_spec(module) is not None and "[" not in name and name not in EARLIER
    except ModuleNotFoundError:
        return False


def arguments(detector, request, *, by_keyword):
    """A call's arguments, as its card says where they stand."""
    sent = SQL if detector.kind == "db" else URL
    wanted = [
        (part, value) for part, value in ((request.method, "GET"), (request.url, sent)) if isinstance(part, Argument)
    ]
    if request.prepared not in {None, request.url}:
        return "anything"
    if by_keyword:
        return ", ".join(f"{part.keyword}={value!r}" for part, value in wanted)
    by_position = {part.position: repr(value) for part, value in wanted}
    return ", ".join(by_position.get(position, "None") for position in range(max(by_position, default=-1) + 1))


def endpoint(detector, request, base):
    if request.prepared not in {None, request.url}:
        return None
    if detector.kind == "db":
        found = statement_of(SQL if isinstance(request.url, Argument) else request.url, request.method)
        return found.text if found is not None else None
    method = request.method if isinstance(request.method, str) else "GET"
    path = URL if isinstance(request.url, Argument) else request.url
    place = path if "://" in path else (base or "{}") + path
    return f"{method} {place.rpartition('://')[2]}" if place.strip("{}") else None


@pytest.mark.parametrize("library", DETECTORS)
def test_a_detector_names_its_documentation_and_only_its_own_library(library):
    detector = DETECTORS[library]
    module = module_of(library)
    assert detector.documentation.startswith("https://")
    assert detector.documentation in module.__doc__.splitlines()[0]
    names = [*detector.constructors, *detector.functions, *(name for name in detector.requests if "." in name)]
    names += [*detector.texts, *detector.statements, *detector.wrappers, *(f"{alias}." for alias in detector.aliases)]
    assert names
    assert all(any(name.startswith(f"{module}.") for module in detector.modules) for name in names)


@pytest.mark.parametrize(("library", "name"), [each for each in [*CONSTRUCTORS, *FUNCTIONS] if is_installed(*each)])
def test_the_library_has_what_its_detector_names(library, name):
    if library == "openai" and name in {f"openai.{call}" for call in DETECTORS[library].calls}:
        return  # the module's own client is made on first use and wants a key; its calls are the client's, below
    assert callable(found(name))


@pytest.mark.parametrize(("library", "name"), CLIENTS)
def test_every_call_method_is_found_on_a_client(project, library, name):
    detector = DETECTORS[library]
    constructor = detector.constructors[name]
    calls = detector.calls if constructor.calls is None else constructor.calls
    lines = [f"client.{call}({arguments(detector, request, by_keyword=False)})" for call, request in calls.items()]
    source = "\n".join([f"import {name.rpartition('.')[0]}", f"client = {name}()", *lines, ""])
    found = [(site.call, site.library, site.is_async, site.endpoint) for site in project.scan(source).call_sites]
    assert found == [
        (
            f"client.{call}",
            library,
            constructor.is_async or request.is_async,
            endpoint(detector, request, constructor.base_url),
        )
        for call, request in calls.items()
    ]


@pytest.mark.parametrize(("library", "name"), FUNCTIONS)
def test_every_function_of_a_library_is_found(project, library, name):
    detector = DETECTORS[library]
    request = detector.functions[name]
    module, _, function = name.rpartition(".")
    by_keyword, by_position = (arguments(detector, request, by_keyword=each) for each in (True, False))
    outer = next(each for each in detector.modules if name.startswith(f"{each}."))
    source = [f"import {outer} as lib", f"lib.{name.removeprefix(f'{outer}.')}({by_keyword})"]
    if module == outer:
        source += [f"from {module} import {function} as call", f"call({by_position})"]
    sites = project.scan("\n".join(source) + "\n").call_sites
    assert [site.endpoint for site in sites] == [endpoint(detector, request, detector.base_url)] * (len(source) // 2)
    assert {(site.library, site.client_origin, site.is_async) for site in sites} == {
        (library, library, request.is_async)
    }


@pytest.mark.parametrize(("library", "name"), CONSTRUCTORS)
def test_constructing_a_client_is_no_call(project, library, name):
    source = f"import {name.rpartition('.')[0]}\nclient = {name}()\nclient.nothing_known()\n"
    assert project.scan(source).call_sites == ()


@pytest.mark.parametrize("library", DETECTORS)
def test_a_library_that_is_shadowed_is_not_found(project, library):
    detector = DETECTORS[library]
    calls = "\n".join(f"    {name}()" for name in detector.functions)
    assert project.scan(f"import {library}\ndef load({library}):\n{calls}\n").call_sites == ()


NEW = '''
"""fakelib: a library of this test; https://fakelib.example.com/docs."""

from apicache_codemods.detector import Argument, Constructor, Detector, Request

DETECTOR = Detector(
    documentation="https://fakelib.example.com/docs",
    constructors={"fakelib.Connection": Constructor()},
    calls={"fetch": Request(method="GET", url=Argument("url", 0))},
    functions={"fakelib.fetch": Request(method="GET", url=Argument("url", 0))},
)
'''


@pytest.fixture
def one_more_detector(tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp("more")
    (folder / "fakelib.py").write_text(NEW)
    monkeypatch.setattr(detectors, "__path__", [*detectors.__path__, str(folder)])
    load_detectors.cache_clear()
    yield
    load_detectors.cache_clear()


@pytest.mark.usefixtures("one_more_detector")
def test_a_file_in_the_folder_is_a_detector_and_nothing_else_is_edited(check):
    assert "fakelib" in load_detectors()
    report = check("""
        import fakelib
        fakelib.fetch("https://api.example.com/a")  # -> GET api.example.com/a
        with fakelib.Connection() as connection:
            connection.fetch("https://api.example.com/b")  # -> GET api.example.com/b
    """)
    assert {site.library for site in report.call_sites} == {"fakelib"}


def test_a_catalogue_knows_every_name_and_what_lies_above_it():
    catalogue = Catalogue(load_detectors())
    assert catalogue.leads_to_call("httpx")
    assert catalogue.leads_to_call("httpx.AsyncClient")
    assert catalogue.leads_to_call("openai.chat.completions")
    assert not catalogue.leads_to_call("httpx.Response")
    assert not catalogue.leads_to_call("json")
    assert {"Client", "AsyncClient", "get", "stream"} <= catalogue.below("httpx")
