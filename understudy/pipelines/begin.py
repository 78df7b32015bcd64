"""From a SPEC to what the workers of a campaign go by."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from understudy.config.reading import read_text_file
from understudy.errors import ConfigError
from understudy.pipelines.items import items_of
from understudy.pipelines.orders import Orders
from understudy.pipelines.spec import Spec

__all__ = ["items_of", "orders_of"]


def orders_of(spec: Spec, *, planned: float | None = None) -> Orders:
    """planned: seconds, by the plan. Raises ConfigError for a schema that cannot be read."""
    calls = spec.calls
    return Orders(
        name=spec.name,
        instructions=calls.instructions,
        intent=calls.intent,
        agent=calls.agent,
        policy=calls.policy,
        quality=calls.quality,
        schema=None if calls.schema_file is None else _schema(calls.schema_file),
        private=calls.private,
        max_tokens=spec.tokens.max_output,
        call_deadline=calls.deadline,
        retries=calls.retries,
        chunk=calls.chunk,
        at_once=spec.at_once,
        deadline=spec.deadline,
        usd=spec.usd,
        errors=calls.errors,
        begins=None if spec.begins is None else spec.begins.timestamp(),
        hours=spec.hours,
        zone=spec.zone,
        tiers=spec.allowed,
        models=spec.models,
        shares=spec.shares,
        checks=spec.validators,
        seed=spec.seed,
        group_by=calls.group_by,
        planned=planned,
    )


def _schema(path: Path) -> Mapping[str, Any]:
    try:
        found: object = json.loads(read_text_file(str(path)))
    except ValueError:
        raise ConfigError(f"{path} is no JSON.", remedy="Give a JSON schema.") from None
    if not isinstance(found, dict):
        raise ConfigError(f"{path} is no JSON schema.", remedy='Such as {"type": "object"}.')
    return cast("dict[str, Any]", found)
