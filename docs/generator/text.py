"""Small helpers for Markdown."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterable, Sequence
from types import ModuleType

NOTICE = "<!-- Made by docs/generate.py. Do not edit by hand. -->\n"


def page(title: str, *parts: str) -> str:
    """A page of *parts*, each a block of its own."""
    return "\n".join([NOTICE + f"# {title}\n", *(part.strip("\n") + "\n" for part in parts)])


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; cells may hold Markdown, a bar in them is escaped."""
    lines = [_row(head), _row(["---"] * len(head))]
    lines += [_row([cell.replace("|", "\\|").replace("\n", " ") for cell in row]) for row in rows]
    return "\n".join(lines)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def prose(docstring: str | None) -> str:
    """A docstring as Markdown: one line for each paragraph, single backticks."""
    paragraphs = inspect.cleandoc(docstring or "").replace("``", "`").split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


def first_line(docstring: str | None) -> str:
    """The docstring's first paragraph."""
    return prose(docstring).partition("\n\n")[0]


def attribute_docs(module: ModuleType, class_name: str) -> dict[str, str]:
    """The string below each attribute of a class, which the running program does not keep."""
    tree = ast.parse(inspect.getsource(module))
    body = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == class_name).body
    docs = {}
    for node, after in zip(body, [*body[1:], None], strict=True):
        targets = [node.target] if isinstance(node, ast.AnnAssign) else getattr(node, "targets", [])
        for target in (name for name in targets if isinstance(name, ast.Name)):
            told = after.value if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) else None
            docs[target.id] = prose(str(told.value)) if told else ""
    return docs
