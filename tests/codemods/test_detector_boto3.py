"""The boto3 detector: bedrock-runtime is a client of an API that scan counts, no other service is."""

import boto3
import pytest

from apicache_codemods.detectors.boto3 import DETECTOR

MODEL = "bedrock-runtime.{}.amazonaws.com/model/{}"
RUNTIME = DETECTOR.constructors["boto3.client[bedrock-runtime]"]


@pytest.mark.parametrize("call", [call for call in RUNTIME.calls if "bidirectional" not in call])
def test_the_service_has_the_call_at_this_path(call):
    client = boto3.client("bedrock-runtime", region_name="us-east-1")
    model = client.meta.service_model.operation_model(client.meta.method_to_api_mapping[call])
    request = RUNTIME.calls[call]
    assert callable(getattr(client, call))
    assert model.http["method"] == request.method
    assert model.http["requestUri"].count("{") == request.url.count("{")
    assert model.http["requestUri"].rpartition("/")[2].strip("{}") in {request.url.rpartition("/")[2], "invocationArn"}


def test_the_service_named_by_an_argument_decides(check):
    check(f"""
        import boto3
        SERVICE = "bedrock-runtime"
        boto3.client("bedrock-runtime").invoke_model(modelId="m", body="{{}}")  # -> POST {MODEL}/invoke
        boto3.client(service_name="bedrock-runtime").converse(modelId="m")  # -> POST {MODEL}/converse
        boto3.client(SERVICE, region_name="us-east-1").converse_stream(modelId="m")  # -> POST {MODEL}/converse-stream
        local = boto3.client("bedrock-runtime", endpoint_url="http://localhost:1")
        local.converse(modelId="m")  # -> POST localhost:1/model/{{}}/converse
    """)


def test_a_session_makes_it_too(check):
    report = check(f"""
        import aioboto3, boto3
        from boto3 import Session
        session = boto3.Session(profile_name="p")
        session.client("bedrock-runtime").invoke_model(modelId="m")  # -> POST {MODEL}/invoke
        class Models:
            def __init__(self):
                self.runtime = Session().client("bedrock-runtime", region_name="us-east-1")
            def ask(self):
                return self.runtime.converse(modelId="m")  # -> POST {MODEL}/converse
        async def ask():
            async with aioboto3.Session().client("bedrock-runtime") as runtime:
                await runtime.converse(modelId="m")  # -> POST {MODEL}/converse
    """)
    assert [site.is_async for site in report.call_sites] == [False, False, True]


@pytest.mark.parametrize("service", ['"s3"', '"bedrock"', '"bedrock-agent-runtime"', "name", 'f"bedrock-{x}"', ""])
def test_any_other_service_is_no_call_site(project, service):
    source = f"""
        import boto3
        client = boto3.client({service})
        client.invoke_model(modelId="m")
        client.get_object(Bucket="b", Key="k")
        boto3.Session().client({service}).converse(modelId="m")
        boto3.resource("dynamodb").Table("t").get_item(Key={{}})
    """
    assert project.scan(source).call_sites == ()
