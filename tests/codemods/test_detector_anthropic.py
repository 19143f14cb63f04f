"""The anthropic detector against the SDK: its calls, and where each client sends them."""

import operator

import anthropic
import pytest

from apicache_codemods.detectors.anthropic import DETECTOR

LATER_AND_EARLIER = {"completions.create", "completion", "acompletion"}
"""Calls of versions other than the one installed."""


@pytest.mark.parametrize("call", [call for call in DETECTOR.calls if call not in LATER_AND_EARLIER])
def test_the_sdk_has_the_call(call):
    assert callable(operator.attrgetter(call)(anthropic.Anthropic(api_key="none")))


def test_messages_are_call_sites_in_every_shape(check):
    report = check("""
        import anthropic
        from anthropic import Anthropic, AsyncAnthropic
        client = Anthropic()
        client.messages.create(model="m", messages=[])  # -> POST api.anthropic.com/v1/messages
        with client.messages.stream(model="m", messages=[]) as stream:  # -> POST api.anthropic.com/v1/messages
            print(stream)
        client.messages.count_tokens(model="m", messages=[])  # -> POST api.anthropic.com/v1/messages/count_tokens
        client.messages.batches.create(requests=[])  # -> POST api.anthropic.com/v1/messages/batches
        client.beta.messages.create(model="m", messages=[])  # -> POST api.anthropic.com/v1/messages
        client.completions.create(model="m", prompt="hi")  # -> POST api.anthropic.com/v1/complete
        async def ask(c: AsyncAnthropic):
            await c.messages.create(model="m", messages=[])  # -> POST api.anthropic.com/v1/messages
            async with c.messages.stream(model="m", messages=[]) as stream:  # -> POST api.anthropic.com/v1/messages
                print(stream)
        class Bot:
            def __init__(self):
                self.client = anthropic.Anthropic(base_url="https://proxy.example.com/anthropic/")
            def ask(self):
                return self.client.messages.create(model="m")  # -> POST proxy.example.com/anthropic/v1/messages
    """)
    assert [site.is_async for site in report.call_sites] == [False] * 6 + [True, True, False]


def test_options_and_raw_responses_change_nothing(check):
    check("""
        import anthropic
        client = anthropic.Anthropic()
        client.with_options(timeout=5).messages.create(model="m")  # -> POST api.anthropic.com/v1/messages
        client.messages.with_raw_response.create(model="m")  # -> POST api.anthropic.com/v1/messages
        client.with_streaming_response.messages.create(model="m")  # -> POST api.anthropic.com/v1/messages
    """)


def test_other_clouds_have_their_own_endpoints(check):
    vertex = "{}-aiplatform.googleapis.com/v1/projects/{}/locations/{}/publishers/anthropic/models"
    report = check(f"""
        from anthropic import AnthropicBedrock, AsyncAnthropicBedrock as Bedrock, AnthropicVertex
        bedrock = AnthropicBedrock(aws_region="us-west-2")
        bedrock.messages.create(model="m")  # -> POST bedrock-runtime.{{}}.amazonaws.com/model/{{}}/invoke
        AnthropicVertex(region="r", project_id="p").messages.create(model="m")  # -> POST {vertex}/{{}}:rawPredict
        async def ask():
            await Bedrock().messages.create()  # -> POST bedrock-runtime.{{}}.amazonaws.com/model/{{}}/invoke
    """)
    assert [site.is_async for site in report.call_sites] == [False, False, True]


def test_what_makes_no_request_is_no_call_site(check):
    check("""
        import anthropic
        from anthropic.types import Message
        client = anthropic.Anthropic()
        client.messages
        client.close()
        message = Message.model_validate({})
        message.content[0].text.strip()
        class messages:
            def create(self): ...
        messages().create()
        def ask(anthropic):
            anthropic.Anthropic().messages.create()
    """)
