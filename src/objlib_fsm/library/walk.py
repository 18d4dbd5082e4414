"""Walks the library: every file below a folder, what may be indexed of it and what not, and why.

One pass of ``os.scandir``, a folder at a time and without recursion, on bytes; links are not followed and nothing but
ignore files is opened.  Each entry costs one ``stat``.  What is left out by default or by a rule is not reported
entry by entry (there may be millions) but counted, except for files already known, whose owner wants to hear of it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import unicodedata
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from objlib_fsm.core.paths import LibraryPath, part_text
from objlib_fsm.library import mime
from objlib_fsm.library.errors import RootMissing, RootUnreadable, shown
from objlib_fsm.library.ignore import Rules
from objlib_fsm.library.names import GIT_IGNORE, INSTALLED_FOLDERS, OWN_FOLDER, OWN_IGNORE, OWN_SETTINGS, is_secret
from objlib_fsm.library.sources import SIDECAR_SUFFIX
from objlib_fsm.library.values import FILE_BYTES_MAX, Excluded, Exclusion, Found, Sidecar, Trouble, Twins

IGNORE_FILE_BYTES_MAX: Final = 4_194_304
"""About 200,000 patterns.  A larger file is no list of patterns, and compiling it would take minutes."""

_SQLITE_COMPANIONS: Final = (b"", b"-wal", b"-shm", b"-journal")
_DOT: Final = ord(".")
_SIDECAR_TEXT: Final = SIDECAR_SUFFIX.decode()
_READ_IGNORE: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY


class _Scope(NamedTuple):
    """The rules of one folder, and how many bytes of a path lead to that folder."""

    rules: Rules
    skip: int


class _Folder(NamedTuple):
    """A folder still to be listed: its whole path, and its path below the root in bytes and as text, both ending in
    a slash (empty for the root itself).  The scopes are those of the folders above, the deepest first."""

    absolute: bytes
    relative: bytes
    text: str
    own: tuple[_Scope, ...]
    git: tuple[_Scope, ...]


class _Unlistable(Exception):
    """A folder that says nothing this time."""


class Walk:
    """One walk.  Iterate it once, to the end; what it met on the way is in its attributes afterwards.

    ``unseen``: folders whose content could not be seen, and files that could not be looked at; what is known there is
    neither there nor gone.  ``pruned``: folders left out as a whole, with the reason.  ``left_out``: how many
    entries were left out, a folder counting as one.  ``entries``: everything that was listed.
    """

    def __init__(
        self,
        root: Path,
        own_paths: Iterable[Path] = (),
        known: Container[str] = frozenset(),
        ignore: Sequence[str] = (),
        *,
        sidecars: bool = True,
    ) -> None:
        """``own_paths`` are files and folders of this program, left out wherever they are (of a SQLite file also its
        companions); ``known`` are the paths whose exclusion by a rule is to be reported; ``ignore`` are patterns
        that the root's ``.objlibignore`` may overrule; with ``sidecars``, ``NAME.meta.json`` describes ``NAME``.

        Raises `RootMissing` and `RootUnreadable`.
        """
        self._given = root
        self._root = os.path.realpath(os.fsencode(root))
        self.root_device = _check_root(root)
        self._own = frozenset(os.path.realpath(os.fsencode(p)) + end for p in own_paths for end in _SQLITE_COMPANIONS)
        self._own_folders = frozenset(os.path.dirname(path) for path in self._own)
        self._known = known
        self._sidecars = sidecars
        self._settings = Rules("\n".join(ignore).encode("utf-8", "surrogateescape"))
        self.unseen: set[str] = set()
        self.pruned: dict[str, Exclusion] = {}
        self.left_out: Counter[Exclusion] = Counter()
        self.troubles: list[Trouble] = []
        self.twins: list[Twins] = []
        self.entries = 0

    def __iter__(self) -> Iterator[Found | Excluded]:
        scopes = (_Scope(self._settings, 0),) if self._settings else ()
        waiting = [_Folder(self._root, b"", "", scopes, ())]
        while waiting:
            folder = waiting.pop()
            try:
                with os.scandir(folder.absolute) as listing:
                    yield from self._list(listing, self._with_its_rules(folder), waiting)
            except _Unlistable as problem:
                self._not_seen(folder, str(problem))
            except OSError as error:
                self._not_seen(folder, f"cannot be listed: {error.strerror}")

    def _list(
        self, listing: Iterator[os.DirEntry[bytes]], folder: _Folder, waiting: list[_Folder]
    ) -> Iterator[Found | Excluded]:
        prefix = folder.text
        scopes = folder.own + folder.git
        holds_own = folder.absolute in self._own_folders
        found: list[Found] = []
        sidecars: dict[LibraryPath, Sidecar] = {}
        for entry in listing:
            self.entries += 1
            name: bytes = entry.name
            is_folder = entry.is_dir(follow_symlinks=False)
            reason = self._reason_by_name(entry, is_folder, scopes, folder.relative, holds_own)
            path = LibraryPath(prefix + part_text(name))
            if reason is not None:
                self.left_out[reason] += 1
                if reason is Exclusion.SIDECAR:
                    with contextlib.suppress(FileNotFoundError):
                        status = entry.stat(follow_symlinks=False)
                        of = LibraryPath(path.removesuffix(_SIDECAR_TEXT))
                        sidecars[of] = Sidecar(status.st_size, status.st_mtime_ns)
                if is_folder:
                    self.pruned[path] = reason
                elif path in self._known:
                    yield Excluded(path, reason, reason.text)
                continue
            if not name.isascii():
                self._look_for_twin(folder, name, path)
            if is_folder:
                waiting.append(_Folder(entry.path, folder.relative + name + b"/", path + "/", folder.own, folder.git))
                continue
            seen = self._file(entry, path)
            if type(seen) is Found:
                found.append(seen)
            elif seen is not None:
                yield seen
        for file in found:  # Only now: a folder is listed in any order, a file perhaps before what describes it.
            described = sidecars.get(file.path) if sidecars else None
            yield file if described is None else msgspec.structs.replace(file, sidecar=described)

    def _reason_by_name(
        self, entry: os.DirEntry[bytes], is_folder: bool, scopes: tuple[_Scope, ...], relative: bytes, holds_own: bool
    ) -> Exclusion | None:
        name = entry.name
        if holds_own and entry.path in self._own:
            return Exclusion.OWN
        if name[0] == _DOT:
            if name in (OWN_FOLDER, OWN_IGNORE):
                return Exclusion.OWN
            return Exclusion.SECRET if is_secret(name.lower(), b"") else Exclusion.HIDDEN
        if name == OWN_SETTINGS:
            return Exclusion.OWN
        ignored = _ignored(name, relative + name, scopes, is_folder) if scopes else None
        if ignored:
            return Exclusion.IGNORED
        if is_folder and ignored is None and name in INSTALLED_FOLDERS:
            return Exclusion.INSTALLED
        if not is_folder and is_secret(name.lower(), mime.extension_of(name)):
            return Exclusion.SECRET
        if self._sidecars and name.endswith(SIDECAR_SUFFIX) and entry.is_file(follow_symlinks=False):
            return Exclusion.SIDECAR
        return None

    def _file(self, entry: os.DirEntry[bytes], path: LibraryPath) -> Found | Excluded | None:
        try:
            status = entry.stat(follow_symlinks=False)
        except OSError as error:
            if error.errno == errno.ENOENT:
                return None
            if error.errno in (errno.EACCES, errno.EPERM):
                raise  # the folder may not be entered, and this holds for every other entry of it
            self.unseen.add(path)
            self.troubles.append(Trouble(path, f"cannot be looked at: {error.strerror}"))
            return None
        if not stat.S_ISREG(status.st_mode):
            reason = _kind(status.st_mode)
            return Excluded(path, reason, reason.text)
        size_bytes = status.st_size
        if size_bytes == 0:
            return Excluded(path, Exclusion.EMPTY, Exclusion.EMPTY.text)
        extension = mime.extension_of(entry.name)
        mime_type = mime.by_extension(extension)
        if mime_type is None:
            return Excluded(path, *mime.unsupported(extension))
        if size_bytes > FILE_BYTES_MAX:
            return Excluded(path, Exclusion.TOO_LARGE, Exclusion.TOO_LARGE.text)
        return Found(path, size_bytes, status.st_mtime_ns, status.st_ino, status.st_dev, mime_type)

    def _with_its_rules(self, folder: _Folder) -> _Folder:
        own, git = _rules(folder.absolute, OWN_IGNORE), _rules(folder.absolute, GIT_IGNORE)
        skip = len(folder.relative)
        return folder._replace(
            own=(_Scope(own, skip), *folder.own) if own else folder.own,
            git=(_Scope(git, skip), *folder.git) if git else folder.git,
        )

    def _look_for_twin(self, folder: _Folder, name: bytes, path: LibraryPath) -> None:
        try:
            text = name.decode("utf-8")
        except UnicodeDecodeError:
            return
        composed = unicodedata.normalize("NFC", text)
        if composed != text and os.path.lexists(folder.absolute + b"/" + composed.encode()):
            self.twins.append(Twins(LibraryPath(folder.text + part_text(composed.encode())), path))

    def _not_seen(self, folder: _Folder, why: str) -> None:
        path = folder.text.removesuffix("/")
        if not path:
            raise RootUnreadable(f"{shown(self._given)}: the library's folder {why}; nothing was changed")
        self.unseen.add(path)
        self.troubles.append(Trouble(path, f"{why}; what is known below it stays as it is"))


def _ignored(name: bytes, path: bytes, scopes: tuple[_Scope, ...], is_folder: bool) -> bool | None:
    """What the nearest rule says; None: no rule speaks of it."""
    for rules, skip in scopes:
        table = rules.folders if is_folder else rules.files
        ignored = table.ignored(name, path[skip:])
        if ignored is not None:
            return ignored
    return None


def _rules(folder: bytes, name: bytes) -> Rules | None:
    """The folder's rules, None when it has none.

    Raises `_Unlistable` when there are rules that cannot be read: what they keep out must not be sent by mistake.
    """
    try:
        descriptor = os.open(folder + b"/" + name, _READ_IGNORE)
    except FileNotFoundError as error:
        if os.path.islink(folder + b"/" + name):
            raise _Unlistable(f"cannot be used: its {name.decode()} is a link that leads nowhere") from error
        return None
    except OSError as error:
        raise _Unlistable(f"cannot be used: its {name.decode()} cannot be read: {error.strerror}") from error
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise _Unlistable(f"cannot be used: its {name.decode()} is not a file")
        if status.st_size > IGNORE_FILE_BYTES_MAX:
            raise _Unlistable(f"cannot be used: its {name.decode()} has more than {IGNORE_FILE_BYTES_MAX:,} bytes")
        with open(descriptor, "rb", closefd=False) as file:
            return Rules(file.read(IGNORE_FILE_BYTES_MAX))
    except OSError as error:
        raise _Unlistable(f"cannot be used: its {name.decode()} cannot be read: {error.strerror}") from error
    finally:
        os.close(descriptor)


def _check_root(root: Path) -> int:
    """The device that the library's folder is on."""
    try:
        status = os.stat(root)
    except OSError as error:
        raise RootMissing(
            f"{shown(root)}: the library's folder cannot be found ({error.strerror}); is its disk there? "
            "Nothing was changed"
        ) from error
    if not stat.S_ISDIR(status.st_mode):
        raise RootMissing(f"{shown(root)}: the library must be a folder; nothing was changed")
    return status.st_dev


def _kind(mode: int) -> Exclusion:
    if stat.S_ISLNK(mode):
        return Exclusion.SYMLINK
    if stat.S_ISFIFO(mode):
        return Exclusion.PIPE
    if stat.S_ISSOCK(mode):
        return Exclusion.SOCKET
    return Exclusion.DEVICE
