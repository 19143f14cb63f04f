"""The requests detector against requests itself."""

import pytest
import requests

from apicache_codemods.detectors.requests import DETECTOR


@pytest.mark.parametrize("verb", ["get", "post", "put", "patch", "delete", "head", "options"])
def test_a_verb_sends_its_method(project, verb):
    sent = requests.Request(verb.upper(), "https://api.example.com/users?page=1").prepare()
    (site,) = project.scan(f"import requests\nrequests.{verb}({sent.url!r})\n").call_sites
    assert site.endpoint == f"{sent.method} api.example.com/users"


def test_every_call_method_is_one_of_a_session():
    session = requests.Session()
    assert all(callable(getattr(session, call)) for call in DETECTOR.calls)


def test_both_spellings_of_a_session_are_clients(project):
    source = """
        import requests
        from requests.sessions import Session
        for session in ():
            session.get("https://api.example.com/no")
        requests.session().get("https://api.example.com/a")
        with Session() as s:
            s.get("https://api.example.com/b")
    """
    sites = project.scan(source).call_sites
    assert [site.endpoint for site in sites] == ["GET api.example.com/a", "GET api.example.com/b"]
