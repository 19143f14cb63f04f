"""cohere, google.generativeai, groq, huggingface_hub, litellm, mistralai, ollama, replicate: shapes and refusals."""

import operator

import cohere
import groq
import huggingface_hub
import ollama
import pytest
from mistralai.client import Mistral

from apicache_codemods.detector import load_detectors

CALLS = load_detectors()
CLIENTS = {
    "groq": groq.Groq(api_key="none"),
    "huggingface_hub": huggingface_hub.InferenceClient(),
    "mistralai": Mistral(api_key="none"),
    "ollama": ollama.Client(),
    "cohere": cohere.Client(api_key="none"),
}
OTHER_VERSIONS = {
    "huggingface_hub": {"post", "health_check", "conversational"},
    "mistralai": {"chat.parse", "chat.parse_stream", "fine_tuning.jobs"},
    "cohere": {"parse", "v2.parse"},
}
GEMINI = "generativelanguage.googleapis.com/v1beta/models/{}"


@pytest.mark.parametrize("library", CLIENTS)
def test_the_sdk_has_the_calls(library):
    missing = []
    for call in CALLS[library].calls:
        try:
            assert callable(operator.attrgetter(call)(CLIENTS[library]))
        except AttributeError:
            missing.append(call)
    known = OTHER_VERSIONS.get(library, set())
    assert [call for call in missing if not any(call.startswith(each) for each in known)] == []


SHAPES = {
    "cohere": """
        import cohere
        client = cohere.Client("key")
        client.chat(message="hi")  # -> POST api.cohere.com/v1/chat
        client.embed(texts=["hi"])  # -> POST api.cohere.com/v1/embed
        client.rerank(query="q", documents=[])  # -> POST api.cohere.com/v1/rerank
        client.v2.chat(model="m", messages=[])  # -> POST api.cohere.com/v2/chat
        second = cohere.ClientV2()
        second.chat(model="m", messages=[])  # -> POST api.cohere.com/v2/chat
        for event in second.chat_stream(model="m"):  # -> POST api.cohere.com/v2/chat
            print(event)
        async def ask():
            async with cohere.AsyncClientV2(base_url="https://proxy.example.com") as c:
                await c.embed(texts=[])  # -> POST proxy.example.com/v2/embed
    """,
    "google.generativeai": f"""
        import google.generativeai as genai
        from google.generativeai import GenerativeModel
        genai.configure(api_key="x")
        model = genai.GenerativeModel("gemini-pro")
        model.generate_content("hi")  # -> POST {GEMINI}:generateContent
        model.count_tokens("hi")  # -> POST {GEMINI}:countTokens
        chat = model.start_chat(history=[])
        chat.send_message("hi", stream=True)  # -> POST {GEMINI}:generateContent
        genai.embed_content(model="m", content="hi")  # -> POST {GEMINI}:embedContent
        genai.list_models()  # -> GET generativelanguage.googleapis.com/v1beta/models
        async def ask(m: GenerativeModel):
            await m.generate_content_async("hi")  # -> POST {GEMINI}:generateContent
            await m.start_chat().send_message_async("hi")  # -> POST {GEMINI}:generateContent
    """,
    "groq": """
        from groq import AsyncGroq, Groq
        client = Groq(api_key="x")
        client.chat.completions.create(model="m", messages=[])  # -> POST api.groq.com/openai/v1/chat/completions
        client.audio.transcriptions.create(file=f)  # -> POST api.groq.com/openai/v1/audio/transcriptions
        client.models.list()  # -> GET api.groq.com/openai/v1/models
        async def ask():
            await AsyncGroq().chat.completions.create()  # -> POST api.groq.com/openai/v1/chat/completions
    """,
    "huggingface_hub": """
        from huggingface_hub import AsyncInferenceClient, InferenceClient
        client = InferenceClient("some/model")
        client.chat_completion([])  # -> POST router.huggingface.co/v1/chat/completions
        client.chat.completions.create(messages=[])  # -> POST router.huggingface.co/v1/chat/completions
        client.text_generation("hi")  # -> POST router.huggingface.co/hf-inference/models/{}
        client.image_to_text("hi")  # -> POST router.huggingface.co/hf-inference/models/{}
        async def ask(c: AsyncInferenceClient):
            await c.text_to_image("hi")  # -> POST router.huggingface.co/hf-inference/models/{}
    """,
    "litellm": """
        import litellm
        from litellm import Router, acompletion, completion as ask, embedding
        ask(model="m", messages=[])  # -> POST {}/chat/completions
        litellm.completion("m", [], api_base="http://localhost:4000")  # -> POST localhost:4000/chat/completions
        embedding(model="m", input=["hi"])  # -> POST {}/embeddings
        router = Router(model_list=[])
        router.completion(model="m", messages=[])  # -> POST {}/chat/completions
        async def run():
            await acompletion(model="m", messages=[])  # -> POST {}/chat/completions
            await litellm.aembedding(model="m", input=[])  # -> POST {}/embeddings
            await router.acompletion(model="m", messages=[])  # -> POST {}/chat/completions
    """,
    "mistralai": """
        from mistralai import Mistral
        from mistralai.client import MistralClient
        client = Mistral(api_key="x")
        client.chat.complete(model="m", messages=[])  # -> POST api.mistral.ai/v1/chat/completions
        client.embeddings.create(model="m", inputs=[])  # -> POST api.mistral.ai/v1/embeddings
        client.ocr.process(model="m", document={})  # -> POST api.mistral.ai/v1/ocr
        MistralClient(api_key="x").chat(model="m", messages=[])  # -> POST api.mistral.ai/v1/chat/completions
        async def ask():
            async with Mistral(server_url="https://eu.example.com") as c:
                await c.chat.complete_async(model="m")  # -> POST eu.example.com/v1/chat/completions
            async for part in await client.chat.stream_async(model="m"):  # -> POST api.mistral.ai/v1/chat/completions
                print(part)
    """,
    "ollama": """
        import ollama
        from ollama import AsyncClient, chat
        chat(model="m", messages=[])  # -> POST 127.0.0.1:11434/api/chat
        ollama.generate("m", "hi")  # -> POST 127.0.0.1:11434/api/generate
        ollama.embed(model="m", input="hi")  # -> POST 127.0.0.1:11434/api/embed
        ollama.list()  # -> GET 127.0.0.1:11434/api/tags
        ollama.Client("http://gpu:11434").chat(model="m")  # -> POST gpu:11434/api/chat
        ollama.Client(host="gpu:9999").chat(model="m")  # -> POST gpu:9999/api/chat
        async def ask():
            await AsyncClient().chat(model="m")  # -> POST 127.0.0.1:11434/api/chat
    """,
    "replicate": """
        import replicate
        from replicate.client import Client
        replicate.run("owner/name:1", input={})  # -> POST api.replicate.com/v1/predictions
        replicate.predictions.create(version="1", input={})  # -> POST api.replicate.com/v1/predictions
        replicate.models.get("owner/name")  # -> GET api.replicate.com/v1/models/{}/{}
        Client(api_token="x").run("owner/name", input={})  # -> POST api.replicate.com/v1/predictions
        async def ask():
            await replicate.async_run("owner/name", input={})  # -> POST api.replicate.com/v1/predictions
            await replicate.predictions.async_create(version="1")  # -> POST api.replicate.com/v1/predictions
    """,
}


@pytest.mark.parametrize("shape", SHAPES)
def test_calls_of_the_sdk_are_call_sites(check, shape):
    report = check(SHAPES[shape])
    assert {site.kind for site in report.call_sites} == {"llm"}
    assert all(site.is_async == ("await " in line_of(SHAPES[shape], site.line)) for site in report.call_sites)


def line_of(source, number):
    return source.split("\n")[number - 1]


REFUSALS = {
    "cohere": """
        import cohere
        client = cohere.Client("key")
        client.close()
        cohere.ChatMessage(role="USER", message="hi")
        client.chat
    """,
    "google.generativeai": """
        import google.generativeai as genai
        genai.configure(api_key="x")
        genai.GenerationConfig(temperature=0)
        model = genai.GenerativeModel("gemini-pro")
        chat = model.start_chat()
        chat.history.append("hi")
        chat.rewind()
        genai.protos.Part(text="hi")
    """,
    "groq": """
        from groq import Groq
        from fastapi import groq
        Groq().close()
        groq.Groq().chat.completions.create()
    """,
    "huggingface_hub": """
        from huggingface_hub import HfApi, hf_hub_download, snapshot_download
        HfApi().list_models()
        hf_hub_download("a", "b")
        snapshot_download("a")
    """,
    "litellm": """
        import litellm
        litellm.set_verbose = True
        litellm.token_counter(model="m", text="hi")
        litellm.get_model_info("m")
        litellm.completion_cost(completion_response=None)
        litellm.success_callback.append("x")
        def completion(): ...
        completion()
    """,
    "mistralai": """
        from mistralai import Mistral, UserMessage
        UserMessage(content="hi")
        Mistral(api_key="x").chat
    """,
    "ollama": """
        from ollama import Message, ResponseError
        Message(role="user", content="hi")
        chat = {}
        chat.get("x")
        class ollama:
            def chat(self): ...
        ollama().chat()
    """,
    "replicate": """
        import subprocess
        import replicate
        subprocess.run(["ls"])
        replicate.Client(api_token="x")
        replicate.exceptions.ReplicateError("x")
        app.run("owner/name")
    """,
    "relative modules by the same names": """
        from . import ollama, litellm
        from .groq import Groq
        from .google import genai
        ollama.chat(model="m")
        litellm.completion(model="m")
        Groq().chat.completions.create()
        genai.Client().models.generate_content()
    """,
}


@pytest.mark.parametrize("shape", REFUSALS)
def test_what_makes_no_request_is_no_call_site(check, shape):
    check(REFUSALS[shape])
