"""The lifecycle of a file: the one place where it is written.

Rules
-----
1. Everything that decides which state follows lives in `TRANSITIONS`.  The live machine (``machine.py``), the
   compiled fold (``fold.py``), the diagram in the documentation and the enumerations in the schemas are made from it.
2. Codes are on disk.  A code is never given a second meaning, and a row may be retired but never re-pointed: every
   event row also records the state it led to, and replay would report the disagreement.
3. Guards run live only.  Replay trusts recorded events, so a changed guard never changes history.

Theory of operation
-------------------
Each file is one machine with five states.  Nothing but an event moves it, and there are six families of events:

- *local*: what a scan found on disk.  May withdraw a file or start it over, because the promise is about what is
  on disk now.
- *wish*: what a person asked for (``forget``, ``track``, ``retry``, ``run --prune``, ``store recreate``).
- *intent*: written before a call that changes the remote side.  `UPLOAD_INTENDED` and `IMPORT_INTENDED` move the
  file, so that a crash right after the call finds it where the call may have put it.
- *outcome*: what became of that call.  A fact: legal in every state, never rejected, never moves the file.
- *observation*: what a look-up showed.  A fact as well.
- *verdict*: what follows from the facts: indexed, claimed, started over, given up.  Verdicts are appended together
  with the facts they follow from, by ``decide``.

So an outcome that arrives after the file has moved on changes only the record, and "why is it in this state?" always
has one event as its answer.  ``untracked`` means that the store holds nothing current of this file; it is the state
of a file that was never sent as well as of one that was withdrawn.  What is orthogonal to the state (wanted, present,
excluded, due) is a field of the record.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from typing import Final, NamedTuple


class State(enum.IntEnum):
    """Where a file stands.  The codes are stored."""

    UNTRACKED = 0
    """The store holds nothing current of this file."""
    UPLOADING = 1
    """An upload intent is durable; the raw file is perhaps there, perhaps ACTIVE."""
    PROCESSING = 2
    """An import intent is durable, or a document is claimed by name and not yet seen ACTIVE."""
    INDEXED = 3
    """The document is known by its full name and was seen ACTIVE."""
    FAILED = 4
    """Given up for a recorded reason that another attempt as-is would not change, or attempts used up."""

    @property
    def label(self) -> str:
        """The state's name as people and ``--json`` see it."""
        return self.name.lower()


class Family(enum.StrEnum):
    """What sort of thing an event says."""

    LOCAL = "local"
    WISH = "wish"
    INTENT = "intent"
    OUTCOME = "outcome"
    OBSERVATION = "observation"
    VERDICT = "verdict"
    LIBRARY = "library"


class Kind(enum.IntEnum):
    """Every kind of event.  The codes are stored; 1-63 are about one file, 64-127 about the library."""

    FILE_DISCOVERED = 1
    CONTENT_CHANGED = 2
    FILE_TOUCHED = 3
    FILE_VANISHED = 4
    FILE_REAPPEARED = 5
    FILE_MOVED = 6
    FILE_EXCLUDED = 7
    FILE_INCLUDED = 8
    FILE_DESCRIBED = 9

    FILE_FORGOTTEN = 10
    FILE_TRACKED = 11
    RETRY_REQUESTED = 12
    FILE_PRUNED = 13
    FILE_RESET = 14
    FILE_ADOPTED = 15
    STORE_REPLACED = 16

    UPLOAD_INTENDED = 20
    IMPORT_INTENDED = 21
    DOCUMENT_DELETE_INTENDED = 22
    RAW_DELETE_INTENDED = 23

    UPLOAD_DONE = 30
    IMPORT_ACCEPTED = 31
    DOCUMENT_DELETED = 32
    RAW_DELETED = 33
    CALL_REJECTED = 34
    CALL_FAILED = 35
    CALL_UNCERTAIN = 36

    RAW_SEEN = 40
    RAW_ABSENT = 41
    RAW_GONE = 42
    OPERATION_ENDED = 43
    DOCUMENT_SEEN = 44
    DOCUMENT_GONE = 45
    DOCUMENTS_LISTED = 46
    STRAY_FOUND = 47

    FILE_INDEXED = 50
    DOCUMENT_CLAIMED = 51
    STARTED_OVER = 52
    GAVE_UP = 53

    LIBRARY_CREATED = 64
    LIBRARY_ROOTED = 65
    STORE_CREATE_INTENDED = 66
    STORE_CREATE_ENDED = 67
    STORE_PINNED = 68
    STORE_COMPARED = 69
    RUN_STARTED = 70
    RUN_ENDED = 71
    BATCH_STARTED = 72
    BATCH_ENDED = 73
    PACE_LEARNED = 74
    RATE_LIMITS_SEEN = 75
    LEASE_TAKEN = 80
    LEASE_RENEWED = 81
    LEASE_RELEASED = 82
    STORE_DELETE_INTENDED = 83
    STORE_DELETE_ENDED = 84

    @property
    def label(self) -> str:
        """The kind's name as people and ``--json`` see it."""
        return self.name.lower()

    @property
    def family(self) -> Family:
        """The family the kind belongs to."""
        return _FAMILIES[self]


def _family(code: int) -> Family:
    for below, family in (
        (10, Family.LOCAL),
        (20, Family.WISH),
        (30, Family.INTENT),
        (40, Family.OUTCOME),
        (50, Family.OBSERVATION),
        (64, Family.VERDICT),
    ):
        if code < below:
            return family
    return Family.LIBRARY


_FAMILIES: Final = {kind: _family(kind) for kind in Kind}

FILE_KINDS: Final = tuple(kind for kind in Kind if kind.family is not Family.LIBRARY)
LIBRARY_KINDS: Final = tuple(kind for kind in Kind if kind.family is Family.LIBRARY)

FACTS: Final = frozenset(k for k in FILE_KINDS if k.family in (Family.OUTCOME, Family.OBSERVATION))
"""Legal in every state, never rejected, never move the file."""

FIRST_KINDS: Final = frozenset({Kind.FILE_DISCOVERED, Kind.STRAY_FOUND, Kind.FILE_ADOPTED})
"""A stream begins with a file that a scan found or another tool knew, or with documents of this library that no stream
accounts for."""

INITIAL: Final = State.UNTRACKED
"""The state of a stream before its first event."""


class Transition(NamedTuple):
    """One row of the table.  ``guard`` names a function of ``machine.GUARDS``, or is empty."""

    source: State
    event: Kind
    dest: State
    guard: str
    why: str


_U, _UP, _P, _I, _F = State


def _every(event: Kind, why: str, guard: str = "") -> Iterable[Transition]:
    """The rows of an event that is legal in every state and moves the file in none."""
    return tuple(Transition(state, event, state, guard, why) for state in State)


TRANSITIONS: Final[tuple[Transition, ...]] = (
    # Local: what a scan found.
    Transition(_U, Kind.FILE_DISCOVERED, _U, "is_new", "a path seen for the first time"),
    *(
        Transition(state, Kind.CONTENT_CHANGED, _U, "is_known", "the bytes differ, so nothing current is in the store")
        for state in State
    ),
    *_every(Kind.FILE_TOUCHED, "size or time differ, the bytes do not: nothing is sent", "is_known"),
    Transition(_U, Kind.FILE_VANISHED, _U, "is_present", "not on disk any more"),
    Transition(_UP, Kind.FILE_VANISHED, _U, "is_present", "withdrawn: nothing new is begun for a file that is gone"),
    Transition(_P, Kind.FILE_VANISHED, _U, "is_present", "withdrawn: nothing new is begun for a file that is gone"),
    Transition(_I, Kind.FILE_VANISHED, _I, "is_present", "the document stays until a prune"),
    Transition(_F, Kind.FILE_VANISHED, _U, "is_present", "the reason for giving up went with the file"),
    *_every(Kind.FILE_REAPPEARED, "on disk again with the same bytes", "is_missing"),
    *_every(Kind.FILE_MOVED, "the same file under another path: nothing is sent", "is_known"),
    Transition(_U, Kind.FILE_EXCLUDED, _U, "is_known", "cannot or must not be indexed"),
    Transition(_UP, Kind.FILE_EXCLUDED, _U, "is_known", "withdrawn: nothing new is begun for it"),
    Transition(_P, Kind.FILE_EXCLUDED, _U, "is_known", "withdrawn: nothing new is begun for it"),
    Transition(_I, Kind.FILE_EXCLUDED, _I, "is_known", "the document stays until a prune"),
    Transition(_F, Kind.FILE_EXCLUDED, _U, "is_known", "what excludes it replaces the reason for giving up"),
    *_every(Kind.FILE_INCLUDED, "the reason for leaving it out is gone", "is_excluded"),
    *(
        Transition(
            state,
            Kind.FILE_DESCRIBED,
            _U,
            "describes_anew",
            "it is described otherwise, which takes another document",
        )
        for state in State
    ),
    # Wishes: what a person asked for.
    *(
        Transition(state, Kind.FILE_FORGOTTEN, _U, "is_wanted", "its document and raw file are to be deleted")
        for state in State
    ),
    *_every(Kind.FILE_TRACKED, "wanted again", "is_unwanted"),
    *(Transition(state, Kind.RETRY_REQUESTED, state, "is_known", "waiting ends now") for state in (_U, _UP, _P, _I)),
    Transition(_F, Kind.RETRY_REQUESTED, _U, "may_retry", "somebody wants another attempt"),
    Transition(_U, Kind.FILE_PRUNED, _U, "is_away", "what is left of it in the store is to be deleted"),
    Transition(_I, Kind.FILE_PRUNED, _U, "is_away", "its document is to be deleted until the file is back"),
    Transition(_U, Kind.STORE_REPLACED, _U, "is_known", "the new store holds nothing of it"),
    Transition(_UP, Kind.STORE_REPLACED, _UP, "is_known", "a raw file belongs to no store: its upload goes on"),
    Transition(_P, Kind.STORE_REPLACED, _U, "is_known", "its document is gone with the old store"),
    Transition(_I, Kind.STORE_REPLACED, _U, "is_known", "its document is gone with the old store"),
    Transition(_F, Kind.STORE_REPLACED, _F, "is_known", "the reason for giving up was not the store"),
    *(
        Transition(state, Kind.FILE_RESET, _U, "is_here", "its bytes are sent anew, for another document")
        for state in State
    ),
    Transition(_U, Kind.FILE_ADOPTED, _U, "may_adopt", "another tool's claim, and what the store shows of it"),
    # Intents: durable before the call.
    Transition(_U, Kind.UPLOAD_INTENDED, _UP, "may_upload", "its bytes are about to be sent"),
    Transition(_UP, Kind.UPLOAD_INTENDED, _UP, "may_upload", "the earlier upload did not arrive"),
    Transition(_U, Kind.IMPORT_INTENDED, _P, "may_import", "a raw file of these bytes is still alive"),
    Transition(_UP, Kind.IMPORT_INTENDED, _P, "may_import", "its raw file is ACTIVE"),
    Transition(_P, Kind.IMPORT_INTENDED, _P, "may_import", "the earlier import left no document"),
    *_every(Kind.DOCUMENT_DELETE_INTENDED, "a document that must go", "may_delete_document"),
    *_every(Kind.RAW_DELETE_INTENDED, "a raw file that must go", "may_delete_raw"),
    # Outcomes and observations: facts.
    *_every(Kind.UPLOAD_DONE, "the service has the bytes"),
    *_every(Kind.IMPORT_ACCEPTED, "the service began an import operation"),
    *_every(Kind.DOCUMENT_DELETED, "the document is gone"),
    *_every(Kind.RAW_DELETED, "the raw file is gone"),
    *_every(Kind.CALL_REJECTED, "refused: the same call would be refused again"),
    *_every(Kind.CALL_FAILED, "nothing was done, for a reason that may pass"),
    *_every(Kind.CALL_UNCERTAIN, "perhaps done, perhaps not: look before repeating"),
    *_every(Kind.RAW_SEEN, "a look-up showed the raw file"),
    *_every(Kind.RAW_ABSENT, "a look-up found nothing: the upload did not arrive"),
    *_every(Kind.RAW_GONE, "the raw file expired, failed or is not ours"),
    *_every(Kind.OPERATION_ENDED, "the operation said done or error, or was given no more time"),
    *_every(Kind.DOCUMENT_SEEN, "a look-up showed the document"),
    *_every(Kind.DOCUMENT_GONE, "a look-up says that the document is not there"),
    *_every(Kind.DOCUMENTS_LISTED, "a complete listing showed these documents of the file and no others"),
    *_every(Kind.STRAY_FOUND, "a listing showed documents of this library that no stream accounts for"),
    # Verdicts: what follows from the facts.
    Transition(_P, Kind.FILE_INDEXED, _I, "is_proven", "its document was seen ACTIVE"),
    Transition(_U, Kind.DOCUMENT_CLAIMED, _P, "is_here", "a document of these bytes is known by name"),
    Transition(_UP, Kind.DOCUMENT_CLAIMED, _P, "is_here", "a document of these bytes is known by name"),
    Transition(_F, Kind.DOCUMENT_CLAIMED, _P, "is_here", "a document of these bytes is known by name"),
    Transition(_UP, Kind.STARTED_OVER, _U, "is_known", "its raw file is gone: the bytes are sent again"),
    Transition(_P, Kind.STARTED_OVER, _U, "is_known", "no document, and the raw file is gone"),
    Transition(_I, Kind.STARTED_OVER, _U, "is_known", "the store lost its document"),
    Transition(_U, Kind.GAVE_UP, _F, "is_known", "another attempt as-is would end the same way"),
    Transition(_UP, Kind.GAVE_UP, _F, "is_known", "another attempt as-is would end the same way"),
    Transition(_P, Kind.GAVE_UP, _F, "is_known", "another attempt as-is would end the same way"),
)

ILLEGAL: Final = 255
"""In `DESTINATIONS`: no row for this state and event."""

KIND_CODES: Final = 128
"""Room for kind codes in `DESTINATIONS`: one signed byte, and a power of two so that the index is a shift."""


def _compile() -> bytes:
    table = bytearray([ILLEGAL]) * (len(State) * KIND_CODES)
    for row in TRANSITIONS:
        index = row.source * KIND_CODES + row.event
        assert table[index] == ILLEGAL, f"two rows for {row.source.label} + {row.event.label}"
        table[index] = row.dest
    for kind in LIBRARY_KINDS:
        table[INITIAL * KIND_CODES + kind] = INITIAL
    return bytes(table)


DESTINATIONS: Final = _compile()
"""``DESTINATIONS[state * KIND_CODES + kind]`` is the next state's code, or `ILLEGAL`.

The library's own streams have no lifecycle: their events keep the initial state.
"""


def destination(state: State, kind: Kind) -> State | None:
    """The state that *kind* leads to from *state*, None when there is no such row."""
    code = DESTINATIONS[state * KIND_CODES + kind]
    return None if code == ILLEGAL else State(code)
