"""The google-genai detector: the client, its `aio` half, chats, Vertex; and what is no request."""

import google.genai
import pytest

from apicache_codemods.detectors.google_genai import DETECTOR

GEMINI = "generativelanguage.googleapis.com/v1beta/models/{}"


@pytest.mark.parametrize("call", [call for call in DETECTOR.calls if not call.startswith("aio.")])
def test_the_sdk_has_the_call_in_both_halves(call):
    client = google.genai.Client(api_key="none")
    for half in (client, client.aio):
        found = half
        for part in call.split("."):
            found = getattr(found, part)
        assert callable(found)


def test_both_imports_of_the_package_are_the_library(check):
    check(f"""
        import google.genai
        from google import genai
        from google.genai import Client as C
        genai.Client().models.generate_content(model="m", contents="hi")  # -> POST {GEMINI}:generateContent
        google.genai.Client().models.count_tokens(model="m", contents="hi")  # -> POST {GEMINI}:countTokens
        C().models.generate_content_stream(model="m")  # -> POST {GEMINI}:streamGenerateContent
        C().models.embed_content(model="m", contents="hi")  # -> POST {GEMINI}:batchEmbedContents
    """)


def test_the_asynchronous_half_is_awaited(check):
    report = check(f"""
        from google import genai
        client = genai.Client()
        async def ask():
            await client.aio.models.generate_content(model="m")  # -> POST {GEMINI}:generateContent
            async with client.aio as aio:
                await aio.models.generate_content(model="m")  # -> POST {GEMINI}:generateContent
        client.models.generate_content(model="m")  # -> POST {GEMINI}:generateContent
    """)
    assert [site.is_async for site in report.call_sites] == [True, True, False]
    assert {site.group for site in report.call_sites} == {"G1"}


def test_a_chat_is_a_client(check):
    report = check(f"""
        from google import genai
        class Bot:
            def __init__(self):
                self.chat = genai.Client().chats.create(model="m")
            def say(self, text):
                return self.chat.send_message(text)  # -> POST {GEMINI}:generateContent
        async def talk(client: genai.Client):
            chat = client.aio.chats.create(model="m")
            return await chat.send_message("hi")  # -> POST {GEMINI}:generateContent
    """)
    assert [site.is_async for site in report.call_sites] == [False, True]


def test_vertex_is_told_by_an_argument(check):
    vertex = "{}-aiplatform.googleapis.com/v1beta1/projects/{}/locations/{}/publishers/google/models/{}"
    check(f"""
        from google import genai
        client = genai.Client(vertexai=True, project="p", location="us-central1")
        client.models.generate_content(model="m")  # -> POST {vertex}:generateContent
        client.chats.create(model="m").send_message("hi")  # -> POST {vertex}:generateContent
        genai.Client(vertexai=False).models.generate_content(model="m")  # -> POST {GEMINI}:generateContent
    """)


def test_what_makes_no_request_is_no_call_site(check):
    check("""
        from google import genai, protobuf
        from google.genai import types
        client = genai.Client()
        client.chats.create(model="m")
        chat = client.chats.create(model="m")
        chat.get_history()
        types.Part.from_bytes(data=b"", mime_type="image/png")
        client.aio.live.connect(model="m")
        protobuf.message.Message().models.generate_content()
    """)


def test_a_project_may_have_a_package_google_of_its_own(check):
    check(
        {
            "google/__init__.py": "",
            "google/shared.py": "import httpx\nclient = httpx.Client()\n",
            "app.py": f"""
                from google import genai
                from google.shared import client
                client.get("https://api.example.com/a")  # -> GET api.example.com/a
                genai.Client().models.generate_content(model="m")  # -> POST {GEMINI}:generateContent
            """,
        }
    )
