"""langsmith: functions that trace an SDK's client; https://docs.smith.langchain.com/."""

from apicache_codemods.detector import Argument, Detector, Wrapper

_CLIENT = (Argument("client", 0),)

DETECTOR = Detector(
    documentation="https://docs.smith.langchain.com/",
    kind="llm",
    wrappers={
        "langsmith.wrappers.wrap_openai": Wrapper(_CLIENT, takes=("openai.OpenAI", "openai.AsyncOpenAI")),
        "langsmith.wrappers.wrap_anthropic": Wrapper(
            _CLIENT, takes=("anthropic.Anthropic", "anthropic.AsyncAnthropic")
        ),
        "langsmith.wrappers.wrap_gemini": Wrapper(_CLIENT, takes=("google.genai.Client",)),
    },
)
