"""What must not get out: keys, and what hides in names; and every wrong use, without a traceback."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest

from objlib_fsm.cli.safe import safe
from tests.support.command import CANARY, Place

NASTY = [
    b"caf\xe9.md",
    b"esc\x1b]0;owned\x07.md",
    b"red\x1b[31m.md",
    b"line\nfeed.md",
    b"tab\tand\rreturn.md",
    "rtl\u202egnp.md".encode(),
    "zero\u200bwidth.md".encode(),
    "line\u2028separator.md".encode(),
    b"[bold red]markup[/].md",
    b"-rf.md",
    b"=1+1.md",
    b"$(touch owned).md",
    b"quote'\".md",
    b"back\\slash\\x41.md",
    "na\u0303.md".encode(),
    b"x" * 250 + b".md",
]
HIDDEN = "\x1b\x07\r\t\u202e\u200b\u2028\x9b"


@pytest.fixture(scope="module")
def nasty(tmp_path_factory: pytest.TempPathFactory) -> Place:
    place = Place(tmp_path_factory.mktemp("nasty"))
    for number, name in enumerate(NASTY):
        place.write(name, f"the nasty file {number}\n")
    place.ok("run", "docs")
    return place


def test_every_name_is_indexed_and_shown_without_what_it_hides(nasty: Place) -> None:
    done = nasty.ok("status", "--state", "indexed")
    assert len(done.out.splitlines()) == len(NASTY)
    assert not set(done.out) & set(HIDDEN)
    done.raw.decode("utf-8")
    for shown in (
        r"caf\xe9.md",
        r"esc\x1b]0;owned\x07.md",
        r"line\x0afeed.md",
        r"rtl\u202egnp.md",
        "[bold red]markup[/].md",
    ):
        assert shown in done.out


@pytest.mark.parametrize("name", NASTY)
def test_a_nasty_name_can_be_audited(nasty: Place, name: bytes) -> None:
    done = nasty.run("audit", "--json", "--", os.fsdecode(b"docs/" + name))
    assert done.code == 0, done.err
    assert done.json["state"] == "indexed"
    assert done.raw.isascii()


@pytest.mark.parametrize("name", [r"caf\xe9.md", r"esc\x1b]0;owned\x07.md", r"rtl\u202egnp.md", r"back\\slash\\x41.md"])
def test_a_file_is_found_by_its_name_as_it_is_shown(nasty: Place, name: str) -> None:
    done = nasty.ok("audit", "--", name)
    assert name in done.out
    assert not set(done.out) & set(HIDDEN)


def test_a_nasty_name_that_is_not_there(nasty: Place) -> None:
    for name in (b"\x1b[31mno.md", b"n\xff.md", "\u202eno.md".encode()):
        done = nasty.run("audit", os.fsdecode(name))
        assert done.code == 10
        assert not set(done.err) & set(HIDDEN)


def test_nasty_words_in_options_and_answers(nasty: Place) -> None:
    for arguments in (
        ["\x1b[31m"],
        ["status", "--state", "\x1b[31m"],
        ["status", "\x1b[31m"],
        ["run", "--tier", "\x9b"],
    ):
        done = nasty.run(*arguments)
        assert done.code == 2
        assert not set(done.err + done.out) & set(HIDDEN)
    nasty.write("answer.md", "The zebra \x9b31m says \u202eolleh.\n")
    nasty.ok("run")
    done = nasty.ok("ask", "What does the zebra say?")
    assert "zebra" in done.out
    assert not set(done.out) & set(HIDDEN)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("grüße 日本", "grüße 日本"),
        ("a\x1b[0mb", r"a\x1b[0mb"),
        ("\x9b\x7f\x00", r"\x9b\x7f\x00"),
        ("\u202e\u2066\u200b\ufeff", r"\u202e\u2066\u200b\ufeff"),
        ("\U000e0041", r"\U000e0041"),
        ("\udce9", r"\udce9"),
        ("a\nb", r"a\x0ab"),
    ],
)
def test_safe(text: str, shown: str) -> None:
    assert safe(text) == shown


def test_safe_keeps_lines_when_told_to() -> None:
    assert safe("a\n\tb\r\x1b", lines=True) == "a\n\tb\\x0d\\x1b"


# ---- keys ------------------------------------------------------------------------------------------------------------


def everything(place: Place) -> bytes:
    """All bytes of all files that were written."""
    return b"".join(path.read_bytes() for path in place.folder.rglob("*") if path.is_file() and path.name != "key")


def test_the_key_appears_nowhere(place: Place, emulator: str) -> None:
    place.write("a.md", "the moon\n")
    (place.folder / "key").write_text(CANARY + "\n")
    told = b""
    send = ("run", "docs", "--endpoint", emulator, "--tier", "tier3", "--yes")
    refused = ("run", "docs", "--endpoint", "http://127.0.0.1:9", "--yes", "--debug")
    garbled = ("ask", "moon", "--model", f"no-{CANARY}", "--debug", "--json")
    for arguments, env in (
        ((*send, "--api-key-file", "key"), {}),
        (refused, {"GEMINI_API_KEY": CANARY}),
        (garbled, {"GOOGLE_API_KEY": CANARY}),
        (("--api-key-file", "key", "--debug", "ask", CANARY), {}),
        (("audit", CANARY), {"GEMINI_API_KEY": CANARY}),
        (("run", f"docs/{CANARY}"), {"GEMINI_API_KEY": CANARY}),
    ):
        done = place.run(*arguments, **env)
        told += done.raw + done.err.encode()
    assert CANARY.encode() not in told
    assert CANARY.encode() not in everything(place)


def test_which_key_is_used_is_said_when_there_are_two(place: Place) -> None:
    place.write("a.md")
    keys = {"GEMINI_API_KEY": "first-key-12345", "GOOGLE_API_KEY": "second-key-12345"}
    done = place.run("run", "docs", **keys)
    assert "GEMINI_API_KEY is used" in done.err
    assert done.code == 2  # and nothing is sent without being asked
    assert "12345" not in done.err


def test_a_key_too_short_to_be_one_garbles_nothing(place: Place) -> None:
    place.write("many.md")
    done = place.run("run", "docs", "--dry-run", "--backend", "gemini", GEMINI_API_KEY="any")
    assert "many.md" in done.out
    assert "[key]" not in done.out + done.err


@pytest.mark.parametrize("content", [None, b"", b"two words", b"\xff\xfe", b"k" * 10_000, "schlüssel".encode()])
def test_a_key_file_without_a_key(place: Place, content: bytes | None) -> None:
    place.write("a.md")
    if content is not None:
        (place.folder / "key").write_bytes(content)
    done = place.run("run", "docs", "--api-key-file", "key", "--yes")
    assert done.code == 6
    assert "key" in done.err
    assert "Traceback" not in done.err


def test_gemini_without_a_key(place: Place) -> None:
    place.write("a.md")
    done = place.run("run", "docs", "--backend", "gemini", "--yes")
    assert done.code == 6
    assert "GEMINI_API_KEY" in done.err


def test_there_is_no_option_for_a_key(place: Place) -> None:
    assert place.run("run", "docs", "--api-key", "x").code == 2


@pytest.mark.parametrize(
    "url", ["nonsense", "ftp://host", "http://", "http://user:pass@host", "http://h?key=x", "http://[::"]
)
def test_an_address_that_is_none(place: Place, url: str) -> None:
    place.write("a.md")
    done = place.run("run", "docs", "--endpoint", url, "--yes", GEMINI_API_KEY="some-key-1234")
    assert done.code == 2
    assert "Traceback" not in done.err


# ---- wrong use, broken logs ------------------------------------------------------------------------------------------


def test_every_command_explains_itself_with_examples(place: Place) -> None:
    names = ("run", "watch", "scan", "status", "audit", "retry", "forget", "track", "replay", "ask", "emulator")
    for command in ((), *((name,) for name in names)):
        done = place.ok(*command, "--help")
        text = done.out
        assert "Examples:" in text
        assert text.index("Examples:") < text.index("Options:")
        assert "objlib-fsm" in text[text.index("Examples:") : text.index("Options:")]
        assert b"\x1b" not in done.raw
    assert place.ok("run", "-h").out == place.ok("run", "--help").out


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("rnu",),
        ("run", "--concurrency", "2"),
        ("run", "--concurrency", "11"),
        ("run", "--batch-size", "99"),
        ("run", "--batch-size", "201"),
        ("run", "--limit", "0"),
        ("run", "--limit", "many"),
        ("run", "--tier", "gold"),
        ("run", "--backend", "cloud"),
        ("run", "--backend", "local", "--endpoint", "http://127.0.0.1:1"),
        ("run", "a", "b"),
        ("audit",),
        ("ask",),
        ("ask", "  "),
        ("ask", "x", "--top-k", "0"),
        ("emulator", "--port", "70000"),
        ("status", "--nonsense"),
    ],
)
def test_wrong_use_is_told_and_changes_nothing(place: Place, arguments: tuple[str, ...]) -> None:
    (place.folder / "a").mkdir()
    done = place.run(*arguments)
    assert done.code == 2
    assert done.out == ""
    assert done.err
    assert "Traceback" not in done.err
    assert not place.log.exists()


@pytest.mark.parametrize("arguments", [("rnu",), ("run", "--limit", "0"), ("run",), ("ask", "  ")])
def test_wrong_use_is_told_in_json_too(place: Place, arguments: tuple[str, ...]) -> None:
    told = place.run("--json", *arguments)
    assert told.code == 2
    assert told.lines[-1]["type"] == "error"
    assert told.lines[-1]["exit_code"] == 2


def test_a_slip_in_a_command_is_understood(place: Place) -> None:
    assert "status" in place.run("statsu").err


def test_without_a_log(place: Place) -> None:
    for arguments in (("status",), ("audit", "x"), ("replay",), ("ask", "x")):
        done = place.run(*arguments)
        assert done.code == 10
        assert "objlib-fsm run" in done.err
        assert not place.log.exists()


@pytest.mark.parametrize("content", [b"not a database" * 100, b"", None])
def test_a_log_that_is_none(place: Place, content: bytes | None) -> None:
    if content is None:
        with sqlite3.connect(place.folder / "x.db") as db:
            db.execute("CREATE TABLE t (a)")
        db.close()
    else:
        (place.folder / "x.db").write_bytes(content)
    done = place.run("status", "--db", "x.db")
    assert done.code == (7 if content != b"" else 10)
    assert "Traceback" not in done.err


def test_a_log_in_an_impossible_place(place: Place) -> None:
    place.write("a.md")
    (place.folder / "file").write_text("x")
    done = place.run("run", "docs", "--db", "file/log.db")
    assert done.code == 6
    assert "--db" in done.err
    assert "Traceback" not in done.err


def test_cut_short_files_end_with_a_message(copied: Place) -> None:
    whole = copied.log.read_bytes()
    for length in (10, len(whole) // 2 // 4_096 * 4_096, len(whole) - 4_096):
        copied.log.write_bytes(whole[:length])
        for suffix in ("-wal", "-shm"):
            Path(f"{copied.log}{suffix}").unlink(missing_ok=True)
        for arguments in (("status",), ("audit", "moon.md"), ("replay", "--check"), ("run",)):
            done = copied.run(*arguments)
            assert done.code in (0, 7), done.err
            assert "Traceback" not in done.err
            assert "unexpected" not in done.err


HEAVY = ("pydantic", "google.genai", "starlette", "uvicorn", "rich", "httpx2", "transitions")


@pytest.mark.parametrize(
    "arguments",
    [("--help",), ("run", "--help"), ("status",), ("audit", "moon.md"), ("--version",), ("status", "--json")],
)
def test_quick_commands_load_nothing_heavy(indexed: Place, arguments: tuple[str, ...]) -> None:
    loaded = indexed.ok(*arguments, PYTHONPROFILEIMPORTTIME="1").err
    names = {line.rpartition("|")[2].strip() for line in loaded.splitlines()}
    assert names & set(HEAVY) == set()
    assert "objlib_fsm.cli.main" in names


def test_an_unchanged_library_does_not_load_the_sdk(indexed: Place) -> None:
    loaded = indexed.ok("run", PYTHONPROFILEIMPORTTIME="1").err
    assert "google.genai" not in loaded
