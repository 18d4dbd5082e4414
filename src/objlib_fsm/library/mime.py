"""What type a file is: by its extension where that is known, else by looking into it; and whether the two agree."""

from __future__ import annotations

import codecs
import re
from typing import Final, NamedTuple

from objlib_fsm.library.mime_table import BY_EXTENSION, CONTAINERS, UNSUPPORTED_EXTENSIONS
from objlib_fsm.library.values import Exclusion

PLAIN_TEXT: Final = "text/plain"
UNTOLD: Final = ""
"""The name does not tell the type; the content must."""

SAMPLE_BYTES: Final = 65_536
"""How much of the beginning is looked at.  Git and ``file`` decide on 8 kB and 1 MB; in 64 KiB the binary tables
behind a text header (PDF-like formats, self-extracting scripts) show."""

_TEXT_BYTES: Final = bytes([7, 8, 9, 10, 11, 12, 13, 26, 27, *range(0x20, 0x7F), *range(0x80, 0x100)])
"""What ``file`` takes for text in ASCII and 8-bit encodings, and the end-of-file mark of DOS."""

_BLANK_BYTES: Final = b" \t\n\r\v\f\x1a"
_UTF8_BOM: Final = codecs.BOM_UTF8
_WIDE: Final = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
"""Byte order marks; the 32-bit ones first, because one of them begins with a 16-bit one."""

_OLE: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ZIP: Final = (b"PK\x03\x04", b"PK\x05\x06")
_PDF_HEADER_WITHIN_BYTES: Final = 1_024
"""Readers accept a PDF's header anywhere in the first 1,024 bytes (PDF 1.7, appendix H.3, note 13)."""

_PRIVATE_KEY: Final = re.compile(rb"\s*-----BEGIN [A-Z0-9 ]{0,32}PRIVATE KEY(?: BLOCK)?-----")


class Refusal(NamedTuple):
    """Why the content is not to be indexed, with text for a person."""

    reason: Exclusion
    detail: str


def extension_of(name: bytes) -> bytes:
    """What follows the last dot, in lower case; empty for none and for a name that only begins with a dot."""
    stem, _, extension = name.rpartition(b".")
    return extension.lower() if stem else b""


def by_extension(extension: bytes) -> str | None:
    """The type: one of the service's list, `UNTOLD` when the content must decide, or None for a type that is not
    supported.  The extension is in lower case, without its dot."""
    mime_type = BY_EXTENSION.get(extension)
    if mime_type is not None:
        return mime_type
    return None if extension in UNSUPPORTED_EXTENSIONS else UNTOLD


def unsupported(extension: bytes) -> Refusal:
    """The refusal of a file whose extension stands for a type that is not supported."""
    return Refusal(Exclusion.UNSUPPORTED_TYPE, f"File Search does not support .{extension.decode('ascii')} files")


def by_content(mime_type: str, sample: bytes, *, whole: bool) -> str | Refusal:
    """The type to send, given the type by name and the first `SAMPLE_BYTES` of the file (``whole``: all of it).

    A type of text is refused when the sample is binary, blank or a private key; a container when its first bytes are
    not that container's.  `UNTOLD` becomes plain text when everything in the sample is text.
    """
    if mime_type in CONTAINERS:
        if _is_container(mime_type, sample):
            return mime_type
        return Refusal(Exclusion.MISNAMED, f"its name says {mime_type}, its first bytes do not")
    if _PRIVATE_KEY.match(sample):
        return Refusal(Exclusion.PRIVATE_KEY, Exclusion.PRIVATE_KEY.text)
    if not _is_text(sample, strict=mime_type == UNTOLD, whole=whole):
        return Refusal(Exclusion.BINARY, "holds binary data where text was expected")
    if whole and is_blank(sample, first=True):
        return Refusal(Exclusion.BLANK, "holds nothing but white space")
    return mime_type or PLAIN_TEXT


def is_blank(block: bytes, *, first: bool) -> bool:
    """Whether a block of text is white space only; the file's first block may begin with a byte order mark."""
    if first:
        for mark, encoding in _WIDE:
            if block.startswith(mark):
                return not block[len(mark) :].decode(encoding, "replace").strip()
        block = block.removeprefix(_UTF8_BOM)
    return not block.strip(_BLANK_BYTES)


def _is_text(sample: bytes, *, strict: bool, whole: bool) -> bool:
    """With ``strict`` every byte must be one that text is made of; else only a NUL tells it is binary, as in git."""
    for mark, encoding in _WIDE:
        if sample.startswith(mark):
            return _is_wide_text(sample[len(mark) :], encoding, whole)
    if not strict:
        return b"\0" not in sample
    return not sample.translate(None, _TEXT_BYTES)


def _is_wide_text(sample: bytes, encoding: str, whole: bool) -> bool:
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(sample, final=whole)
    except UnicodeDecodeError:
        return False
    return "\0" not in text


def _is_container(mime_type: str, sample: bytes) -> bool:
    if mime_type == "application/pdf":
        return b"%PDF-" in sample[:_PDF_HEADER_WITHIN_BYTES]
    if mime_type in ("application/msword", "application/vnd.ms-excel"):
        return sample.startswith(_OLE)
    if mime_type == "application/x-hwp":
        return sample.startswith((_OLE, b"HWP Document File"))
    return sample.startswith(_ZIP)
