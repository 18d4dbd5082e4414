"""YAML read into plain values: PyYAML's safe loader with everything taken out that a description does not need."""

from __future__ import annotations

import re
from typing import Any, Final

import yaml

from objlib_fsm.library.sources import DEPTH_MAX, BadMetadata

_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The one in C where it was built; both parse the same."""

_STR: Final = "tag:yaml.org,2002:str"
_NULL: Final = "tag:yaml.org,2002:null"
_BOOL: Final = "tag:yaml.org,2002:bool"
_INT: Final = "tag:yaml.org,2002:int"
_FLOAT: Final = "tag:yaml.org,2002:float"


class _Loader(_Base):  # type: ignore[misc]
    """Scalars as in the core schema of YAML 1.2, without octal, hexadecimal and infinite numbers; one of more than 15
    digits, which JSON would not keep, is text."""

    yaml_implicit_resolvers: dict[Any, Any] = {}  # noqa: RUF012  (what PyYAML reads)
    yaml_constructors: dict[Any, Any] = {}  # noqa: RUF012

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        keys = [(key.tag, key.value) for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        if len(keys) < len(node.value):
            raise yaml.constructor.ConstructorError(None, None, "a key is a list or a mapping", node.start_mark)
        for at, key in enumerate(keys):
            if key in keys[:at]:
                raise yaml.constructor.ConstructorError(
                    None, None, f"{key[1]} is there twice", node.value[at][0].start_mark
                )
        return {
            self.construct_object(key, deep=True): self.construct_object(value, deep=True) for key, value in node.value
        }


_Loader.add_implicit_resolver(_NULL, re.compile(r"(?:~|null|Null|NULL|)\Z"), ["~", "n", "N", ""])
_Loader.add_implicit_resolver(_BOOL, re.compile(r"(?:true|True|TRUE|false|False|FALSE)\Z"), list("tTfF"))
_Loader.add_implicit_resolver(_INT, re.compile(r"[-+]?[0-9]{1,15}\Z"), list("-+0123456789"))
_Loader.add_implicit_resolver(
    _FLOAT,
    re.compile(
        r"[-+]?(?:(?:\.[0-9]{1,30}|[0-9]{1,30}\.[0-9]{0,30})(?:[eE][-+]?[0-9]{1,3})?|[0-9]{1,30}[eE][-+]?[0-9]{1,3})\Z"
    ),
    list("-+.0123456789"),
)


def _undefined(_loader: Any, node: Any) -> Any:
    raise yaml.constructor.ConstructorError(None, None, f"the tag {node.tag} is not read", node.start_mark)


_Loader.add_constructor(None, _undefined)
_Loader.add_constructor(_STR, lambda loader, node: loader.construct_scalar(node))
_Loader.add_constructor(_NULL, lambda loader, node: None)
_Loader.add_constructor(_BOOL, lambda loader, node: loader.construct_scalar(node).lower() == "true")
_Loader.add_constructor(_INT, lambda loader, node: int(loader.construct_scalar(node)))
_Loader.add_constructor(_FLOAT, lambda loader, node: float(loader.construct_scalar(node)))
_Loader.add_constructor("tag:yaml.org,2002:seq", lambda loader, node: loader.construct_sequence(node, deep=True))
_Loader.add_constructor("tag:yaml.org,2002:map", lambda loader, node: loader.construct_mapping(node))


def read_yaml(text: str, where: str) -> Any:
    """One document of plain values.  Raises `BadMetadata`, with the line."""
    try:
        _check(text, where)
        return yaml.load(text, Loader=_Loader)  # noqa: S506  (it makes nothing but plain values)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f"line {mark.line + 2}: " if mark is not None else ""
        raise BadMetadata(where, "", f"is not plain YAML: {line}{error.problem or error.context}") from None
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        if isinstance(error, BadMetadata):
            raise
        raise BadMetadata(where, "", "is not plain YAML") from None


def _check(text: str, where: str) -> None:
    """Refuse what unfolds or nests, on the stream of events: nothing is built yet."""
    depth = 0
    for event in yaml.parse(text, Loader=_Base):
        line = f"line {event.start_mark.line + 2}" if event.start_mark is not None else "somewhere"
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise BadMetadata(where, "", f"{line}: anchors and aliases (& and *) are not read")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > DEPTH_MAX:
                raise BadMetadata(where, "", f"{line}: is nested deeper than {DEPTH_MAX}")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
