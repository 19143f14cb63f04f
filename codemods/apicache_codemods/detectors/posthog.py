"""posthog: its modules that stand in for SDKs; https://posthog.com/docs/ai-engineering/observability."""

from apicache_codemods.detector import Detector

DETECTOR = Detector(
    documentation="https://posthog.com/docs/ai-engineering/observability",
    modules=("posthog.ai",),
    kind="llm",
    aliases={
        "posthog.ai.openai": "openai",
        "posthog.ai.anthropic": "anthropic",
        "posthog.ai.gemini": "google.genai",
    },
)
