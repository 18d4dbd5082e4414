"""Metadata filters: the part of AIP-160 that File Search is known to understand.

::

    filter   = sequence {"AND" sequence}        sequence = factor {factor}     (a sequence is an AND)
    factor   = term {"OR" term}                 term     = ["NOT" | "-"] simple
    simple   = "(" filter ")" | key op value    op       = = != < <= > >= :

As AIP-160 has it, OR binds tighter than AND.  A value is quoted, with either quote and backslash escapes, or a bare
word.  A bare word that reads as a number equals a number; text equals text.  ``key:value`` is membership of a list
(equality for anything else) and ``key:*`` asks whether the key is there.  Values of different kinds are unequal.  A
key that a document does not have fulfils no comparison, also not ``!=``; ``NOT`` turns that around.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

Value: TypeAlias = "str | float | Sequence[str]"
Predicate: TypeAlias = Callable[[Mapping[str, Value]], bool]

MAX_DEPTH: Final = 50
"""Nested parentheses; beyond any filter a person writes, below Python's recursion limit."""

MAX_CHARS: Final = 20_000

_TOKEN: Final = re.compile(
    r"""\s*(?:
      (?P<open>\() | (?P<close>\)) | (?P<op><=|>=|!=|=|<|>|:)
    | (?P<quoted>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    | (?P<bare>[^\s()"'=<>!:,]+)
    )""",
    re.VERBOSE | re.DOTALL,
)
_NUMBER: Final = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_KEY: Final = re.compile(r"[^\W\d][\w.-]*")
_ESCAPE: Final = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_NAMED_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r"}
_KEYWORDS: Final = frozenset(["AND", "OR", "NOT"])


class FilterError(ValueError):
    """The filter cannot be understood; the message says where."""


class _Token(NamedTuple):
    kind: str
    text: str
    at: int


def compile_filter(source: str, *, membership: bool = True) -> Predicate:
    """A predicate over a document's metadata (key to text, number, or list of texts).

    Raises `FilterError`.  An empty filter is fulfilled by everything.  ``membership`` False refuses ``:``.
    """
    if len(source) > MAX_CHARS:
        raise FilterError(f"the filter has more than {MAX_CHARS} characters")
    if not source.strip():
        return lambda _metadata: True
    parser = _Parser(_tokens(source), membership)
    predicate = parser.filter(0)
    parser.expect_end()
    return predicate


def quote(value: str) -> str:
    """The text as a quoted value of a filter."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _tokens(source: str) -> list[_Token]:
    out = []
    at = 0
    end = len(source.rstrip())
    while at < end:
        match = _TOKEN.match(source, at)
        if match is None:
            raise FilterError(f"unexpected character at position {at}: {source[at : at + 20]!r}")
        kind = str(match.lastgroup)
        out.append(_Token(kind, match[kind], match.start(kind)))
        at = match.end()
    return out


class _Parser:
    def __init__(self, tokens: list[_Token], membership: bool) -> None:
        self._tokens = tokens
        self._at = 0
        self._membership = membership

    def _peek(self) -> _Token:
        return self._tokens[self._at] if self._at < len(self._tokens) else _Token("end", "", -1)

    def _next(self) -> _Token:
        token = self._peek()
        self._at += 1
        return token

    def _take(self, keyword: str) -> bool:
        token = self._peek()
        if token.kind == "bare" and token.text == keyword:
            self._at += 1
            return True
        return False

    def expect_end(self) -> None:
        token = self._peek()
        if token.kind != "end":
            raise _unexpected(token)

    def filter(self, depth: int) -> Predicate:
        terms = [self._factor(depth)]
        while True:
            token = self._peek()
            if token.kind in ("end", "close"):
                break
            self._take("AND")
            terms.append(self._factor(depth))
        if len(terms) == 1:
            return terms[0]
        return lambda metadata: all(term(metadata) for term in terms)

    def _factor(self, depth: int) -> Predicate:
        terms = [self._term(depth)]
        while self._take("OR"):
            terms.append(self._term(depth))
        if len(terms) == 1:
            return terms[0]
        return lambda metadata: any(term(metadata) for term in terms)

    def _term(self, depth: int) -> Predicate:
        token = self._peek()
        negated = self._take("NOT")
        if not negated and token.kind == "bare" and token.text.startswith("-"):
            negated = True
            rest = token.text[1:]
            if rest:
                self._tokens[self._at] = _Token("bare", rest, token.at + 1)
            else:
                self._at += 1
        inner = self._simple(depth)
        return (lambda metadata: not inner(metadata)) if negated else inner

    def _simple(self, depth: int) -> Predicate:
        token = self._next()
        if token.kind == "open":
            if depth >= MAX_DEPTH:
                raise FilterError(f"parentheses are nested deeper than {MAX_DEPTH}")
            inner = self.filter(depth + 1)
            closing = self._next()
            if closing.kind != "close":
                raise _unexpected(closing)
            return inner
        if token.kind == "quoted":
            key = _unquote(token.text)
        elif token.kind == "bare" and token.text not in _KEYWORDS and _KEY.fullmatch(token.text):
            key = token.text
        else:
            raise _unexpected(token)
        operator = self._next()
        if operator.kind != "op":
            raise _unexpected(operator)
        if operator.text == ":" and not self._membership:
            raise _unexpected(operator)
        value = self._next()
        if value.kind == "quoted":
            return _comparison(key, operator.text, _unquote(value.text), None)
        if value.kind == "bare" and value.text not in _KEYWORDS:
            if operator.text == ":" and value.text == "*":
                return lambda metadata: key in metadata
            number = float(value.text) if _NUMBER.fullmatch(value.text) else None
            return _comparison(key, operator.text, value.text, number)
        raise _unexpected(value)


def _unexpected(token: _Token) -> FilterError:
    if token.kind == "end":
        return FilterError("the filter ends too early")
    return FilterError(f"unexpected {token.text!r} at position {token.at}")


def _unquote(quoted: str) -> str:
    def resolve(match: re.Match[str]) -> str:
        if match[1]:
            return chr(int(match[1], 16))
        return _NAMED_ESCAPES.get(match[2], match[2])

    return _ESCAPE.sub(resolve, quoted[1:-1])


def _comparison(key: str, operator: str, wanted: str, number: float | None) -> Predicate:
    compare = _OPERATORS[operator]

    def holds(metadata: Mapping[str, Value]) -> bool:
        if key not in metadata:
            return False
        found = metadata[key]
        if isinstance(found, str):
            return compare(found, wanted)
        if isinstance(found, int | float):
            return operator == "!=" if number is None else compare(found, number)
        if operator == ":":
            return wanted in found
        return operator == "!="

    return holds


_OPERATORS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "=": lambda left, right: left == right,
    ":": lambda left, right: left == right,
    "!=": lambda left, right: left != right,
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
}
