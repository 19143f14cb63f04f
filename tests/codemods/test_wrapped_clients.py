"""SDK clients in another library's proxy: their calls are call sites, marked with the library that wraps them."""

import pytest

CHAT = "POST api.openai.com/v1/chat/completions"
WRAPPED = {
    "from_openai": ("instructor", "import instructor, openai\nclient = instructor.from_openai(openai.OpenAI())\n"),
    "patch": ("instructor", "import instructor, openai\nclient = instructor.patch(openai.OpenAI())\n"),
    "from_provider": ("instructor", "import instructor\nclient = instructor.from_provider('openai/gpt-4o')\n"),
    "langfuse's class": ("langfuse", "from langfuse.openai import OpenAI\nclient = OpenAI()\n"),
    "langfuse's module": ("langfuse", "from langfuse.openai import openai\nclient = openai.OpenAI()\n"),
    "langfuse's module itself": ("langfuse", "from langfuse.openai import openai as client\n"),
    "langsmith": (
        "langsmith",
        "from langsmith.wrappers import wrap_openai\nimport openai\nclient = wrap_openai(openai.OpenAI())\n",
    ),
    "opik": (
        "opik",
        "from opik.integrations.openai import track_openai\nimport openai\nclient = track_openai(openai.OpenAI())\n",
    ),
    "posthog": ("posthog", "from posthog.ai.openai import OpenAI\nclient = OpenAI()\n"),
    "braintrust": (
        "braintrust",
        "import braintrust, openai\nclient = braintrust.wrap_openai(openai.OpenAI())\n",
    ),
}


@pytest.mark.parametrize("shape", WRAPPED)
def test_a_wrapped_client_makes_call_sites_that_say_so(project, shape):
    library, source = WRAPPED[shape]
    (site,) = project.scan(f"{source}client.chat.completions.create(model='m', messages=[])\n").call_sites
    assert (site.endpoint, site.wrapped_by, site.kind) == (CHAT, library, "llm")


def test_a_client_that_is_not_wrapped_says_so(project):
    (site,) = project.scan("import openai\nopenai.OpenAI().chat.completions.create()\n").call_sites
    assert site.wrapped_by is None


def test_what_is_wrapped_decides_on_the_endpoint_and_on_await(check):
    report = check("""
        import anthropic, instructor, litellm
        from openai import AsyncOpenAI
        claude = instructor.from_anthropic(anthropic.Anthropic())
        claude.chat.completions.create(response_model=int)  # -> POST api.anthropic.com/v1/messages
        claude.messages.create_with_completion(response_model=int)  # -> POST api.anthropic.com/v1/messages
        local = instructor.from_openai(AsyncOpenAI(base_url="http://localhost:11434/v1"), mode=None)
        routed = instructor.from_litellm(litellm.acompletion)
        async def ask():
            await local.create(response_model=int)  # -> POST localhost:11434/v1/chat/completions
            await routed.chat.completions.create(response_model=int)  # -> POST {}/chat/completions
            made = instructor.from_provider("anthropic/x", async_client=True)
            await made.create(response_model=int)  # -> POST api.anthropic.com/v1/messages
    """)
    assert [site.is_async for site in report.call_sites] == [False, False, True, True, True]
    assert {site.wrapped_by for site in report.call_sites} == {"instructor"}


def test_a_wrapped_client_is_followed_like_any_other(check):
    check(
        {
            "clients.py": """
                import instructor
                from openai import OpenAI
                def make():
                    return instructor.from_openai(OpenAI())
            """,
            "app.py": f"""
                import instructor
                from clients import make
                class Service:
                    def __init__(self):
                        self.client = make()
                    def ask(self):
                        return self.client.chat.completions.create(response_model=int)  # -> {CHAT}
                def ask(client: instructor.Instructor):
                    return client.create(response_model=int)  # -> ?
            """,
        }
    )


def test_what_a_wrapper_takes_is_known_by_its_name(check):
    report = check("""
        import instructor
        from langsmith.wrappers import wrap_openai
        def test_answers(client, aclient):
            client = instructor.from_anthropic(client)
            client.messages.create(response_model=int)  # -> POST api.anthropic.com/v1/messages
            wrap_openai(anything()).chat.completions.create()  # -> POST api.openai.com/v1/chat/completions
        async def test_awaited_answers(aclient):
            client = instructor.from_openai(aclient)
            await client.create(response_model=int)  # -> POST api.openai.com/v1/chat/completions
    """)
    assert [site.is_async for site in report.call_sites] == [False, False, True]


def test_a_resource_of_the_wrapped_client_keeps_its_own_endpoint(check):
    check("""
        import instructor, openai
        from writerai import Writer
        client = instructor.from_openai(openai.OpenAI())
        client.responses.create_with_completion(response_model=int)  # -> POST api.openai.com/v1/responses
        client.embeddings.create(input="hi")  # -> POST api.openai.com/v1/embeddings
        instructor.from_writer(Writer()).chat.completions.create(response_model=int)  # -> ?
    """)


def test_an_older_client_of_a_library_has_its_own_main_call(check):
    check("""
        from instructor import from_mistral
        from mistralai.client import MistralClient
        client = from_mistral(client=MistralClient(api_key="x"))
        client.messages.create(response_model=int)  # -> POST api.mistral.ai/v1/chat/completions
    """)


def test_wrapping_is_no_request_and_neither_is_what_is_not_known(check):
    check("""
        import instructor
        from langsmith import traceable
        from langsmith.wrappers import wrap_openai
        from openai import OpenAI
        instructor.from_openai(OpenAI())
        wrap_openai(something)
        wrap_openai().chat.completions.create()
        instructor.patch(create=mystery).create()
        mystery(OpenAI()).chat.completions.create()
        traceable(print)("x")
    """)
