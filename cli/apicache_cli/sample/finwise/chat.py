"""The chat window."""

from openai import OpenAI

from finwise.config import MODEL

client = OpenAI()


def reply(message: str) -> str:
    completion = client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": message}],
    )
    return completion.choices[0].message.content
