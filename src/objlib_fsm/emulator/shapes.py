"""Request bodies: which keys the API knows, in both casings, and of which type.

The service accepts ``displayName`` and ``display_name`` at every depth (the SDK mixes them within one body) and
answers 400 to a key it does not know.  A shape says what is known; `parse` returns the body with camelCase keys.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

import msgspec

from objlib_fsm.emulator.wire import ApiError, invalid

STRING: Final = "TYPE_STRING"
INT: Final = "TYPE_INT64"
NUMBER: Final = "TYPE_DOUBLE"
BOOL: Final = "TYPE_BOOL"
ANY: Final = "ANY"
"""A part of the API that this server takes as it comes and does not look into."""

Shape: TypeAlias = "str | Mapping[str, tuple[str, Any]] | list[Any]"

_CAPITAL: Final = re.compile("[A-Z]")
_INTEGER: Final = re.compile(r"[+-]?\d{1,19}", re.ASCII)
_NUMBER: Final = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
"""What a number written as text looks like; Python's own float() takes much more."""


def snake(name: str) -> str:
    """displayName -> display_name."""
    return _CAPITAL.sub(lambda match: "_" + match[0].lower(), name)


def message(**fields: Shape) -> Mapping[str, tuple[str, Shape]]:
    """A message type from its camelCase fields; found by either casing."""
    known: dict[str, tuple[str, Shape]] = {}
    for name, shape in fields.items():
        known[name] = known[snake(name)] = (name, shape)
    return known


METADATA: Final = [
    message(key=STRING, stringValue=STRING, numericValue=NUMBER, stringListValue=message(values=[STRING]))
]
CHUNKING: Final = message(whiteSpaceConfig=message(maxTokensPerChunk=INT, maxOverlapTokens=INT))

FILE_START: Final = message(
    file=message(
        name=STRING, displayName=STRING, mimeType=STRING, sizeBytes=INT, createTime=STRING, updateTime=STRING,
        expirationTime=STRING, sha256Hash=STRING, uri=STRING, downloadUri=STRING, state=STRING, source=STRING,
        error=ANY, videoMetadata=ANY,
    )
)  # fmt: skip
STORE: Final = message(
    name=STRING, displayName=STRING, embeddingModel=STRING, createTime=STRING, updateTime=STRING,
    activeDocumentsCount=INT, pendingDocumentsCount=INT, failedDocumentsCount=INT, sizeBytes=INT,
)  # fmt: skip
IMPORT: Final = message(fileName=STRING, customMetadata=METADATA, chunkingConfig=CHUNKING)
DIRECT_START: Final = message(
    displayName=STRING, mimeType=STRING, customMetadata=METADATA, chunkingConfig=CHUNKING, fileName=STRING
)
FILE_SEARCH: Final = message(
    fileSearchStoreNames=[STRING], topK=INT, metadataFilter=STRING, retrievalResources=ANY, retrievalConfig=ANY
)
_CONTENT: Final = message(
    role=STRING,
    parts=[
        message(
            text=STRING, inlineData=ANY, fileData=ANY, functionCall=ANY, functionResponse=ANY, executableCode=ANY,
            codeExecutionResult=ANY, thought=BOOL, thoughtSignature=STRING, videoMetadata=ANY, partMetadata=ANY,
            mediaResolution=ANY, toolCall=ANY, toolResponse=ANY,
        )
    ],
)  # fmt: skip
GENERATE: Final = message(
    model=STRING, contents=[_CONTENT], systemInstruction=_CONTENT,
    tools=[
        message(
            fileSearch=FILE_SEARCH, functionDeclarations=ANY, googleSearch=ANY, googleSearchRetrieval=ANY,
            urlContext=ANY, codeExecution=ANY, computerUse=ANY, googleMaps=ANY, mcpServers=ANY,
        )
    ],
    toolConfig=ANY, safetySettings=ANY, generationConfig=ANY, cachedContent=STRING, serviceTier=STRING, store=BOOL,
)  # fmt: skip


def parse(body: bytes, shape: Shape, *, strict: bool) -> dict[str, Any]:
    """A JSON object with camelCase keys, of the right types; an empty body is an empty object.

    Raises `ApiError` 400 with the service's messages.  ``strict`` refuses unknown keys, else they are dropped.
    """
    if not body.strip():
        return {}
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, ValueError):
        raise invalid("Invalid JSON payload received. Unable to parse the request body.") from None
    if not isinstance(value, dict):
        raise invalid('Invalid JSON payload received. Unknown name "": Root element must be a message.')
    parsed: dict[str, Any] = _convert(value, shape, "", strict)
    return parsed


def _convert(value: Any, shape: Any, path: str, strict: bool) -> Any:
    if shape is STRING:
        if isinstance(value, str):
            return value
    elif shape is ANY:
        return value
    elif isinstance(shape, list):
        if isinstance(value, list):
            return [_convert(item, shape[0], f"{path}[{index}]", strict) for index, item in enumerate(value)]
        shape = shape[0] if isinstance(shape[0], str) else "message"
    elif isinstance(shape, str):
        converted = _scalar(value, shape)
        if converted is not None:
            return converted
    elif isinstance(value, dict):
        return _convert_message(value, shape, path, strict)
    else:
        shape = "message"
    shown = msgspec.json.encode(value).decode()[:200]
    raise _violation(path, f"Invalid value at '{path}' ({shape}), {shown}")


def _convert_message(value: dict[str, Any], shape: Mapping[str, Any], path: str, strict: bool) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, item in value.items():
        known = shape.get(key)
        if known is None:
            if strict:
                where = f" at '{path}'" if path else ""
                raise _violation(
                    path, f'Invalid JSON payload received. Unknown name "{key}"{where}: Cannot find field.'
                )
            continue
        if item is None:
            continue
        name, inner = known
        below = snake(name)
        out[name] = _convert(item, inner, f"{path}.{below}" if path else below, strict)
    return out


def _scalar(value: Any, shape: str) -> int | float | bool | None:
    """proto3 JSON: int64 as number or text, double as number or text, bool as itself; None when it is neither."""
    if shape is BOOL:
        return value if isinstance(value, bool) else None
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, str) and not _NUMBER.fullmatch(value):
        return None
    try:
        number = float(value)
        if shape is NUMBER:
            return number if math.isfinite(number) else None
        # Digits are taken as they are: above 2^53 a float would lose some.  2e1 is an integer all the same.
        if isinstance(value, int) or (isinstance(value, str) and _INTEGER.fullmatch(value)):
            whole = int(value)
        elif number.is_integer():
            whole = int(number)
        else:
            return None
    except (ValueError, OverflowError):
        return None
    return whole if -(2**63) <= whole < 2**63 else None


def _violation(path: str, text: str) -> ApiError:
    violation = {"description": text} if not path else {"field": path, "description": text}
    return ApiError(
        400,
        text,
        details=[{"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [violation]}],
    )
