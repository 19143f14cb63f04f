"""opik: functions that trace an SDK's client; https://www.comet.com/docs/opik/integrations/overview."""

from apicache_codemods.detector import Argument, Detector, Wrapper

DETECTOR = Detector(
    documentation="https://www.comet.com/docs/opik/integrations/overview",
    modules=("opik.integrations",),
    kind="llm",
    wrappers={
        "opik.integrations.openai.track_openai": Wrapper((Argument("openai_client", 0),)),
        "opik.integrations.anthropic.track_anthropic": Wrapper((Argument("anthropic_client", 0),)),
        "opik.integrations.genai.track_genai": Wrapper((Argument("client", 0),)),
        "opik.integrations.bedrock.track_bedrock": Wrapper((Argument("client", 0),)),
    },
)
