# What understudy/gateway/nanobot/tool.py uses of nanobot 0.3.5, which is not in the environment that is checked.
# tests/e2e/test_nanobot.py runs the real one.
from abc import ABC, abstractmethod
from typing import Any, Self

from nanobot.agent.tools.context import ToolContext

class ToolResult(str):
    is_error: bool
    def __new__(cls, content: str, *, is_error: bool = False) -> Self: ...
    @classmethod
    def error(cls, content: str) -> ToolResult: ...

class Tool(ABC):
    _scopes: set[str]
    @classmethod
    def create(cls, ctx: ToolContext) -> Tool: ...
    @property
    @abstractmethod
    def name(self) -> str: ...
    @property
    @abstractmethod
    def description(self) -> str: ...
    @property
    @abstractmethod
    def parameters(self) -> dict[str, Any]: ...
    @property
    def concurrency_safe(self) -> bool: ...
    @abstractmethod
    async def execute(self, **kwargs: Any) -> Any: ...
