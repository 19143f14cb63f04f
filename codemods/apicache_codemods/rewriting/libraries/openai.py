"""openai: https://github.com/openai/openai-python."""

from apicache_codemods.rewriting.library import Library

LIBRARY = Library(
    calls=frozenset(
        {"chat.completions.create", "completions.create", "embeddings.create", "moderations.create", "responses.create"}
    ),
    clients=frozenset({"openai.OpenAI", "openai.Client", "openai.AsyncOpenAI", "openai.AsyncClient"}),
    environment={"api_key": "OPENAI_API_KEY", "base_url": "OPENAI_BASE_URL"},
    module_client=False,
)
