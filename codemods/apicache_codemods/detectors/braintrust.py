"""braintrust: functions that trace an SDK's client; https://www.braintrust.dev/docs/guides/traces/integrations."""

from apicache_codemods.detector import Argument, Detector, Wrapper

DETECTOR = Detector(
    documentation="https://www.braintrust.dev/docs/guides/traces/integrations",
    kind="llm",
    wrappers={
        "braintrust.wrap_openai": Wrapper((Argument("openai", 0),)),
        "braintrust.oai.wrap_openai": Wrapper((Argument("openai", 0),)),
        "braintrust.wrap_anthropic": Wrapper((Argument("client", 0),)),
    },
)
