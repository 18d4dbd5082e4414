"""What is not the file's is not taken for the file's, and what is lost again and again has an end."""

from __future__ import annotations

from pathlib import Path

import pytest

from objlib_fsm.core.ids import StreamId
from objlib_fsm.core.policy import SETBACKS_MAX
from objlib_fsm.emulator.faults import Rule
from objlib_fsm.emulator.settings import Latencies, Latency, Settings
from tests.support.virtual_time import run_virtual
from tests.support.world import World, world


async def documents_of(w: World) -> dict[str, int]:
    """Live documents by the path of their file, as the service has them."""
    of = {record.stream: path for path, record in w.records().items()}
    found: dict[str, int] = {}
    for document in await w.documents():
        assert document.identity is not None
        path = of[StreamId(document.identity.stream)]
        found[path] = found.get(path, 0) + 1
    return found


@pytest.mark.parametrize(
    ("mode", "get"), [("misnamed", "at once"), ("misnamed", "only later"), ("raw_named", "at once")]
)
def test_an_operation_that_names_what_is_not_the_files_costs_no_file_anything(
    tmp_path: Path, mode: str, get: str
) -> None:
    """Complaint 4: the id of an operation, or of another thing, is stored as the id of the document.

    The victim's document is known to be its own; the real one is found by a listing.
    """

    async def main() -> None:
        async with world(tmp_path) as w:
            w.write("victim.txt", "I was here first.\n")
            await w.run()
            w.write("new.txt", "I come later.\n")
            w.faults.add(Rule(fault="F14", mode=mode, endpoint="stores.import"))
            if get == "only later":
                w.faults.add(Rule(fault="F7", endpoint="documents.get", count=1))
            summary = await w.run_until_done()
            assert summary.exit_code == 0
            assert await documents_of(w) == {"victim.txt": 1, "new.txt": 1}
            assert w.kinds("new.txt").count("import_intended") <= SETBACKS_MAX
            assert "document_delete_intended" not in w.kinds("new.txt")
            assert await w.check() == {"indexed": 2}

    run_virtual(main)


def test_a_document_that_is_gone_is_gone_also_where_that_is_said_with_403(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, Settings(unknown_document_code=403)) as w:
            w.write("a.txt", "old\n")
            w.write("b.txt", "stays\n")
            await w.run()
            (old,) = w.records()["a.txt"].documents
            async with w.remote() as remote:
                await remote.delete_document(old.name)
            w.write("a.txt", "new\n")
            assert (await w.run()).exit_code == 0
            assert await documents_of(w) == {"a.txt": 1, "b.txt": 1}
            assert await w.check() == {"indexed": 2}

    run_virtual(main)


def test_raw_files_that_are_lost_again_and_again_are_given_up_whatever_the_clock_says(tmp_path: Path) -> None:
    """The service's expiration times lie in the past of this machine's clock."""
    slow = Settings(file_ttl_s=2.0, latencies=Latencies(file_processing=Latency(10.0, 10.0)))

    async def main() -> None:
        async with world(tmp_path, slow) as w:
            w.write("a.txt", "one\n")
            summary = await w.run()
            assert (summary.exit_code, summary.counts.failed) == (3, 1)
            assert w.kinds("a.txt").count("upload_intended") == SETBACKS_MAX

    run_virtual(main)
