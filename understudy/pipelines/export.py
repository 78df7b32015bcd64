"""The results of a campaign as a file: a line of JSON each, or Parquet. Items in their order, read page by page."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping
from importlib import import_module
from pathlib import Path
from typing import IO, Any

from understudy.errors import ConfigError, UsageError, install

ROWS = 5_000  # of a Parquet file that are in memory together
COLUMNS = {
    "n": "int64", "key": "string", "state": "string", "tries": "int64", "fields": "string", "text": "string",
    "data": "string", "why": "string", "candidate": "string", "reply": "string", "at": "float64",
    "input_tokens": "int64", "output_tokens": "int64", "cost_usd": "float64", "seconds": "float64",
}  # fmt: skip

Results = AsyncGenerator[Mapping[str, Any]]


async def to_jsonl(results: Results, out: IO[str]) -> int:
    """How many were written."""
    count = 0
    async for row in results:
        out.write(json.dumps(row, ensure_ascii=False) + "\n")
        count += 1
    return count


async def to_parquet(results: Results, path: Path) -> int:
    """How many were written; fields and data are JSON texts. Raises ConfigError without the extra, UsageError."""
    try:
        arrow: Any = import_module("pyarrow")
        parquet: Any = import_module("pyarrow.parquet")
    except ImportError:
        raise ConfigError("Parquet needs a package that is not installed.", remedy=install("parquet")) from None
    schema = arrow.schema([(name, getattr(arrow, kind)()) for name, kind in COLUMNS.items()])
    count, page = 0, list[dict[str, Any]]()
    try:
        with parquet.ParquetWriter(path, schema) as writer:
            async for row in results:
                page.append(_flat(row))
                count += 1
                if len(page) == ROWS:
                    writer.write_table(arrow.Table.from_pylist(page, schema=schema))
                    page.clear()
            if page:
                writer.write_table(arrow.Table.from_pylist(page, schema=schema))
    except OSError as error:
        raise UsageError(f"{path} cannot be written ({type(error).__name__}).", remedy="Name another.") from None
    return count


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """Tables and lists as JSON texts: their shapes differ from item to item."""
    told = {name: row.get(name) for name in COLUMNS}
    for name in ("fields", "data"):
        told[name] = None if told[name] is None else json.dumps(told[name], ensure_ascii=False)
    return told
