"""langfuse: its module that stands in for openai; https://langfuse.com/integrations/model-providers/openai-py."""

from apicache_codemods.detector import Detector

DETECTOR = Detector(
    documentation="https://langfuse.com/integrations/model-providers/openai-py",
    modules=("langfuse.openai",),
    kind="llm",
    aliases={"langfuse.openai": "openai", "langfuse.openai.openai": "openai"},
)
