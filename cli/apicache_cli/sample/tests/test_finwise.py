"""The application's own tests, against the API that FINWISE_API and OPENAI_BASE_URL name."""

import asyncio
import unittest

from finwise import advice, chat, letters, newsletter, orders, related, search, summaries, tutor
from finwise.market import Market, headline


class FinwiseTest(unittest.TestCase):
    def test_a_summary_is_the_whole_answer(self) -> None:
        answer = asyncio.run(summaries.summarise("Analyze emergency fund"))
        self.assertEqual(answer["object"], "chat.completion")
        self.assertIn("Analyze emergency fund", answer["choices"][0]["message"]["content"])

    def test_advice_answers_the_question(self) -> None:
        answer = asyncio.run(advice.advise("Should I pay off my mortgage?"))
        self.assertIn("mortgage", answer["choices"][0]["message"]["content"])

    def test_text_is_written(self) -> None:
        self.assertIn("Saving", newsletter.write_section("Saving"))
        self.assertIn("Birthday", letters.write_letter("Birthday"))
        self.assertIn("Hello", chat.reply("Hello"))
        text, tokens = tutor.explain("Bond")
        self.assertIn("Bond", text)
        self.assertGreater(tokens, 0)

    def test_search_and_related_questions_use_one_vector_space(self) -> None:
        self.assertEqual(search.embed("tax"), related.vector("tax"))
        self.assertNotEqual(search.embed("tax"), search.embed("rent"))

    def test_quotes_have_prices(self) -> None:
        market = Market()
        self.assertGreater(market.price("ACME"), 0)
        self.assertTrue(headline("ACME").startswith("ACME stands at"))
        market.close()

    def test_what_changes_something_reaches_the_api_each_time(self) -> None:
        self.assertEqual([orders.place({"symbol": "ACME"}) for _ in range(2)], [404, 404])
        self.assertEqual(orders.cancel("17"), 404)
        self.assertEqual(orders.typed_answer("Hi"), 200)


if __name__ == "__main__":
    unittest.main()
