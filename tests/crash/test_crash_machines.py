"""Damage, the model, contention and ``kill -9``, in the sizes of every test run, each with a defect put in for it."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from objlib_fsm.log.contract import LogBusy, LogDamaged
from objlib_fsm.log.removed import go_on_without_wal
from objlib_fsm.log.sqlite import open_for_reading
from tests.crash import contention, damage, kill9, model
from tests.crash.machine import Found
from tests.log.kit import check, fill, open_at, read_all
from tests.support.command import Place

SECONDS = 5


@pytest.mark.timeout(300)
def test_no_damage_goes_unseen() -> None:
    damage.run(500, seed=1)


def test_a_replay_that_believes_the_stored_hashes_is_caught() -> None:
    with damage.believing_hashes(), pytest.raises(Found, match="the content is another one, and nothing was said"):
        damage.run(500, seed=1)


@pytest.mark.timeout(600)
def test_the_log_is_what_the_model_says() -> None:
    model.run(1_000, 50, seed=1)


def test_a_projection_that_is_not_written_is_caught() -> None:
    with pytest.raises(Found):
        model.run(20, 20, seed=1, machine=model.Forgetful)


@pytest.mark.timeout(300)
def test_readers_and_writers_do_not_disturb_each_other() -> None:
    contention.run(SECONDS, seed=1)


def test_a_lost_append_is_caught(tmp_path: Path) -> None:
    log = open_at(tmp_path / "log.db")
    fill(log, 2)
    log.close()
    with pytest.raises(Found, match="1 of 1 acknowledged events are lost"):
        contention.hold(tmp_path / "log.db", ["0" * 32])


@pytest.mark.timeout(300)
def test_a_second_runner_that_is_not_refused_is_caught(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.write("a.txt")
    with pytest.raises(Found, match="the second run: exit code 0"):
        contention.two_runners(place, other_log="other.db")


@pytest.mark.timeout(900)
def test_a_hundred_kills_leave_one_document_per_file_and_lost_commits_are_caught() -> None:
    """Both at once: they mostly wait for a minute after which a lost import is certain."""
    with ThreadPoolExecutor(1) as pool:
        sabotaged = pool.submit(kill9.run, 4, 1, kill9.forget_the_write_ahead_log)
        kill9.run(100, seed=1)
        with pytest.raises(Found):
            sabotaged.result()


# ---- a write-ahead log that was removed ----------------------------------------------------------------------------


@pytest.fixture
def killed(tmp_path: Path) -> Path:
    """A log as a killed process leaves it: the events recorded last are in the write-ahead log."""
    log = open_at(tmp_path / "live" / "log.db")
    fill(log, 5)
    folder = tmp_path / "killed"
    folder.mkdir()
    for file in log.path.parent.iterdir():
        shutil.copy(file, folder / file.name)
    log.close()
    return folder / "log.db"


def test_a_removed_write_ahead_log_is_told(killed: Path) -> None:
    killed.with_name("log.db-wal").unlink()
    for use in (open_at, read_all):
        with pytest.raises(
            LogDamaged, match=r"log\.db-wal was removed: the events recorded last are missing"
        ) as caught:
            use(killed)
        assert "replay" in caught.value.hint
        assert caught.value.exit_code == 7
    assert damage.command(killed)[0] == 7
    assert go_on_without_wal(killed)
    assert not go_on_without_wal(killed)
    log = open_at(killed)
    check(log)
    log.close()


def test_a_removed_write_ahead_log_that_held_nothing_is_not_missed(tmp_path: Path) -> None:
    """A command that only read leaves an empty one, and whoever copies files may leave that out."""
    log = open_at(tmp_path / "log.db")
    fill(log, 5)
    log.close()
    reader = open_for_reading(log.path)
    reader.execute("SELECT count(*) FROM events").fetchall()
    reader.close()
    log.path.with_name("log.db-wal").unlink()
    assert damage.command(log.path)[0] == 0
    log = open_at(log.path)
    check(log)
    assert log.head() == 1 + 4 * 5
    log.close()


def test_a_write_ahead_log_that_is_put_back_is_whole_again(killed: Path) -> None:
    beside = killed.with_name("log.db-wal")
    beside.rename(killed.with_name("elsewhere"))
    assert damage.command(killed)[0] == 7
    killed.with_name("elsewhere").rename(beside)
    log = open_at(killed)
    check(log)
    assert log.head() == 1 + 4 * 5
    log.close()


def test_a_write_ahead_log_that_was_removed_under_a_process_is_not_given_up(tmp_path: Path) -> None:
    """That process still has the events, and writes them into the log when it ends."""
    from tests.crash.holder import holding

    path = tmp_path / "log.db"
    with holding(path):
        path.with_name("log.db-wal").unlink()
        with pytest.raises(LogBusy, match="while a process is using the log"):
            open_at(path)
        with pytest.raises(LogBusy):
            go_on_without_wal(path)
    log = open_at(path)
    check(log)
    assert log.head() == 1 + 4 * 5
    log.close()
