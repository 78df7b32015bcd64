from pathlib import Path

class RequestContext:
    channel: str
    session_key: str | None
    workspace: Path | None

class ToolContext:
    workspace: str

def current_request_context() -> RequestContext | None: ...
