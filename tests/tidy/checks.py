"""The rules of the house, each a function from a module's source to the lines that break it.

A check sees one parsed module and its path below ``src/`` (``objlib_fsm/core/fold.py``), and knows nothing of files.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath
from typing import Final

PACKAGE: Final = "objlib_fsm"

MAY_IMPORT: Final[dict[str, frozenset[str]]] = {
    "core": frozenset({"core"}),
    "log": frozenset({"log", "core"}),
    "library": frozenset({"library", "core"}),
    "remote": frozenset({"remote", "core"}),
    "engine": frozenset({"engine", "library", "log", "remote", "core"}),
    "emulator": frozenset({"emulator"}),
    "cli": frozenset({"cli", "engine", "library", "log", "remote", "core", "emulator"}),
}
"""Which part may import which."""

ROOT_MAY_IMPORT: Final = {"__init__": frozenset[str](), "resources": frozenset[str](), "__main__": frozenset({"cli"})}
"""The modules beside the parts: the version and the carried files rest on nothing."""

PURE_PARTS: Final = frozenset({"core", "emulator"})
"""The parts that do without the version and the carried files too."""

CORE_MODULES: Final = frozenset(
    {
        "__future__", "base64", "binascii", "bisect", "collections", "contextlib", "copy", "dataclasses", "enum",
        "functools", "hashlib", "heapq", "itertools", "json", "math", "msgspec", "operator", "re", "string", "struct",
        "threading",  # a lock around the one machine that all callers share
        "transitions", "types", "typing", "unicodedata",
    }
)  # fmt: skip
"""What core may import besides itself: nothing of these reads a clock, a file, a socket or dice."""

CORE_FORBIDDEN_CALLS: Final = frozenset({"open", "print", "input", "exec", "eval", "__import__", "breakpoint"})

ASYNCIO_ALLOWED: Final[dict[str, str]] = {}
"""Modules that import asyncio, each with the reason why anyio does not do."""

RECORD_WRITERS: Final = frozenset({"objlib_fsm/core/fold.py", "objlib_fsm/core/steps.py", "objlib_fsm/core/changes.py"})
"""The fold and the steps it is made of."""

RECORD_STEPS: Final = frozenset({"objlib_fsm.core.steps", "objlib_fsm.core.changes"})
"""They change a record in place, so nobody else may call them."""

FILE_LINES_MAX: Final = 500
"""A file that needs a tour is two files."""

Check = Callable[[ast.Module, str], list[str]]


def part_of(path: str) -> str:
    """The part of the package a module belongs to, ``""`` for those beside the parts."""
    folders = PurePosixPath(path).parts[1:-1]
    return folders[0] if folders else ""


def imported(tree: ast.Module, path: str) -> Iterator[tuple[int, str]]:
    """Line and dotted name of every import, wherever it stands; ``from a import b`` is ``a.b``."""
    package = PurePosixPath(path).parts[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join([*above, *(node.module or "").split(".")]).strip(".")
            for alias in node.names:
                yield node.lineno, f"{base}.{alias.name}"


def import_direction(tree: ast.Module, path: str) -> list[str]:
    """cli -> engine -> {library, log, remote} -> core; the emulator stands alone."""
    part = part_of(path)
    allowed = MAY_IMPORT[part] if part else ROOT_MAY_IMPORT[PurePosixPath(path).stem]
    found = []
    for line, name in imported(tree, path):
        names = name.split(".")
        if names[0] != PACKAGE:
            continue
        target = names[1] if len(names) > 1 else ""
        is_part = target in MAY_IMPORT
        if (is_part and target not in allowed) or (not is_part and part in PURE_PARTS):
            found.append(f"{path}:{line}: {part or 'the root'} must not import {name}")
    return found


def core_is_pure(tree: ast.Module, path: str) -> list[str]:
    """Core imports only what computes, and calls nothing that reads or writes."""
    if part_of(path) != "core":
        return []
    found = []
    for line, name in imported(tree, path):
        top = name.partition(".")[0]
        if top != PACKAGE and top not in CORE_MODULES:
            kind = "a module that is not known to be pure" if top in sys.stdlib_module_names else "a package"
            found.append(f"{path}:{line}: core must not import {name}, {kind}")
    found += [
        f"{path}:{node.lineno}: core must not call {node.func.id}()"
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in CORE_FORBIDDEN_CALLS
    ]
    return found


def anyio_only(tree: ast.Module, path: str) -> list[str]:
    """No asyncio where there is no reason on record."""
    lines = [line for line, name in imported(tree, path) if name.partition(".")[0] == "asyncio"]
    if path in ASYNCIO_ALLOWED:
        return [] if lines else [f"{path}:1: is allowed to import asyncio and does not"]
    return [f"{path}:{line}: imports asyncio; use anyio" for line in lines]


def only_the_fold_writes_records(fields: frozenset[str]) -> Check:
    """Nobody but the fold assigns to one of *fields* of a `FileRecord`.

    A record is a name annotated as one, a local made by calling `FileRecord`, or anything called ``record``.
    """

    def check(tree: ast.Module, path: str) -> list[str]:
        if path in RECORD_WRITERS:
            return []
        names = {"record"} | _record_names(tree)
        found = [
            f"{path}:{line}: only the fold may use {name}"
            for line, name in imported(tree, path)
            if any(f"{name}.".startswith(f"{step}.") for step in RECORD_STEPS)
        ]
        for node in ast.walk(tree):
            if not (isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store | ast.Del)):
                continue
            holder = node.value
            name = holder.id if isinstance(holder, ast.Name) else getattr(holder, "attr", "")
            if name in names and node.attr in fields:
                found.append(f"{path}:{node.lineno}: only the fold may assign {name}.{node.attr}")
        return found

    return check


def _record_names(tree: ast.Module) -> set[str]:
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.arg | ast.AnnAssign) and node.annotation and "FileRecord" in _words(node.annotation):
            found.add(node.arg if isinstance(node, ast.arg) else ast.unparse(node.target).rpartition(".")[2])
        elif isinstance(node, ast.Assign) and ast.unparse(node.value).partition("(")[0].endswith("FileRecord"):
            found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return found


def _words(annotation: ast.expr) -> set[str]:
    """The alternatives of an annotation: a list of records is no record."""
    if isinstance(annotation, ast.BinOp):
        return _words(annotation.left) | _words(annotation.right)
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        return _words(ast.parse(annotation.value, mode="eval").body)
    return {ast.unparse(annotation).rpartition(".")[2]}


def documented(tree: ast.Module, path: str) -> list[str]:
    """Every public module, class, function and method says what it means."""
    found = [] if ast.get_docstring(tree) else [f"{path}:1: the module has no docstring"]
    if not any(part.startswith("_") and not part.startswith("__") for part in PurePosixPath(path).parts):
        found += [f"{path}:{line}: {name} has no docstring" for line, name in _undocumented(tree, "")]
    return found


def _undocumented(scope: ast.Module | ast.ClassDef, prefix: str) -> Iterator[tuple[int, str]]:
    for node in scope.body:
        if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) or node.name.startswith("_"):
            continue
        if not ast.get_docstring(node) and not _says_it_elsewhere(node):
            yield node.lineno, prefix + node.name
        if isinstance(node, ast.ClassDef):
            yield from _undocumented(node, f"{prefix}{node.name}.")


def _says_it_elsewhere(node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """An overload, an override or a setter: the docstring is at the definition that it belongs to."""
    names = {ast.unparse(decorator).rpartition(".")[2] for decorator in node.decorator_list}
    return bool(names & {"overload", "override", "setter", "deleter"})


def short_enough(text: str, path: str) -> list[str]:
    """A file has at most `FILE_LINES_MAX` lines."""
    lines = text.count("\n")
    return [f"{path}: {lines} lines, {FILE_LINES_MAX} are the limit"] if lines > FILE_LINES_MAX else []
