"""A file is described while it is read: its first bytes hold the front matter, and a header goes before all of them."""

from __future__ import annotations

import codecs
import hashlib
from pathlib import Path
from typing import Final

from objlib_fsm.core.paths import LibraryPath, to_bytes
from objlib_fsm.library import mime
from objlib_fsm.library.compare import proves
from objlib_fsm.library.errors import FileVanished, NotIndexable
from objlib_fsm.library.metadata import NOTHING, Describer, Description
from objlib_fsm.library.reading import Sink, read_once, read_small
from objlib_fsm.library.sources import SIDECAR_BYTES_MAX, SIDECAR_SUFFIX, BadMetadata
from objlib_fsm.library.values import Exclusion, Fingerprint, Sidecar

PROSE: Final = frozenset({"text/plain", "text/markdown", "text/x-r-markdown", mime.UNTOLD})
"""Types, by name, that may begin with front matter and bear a header.  A name that tells nothing is read as text."""

_WIDE_BOMS: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)

RACY: Final = "?"
"""Ends a basis that the next scan is to doubt: the sidecar had been written just before it was read."""


def hash_and_describe(
    root: Path, path: LibraryPath, now_us: int, describer: Describer, *, look_for_sidecar: bool
) -> tuple[Fingerprint, Description]:
    """The file's fingerprint and its description, from one reading.

    Raises what `read_once` raises; a description that cannot be used is `NotIndexable` with `Exclusion.METADATA`.
    """
    reading = _Reading(root, path, now_us, describer, look_for_sidecar)
    fingerprint = read_once(root, path, now_us, reading.sink_for)
    if reading.bad is not None:
        size_bytes, mtime_ns = fingerprint.size_bytes, fingerprint.mtime_ns
        raise NotIndexable(path, Exclusion.METADATA, str(reading.bad), size_bytes, mtime_ns, reading.basis)
    return fingerprint, reading.description()


class _Reading:
    def __init__(
        self, root: Path, path: LibraryPath, now_us: int, describer: Describer, look_for_sidecar: bool
    ) -> None:
        self._root, self._path, self._now_us = root, path, now_us
        self._describer = describer
        self._look_for_sidecar = look_for_sidecar and describer.rules.sidecars
        self._prose = mime.by_extension(mime.extension_of(to_bytes(path).rpartition(b"/")[2])) in PROSE
        self.basis = ""
        self.bad: BadMetadata | None = None
        self._described = NOTHING
        self._digest = hashlib.sha256()

    def sink_for(self, size_bytes: int) -> Sink:
        first = True

        def sink(block: bytes) -> None:
            nonlocal first
            if first:
                first = False
                self._begin(block)
            if self._described.header:
                self._digest.update(block)

        return sink

    def _begin(self, head: bytes) -> None:
        text, sidecar = self._sidecar()
        self.basis = self._describer.basis(self._path, sidecar)
        if sidecar is not None and not proves(sidecar.mtime_ns, self._now_us):
            self.basis += RACY
        try:
            metadata, archive = self._describer.describe(self._path, head, prose=self._prose, sidecar_text=text)
        except BadMetadata as bad:  # The reading goes on: what it says of size and time belongs to the same bytes.
            self.bad = bad
            return
        header = ""
        if self._prose and not head.startswith(_WIDE_BOMS):
            header = self._describer.header(self._path, {**archive, **metadata})
        self._digest.update(header.encode())
        self._described = Description(metadata, archive, self.basis, header)

    def _sidecar(self) -> tuple[bytes | None, Sidecar | None]:
        if not self._look_for_sidecar:
            return None, None
        path = LibraryPath(self._path + SIDECAR_SUFFIX.decode())
        try:
            text, status = read_small(self._root, path, SIDECAR_BYTES_MAX + 1)
        except FileVanished:
            return None, None
        return text, Sidecar(status.st_size, status.st_mtime_ns)

    def description(self) -> Description:
        header = self._described.header
        return self._described._replace(payload_sha256=self._digest.hexdigest() if header else "")
