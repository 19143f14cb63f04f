"""The format as a JSON Schema, for editors; made from the structs that files are read as."""

import types
import typing
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from apicache_scenarios.format.entries import Options, UsageSource
from apicache_scenarios.format.loading import VERSION, Sections
from apicache_scenarios.format.quantities import Quantity

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_REFERENCE: Final = {"type": "string", "pattern": r"\$\{\{.*\}\}"}
"""Where another type stands, a text with references may stand as well."""


def schema() -> dict[str, Any]:
    """The JSON Schema of a scenario file."""
    sections = _struct(Sections)["properties"]
    sections["bench"]["properties"]["thresholds"] = {
        "type": "object",
        "additionalProperties": {"type": "array", "items": _THRESHOLD},
    }
    entries = {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/entry"}}
    return {
        "$schema": DIALECT,
        "title": "apicache scenarios",
        "$defs": {"entry": _entry()},
        "oneOf": [
            entries,
            {
                "type": "object",
                "required": ["version", "scenarios"],
                "properties": {"version": {"const": VERSION}, **sections, "scenarios": entries},
                "additionalProperties": False,
            },
        ],
    }


_THRESHOLD: Final = {
    "anyOf": [
        {"type": "string"},
        {
            "type": "object",
            "required": ["check"],
            "properties": {
                "check": {"type": "string"},
                "abort": {"type": "boolean"},
                "after": {"type": ["string", "number"]},
            },
            "additionalProperties": False,
        },
    ]
}


def _entry() -> dict[str, Any]:
    """An entry; what it does not know is a parameter of the operation, so it is left open."""
    axes = {"type": "array", "minItems": 1}
    combinations = {"type": "array", "items": {"type": "object"}}
    return {
        "type": "object",
        "anyOf": [{"required": ["operation"]}, {"required": ["from"]}],
        "properties": {
            "operation": {"type": "string"},
            "params": {"type": "object"},
            "matrix": {
                "type": "object",
                "properties": {"exclude": combinations, "include": combinations},
                "additionalProperties": axes,
            },
            "from": _struct(UsageSource),
            **_struct(Options)["properties"],
        },
    }


def _struct(struct: type[Struct]) -> dict[str, Any]:
    hints = typing.get_type_hints(struct, include_extras=True)
    fields = msgspec.structs.fields(struct)
    required = [field.name for field in fields if field.required]
    return {
        "type": "object",
        "description": (struct.__doc__ or "").split("\n")[0],
        "properties": {field.name: _type(hints[field.name]) for field in fields},
        **({"required": required} if required else {}),
        "additionalProperties": False,
    }


def _type(annotation: Any) -> dict[str, Any]:
    quantity = next((each for each in getattr(annotation, "__metadata__", ()) if isinstance(each, Quantity)), None)
    if quantity is not None:
        texts = [{"type": "string", "pattern": quantity.pattern}, _REFERENCE]
        return {"description": quantity.expected, "anyOf": [*texts, {"type": "number", "minimum": 0}]}
    if isinstance(annotation, type) and issubclass(annotation, Struct):
        return _struct(annotation)
    return _composed(typing.get_origin(annotation), typing.get_args(annotation)) or _plain(annotation)


def _composed(origin: Any, arguments: tuple[Any, ...]) -> dict[str, Any] | None:
    if origin in (typing.Union, types.UnionType):
        return {"anyOf": [_type(each) for each in arguments]}
    if origin is tuple:
        return {"type": "array", "items": _type(arguments[0])}
    if origin is dict:
        return {"type": "object", "additionalProperties": _type(arguments[1])}
    return None


def _plain(annotation: Any) -> dict[str, Any]:
    plain = msgspec.json.schema(str if annotation is Path else annotation)
    is_text = plain == {} or plain.get("type") == "string" or plain.get("type") == "null"
    return plain if is_text else {"anyOf": [plain, _REFERENCE]}
