"""The tool `delegate` of nanobot, found by its entry point `nanobot.tools`: main agents and subagents hand work down.

This module alone imports nanobot. Listing the tools opens nothing: the director comes with the first call.
"""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

from nanobot.agent.tools.base import Tool, ToolResult
from nanobot.agent.tools.context import ToolContext, current_request_context
from nanobot.config.paths import get_media_dir

from understudy.gateway.delegation import ABOUT, ARGUMENTS, Refusal


class DelegateTool(Tool):
    _scopes = {"core", "subagent"}  # noqa: RUF012  as nanobot declares it

    def __init__(self, workspace: Path) -> None:
        self._workspace = workspace

    @classmethod
    def create(cls, ctx: ToolContext) -> DelegateTool:
        return cls(Path(ctx.workspace))

    @property
    def name(self) -> str:
        return "delegate"

    @property
    def description(self) -> str:
        return ABOUT

    @property
    def parameters(self) -> dict[str, Any]:
        return deepcopy(ARGUMENTS)

    @property
    def concurrency_safe(self) -> bool:
        return True

    async def execute(self, **kwargs: Any) -> ToolResult:
        """Never raises: what goes wrong is an error result, which the model can act on."""
        from understudy.gateway.nanobot.handing import hand_over

        request = current_request_context()
        workspace = (request and request.workspace) or self._workspace
        outcome = await hand_over(
            kwargs,
            session=request and request.session_key,
            channel=request.channel if request else "",
            folders=(workspace, get_media_dir()),
        )
        # A plain text that begins with "Error:" would be taken for a failure.
        return ToolResult.error(outcome.words()) if isinstance(outcome, Refusal) else ToolResult(outcome.words())
