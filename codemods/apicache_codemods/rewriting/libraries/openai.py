"""openai: https://github.com/openai/openai-python."""

from apicache_codemods.rewriting.library import Library

LIBRARY = Library(
    calls=frozenset(
        {"chat.completions.create", "completions.create", "embeddings.create", "moderations.create", "responses.create"}
    ),
    clients=frozenset({"openai.OpenAI", "openai.Client", "openai.AsyncOpenAI", "openai.AsyncClient"}),
    environment={
        "api_key": "OPENAI_API_KEY",
        "base_url": "OPENAI_BASE_URL",
        "organization": "OPENAI_ORG_ID",
        "project": "OPENAI_PROJECT_ID",
        "custom_headers": "OPENAI_CUSTOM_HEADERS",
    },
    module_client=False,
)
