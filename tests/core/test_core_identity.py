"""What a document stands for: bytes, metadata and resets; each replaced without a moment of absence."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from objlib_fsm.core import effects as fx
from objlib_fsm.core import events as e
from objlib_fsm.core.ids import MetadataValue, document_id, metadata_hash, payload_id
from objlib_fsm.core.record import Role
from objlib_fsm.core.table import State
from tests.core.byhand import NEW, OLD, File, importing, indexed, uploaded
from tests.core.ending import check_end, settle
from tests.core.moves import How
from tests.core.service import RAW_LIFE_US, SECOND_US, content_hash

DESCRIBED = e.FileDescribed({"course": "Ethics", "year": 2024}, basis="b1")
HEADED = e.FileDescribed(header="Title: a\n\n", payload_hash=content_hash(9))


def test_without_metadata_and_resets_it_is_what_it_always_was() -> None:
    assert document_id(OLD) == payload_id(OLD)
    assert document_id("") == ""
    assert document_id("", "described", 1) == "", "there is no document of bytes that nobody has read"


def test_each_of_the_three_makes_another_document() -> None:
    described = metadata_hash({"year": 2024})
    of = [(OLD, "", 0), (NEW, "", 0), (OLD, described, 0), (OLD, "", 1), (OLD, described, 1), (OLD, "", 2)]
    ids = [document_id(*each) for each in of]
    assert len(set(ids)) == len(ids)
    assert {len(i) for i in ids} == {20}


@given(metadata=st.dictionaries(st.text(), st.integers() | st.text() | st.lists(st.text()).map(tuple)))
def test_the_order_of_the_keys_says_nothing(metadata: dict[str, MetadataValue]) -> None:
    turned = dict(reversed(metadata.items()))
    assert metadata_hash(turned) == metadata_hash(metadata)
    read = msgspec.json.decode(msgspec.json.encode(metadata))
    assert metadata_hash(read) == metadata_hash(metadata)


def test_other_metadata_is_imported_from_the_raw_file_that_still_lives() -> None:
    file = indexed()
    (old,) = file.live
    assert file.tell(DESCRIBED)
    assert file.at() is State.UNTRACKED
    imported = file.does(fx.ImportRaw)
    assert imported.payload == OLD
    assert imported.identity == file.record.payload != payload_id(OLD)
    assert len(file.live) == 2
    file.does(fx.Poll)
    assert file.at() is State.INDEXED
    assert file.does(fx.DeleteDocument) == fx.DeleteDocument(old, "superseded")
    assert sum(isinstance(event, e.UploadIntended) for event, _ in file.history) == 1, "no bytes were sent again"
    check_end(file)


def test_other_metadata_after_the_raw_files_two_days_sends_the_bytes_again() -> None:
    file = indexed()
    file.clock.advance(RAW_LIFE_US / SECOND_US)
    assert file.tell(DESCRIBED)
    file.does(fx.LookUpRaw)
    assert file.does(fx.Upload) == fx.Upload(OLD, 1)
    file.does(fx.ImportRaw)
    file.does(fx.Poll)
    file.does(fx.DeleteDocument)
    check_end(file)


def test_metadata_that_come_while_it_is_uploaded_are_imported_with_what_was_uploaded() -> None:
    file = uploaded()
    assert file.tell(DESCRIBED)
    file.does(fx.ImportRaw)
    file.does(fx.Poll)
    check_end(file)


def test_metadata_that_come_while_it_is_imported_replace_the_document_that_was_on_its_way() -> None:
    file = importing(How.SLOWLY, n=2)
    (first,) = file.live
    assert file.tell(DESCRIBED)
    file.does(fx.ImportRaw)
    file.does(fx.Poll)
    assert file.at() is State.INDEXED
    settle(file)
    assert first not in file.live
    check_end(file)


def test_metadata_put_back_claim_the_document_that_is_still_there() -> None:
    file = indexed()
    (old,) = file.live
    assert file.tell(DESCRIBED)
    assert file.tell(e.FileDescribed(basis="b2"))
    file.does(fx.LookUpDocument)
    assert file.at() is State.INDEXED
    assert file.live == {old}
    check_end(file)


def test_a_header_is_other_bytes_to_send() -> None:
    file = indexed()
    assert file.tell(HEADED)
    assert (file.record.source_hash, file.record.payload_hash) == (OLD, content_hash(9))
    assert file.does(fx.Upload) == fx.Upload(content_hash(9), 0)
    settle(file)
    check_end(file)
    file.change()
    assert (file.record.header, file.record.payload_hash) == ("", NEW), "a header is of the bytes it was made for"


@pytest.mark.parametrize("how", [How.REJECTED, How.BADLY])
def test_while_the_new_document_fails_the_old_one_stays(how: How) -> None:
    file = indexed()
    (old,) = file.live
    assert file.tell(DESCRIBED)
    file.does(fx.ImportRaw, how)
    if how is How.BADLY:
        file.does(fx.Poll)
    assert old in file.live
    document = file.record.document
    assert document is not None
    assert (document.name, document.role) == (old, Role.CURRENT)
    assert file.at() is not State.INDEXED, "the old one does not stand for what is wanted now"


def test_a_reset_sends_the_bytes_anew_and_deletes_the_old_document_last() -> None:
    file = indexed()
    (old,) = file.live
    assert file.tell(e.FileReset())
    assert file.at() is State.UNTRACKED
    assert file.does(fx.Upload) == fx.Upload(OLD, 1)
    file.does(fx.ImportRaw)
    assert old in file.live
    file.does(fx.Poll)
    assert file.does(fx.DeleteDocument) == fx.DeleteDocument(old, "superseded")
    check_end(file)
    assert file.tell(e.FileReset()), "as often as somebody wants"
    assert file.record.resets == 2
    settle(file)
    check_end(file)


@pytest.mark.parametrize("withdrawn", [e.FileVanished(), e.FileExcluded("empty")])
def test_of_two_documents_on_their_way_when_the_file_is_withdrawn_one_stays(withdrawn: e.Event) -> None:
    file = importing(How.SLOWLY, n=5)
    assert file.tell(DESCRIBED)
    file.does(fx.ImportRaw, How.SLOWLY, n=5)
    file.clock.advance(61.0)
    file.report(file.shell.listing())
    assert len(file.live) == 2
    assert file.tell(withdrawn)
    settle(file)
    assert len(file.live) == 1, "one is kept until a prune, and no other"
    check_end(file)


def test_a_reset_ends_what_was_given_up() -> None:
    file = File()
    file.does(fx.Upload, How.REJECTED)
    assert file.at() is State.FAILED
    assert file.tell(e.FileReset())
    settle(file)
    check_end(file)
