"""Explanations of financial terms."""

import openai

sdk = openai.OpenAI()


def explain(term: str) -> tuple[str, int]:
    answer = sdk.chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": term}])
    return answer.choices[0].message.content, answer.usage.total_tokens
