"""A package that hands its client on."""

from .clients import http, session as shared_session

__all__ = ["http", "shared_session"]
