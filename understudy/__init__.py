"""understudy: a frontier model directs under a hard token budget; cheap and free models do the work.

    from understudy import Director, Task

    async with Director.from_config() as director:
        reply = await director.run(Task("Why is the sky blue?"))

Importing this package loads no SDK and does nothing; names are resolved on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from understudy.director.director import Director, run
    from understudy.errors import UnderstudyError
    from understudy.pipelines.pipeline import Pipeline
    from understudy.pipelines.step import step
    from understudy.types import Attachment, Finished, Progress, Reply, Sensitivity, Stage, Task, Text

__version__ = "0.1.0"
__all__ = [
    "Attachment",
    "Director",
    "Finished",
    "Pipeline",
    "Progress",
    "Reply",
    "Sensitivity",
    "Stage",
    "Task",
    "Text",
    "UnderstudyError",
    "run",
    "step",
]

_HOMES = {
    "Director": "director.director",
    "run": "director.director",
    "UnderstudyError": "errors",
    "Pipeline": "pipelines.pipeline",
    "step": "pipelines.step",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'understudy' has no attribute {name!r}")
    return getattr(import_module(f"understudy.{_HOMES.get(name, 'types')}"), name)
