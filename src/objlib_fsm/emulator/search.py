"""Searching the documents of stores."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from objlib_fsm.emulator.context import Context
from objlib_fsm.emulator.documents import metadata_values
from objlib_fsm.emulator.filters import FilterError, compile_filter
from objlib_fsm.emulator.schema import PASSAGE_BITS
from objlib_fsm.emulator.wire import invalid

MAX_TERMS: Final = 64
"""Words of a question that take part; more only cost time."""

WORD: Final = re.compile(r"\w+")

_STOP: Final = """
    a about an and are as at be been but by can could did do does describe explain find for from give had has have how i
    if in into is it its may me my not of on or our please shall should show so some such tell than that the their them
    then there these they this those to was we were what when where which who whom whose why will with would you your
"""
"""Words that say nothing about what is asked, in questions in English."""

_STOP_WORDS: Final = frozenset(_STOP.split())


class Passage(msgspec.Struct):
    """A chunk that a search found.  ``metadata`` as the service prints it."""

    store: str
    title: str
    text: str
    metadata: list[dict[str, Any]]


def terms(question: str) -> list[str]:
    """The words of a question worth searching, in order, each once; all of them when none seems worth it."""
    words = list(dict.fromkeys(word.lower() for word in WORD.findall(question)))
    telling = [word for word in words if word not in _STOP_WORDS]
    return (telling or words)[:MAX_TERMS]


def find(
    ctx: Context, stores: Sequence[tuple[int, str]], question: str, *, metadata_filter: str, top_k: int
) -> list[Passage]:
    """The best ``top_k`` chunks of the stores (number and id), best first.

    Only documents that are ACTIVE and already searchable; a deleted one while it is still cited.  Raises `ApiError`
    400 for a filter that cannot be understood.
    """
    try:
        wanted = compile_filter(metadata_filter, membership=ctx.settings.list_membership_filter)
    except FilterError as error:
        raise invalid(f"Invalid metadata filter: {error}.") from None
    words = terms(question)
    if not words:
        return []
    now_us = ctx.now_us()
    ids = dict(stores)
    matches = ctx.db.run(
        "SELECT p.text, d.store, d.display_name, d.metadata FROM passage AS p"
        " CROSS JOIN document AS d ON d.n = p.rowid >> ?4"
        " WHERE passage MATCH ?1 AND d.store IN (SELECT value FROM json_each(?2)) AND d.searchable_at_us <= ?3"
        " AND (d.failed_at_us IS NULL OR d.failed_at_us > ?3) AND (d.cited_until_us IS NULL OR d.cited_until_us > ?3)"
        " ORDER BY bm25(passage), p.rowid",
        (" OR ".join(f'"{word}"' for word in words), msgspec.json.encode(list(ids)).decode(), now_us, PASSAGE_BITS),
    )
    found: list[Passage] = []
    for chunk, store, title, encoded in matches:
        metadata = msgspec.json.decode(encoded)
        if wanted(metadata_values(metadata)):
            found.append(Passage(ids[store], title, chunk, metadata))
            if len(found) == top_k:
                break
    return found
