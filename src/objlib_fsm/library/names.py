"""What a file's name alone says: a secret, the program's own, and how to show it."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from objlib_fsm.core.paths import LibraryPath, to_bytes

DISPLAY_NAME_CHARS_MAX: Final = 512
"""The service's limit on a display name."""

OWN_FOLDER: Final = b".objlib"
"""Where the log lives by default."""

GIT_IGNORE: Final = b".gitignore"
OWN_IGNORE: Final = b".objlibignore"
OWN_SETTINGS: Final = b"objlib.toml"

INSTALLED_FOLDERS: Final = frozenset({b"node_modules", b"__pycache__"})
"""Folders that a tool fills and nobody writes in, unless a rule says otherwise.  Only names that mean nothing else:
``build``, ``target`` and ``vendor`` may be what somebody wrote.  (Those with a dot in front are hidden anyway.)"""

NAMELESS: Final = "unnamed"
"""Shown for a name of nothing but white space."""

# Lower case.  Chosen from what key tools, browsers and cloud command lines write; nobody wants one of these indexed.
_SECRET_EXTENSIONS: Final = frozenset(
    b"pem key p8 p12 pfx pkcs8 pkcs12 der jks jceks keystore bks ppk kdb kdbx agekey keytab ovpn gpg pgp "
    b"tfstate tfvars env".split()
)
_SECRET_PREFIXES: Final = (b".env", b"id_rsa", b"id_dsa", b"id_ecdsa", b"id_ed25519", b"secring.")
_SECRET_NAMES: Final = frozenset(
    b".netrc _netrc .npmrc .pypirc .pgpass .htpasswd htpasswd .git-credentials credentials.json "
    b"service-account.json service_account.json serviceaccount.json".split()
)
_SECRET_INSIDE: Final = re.compile(rb"\.(?:sqlite|kdbx\.|pem\.|key\.|tfstate\.)")
"""Copies such as ``server.pem.bak``, and what databases leave beside themselves."""

_JOINERS: Final = "\u200c\u200d"
"""Zero width, and part of the spelling of Persian, Indic languages and emoji."""


def is_secret(lowered: bytes, extension: bytes) -> bool:
    """Whether a file of this name is left out as a key or password file; both in lower case."""
    return (
        extension in _SECRET_EXTENSIONS
        or lowered.startswith(_SECRET_PREFIXES)
        or lowered in _SECRET_NAMES
        or _SECRET_INSIDE.search(lowered) is not None
        or (extension == b"json" and lowered.startswith(b"client_secret"))
    )


def display_name(path: LibraryPath) -> str:
    r"""The path's last part as a label for people and for the service's ``display_name``.

    Bytes that are no UTF-8, control and direction-changing characters are shown as ``\xNN`` or ``\uNNNN``; white
    space at the ends is removed (with it in front, the service never finishes the import); at most
    `DISPLAY_NAME_CHARS_MAX` characters, never empty.  Not unique and not reversible.
    """
    name = to_bytes(path).rpartition(b"/")[2].decode("utf-8", "backslashreplace")
    shown = "".join(map(_shown, name.strip())).strip()
    return shown[:DISPLAY_NAME_CHARS_MAX].strip() or NAMELESS


def _shown(character: str) -> str:
    if character in _JOINERS or unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Zl", "Zp"):
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
