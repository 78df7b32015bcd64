"""Conversations that are handed on as they are: one request over one wire, without an SDK."""
