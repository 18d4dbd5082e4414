"""Values of options without pydantic.

typer (0.29) converts every value, even one that was not given, through pydantic, whose import takes longer than all
of ``status``.  Our options are text, paths, numbers and words of a list, so each parameter is given a converter of its
own.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Literal, get_args, get_origin

import typer


def lighten(command: Any) -> None:
    """Give *command* and the commands below it our converters."""
    for parameter in _parameters(command):
        descriptor = getattr(parameter, "type_descriptor", None)
        if descriptor is not None and hasattr(parameter, "get_runtime_param"):
            parameter.get_runtime_param = functools.partial(_Converter, descriptor)


HELP_NAMES: Final = ("-h", "--help")


class _Context:
    """What a command looks at when it makes its help option, which it then keeps."""

    help_option_names = HELP_NAMES


def _parameters(command: Any) -> Iterator[Any]:
    yield from command.params
    yield command.get_help_option(_Context)
    for below in getattr(command, "commands", {}).values():
        yield from _parameters(below)


class _Converter:
    def __init__(self, descriptor: Any) -> None:
        self._type = descriptor.annotation
        self._info = descriptor.parameter_info

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        """The value of the parameter's type.  Raises `typer.BadParameter`."""
        if value is None or not isinstance(value, str):
            return value
        try:
            return self._converted(value)
        except ValueError as error:
            raise typer.BadParameter(str(error), ctx=ctx, param=param) from None

    def _converted(self, text: str) -> Any:
        if get_origin(self._type) is Literal:
            words = get_args(self._type)
            if text not in words:
                raise ValueError(f"{text!r} is not one of {', '.join(words)}")
            return text
        if self._type in (int, float):
            return self._number(text)
        return Path(text) if self._type is Path else text

    def _number(self, text: str) -> float:
        try:
            number: float = self._type(text)
            if not math.isfinite(number):
                raise ValueError
        except ValueError:
            raise ValueError(f"{text!r} is not a {'whole ' if self._type is int else ''}number") from None
        low, high = self._info.min, self._info.max
        if (low is not None and number < low) or (high is not None and number > high):
            most = f"{low} or more" if high is None else f"from {low} to {high}"
            raise ValueError(f"{number} is not {most}")
        return number
