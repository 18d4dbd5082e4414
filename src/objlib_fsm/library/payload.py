"""The bytes to send: read once, hashed, and kept where nobody can change them until they are sent."""

from __future__ import annotations

import contextlib
import hashlib
import io
import tempfile
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Self

import msgspec

from objlib_fsm.core.paths import LibraryPath
from objlib_fsm.library.errors import ChangedWhileRead, NoRoomForCopy, shown
from objlib_fsm.library.reading import Sink, read_once
from objlib_fsm.library.values import Fingerprint

IN_MEMORY_MAX_BYTES: Final = 8_388_608
"""Up to here a payload stays in memory, above it is copied to a private temporary file.  8 MiB is the chunk in which
uploads are sent; with the 10 uploads allowed at once this is 80 MiB at worst."""


class Payload:
    """A file's bytes as they were read, ready to be sent.  A context manager; closing it drops the bytes.

    ``stream`` is seekable and stands at its beginning.  ``fingerprint`` is of exactly these bytes, a header included.
    """

    __slots__ = ("fingerprint", "path", "stream")

    def __init__(self, path: LibraryPath, fingerprint: Fingerprint, stream: BinaryIO) -> None:
        self.path = path
        self.fingerprint = fingerprint
        self.stream = stream

    @property
    def size_bytes(self) -> int:
        """How many bytes the stream holds."""
        return self.fingerprint.size_bytes

    @property
    def sha256(self) -> str:
        """Of the stream, in lower-case hex."""
        return self.fingerprint.sha256

    @property
    def mime_type(self) -> str:
        """One of the service's supported types."""
        return self.fingerprint.mime_type

    def close(self) -> None:
        """Drops the bytes; the temporary copy, if there was one, has no name and is gone with this."""
        self.stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def open_payload(
    root: Path, path: LibraryPath, now_us: int, temp_dir: Path, *, expected_sha256: str | None = None, header: str = ""
) -> Payload:
    """Reads the file once and returns its bytes, after those of the header.

    ``expected_sha256`` is of the file alone.  ``temp_dir`` is where the private copy of a large file goes (mode 0600,
    without a name).  Raises `ChangedWhileRead` also when the bytes are not those of ``expected_sha256``,
    `NoRoomForCopy` when the copy cannot be written, and whatever else `reading.read_once` raises.
    """
    keep = _Keep(path, temp_dir, header.encode())
    try:
        fingerprint = read_once(root, path, now_us, keep.sink_for)
        if expected_sha256 is not None and fingerprint.sha256 != expected_sha256:
            raise ChangedWhileRead(path, "changed since it was scanned; scan again")
        if header:
            fingerprint = msgspec.structs.replace(fingerprint, size_bytes=keep.size_bytes, sha256=keep.sha256)
        return Payload(path, fingerprint, keep.rewound())
    except BaseException:
        with contextlib.suppress(OSError):  # closing writes what is buffered, and the disk may be full
            keep.stream.close()
        raise


class _Keep:
    """Where the bytes go while they are read."""

    def __init__(self, path: LibraryPath, temp_dir: Path, header: bytes) -> None:
        self._path = path
        self._temp_dir = temp_dir
        self._header = header
        self._digest = hashlib.sha256()
        self.size_bytes = 0
        self.stream: BinaryIO = io.BytesIO()

    @property
    def sha256(self) -> str:
        """Of header and bytes together, while there is a header."""
        return self._digest.hexdigest()

    def sink_for(self, size_bytes: int) -> Sink:
        write: Sink = self.stream.write
        if size_bytes > IN_MEMORY_MAX_BYTES:
            try:
                self.stream = tempfile.TemporaryFile(dir=self._temp_dir)  # noqa: SIM115  (lives with the payload)
            except OSError as error:
                raise self._no_room(error) from error
            write = self._written
        if not self._header:
            return write

        def counted(block: bytes) -> None:
            write(block)
            self._digest.update(block)
            self.size_bytes += len(block)

        counted(self._header)
        return counted

    def _written(self, block: bytes) -> None:
        try:
            self.stream.write(block)
        except OSError as error:
            raise self._no_room(error) from error

    def rewound(self) -> BinaryIO:
        try:
            self.stream.seek(0)
        except OSError as error:
            raise self._no_room(error) from error
        return self.stream

    def _no_room(self, error: OSError) -> NoRoomForCopy:
        return NoRoomForCopy(
            self._path,
            f"its temporary copy could not be written to {shown(self._temp_dir)} ({error.strerror}); "
            "free space and run again",
        )
