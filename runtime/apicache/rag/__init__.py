"""The batched RAG service, its parts and interfaces."""

from apicache.rag.caches import CachedRAGQueryExecutor, InMemoryRAGCache, UnifiedRAGCache
from apicache.rag.metrics import SimpleRAGMetrics
from apicache.rag.parts import (
    BatchedRAGRequest,
    IRAGCache,
    IRAGMetrics,
    IRAGQueryExecutor,
    RAGQuery,
    RAGResult,
    rag_key,
)
from apicache.rag.service import BatchedRAGService

__all__ = [
    "BatchedRAGRequest",
    "BatchedRAGService",
    "CachedRAGQueryExecutor",
    "IRAGCache",
    "IRAGMetrics",
    "IRAGQueryExecutor",
    "InMemoryRAGCache",
    "RAGQuery",
    "RAGResult",
    "SimpleRAGMetrics",
    "UnifiedRAGCache",
    "rag_key",
]
