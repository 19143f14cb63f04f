"""One working day: what customers ask for, in the order they ask. Questions repeat, as they do."""

import asyncio
import json

from finwise import advice, chat, letters, newsletter, related, search, summaries, tutor
from finwise.market import Market, headline

QUESTIONS = ["Analyze emergency fund", "Should I pay off my mortgage?", "What is an index fund?"]


async def answer_questions() -> list[dict]:
    answers = []
    for question in QUESTIONS * 3:
        answers.append(await summaries.summarise(question))
        answers.append(await advice.advise(question))
    return answers


def serve_customers() -> list[object]:
    market = Market()
    answers: list[object] = []
    for _ in range(3):
        answers += [newsletter.write_section("Saving"), letters.write_letter("Saving")]
        answers += [chat.reply("Compound interest"), tutor.explain("Compound interest")]
        answers += [search.embed("financial planning"), related.vector("financial planning")]
        answers += [market.price("ACME"), headline("ACME")]
    market.close()
    return answers


def main() -> None:
    answers = [*asyncio.run(answer_questions()), *serve_customers()]
    print(json.dumps({"answers": len(answers)}))


if __name__ == "__main__":
    main()
