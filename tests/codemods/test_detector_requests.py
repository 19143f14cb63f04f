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


def test_sessions_that_derive_from_requests_are_its_sessions(check):
    report = check("""
        import cloudscraper
        import requests_cache
        from google.auth.transport.requests import AuthorizedSession
        from requests_html import AsyncHTMLSession, HTMLSession
        from requests_oauthlib import OAuth2Session
        from requests_toolbelt import sessions
        from requests_toolbelt.sessions import BaseUrlSession

        requests_cache.CachedSession("cache").get("https://api.example.com/a")  # -> GET api.example.com/a
        cloudscraper.create_scraper().get("https://api.example.com/a")  # -> GET api.example.com/a
        AuthorizedSession(credentials).post("https://api.example.com/a")  # -> POST api.example.com/a
        HTMLSession().get("https://api.example.com/a").html.render()  # -> GET api.example.com/a
        with OAuth2Session("id", token={}) as oauth:
            oauth.get("https://api.example.com/a")  # -> GET api.example.com/a
        based = BaseUrlSession(base_url="https://api.example.com/v1/")
        based.get("users")  # -> GET api.example.com/v1/users
        based.get("/users")  # -> GET api.example.com/users
        sessions.BaseUrlSession("https://api.example.com/v1/").get("users")  # -> GET api.example.com/v1/users

        async def load():
            session = AsyncHTMLSession()
            await session.get("https://api.example.com/a")  # -> GET api.example.com/a
    """)
    assert {site.library for site in report.call_sites} == {"requests"}


def test_what_only_borrows_a_session_is_none(check):
    check("""
        import requests_cache
        from google.auth.transport.requests import Request
        from requests_toolbelt import MultipartEncoder
        from requests_toolbelt.utils import dump

        requests_cache.install_cache("cache")
        credentials.refresh(Request())
        MultipartEncoder({"a": "b"}).read()
        dump.dump_all(response).decode()
    """)
