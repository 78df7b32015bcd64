"""A valid instance for a JSON schema, and the schema (or example) that stands in a prompt.

Covers type, enum, const, anyOf, oneOf, allOf, $ref, properties, required, additionalProperties as a schema, items,
prefixItems, lengths, ranges, multipleOf, uniqueItems and the usual formats; `pattern` is not followed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any, cast

Schema = Mapping[str, Any]
Hint = Callable[[str, Schema], Any]  # (property name, its schema) -> a value to prefer, or None
DEEPEST = 6  # levels below which only what is required is filled in, so that recursive schemas end
_TYPES = ("object", "array", "string", "number", "integer", "boolean", "null")
_FORMATS = {
    "date": "2026-01-15",
    "date-time": "2026-01-15T12:00:00Z",
    "time": "12:00:00Z",
    "duration": "P1D",
    "email": "simulated@example.com",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "hostname": "example.com",
}


def sample(schema: Any, hint: Hint | None = None, name: str = "") -> Any:
    """An instance valid for `schema`, the same every time; `hint` is asked first and ignored where it does not fit."""
    root: Schema = cast(Schema, schema) if isinstance(schema, Mapping) else {}
    return _Sampler(root, hint or (lambda _name, _schema: None)).value(root, name, 0)


def find_schema(text: str) -> dict[str, Any] | None:
    """The last JSON schema written out in a text."""
    return next((o for o in reversed(_objects(text)) if _is_schema(o)), None)


def find_example(text: str) -> dict[str, Any] | None:
    """The last JSON object in a text that is no schema, as a schema of its like."""
    found = next((o for o in reversed(_objects(text)) if o and not _is_schema(o)), None)
    return schema_of(found) if found is not None else None


def schema_of(value: Any) -> dict[str, Any]:
    """The schema of things shaped like this value. A string with bars ("a|b|c") offers a choice."""
    if isinstance(value, dict):
        table = cast(dict[str, Any], value)
        return {"type": "object", "properties": {k: schema_of(v) for k, v in table.items()}, "required": list(table)}
    if isinstance(value, list):
        items = cast(list[Any], value)
        return {"type": "array", "items": schema_of(items[0])} if items else {"type": "array"}
    if isinstance(value, str):
        options = [o.strip() for o in value.split("|")]
        return {"enum": options} if len(options) > 1 and all(options) else {"type": "string"}
    if isinstance(value, bool):
        return {"type": "boolean"}
    if isinstance(value, int | float):
        return {"type": "integer" if isinstance(value, int) and value not in (0, 1) else "number"}
    return {}


def fits(value: Any, schema: Schema) -> bool:
    """Whether a hinted value satisfies the keywords of this level (const aside)."""
    if "enum" in schema:
        return value in schema["enum"]
    kinds = schema.get("type")
    if kinds is not None and not any(_is_type(value, k) for k in ([kinds] if isinstance(kinds, str) else kinds)):
        return False
    if isinstance(value, str):
        return schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", math.inf) and "format" not in schema
    if isinstance(value, list):
        many = cast("list[Any]", value)
        return schema.get("minItems", 0) <= len(many) <= schema.get("maxItems", math.inf)
    return isinstance(value, bool) or not isinstance(value, int | float) or _in_range(value, schema)


def _in_range(value: float, schema: Schema) -> bool:
    low, high = schema.get("minimum", -math.inf), schema.get("maximum", math.inf)
    above, below = schema.get("exclusiveMinimum", -math.inf), schema.get("exclusiveMaximum", math.inf)
    step = schema.get("multipleOf")
    return low <= value <= high and above < value < below and (step is None or value % step == 0)


class _Sampler:
    def __init__(self, root: Schema, hint: Hint) -> None:
        self._root, self._hint = root, hint

    def value(self, schema: Any, name: str, depth: int) -> Any:
        if not isinstance(schema, Mapping):
            return "simulated"
        level = self._resolved(cast("Schema", schema))
        if "const" in level:
            return level["const"]
        if "$ref" in (items := _table(level.get("items"))):
            # Whoever hints sees the items themselves, with what their own references need.
            level = {**level, "items": {"$defs": self._root.get("$defs", {}), **self._resolved(items)}}
        hinted = self._hint(name, level)
        if hinted is not None and fits(hinted, level):
            return hinted
        if "enum" in level:
            return next(iter(level["enum"]))
        for key in ("anyOf", "oneOf"):
            if options := list[Any](level.get(key) or ()):
                return self._choose(level, key, options, name, depth)
        kinds = level.get("type")
        kind = kinds if isinstance(kinds, str) else next((k for k in kinds or () if k != "null"), None)
        if kind is None:
            kind = "object" if "properties" in level else "array" if "items" in level else "string"
        made: dict[str, Callable[[Schema, str, int], Any]] = {
            "object": self._object,
            "array": self._array,
            "string": self._string,
            "number": self._number,
            "integer": self._number,
        }
        return made[kind](level, name, depth) if kind in made else None if kind == "null" else True

    def _resolved(self, schema: Schema) -> Schema:
        """$ref followed, allOf merged."""
        for _ in range(20):
            if "$ref" in schema:
                rest = {k: v for k, v in schema.items() if k != "$ref"}
                schema = {**self._target(str(schema["$ref"])), **rest}
            elif parts := schema.get("allOf"):
                schema = self._merged({k: v for k, v in schema.items() if k != "allOf"}, parts)
            else:
                break
        return schema

    def _merged(self, base: dict[str, Any], parts: list[Any]) -> dict[str, Any]:
        for part in parts:
            for key, value in self._resolved(part).items():
                if key == "properties":
                    base[key] = {**base.get(key, {}), **value}
                elif key == "required":
                    base[key] = [*base.get(key, []), *value]
                else:
                    base.setdefault(key, value)
        return base

    def _target(self, ref: str) -> Schema:
        place = self._root
        for part in ref.lstrip("#").strip("/").split("/"):
            if part:
                place = _table(place.get(part.replace("~1", "/").replace("~0", "~")))
        return place

    def _choose(self, level: Schema, key: str, options: list[Any], name: str, depth: int) -> Any:
        rest = {k: v for k, v in level.items() if k != key}
        real = [_table(o) for o in options if _table(o).get("type") != "null"]
        if (len(real) < len(options) and depth >= DEEPEST) or not real:
            return None
        # Below the deepest level a leaf ends the recursion; above it the first option is the schema's own favourite.
        leaf = next((o for o in real if self._resolved(o).get("type") not in ("object", "array")), real[0])
        return self.value({**rest, **(leaf if depth >= DEEPEST else real[0])}, name, depth)

    def _object(self, level: Schema, name: str, depth: int) -> dict[str, Any]:
        properties: Mapping[str, Any] = level.get("properties", {})
        required = level.get("required", [])
        wanted = [k for k in properties if k in required or depth < DEEPEST]
        wanted += [k for k in required if k not in properties]
        extra = level.get("additionalProperties", True)
        made = {k: self.value(properties.get(k, extra), k, depth + 1) for k in wanted}
        missing = max(0, level.get("minProperties", 0) - len(made)) or (not properties and isinstance(extra, Mapping))
        for number in range(int(missing)):
            made[f"key_{number + 1}"] = self.value(extra, f"key_{number + 1}", depth + 1)
        return made

    def _array(self, level: Schema, name: str, depth: int) -> list[Any]:
        first = level.get("prefixItems", [])
        made = [self.value(s, name, depth + 1) for s in first]
        least, most = level.get("minItems", 0), level.get("maxItems", math.inf)
        wanted = least if depth >= DEEPEST else max(least, 1)
        items = level.get("items", True)
        singular = name[:-1] if name.endswith("s") else name
        while len(made) < min(wanted, most) and items is not False:
            item = self.value(items, singular, depth + 1)
            if level.get("uniqueItems") and item in made:
                item = self._other(item, items, made)
            made.append(item)
        return made

    def _other(self, item: Any, items: Any, made: list[Any]) -> Any:
        schema = self._resolved(_table(items))
        if "enum" in schema:
            return next((o for o in schema["enum"] if o not in made), item)
        if isinstance(item, bool):
            return not item
        if isinstance(item, int | float):
            return item + schema.get("multipleOf", 1) * len(made)
        return f"{item}{len(made) + 1}" if isinstance(item, str) else item

    def _string(self, level: Schema, name: str, depth: int) -> str:
        if (form := level.get("format")) in _FORMATS:
            return _FORMATS[form]
        text = "simulated"
        text += "." * max(0, level.get("minLength", 0) - len(text))
        return text[: level.get("maxLength")]

    def _number(self, level: Schema, name: str, depth: int) -> int | float:
        """The whole step nearest to 1 that is allowed; without steps the middle of the range, or one from its end."""
        kinds = level.get("type") or ()
        whole = kinds == "integer" or (not isinstance(kinds, str) and "integer" in kinds)
        step = level.get("multipleOf", 1 if whole else None)
        above, below = level.get("exclusiveMinimum", -math.inf), level.get("exclusiveMaximum", math.inf)
        floor = max(level.get("minimum", -math.inf), above)
        ceiling = min(level.get("maximum", math.inf), below)
        if step is not None:
            least = (
                -math.inf if floor == -math.inf else math.ceil(floor / step) + (floor == above and floor % step == 0)
            )
            most = (
                math.inf
                if ceiling == math.inf
                else math.floor(ceiling / step) - (ceiling == below and ceiling % step == 0)
            )
            value = min(max(1, least), most) * step
        elif math.isfinite(floor) and math.isfinite(ceiling):
            value = (floor + ceiling) / 2
        else:
            value = floor + 1 if math.isfinite(floor) else ceiling - 1 if math.isfinite(ceiling) else 1.0
        return int(value) if whole else value


def _table(value: Any) -> Schema:
    """A mapping as it is; anything else (true, false, nonsense) as the schema that says nothing."""
    return cast("Schema", value) if isinstance(value, Mapping) else {}


def _objects(text: str) -> list[dict[str, Any]]:
    """Every outermost JSON object written out in a text."""
    decoder, found, place = json.JSONDecoder(), list[dict[str, Any]](), 0
    for _ in range(200):
        place = text.find("{", place)
        if place < 0:
            break
        try:
            value, place = decoder.raw_decode(text, place)
        except (ValueError, RecursionError):
            place += 1
            continue
        if isinstance(value, dict):
            found.append(cast(dict[str, Any], value))
    return found


def _is_schema(value: Mapping[str, Any]) -> bool:
    kind = value.get("type")
    if isinstance(value.get("properties"), dict) or "$ref" in value or isinstance(value.get("anyOf"), list):
        return True
    return (kind in _TYPES and (kind != "object" or len(value) <= 4)) or isinstance(kind, list)


def _is_type(value: Any, kind: str) -> bool:
    if kind in ("integer", "number"):
        exact = int if kind == "integer" else (int, float)
        return isinstance(value, exact) and not isinstance(value, bool)
    python = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None)}.get(kind)
    return python is not None and isinstance(value, python)
