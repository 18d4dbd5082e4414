"""What users of comparable tools complained about, by its number in docs/explanation/complaints.md.

Most of those complaints are met where the feature is tested; here are those that are nobody's feature.
"""

from __future__ import annotations

from pathlib import Path

import anyio
import httpx2
import pytest

from objlib_fsm.core.policy import ATTEMPTS_MAX
from objlib_fsm.emulator.faults import Rule
from objlib_fsm.emulator.settings import Latencies, Latency, Settings
from tests.engine.truth import compare, fill, in_world
from tests.support.world import World

SLOW = Settings(latencies=Latencies(upload=Latency(2.0, 2.0), request=Latency(0.1, 0.1), index=Latency(10.0, 20.0)))


@pytest.mark.parametrize("endpoint", ["stores.import", "operations.get"])
def test_an_operation_that_is_only_a_name_is_no_end_of_waiting(tmp_path: Path, endpoint: str) -> None:
    """Complaint 3: the operation has a name and nothing else, for ever, and nobody learns that the file is there."""

    async def story(w: World) -> None:
        fill(w, 3)
        summary = await w.run()
        assert (summary.exit_code, summary.counts.indexed) == (0, 3)
        kinds = w.kinds("file001.txt")
        assert kinds.count("import_intended") == 1, "what cannot be read is not done again"
        assert "document_seen" in kinds, "the document itself was asked for"
        assert await w.check() == {"indexed": 3}

    in_world(tmp_path, story, rules=(Rule(fault="F14", mode="name_only", endpoint=endpoint),))


def test_a_resumed_run_takes_no_failed_file_for_a_done_one_and_keeps_what_was_said(tmp_path: Path) -> None:
    """Complaint 5: a run that is resumed counts failed files as completed, and their errors are lost."""

    async def story(w: World) -> None:
        fill(w, 12)
        with anyio.move_on_after(8.0):  # Cut off while most of the files are on their way.
            await w.run()
        before = w.records()
        failed = [path for path, record in before.items() if record.state.label == "failed"]
        assert len(failed) == 1
        assert any(record.state.label == "processing" for record in before.values())
        for _ in range(2):
            summary = await w.run_until_done()
            assert (summary.exit_code, summary.counts.failed, summary.counts.indexed) == (3, 1, 11)
            record = w.records()[failed[0]]
            assert record.cause == "invalid argument"
            assert record.cause_message.startswith("The chunking is too odd: invalid argument.")
            assert record.live_documents == ()
        assert await w.check() == {"failed": 1, "indexed": 11}, "and so says the log when it is replayed"

    rule = Rule(fault="F8", endpoint="stores.import", count=1, message="The chunking is too odd: invalid argument.")
    in_world(tmp_path, story, SLOW, (rule,))


class CannotCount(httpx2.AsyncBaseTransport):
    """A way to the service, which says of one raw file, and of no other, that it cannot count its tokens."""

    def __init__(self, w: World, path: str) -> None:
        self.imports = 0
        self._inner = w.service.transport
        self._world = w
        self._path = path

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Raises what the service's transport raises."""
        if request.url.path.endswith(":importFile"):
            name = self._world.records()[self._path].raws
            if name and name[-1].name.encode() in await request.aread():
                self.imports += 1
                error = {"code": 503, "message": "Failed to count tokens.", "status": "UNAVAILABLE"}
                return httpx2.Response(503, json={"error": error}, request=request)
        return await self._inner.handle_async_request(request)


def test_a_file_whose_tokens_cannot_be_counted_fails_with_that_cause_and_holds_nobody_up(tmp_path: Path) -> None:
    """Complaint 13: a file whose tokens the service fails to count is tried for ever, and the run with it.

    Incident 30: an import that is refused sends the bytes again each time.
    """

    async def story(w: World) -> None:
        fill(w, 6)
        refusing = CannotCount(w, "file003.txt")
        w.service.transport = refusing  # type: ignore[assignment]
        summary = await w.run_until_done()
        assert (summary.exit_code, summary.counts.failed, summary.counts.indexed) == (3, 1, 5)
        record = w.records()["file003.txt"]
        assert (record.state.label, record.cause) == ("failed", "server error")
        assert "Failed to count tokens." in record.cause_message
        assert (refusing.imports, record.attempts) == (ATTEMPTS_MAX, ATTEMPTS_MAX)
        assert w.kinds("file003.txt").count("upload_intended") == 1, "an import that fails sends no byte again"
        assert (await w.run()).exit_code == 3
        assert refusing.imports == ATTEMPTS_MAX, "a plain run leaves it alone"
        assert await w.check() == {"failed": 1, "indexed": 5}

    in_world(tmp_path, story)


def test_two_libraries_in_one_store_leave_each_others_documents_alone(tmp_path: Path) -> None:
    """Complaint 27: two machines work on one store, and the one deletes what the other has indexed."""

    async def story(w: World) -> None:
        (tmp_path / "elsewhere").mkdir()
        other = World(tmp_path / "elsewhere", w.service, w.faults, w.clock, seed=2)
        fill(w, 3)
        fill(other, 2)  # The same names and the same words.
        assert ((await w.run()).exit_code, (await other.run()).exit_code) == (0, 0)
        for mine, signs in ((w, {"=": 3, "?": 2}), (other, {"=": 2, "?": 3})):
            assert (await compare(mine, mend=True)).signs == signs
            mine.write("file000.txt", "Other words on one of the machines.\n")
            assert (await mine.run_until_done()).exit_code == 0
        assert (await compare(w)).signs == {"=": 3, "?": 2}
        assert (await compare(other)).signs == {"=": 2, "?": 3}

    in_world(tmp_path, story)
