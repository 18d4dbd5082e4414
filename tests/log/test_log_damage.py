"""Damage: whatever was changed in the file is said, with the event it concerns and what to do; nothing else happens."""

from __future__ import annotations

import functools
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from objlib_fsm.log.contract import AppendRefused, Expect, LogDamaged, LogError
from objlib_fsm.log.replay import rebuild
from objlib_fsm.log.sqlite import SqliteReader, open_for_reading
from tests.log.kit import append, discovered, fill, forge, open_at, read_all, settle, stream, tamper, touched

FILES = 30
EVENTS = 1 + 4 * FILES
FLIPS = 300
SEEDS = (1, 2, 3)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of `EVENTS` events, all in its main file.  Not to be changed."""
    log = open_at(tmp_path_factory.mktemp("sound") / "log.db")
    fill(log, FILES)
    settle(log)
    return log.path


@pytest.fixture
def copy(sound: Path, tmp_path: Path) -> Path:
    """The same, to be damaged."""
    return Path(shutil.copy(sound, tmp_path / "log.db"))


def _rebuild(path: Path) -> Any:
    reader = SqliteReader(open_for_reading(path), path)
    try:
        return rebuild(reader)
    finally:
        reader.close()


# ---- an event that was changed -------------------------------------------------------------------------------------

CHANGES: dict[str, Any] = {
    "stream": "someone-else----",
    "origin": 999,
    "version": 77,
    "kind": 4,
    "schema": 2,
    "state": 3,
    "recorded_at_us": 1,
    "event_id": "f" * 32,
    "run": "q" * 16,
    "actor": "nobody",
    "causation": "x",
    "body": "{}",
    "hash": b"\0" * 32,
}


@pytest.mark.parametrize("column", CHANGES)
@pytest.mark.parametrize("position", [1, 40, EVENTS])
def test_a_changed_column_breaks_the_chain_at_that_event(copy: Path, column: str, position: int) -> None:
    tamper(copy, f"UPDATE events SET {column} = ? WHERE position = ?", CHANGES[column], position)
    with pytest.raises(LogDamaged, match=f"event {position} is not what was written") as caught:
        _rebuild(copy)
    assert caught.value.position == position
    assert str(copy) in str(caught.value)
    assert "restore" in caught.value.hint
    assert caught.value.exit_code == 7


def test_a_body_that_differs_in_one_space(copy: Path) -> None:
    tamper(copy, "UPDATE events SET body = replace(body, ':', ': ') WHERE position = 50")
    with pytest.raises(LogDamaged, match="event 50 "):
        _rebuild(copy)


def test_a_missing_event(copy: Path) -> None:
    tamper(copy, "DELETE FROM events WHERE position = 33")
    with pytest.raises(LogDamaged, match="event 33 is missing") as caught:
        _rebuild(copy)
    assert caught.value.position == 33


def test_two_events_in_each_others_place(copy: Path) -> None:
    tamper(copy, "UPDATE events SET position = 1000 WHERE position = 20")
    tamper(copy, "UPDATE events SET position = 20 WHERE position = 21")
    tamper(copy, "UPDATE events SET position = 21 WHERE position = 1000")
    with pytest.raises(LogDamaged, match="event 20 "):
        _rebuild(copy)


def test_an_event_put_in_between(copy: Path) -> None:
    row = "0, 'forged----------', 0, 1, 1, 1, 0, 1, 'id', 'r', 'a', '', '{\"path\":\"x\"}', x'00'"
    tamper(copy, f"INSERT INTO events VALUES ({row})")
    with pytest.raises(LogDamaged, match="event 1 is missing"):
        _rebuild(copy)


@pytest.mark.parametrize("gone", [1, 3, EVENTS])
def test_events_cut_off_the_end_are_missed(copy: Path, gone: int) -> None:
    """The chain of what is left is whole; the projection remembers how far it went."""
    tamper(copy, "DELETE FROM events WHERE position > ?", EVENTS - gone)
    for use in (lambda: open_at(copy), lambda: read_all(copy)):
        with pytest.raises(LogDamaged, match=f"event {EVENTS} was recorded and is not there any more") as caught:
            use()
        assert caught.value.position == EVENTS


def test_another_tail_is_not_the_one_remembered(copy: Path) -> None:
    tamper(copy, "DELETE FROM events WHERE position = ?", EVENTS)
    forge(copy)
    with pytest.raises(LogDamaged, match=f"event {EVENTS} was recorded and is not there"):
        open_at(copy)


# ---- a row whose hash fits, and which cannot be --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"kind": 99}, "kind 99 is unknown: the log was written by a newer program"),
        ({"kind": 300}, "kind 300 is unknown"),
        ({"schema": 2}, "schema version 2, this program reads up to 1"),
        ({"schema": 0}, "schema version 0"),
        ({"body": "{"}, "body of a file_discovered event cannot be read"),
        ({"body": "[]"}, "cannot be read"),
        ({"body": '{"size_bytes":"x"}'}, "cannot be read"),
        ({"kind": 50, "body": '{"document":"x"}'}, "file_indexed cannot follow in state untracked"),
        ({"version": 2}, "version 2 where 1 is due"),
        ({"kind": 64, "body": '{"library":"x"}'}, "library_created does not belong to stream forged"),
        ({"stream": "library", "origin": 1, "version": 2}, "version 2 where 1 is due"),
        ({"origin": 2, "stream": stream("file0"), "version": 5}, "file_discovered cannot follow"),
        ({"kind": 3, "body": '{"size_bytes":1,"mtime_ns":1}'}, "begins with its discovery"),
        ({"origin": 3, "version": 1}, "begins with it, not with event 3"),
    ],
)
def test_a_row_that_no_program_of_ours_wrote(copy: Path, changes: dict[str, Any], said: str) -> None:
    forge(copy, **changes)
    for use in (lambda: _rebuild(copy), lambda: open_at(copy)):
        with pytest.raises(LogDamaged, match=said) as caught:
            use()
        assert caught.value.position == EVENTS + 1


def test_a_state_that_the_table_does_not_lead_to_is_reported(copy: Path) -> None:
    """History does not change its meaning: the recorded state is compared, not believed."""
    forge(copy, state=3)
    rebuilt = _rebuild(copy)
    assert rebuilt.mismatches == [EVENTS + 1]


def test_what_reads_one_event_says_so_too(copy: Path) -> None:
    forge(copy, kind=99)
    reader = SqliteReader(open_for_reading(copy), copy)
    with pytest.raises(LogDamaged, match="kind 99 is unknown") as caught:
        reader.since(0, 1_000)
    assert "newest version" in caught.value.hint
    reader.close()


# ---- any byte ------------------------------------------------------------------------------------------------------


def _flip(data: bytearray, source: random.Random) -> str:
    at = source.randrange(len(data))
    bit = 1 << source.randrange(8)
    data[at] ^= bit
    return f"bit {bit} of byte {at}"


def _overwrite(data: bytearray, source: random.Random) -> str:
    at, size = source.randrange(len(data)), source.randrange(1, 200)
    data[at : at + size] = source.randbytes(len(data[at : at + size]))
    return f"{size} bytes at {at}"


def _zero_page(data: bytearray, source: random.Random) -> str:
    page = source.randrange(len(data) // 4096)
    data[page * 4096 : page * 4096 + 4096] = bytes(4096)
    return f"zeros in page {page}"


def _swap_pages(data: bytearray, source: random.Random) -> str:
    one, two = (source.randrange(len(data) // 4096) * 4096 for _ in range(2))
    data[one : one + 4096], data[two : two + 4096] = data[two : two + 4096], data[one : one + 4096]
    return f"pages at {one} and {two} exchanged"


def _truncate(data: bytearray, source: random.Random) -> str:
    size = source.randrange(len(data))
    del data[size:]
    return f"cut to {size} bytes"


KINDS: tuple[Callable[[bytearray, random.Random], str], ...] = (
    *(_flip,) * 6,
    _overwrite,
    _zero_page,
    _swap_pages,
    _truncate,
)


@pytest.fixture(scope="module")
def told(sound: Path) -> Any:
    """What the sound log says."""
    current, drift, mismatches, told = read_all(sound)
    assert (current, drift, mismatches) == (True, [], [])
    return told


def _damaged(sound: Path, folder: Path, seed: int) -> Iterator[tuple[str, Path]]:
    source = random.Random(seed)
    original = sound.read_bytes()
    for number in range(FLIPS // len(SEEDS)):
        data = bytearray(original)
        what = KINDS[source.randrange(len(KINDS))](data, source)
        path = folder / f"{number}.db"
        path.write_bytes(data)
        yield f"seed {seed}, number {number}: {what}", path
        for file in folder.glob(f"{number}.db*"):
            file.unlink()


def _use(what: str, use: Callable[[], Any]) -> Any:
    """What *use* gives, or how the log answered; any other exception is a failure."""
    try:
        return use()
    except (LogError, AppendRefused) as error:
        return error
    except Exception as error:
        raise AssertionError(f"{what}: {error!r}") from error


@pytest.mark.parametrize("seed", SEEDS)
def test_no_damage_leads_to_another_answer_or_another_error(
    sound: Path, tmp_path: Path, told: tuple[Any, ...], seed: int
) -> None:
    """Either it is said, or the answers are those of the sound log, or `drift` names what differs."""
    said = 0
    for what, path in _damaged(sound, tmp_path, seed):
        answer = _use(what, functools.partial(read_all, path))
        if isinstance(answer, LogError):
            assert str(path) in str(answer), what
            assert answer.hint, what
            said += 1
        else:
            current, drift, mismatches, now = answer
            assert drift or not current or (now, mismatches) == (told, []), what
            assert (now[0], now[5], now[-1]) == (told[0], told[5], told[-1]), what
    assert said > FLIPS // len(SEEDS) // 3


def _append_to(path: Path) -> None:
    log = open_at(path)
    try:
        log.append_now(append("new", Expect.NO_STREAM, discovered("new.txt")))
        log.append_now(append("file3", Expect.EXISTS, touched()))
        log.by_path("folder/0007.txt")
    finally:
        log.close()


@pytest.mark.parametrize("seed", SEEDS)
def test_a_damaged_log_can_be_appended_to_or_says_why_not(sound: Path, tmp_path: Path, seed: int) -> None:
    for what, path in _damaged(sound, tmp_path, seed + 100):
        answer = _use(what, functools.partial(_append_to, path))
        assert answer is None or isinstance(answer, AppendRefused) or str(path) in str(answer), what


def test_a_damaged_write_ahead_log_ends_where_it_is_damaged(tmp_path: Path) -> None:
    """Its frames carry checksums: what comes after the first wrong one was never there, as after a power failure."""
    log = open_at(tmp_path / "log.db")
    log._writer.connection.execute("PRAGMA wal_autocheckpoint=0")
    fill(log, 5)
    source = random.Random(5)
    data = (tmp_path / "log.db-wal").read_bytes()
    heads = set()
    for number in range(30):
        copy = tmp_path / str(number) / "log.db"
        copy.parent.mkdir()
        shutil.copy(tmp_path / "log.db", copy)
        damaged = bytearray(data)
        _flip(damaged, source)
        (copy.parent / "log.db-wal").write_bytes(damaged)
        answer = _use(str(number), functools.partial(read_all, copy))
        if not isinstance(answer, LogError):
            assert answer[:3] == (True, [], [])
            heads.add(answer[3][0])
    assert len(heads) > 3
    log.close()


def test_ids_are_looked_up_by_their_index_even_when_the_table_was_changed(copy: Path) -> None:
    tamper(copy, "DROP INDEX events_by_id")
    log = open_at(copy)
    log.append_now(append("new", Expect.NO_STREAM, discovered("new.txt")))
    log.close()
    tamper(copy, "DROP TABLE files")
    with pytest.raises(LogDamaged, match="lacks what this program needs"):
        open_at(copy).record(stream("file1"))


def test_apsw_errors_that_nobody_thought_of_are_still_ours() -> None:
    """Every result code of SQLite that can reach a caller has its sentence."""
    from objlib_fsm.log.sqlite import explained

    codes = [
        code
        for code in apsw.mapping_result_codes
        if isinstance(code, int) and 0 < code < 27 and code != apsw.SQLITE_MISUSE
    ]
    for code in codes:
        with pytest.raises(LogError), explained(Path("x")):
            raise apsw.exception_for(code)
