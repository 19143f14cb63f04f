"""The langchain detector: models, chains written with `|`, embeddings; and what is no request."""

OPENAI = "POST api.openai.com/v1/chat/completions"


def test_a_chat_model_is_called_by_every_way_to_run_it(check):
    report = check("""
        from langchain_openai import ChatOpenAI
        llm = ChatOpenAI(model="m", temperature=0)
        llm.invoke("hi")  # -> POST api.openai.com/v1/chat/completions
        for piece in llm.stream("hi"):  # -> POST api.openai.com/v1/chat/completions
            print(piece)
        llm.batch(["a", "b"])  # -> POST api.openai.com/v1/chat/completions
        llm.predict("hi")  # -> POST api.openai.com/v1/chat/completions
        async def ask():
            await llm.ainvoke("hi")  # -> POST api.openai.com/v1/chat/completions
            async for piece in llm.astream("hi"):  # -> POST api.openai.com/v1/chat/completions
                print(piece)
    """)
    assert [site.is_async for site in report.call_sites] == [False] * 4 + [True] * 2
    assert {(site.library, site.kind, site.operation) for site in report.call_sites} == {
        ("langchain", "llm", "completion")
    }


def test_a_model_bound_to_tools_or_a_schema_is_the_model(check):
    check("""
        from langchain_anthropic import ChatAnthropic
        llm = ChatAnthropic(model="m").bind_tools([search])
        llm.invoke("hi")  # -> POST api.anthropic.com/v1/messages
        llm.with_structured_output(Answer).with_retry().invoke("hi")  # -> POST api.anthropic.com/v1/messages
    """)


def test_a_chain_makes_the_request_of_the_model_in_it(check):
    check("""
        from langchain_core.prompts import ChatPromptTemplate
        from langchain_core.output_parsers import StrOutputParser
        from langchain_groq import ChatGroq
        prompt = ChatPromptTemplate.from_template("{question}")
        chain = prompt | ChatGroq(model="m") | StrOutputParser()
        chain.invoke({"question": "why"})  # -> POST api.groq.com/openai/v1/chat/completions
        (prompt | StrOutputParser()).invoke({"question": "why"})
        prompt.invoke({"question": "why"})
    """)


def test_the_base_url_of_a_model_counts(check):
    check("""
        from langchain_openai import AzureChatOpenAI, ChatOpenAI
        from langchain_ollama import ChatOllama
        ChatOpenAI(base_url="http://localhost:8000/v1").invoke("hi")  # -> POST localhost:8000/v1/chat/completions
        ChatOpenAI(openai_api_base="https://x.com/v1").invoke("hi")  # -> POST x.com/v1/chat/completions
        ChatOllama(model="m", base_url="http://gpu:11434").invoke("hi")  # -> POST gpu:11434/api/chat
        ChatOllama(model="m").invoke("hi")  # -> POST 127.0.0.1:11434/api/chat
        azure = AzureChatOpenAI(azure_endpoint="https://x.openai.azure.com/")
        azure.invoke("hi")  # -> POST x.openai.azure.com/openai/deployments/{}/chat/completions
    """)


def test_a_class_is_found_where_older_versions_kept_it(check):
    check("""
        from langchain.chat_models import ChatOpenAI
        from langchain_community.chat_models.ollama import ChatOllama
        import langchain_community.llms as llms
        class Agent:
            def __init__(self, llm=None):
                self.llm = llm or ChatOpenAI()
            def run(self, text):
                return self.llm.predict(text)  # -> POST api.openai.com/v1/chat/completions
        ChatOllama(base_url="http://gpu:11434").invoke("hi")  # -> POST gpu:11434/api/chat
        llms.OpenAI().invoke("hi")  # -> POST api.openai.com/v1/completions
    """)


def test_init_chat_model_gives_the_model_that_its_arguments_name(check):
    check("""
        from langchain.chat_models import init_chat_model
        init_chat_model("anthropic:claude").invoke("hi")  # -> POST api.anthropic.com/v1/messages
        init_chat_model("gpt", model_provider="openai").invoke("hi")  # -> POST api.openai.com/v1/chat/completions
        init_chat_model(f"groq:{name}").invoke("hi")  # -> POST api.groq.com/openai/v1/chat/completions
        init_chat_model(name).invoke("hi")  # -> ?
    """)


def test_a_model_known_by_its_base_class_alone_is_a_site_without_endpoint(check):
    check("""
        from langchain_core.language_models import BaseChatModel
        async def ask(llm: BaseChatModel, question):
            return await llm.ainvoke(question)  # -> ?
    """)


def test_a_model_of_the_project_makes_its_own_requests(check):
    check("""
        import httpx
        from langchain_core.language_models.chat_models import BaseChatModel
        class Mine(BaseChatModel):
            def _generate(self, messages):
                return httpx.post("https://llm.example.com/chat", json=messages)  # -> POST llm.example.com/chat
        Mine().invoke("hi")
    """)


def test_a_model_derived_from_a_providers_is_that_providers(check):
    check("""
        from langchain_openai import ChatOpenAI
        class Mine(ChatOpenAI):
            temperature: float = 0
        Mine().invoke("hi")  # -> POST api.openai.com/v1/chat/completions
    """)


def test_embeddings_are_call_sites(check):
    report = check("""
        from langchain_openai import OpenAIEmbeddings
        embeddings = OpenAIEmbeddings()
        embeddings.embed_query("hi")  # -> POST api.openai.com/v1/embeddings
        async def embed():
            await embeddings.aembed_documents(["hi"])  # -> POST api.openai.com/v1/embeddings
    """)
    assert {site.operation for site in report.call_sites} == {"embedding"}


def test_other_runnables_are_no_call_sites(check):
    check("""
        from langchain_core.runnables import RunnableLambda
        from langchain_openai import ChatOpenAI
        from langchain.agents import AgentExecutor
        RunnableLambda(len).invoke("hi")
        AgentExecutor(agent=agent).invoke({"input": "hi"})
        llm = ChatOpenAI()
        llm.get_num_tokens("hi")
        llm.bind_tools([])
        def run(llm):
            return llm.invoke("hi")
    """)
