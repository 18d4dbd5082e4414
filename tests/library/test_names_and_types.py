"""What a name says, what the content says, and what is shown."""

from __future__ import annotations

import mimetypes
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objlib_fsm.core.paths import from_bytes
from objlib_fsm.library import mime
from objlib_fsm.library.mime_table import BY_EXTENSION, CONTAINERS, SUPPORTED, UNSUPPORTED_EXTENSIONS
from objlib_fsm.library.names import DISPLAY_NAME_CHARS_MAX, display_name, is_secret
from objlib_fsm.library.values import FILE_BYTES_MAX, Exclusion

NAMES = st.binary(min_size=1, max_size=255).filter(
    lambda b: b"/" not in b and b"\0" not in b and b not in (b".", b"..")
)


@given(
    NAMES
    | st.text(min_size=1, max_size=60)
    .map(lambda t: t.encode("utf-8", "ignore"))
    .filter(lambda b: bool(b) and b"/" not in b and b"\0" not in b and b not in (b".", b".."))
)
def test_a_display_name_is_printable_stripped_short_and_never_empty(raw: bytes) -> None:
    shown = display_name(from_bytes(b"folder/" + raw))
    assert 0 < len(shown) <= DISPLAY_NAME_CHARS_MAX
    assert shown == shown.strip()
    for character in shown:
        assert unicodedata.category(character) not in ("Cc", "Cs", "Zl", "Zp")
    assert not set(shown) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\ufeff")
    shown.encode("utf-8")


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (b"a/b/plain.md", "plain.md"),
        ("Überblick — zwei.md".encode(), "Überblick — zwei.md"),
        (b"  leading and trailing  ", "leading and trailing"),
        (b"caf\xe9.txt", r"caf\xe9.txt"),
        (rb"back\slash.md", r"back\slash.md"),
        (b"esc\x1b[2K.md", r"esc\x1b[2K.md"),
        (b"two\nlines\t\r.md", r"two\x0alines\x09\x0d.md"),
        ("right\u202eleft.md".encode(), r"right\u202eleft.md"),
        ("\u3000wide space.md\u00a0".encode(), "wide space.md"),
        (b" \t ", "unnamed"),
        ("می‌خواهم.txt".encode(), "می‌خواهم.txt"),
        (b"\xff" * 255, r"\xff" * 128),
    ],
)
def test_display_names(raw: bytes, shown: str) -> None:
    assert display_name(from_bytes(raw)) == shown


@pytest.mark.parametrize(
    "name",
    b"server.pem TLS.KEY id_rsa id_ed25519 id_rsa.pub id_ecdsa_sk vault.kdbx app.sqlite app.sqlite3 app.sqlite-wal "
    b"cert.p12 cert.pfx credentials.json client_secret_1.json terraform.tfstate terraform.tfstate.backup "
    b"server.pem.bak .env .env.local .npmrc app.sqlite3-journal".split(),
)
def test_key_files_are_secrets(name: bytes) -> None:
    assert is_secret(name.lower(), mime.extension_of(name))


@pytest.mark.parametrize(
    "name", b"keys.md environment.md pem.txt sqlite.md client_secret.md idea_rsa.md a.keynote".split()
)
def test_documents_about_keys_are_not(name: bytes) -> None:
    assert not is_secret(name.lower(), mime.extension_of(name))


def test_the_table_gives_only_types_that_the_service_takes() -> None:
    assert len(SUPPORTED) == 186  # the service's list: 30 application types and 156 text types
    assert sum(name.startswith("application/") for name in SUPPORTED) == 30
    assert set(BY_EXTENSION.values()) <= SUPPORTED
    assert set(BY_EXTENSION.values()) >= CONTAINERS
    assert not set(BY_EXTENSION) & UNSUPPORTED_EXTENSIONS
    assert all(extension == extension.lower() for extension in BY_EXTENSION)
    assert mime.PLAIN_TEXT in SUPPORTED


@pytest.mark.parametrize(
    ("name", "mime_type"),
    [
        (b"a.md", "text/markdown"),
        (b"A.MD", "text/markdown"),
        (b"a.html", "text/html"),
        (b"a.yaml", "text/yaml"),
        (b"a.rs", "text/x-rust"),
        (b"a.ts", "application/typescript"),
        (b"a.toml", "text/plain"),
        (b"a.rtf", "text/rtf"),
        (b"a.pdf", "application/pdf"),
        (b"a.docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
        (b"a.ipynb", "application/vnd.jupyter"),
        (b"README", mime.UNTOLD),
        (b"a.unheard-of", mime.UNTOLD),
        (b".md", mime.UNTOLD),
        (b"a.", mime.UNTOLD),
        (b"a.png", None),
        (b"a.tar.gz", None),
        (b"a.epub", None),
    ],
)
def test_types_by_name(name: bytes, mime_type: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mimetypes, "guess_type", None)  # the host's tables have no say
    assert mime.by_extension(mime.extension_of(name)) == mime_type


PLAIN = mime.PLAIN_TEXT
TEXTS = [
    b"plain\n",
    "grüße €\n".encode(),
    "grüße\n".encode("latin-1"),
    "Привет\n".encode("koi8-r"),
    "日本語\n".encode("shift_jis"),
    b"\xef\xbb\xbfwith a mark",
    "wide".encode("utf-16"),
    "wide".encode("utf-32"),
    "wide €".encode("utf-16-be").join([b"\xfe\xff", b""]),
    b"form\x0cfeed \x1b[1mcolour\x1b[0m\r\n",
    b"dos\r\n\x1a",
]
BINARIES = [
    b"\x7fELF\x02\x01\x01\0\0",
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
    b"text with one \0 in it",
    b"\x01\x02\x03\x04",
    b"\x1f\x8b\x08\x08",
    b"\xff\xfe\x00\xd8\x00\xd8\x00\x00",
    "wide".encode("utf-16-le"),
]


@pytest.mark.parametrize("sample", TEXTS)
def test_text_of_an_unknown_name_is_plain_text(sample: bytes) -> None:
    assert mime.by_content(mime.UNTOLD, sample, whole=True) == PLAIN
    assert mime.by_content("text/markdown", sample, whole=True) == "text/markdown"


@pytest.mark.parametrize("sample", BINARIES)
def test_binary_of_an_unknown_name_is_refused(sample: bytes) -> None:
    refusal = mime.by_content(mime.UNTOLD, sample, whole=True)
    assert isinstance(refusal, mime.Refusal)
    assert refusal.reason is Exclusion.BINARY


def test_binary_under_the_name_of_a_text_is_refused() -> None:
    refusal = mime.by_content("text/markdown", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", whole=True)
    assert isinstance(refusal, mime.Refusal)
    assert refusal.reason is Exclusion.BINARY


def test_a_stray_control_character_does_not_make_a_named_text_binary() -> None:
    assert mime.by_content("text/x-csrc", b"char c = '\x01';\n", whole=True) == "text/x-csrc"


def test_a_character_cut_at_the_end_of_the_sample_is_no_fault() -> None:
    wide = "x€".encode("utf-16")
    assert mime.by_content(mime.UNTOLD, wide[:-1], whole=False) == PLAIN
    assert isinstance(mime.by_content(mime.UNTOLD, wide[:-1], whole=True), mime.Refusal)


@pytest.mark.parametrize(
    "sample", [b" ", b"\n\n\t \r\n", b"\xef\xbb\xbf", b"\xef\xbb\xbf \n", "  \n".encode("utf-16"), b"\xff\xfe", b"\x1a"]
)
def test_white_space_is_refused_when_it_is_all(sample: bytes) -> None:
    refusal = mime.by_content("text/plain", sample, whole=True)
    assert isinstance(refusal, mime.Refusal)
    assert refusal.reason is Exclusion.BLANK
    assert mime.by_content("text/plain", sample, whole=False) == "text/plain"


@pytest.mark.parametrize(
    "sample",
    [
        b"-----BEGIN PRIVATE KEY-----\nMIIE",
        b"\n-----BEGIN OPENSSH PRIVATE KEY-----",
        b"-----BEGIN PGP PRIVATE KEY BLOCK-----",
    ],
)
def test_a_private_key_is_refused_whatever_its_name(sample: bytes) -> None:
    for named in (mime.UNTOLD, "text/plain", "text/markdown"):
        refusal = mime.by_content(named, sample, whole=True)
        assert isinstance(refusal, mime.Refusal)
        assert refusal.reason is Exclusion.PRIVATE_KEY


@pytest.mark.parametrize(
    ("name", "good"),
    [
        (b"a.pdf", b"%PDF-1.7\n"),
        (b"a.pdf", b"junk before\n%PDF-1.4"),
        (b"a.docx", b"PK\x03\x04\x14\0"),
        (b"a.zip", b"PK\x05\x06" + bytes(18)),
        (b"a.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"),
        (b"a.hwp", b"HWP Document File V3.00"),
    ],
)
def test_containers_are_known_by_their_first_bytes(name: bytes, good: bytes) -> None:
    named = mime.by_extension(mime.extension_of(name))
    assert named
    assert mime.by_content(named, good, whole=True) == named
    refusal = mime.by_content(named, b"<html>not found</html>", whole=True)
    assert isinstance(refusal, mime.Refusal)
    assert refusal.reason is Exclusion.MISNAMED


def test_every_reason_has_its_words() -> None:
    assert all(reason.text for reason in Exclusion)
    assert FILE_BYTES_MAX == 100 * 1000 * 1000
