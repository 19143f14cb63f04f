"""One suite over every detector, and what holds for the folder they lie in."""

import importlib
import operator

import pytest

from apicache_codemods import detectors
from apicache_codemods.detector import Argument, Catalogue, load_detectors

URL = "https://api.example.com/things"
DETECTORS = load_detectors()
CONSTRUCTORS = [(library, name) for library, detector in DETECTORS.items() for name in detector.constructors]
CALLS = [(library, name) for library, detector in DETECTORS.items() for name in detector.calls]
FUNCTIONS = [(library, name) for library, detector in DETECTORS.items() for name in detector.functions]


def arguments(request, *, by_keyword):
    """A call's arguments, as its card says where they stand."""
    wanted = [
        (part, value) for part, value in ((request.method, "GET"), (request.url, URL)) if isinstance(part, Argument)
    ]
    if request.prepared is not None:
        return "anything"
    if by_keyword:
        return ", ".join(f"{part.keyword}={value!r}" for part, value in wanted)
    return ", ".join(repr(value) for _, value in sorted(wanted, key=lambda each: each[0].position))


def endpoint(detector, request, base):
    if request.prepared is not None:
        return None
    method = "GET" if isinstance(request.method, Argument) else request.method
    place = URL if isinstance(request.url, Argument) else (base or "{}") + request.url
    return f"{method} {place.removeprefix('https://')}"


@pytest.mark.parametrize("library", DETECTORS)
def test_a_detector_names_its_documentation_and_only_its_own_library(library):
    detector = DETECTORS[library]
    module = importlib.import_module(f"{detectors.__name__}.{library}")
    assert detector.documentation.startswith("https://")
    assert detector.documentation in module.__doc__.splitlines()[0]
    names = [*detector.constructors, *detector.functions, *(name for name in detector.requests if "." in name)]
    assert names
    assert all(name.partition(".")[0] == library for name in names)


@pytest.mark.parametrize(("library", "name"), [*CONSTRUCTORS, *FUNCTIONS])
def test_the_library_has_what_its_detector_names(library, name):
    module = importlib.import_module(library)
    if library == "openai" and name in {f"openai.{call}" for call in DETECTORS[library].calls}:
        return  # the module's own client is made on first use and wants a key; its calls are the client's, below
    assert callable(operator.attrgetter(name.partition(".")[2])(module))


@pytest.mark.parametrize(("library", "call"), CALLS)
def test_every_call_method_is_found_on_a_client(project, library, call):
    detector = DETECTORS[library]
    for name, constructor in list(detector.constructors.items())[:4]:
        request = detector.calls[call]
        source = f"import {library}\nclient = {name}()\nclient.{call}({arguments(request, by_keyword=False)})\n"
        (site,) = project.scan(source).call_sites
        assert (site.library, site.call, site.is_async) == (library, f"client.{call}", constructor.is_async)
        assert site.endpoint == endpoint(detector, request, constructor.base_url)
        assert site.client_origin == "app.py:2"


@pytest.mark.parametrize(("library", "name"), FUNCTIONS)
def test_every_function_of_a_library_is_found(project, library, name):
    detector = DETECTORS[library]
    request = detector.functions[name]
    module, _, function = name.rpartition(".")
    source = [f"import {library} as lib", f"lib.{name.partition('.')[2]}({arguments(request, by_keyword=True)})"]
    if module == library:
        source += [f"from {module} import {function} as call", f"call({arguments(request, by_keyword=False)})"]
    sites = project.scan("\n".join(source) + "\n").call_sites
    assert [site.endpoint for site in sites] == [endpoint(detector, request, detector.base_url)] * (len(source) // 2)
    assert {(site.library, site.client_origin, site.is_async) for site in sites} == {(library, library, False)}


@pytest.mark.parametrize(("library", "name"), CONSTRUCTORS)
def test_constructing_a_client_is_no_call(project, library, name):
    assert project.scan(f"import {library}\nclient = {name}()\nclient.nothing_known()\n").call_sites == ()


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
