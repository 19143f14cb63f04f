"""Where the APIs are."""

import os

API_URL = os.environ.get("FINWISE_API", "https://api.openai.com")
MODEL = "gpt-4o-mini"
EMBEDDING_MODEL = "text-embedding-3-small"
