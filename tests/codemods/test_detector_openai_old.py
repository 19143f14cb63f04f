"""The openai detector's card of the SDK before 1.0, and of what hangs between a client and its calls."""

CHAT = "api.openai.com/v1/chat/completions"


def test_the_classes_of_the_module_make_the_calls(check):
    report = check(f"""
        import openai
        from openai import Embedding
        openai.ChatCompletion.create(model="m", messages=[])  # -> POST {CHAT}
        openai.Completion.create(engine="m", prompt="hi")  # -> POST api.openai.com/v1/completions
        Embedding.create(model="m", input="hi")  # -> POST api.openai.com/v1/embeddings
        openai.Image.create(prompt="hi")  # -> POST api.openai.com/v1/images/generations
        openai.Audio.transcribe("whisper-1", file)  # -> POST api.openai.com/v1/audio/transcriptions
        openai.Model.list()  # -> GET api.openai.com/v1/models
        async def ask():
            await openai.ChatCompletion.acreate(model="m", messages=[])  # -> POST {CHAT}
    """)
    assert [site.is_async for site in report.call_sites] == [False] * 6 + [True]


def test_the_base_url_set_on_the_module_counts(check):
    check("""
        import openai
        BASE = "https://llm.example.com/v1"
        def set_up():
            openai.api_base = BASE
        openai.ChatCompletion.create(model="m")  # -> POST llm.example.com/v1/chat/completions
        openai.Completion.create(api_base="http://localhost:8000/v1")  # -> POST localhost:8000/v1/completions
        openai.OpenAI().embeddings.create(input="hi")  # -> POST api.openai.com/v1/embeddings
    """)


def test_a_base_url_read_from_the_environment_leaves_the_host_open(project):
    source = """
        import os, openai
        openai.api_base = os.environ["BASE"]
        openai.ChatCompletion.create(model="m")
    """
    (site,) = project.scan(source).call_sites
    assert site.endpoint is not None
    assert "api.openai.com" not in site.endpoint
    assert site.endpoint.endswith("/chat/completions")
    assert site.operation == "completion"


def test_options_and_raw_responses_change_nothing(check):
    check(f"""
        from openai import OpenAI
        client = OpenAI()
        client.with_options(max_retries=5).chat.completions.create(model="m")  # -> POST {CHAT}
        client.chat.completions.with_raw_response.create(model="m")  # -> POST {CHAT}
        with client.chat.completions.with_streaming_response.create(model="m") as response:  # -> POST {CHAT}
            print(response)
        client.with_raw_response.chat.completions.create(model="m")  # -> POST {CHAT}
        client.copy(api_key="x").responses.create(model="m")  # -> POST api.openai.com/v1/responses
    """)


def test_errors_and_settings_are_no_call_sites(check):
    check("""
        import openai
        openai.api_key = "x"
        openai.api_key.strip()
        try:
            openai.ChatCompletion
        except openai.error.RateLimitError as error:
            error.user_message.format()
        class ChatCompletion:
            @staticmethod
            def create(): ...
        ChatCompletion.create()
    """)
