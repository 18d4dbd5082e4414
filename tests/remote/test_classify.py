"""Every row of the two tables, reached over the wire through the real SDK; a row without a case fails."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

import anyio
import httpx2
import pytest
from google.genai import errors
from hypothesis import given, settings
from hypothesis import strategies as st

from objlib_fsm.core.outcomes import Failure, Outcome, Reason
from objlib_fsm.remote import classify as c
from objlib_fsm.remote.gemini import GeminiRemote
from objlib_fsm.remote.port import CallFailed
from objlib_fsm.remote.redact import HIDDEN, MESSAGE_CHARS_MAX
from tests.remote import wire as w
from tests.remote.wire import Reply, Scripted, error, final, scripted, session

Call = Callable[[GeminiRemote], Any]

PAGE_404 = b"<!DOCTYPE html>\n<html lang=en><title>Error 404 (Not Found)!!1</title><p>The requested URL was not found."
PAGE_502 = b"<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"


def quota(*quota_ids: str, retry_delay: str = "42s", message: str = "You exceeded your current quota.") -> Reply:
    """A 429 as the service sends it."""
    violations = [{"quotaMetric": "generativelanguage.googleapis.com/requests", "quotaId": q} for q in quota_ids]
    details = [
        {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": violations},
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": retry_delay},
    ]
    return error(429, message, "RESOURCE_EXHAUSTED", details)


def reason_of_error_info(reason: str) -> list[Any]:
    return [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": "googleapis.com"}]


class Case(NamedTuple):
    """An answer to a call, the row that decides, and what comes of it."""

    row: str
    call: Call
    answers: tuple[Scripted, ...]
    outcome: Outcome
    reason: Reason
    retry_after_s: float | None = None


R, T, U, X, H = Outcome.REJECTED, Outcome.THROTTLED, Outcome.UNAVAILABLE, Outcome.UNCERTAIN, Outcome.HALTED

CANNOT = "You do not have permission to access the File raw-1 or it may not exist."
NO_STORE = "You do not have permission to access the FileSearchStore s-1 or it may not exist."

ANSWERS = (
    Case(
        "storage limit",
        w.import_raw,
        (error(429, "Corpus has reached the storage limit of 1000000000 bytes.", "RESOURCE_EXHAUSTED"),),
        H,
        Reason.STORAGE_LIMIT,
    ),
    Case(
        "daily quota",
        w.import_raw,
        (quota("GenerateRequestsPerMinutePerProject", "GenerateRequestsPerDayPerProjectPerModel-FreeTier"),),
        H,
        Reason.DAILY_QUOTA,
        42.0,
    ),
    Case(
        "throttled",
        w.import_raw,
        (error(429, "Resource has been exhausted (e.g. check quota).", "RESOURCE_EXHAUSTED"),),
        T,
        Reason.RATE_LIMIT,
    ),
    Case("throttled", w.get_raw, (quota("RequestsPerMinute"),), T, Reason.RATE_LIMIT, 42.0),
    Case(
        "throttled",
        w.get_raw,
        (quota("RequestsPerMinute", message="You exceeded your current quota. Please retry in 42.921s."),),
        T,
        Reason.RATE_LIMIT,
        42.921,
    ),
    Case("throttled", w.get_raw, (error(429, "Please retry in 7s."),), T, Reason.RATE_LIMIT, 7.0),
    Case("throttled", w.get_raw, (Reply(429, b"", Retry_After="30"),), T, Reason.RATE_LIMIT, 30.0),
    Case("throttled", w.upload, (session(), final(quota("X", retry_delay="3.5s"))), T, Reason.RATE_LIMIT, 3.5),
    Case("throttled", w.get_raw, (quota("X", retry_delay="9" * 400 + "s"),), T, Reason.RATE_LIMIT, c.RETRY_AFTER_MAX_S),
    Case("throttled", w.get_raw, (quota("X", retry_delay="soon"),), T, Reason.RATE_LIMIT),
    Case(
        "key unknown",
        w.get_store,
        (
            error(
                400,
                "API key not valid. Please pass a valid API key.",
                "INVALID_ARGUMENT",
                reason_of_error_info("API_KEY_INVALID"),
            ),
        ),
        H,
        Reason.BAD_KEY,
    ),
    Case("key unknown", w.import_raw, (error(400, "API key expired. Please renew the API key."),), H, Reason.BAD_KEY),
    Case(
        "place not served",
        w.create_store,
        (error(400, "User location is not supported for the API use.", "FAILED_PRECONDITION"),),
        H,
        Reason.FORBIDDEN,
    ),
    Case(
        "place not served",
        w.upload,
        (error(400, "Gemini API free tier is not available in your country. Please enable billing on your project."),),
        H,
        Reason.FORBIDDEN,
    ),
    Case(
        "no key",
        w.get_store,
        (
            error(
                403,
                "Method doesn't allow unregistered callers (callers without established identity).",
                "PERMISSION_DENIED",
            ),
        ),
        H,
        Reason.BAD_KEY,
    ),
    Case("key leaked or off", w.upload, (error(403, "Your API key was reported as leaked."),), H, Reason.BAD_KEY),
    Case(
        "key leaked or off",
        w.get_raw,
        (error(403, "Permission denied: Consumer 'api_key:x' has been suspended.", "PERMISSION_DENIED"),),
        H,
        Reason.BAD_KEY,
    ),
    Case(
        "key leaked or off",
        w.get_raw,
        (
            error(
                403,
                "Requests to this API method are blocked.",
                "PERMISSION_DENIED",
                reason_of_error_info("API_KEY_SERVICE_BLOCKED"),
            ),
        ),
        H,
        Reason.BAD_KEY,
    ),
    Case(
        "key leaked or off",
        w.find_stores,
        (error(403, "Generative Language API has not been used in project 1 before or it is disabled."),),
        H,
        Reason.BAD_KEY,
    ),
    Case("unauthenticated", w.import_raw, (error(401, "Request had invalid authentication."),), H, Reason.BAD_KEY),
    Case("not yours or gone", w.get_raw, (error(403, CANNOT, "PERMISSION_DENIED"),), R, Reason.FORBIDDEN),
    Case("not yours or gone", w.delete_raw, (error(403, CANNOT, "PERMISSION_DENIED"),), R, Reason.FORBIDDEN),
    Case("not yours or gone", w.import_raw, (error(403, CANNOT, "PERMISSION_DENIED"),), R, Reason.FORBIDDEN),
    Case("not yours or gone", w.get_store, (error(403, NO_STORE, "PERMISSION_DENIED"),), R, Reason.FORBIDDEN),
    Case("another's answer", w.import_raw, (Reply(404, PAGE_404),), U, Reason.SERVER_ERROR),
    Case("another's answer", w.get_document, (Reply(404),), U, Reason.SERVER_ERROR),
    Case("another's answer", w.get_store, (Reply(403, b"<HTML>blocked by policy"),), U, Reason.SERVER_ERROR),
    Case("another's answer", w.delete_raw, (Reply(407, {"detail": "proxy"}),), U, Reason.SERVER_ERROR),
    Case("another's answer", w.create_store, (Reply(401, b"log in first"),), U, Reason.SERVER_ERROR),
    Case("not there", w.get_document, (error(404, "Documents does not exist.", "NOT_FOUND"),), R, Reason.GONE),
    Case("not there", w.get_operation, (error(404, "Operation not found.", "NOT_FOUND"),), R, Reason.GONE),
    Case("not there", w.delete_document, (error(404, "Documents does not exist.", "NOT_FOUND"),), R, Reason.GONE),
    Case("id taken", w.upload, (session(), final(error(409, "ID already exists."))), R, Reason.EXISTS),
    Case(
        "create failed",
        w.upload,
        (error(400, "Failed to create file.", "INVALID_ARGUMENT"),),
        U,
        Reason.CREATE_FAILED,
    ),
    Case(
        "create failed",
        w.upload,
        (session(), final(error(400, "Failed to create file.", "INVALID_ARGUMENT"))),
        U,
        Reason.CREATE_FAILED,
    ),
    Case(
        "not active",
        w.import_raw,
        (
            error(
                400,
                "The File raw-1 is not in an ACTIVE state and usage is not allowed.",
                "FAILED_PRECONDITION",
            ),
        ),
        U,
        Reason.NOT_ACTIVE,
    ),
    Case(
        "session over", w.upload, (session(), final(error(400, "Upload has already been terminated."))), X, Reason.OTHER
    ),
    Case("session over", w.get_raw, (error(400, "Upload has already been terminated."),), U, Reason.OTHER),
    Case(
        "type",
        w.upload,
        (session(), final(error(400, "Unsupported MIME type: text/x-odd", "INVALID_ARGUMENT"))),
        R,
        Reason.UNSUPPORTED_TYPE,
    ),
    Case(
        "argument", w.import_raw, (error(400, "page_size is invalid", "INVALID_ARGUMENT"),), R, Reason.INVALID_ARGUMENT
    ),
    Case(
        "argument",
        w.delete_document,
        (error(400, "Cannot delete non-empty Document", "FAILED_PRECONDITION"),),
        R,
        Reason.INVALID_ARGUMENT,
    ),
    Case("too large", w.upload, (error(413, "Payload too large"),), R, Reason.TOO_LARGE),
    Case("server timeout", w.import_raw, (error(408, "Request timeout"),), X, Reason.TIMEOUT),
    Case("server timeout", w.get_raw, (error(408, "Request timeout"),), U, Reason.TIMEOUT),
    Case("cancelled", w.import_raw, (error(499, "The operation was cancelled.", "CANCELLED"),), X, Reason.CANCELLED),
    Case("cancelled", w.get_raw, (error(499, "The operation was cancelled.", "CANCELLED"),), U, Reason.CANCELLED),
    Case("internal", w.import_raw, (error(500, "Internal error encountered.", "INTERNAL"),), U, Reason.SERVER_ERROR),
    Case("internal", w.get_raw, (Reply(500, b'{"error": {"code": 5'),), U, Reason.SERVER_ERROR),
    Case("unavailable", w.import_raw, (error(503, "Failed to count tokens.", "UNAVAILABLE"),), U, Reason.SERVER_ERROR),
    Case("unavailable", w.delete_raw, (Reply(503),), U, Reason.SERVER_ERROR),
    Case("gateway", w.import_raw, (Reply(502, PAGE_502),), X, Reason.SERVER_ERROR),
    Case("gateway", w.get_raw, (Reply(502, PAGE_502),), U, Reason.SERVER_ERROR),
    Case(
        "gateway timeout",
        w.delete_document,
        (error(504, "Deadline exceeded", "DEADLINE_EXCEEDED"),),
        X,
        Reason.SERVER_ERROR,
    ),
    Case(
        "gateway timeout", w.get_store, (error(504, "Deadline exceeded", "DEADLINE_EXCEEDED"),), U, Reason.SERVER_ERROR
    ),
    Case(
        "any other answer",
        w.import_raw,
        (Reply(202, {"name": "fileSearchStores/s-1/operations/o"}),),
        X,
        Reason.GARBLED,
    ),
    Case("any other answer", w.delete_raw, (Reply(204),), X, Reason.GARBLED),
    Case("any other answer", w.get_store, (Reply(302, Location=f"{w.BASE_URL}/elsewhere"),), U, Reason.GARBLED),
    Case("any other answer", w.get_store, (error(418, "I'm a teapot"),), U, Reason.GARBLED),
)


async def failure_of(call: Call, *answers: Scripted) -> tuple[Failure, BaseException]:
    """What came of the call, and the exception that was classified."""
    async with scripted(*answers) as (remote, transport):
        with pytest.raises(CallFailed) as raised:
            await call(remote)
        assert transport.answers == [], "each call is one attempt, and the whole script was played"
    cause = raised.value.__cause__
    assert cause is not None
    return raised.value.failure, cause


@pytest.mark.anyio
@pytest.mark.parametrize("case", ANSWERS, ids=lambda case: f"{case.row} - {case.call.__name__}".replace(" ", "_"))
async def test_answer(case: Case) -> None:
    failure, cause = await failure_of(case.call, *twice_if_refused(case))
    assert (failure.outcome, failure.reason) == (case.outcome, case.reason), failure
    assert failure.retry_after_s == case.retry_after_s
    assert isinstance(cause, errors.APIError)
    assert failure.code == cause.code
    assert failure.message
    assert c.row_of(cause).name == case.row


@pytest.mark.anyio
@pytest.mark.parametrize("named_already", [False, True])
async def test_a_refusal_names_the_field(named_already: bool) -> None:
    """Complaint 12: the service names the field, and the message leaves it out."""
    field = "custom_metadata[3].string_list_value"
    violations = [{"field": field, "description": "too many items"}, {"description": "no field"}, "odd"]
    details = [{"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": violations}]
    message = f"Invalid value at {field}: too many items" if named_already else "Request contains an invalid argument."
    failure, _ = await failure_of(w.import_raw, error(400, message, "INVALID_ARGUMENT", details))
    assert (failure.outcome, failure.reason) == (R, Reason.INVALID_ARGUMENT)
    assert failure.message == (message if named_already else f"{message} (field {field}: too many items)")


def twice_if_refused(case: Case) -> tuple[Scripted, ...]:
    """An upload refused as an invalid argument is tried without our name."""
    return case.answers * 2 if case.call is w.upload and case.reason is Reason.INVALID_ARGUMENT else case.answers


def test_every_row_of_answers_has_a_case() -> None:
    assert {row.name for row in c.ANSWERS} == {case.row for case in ANSWERS}
    assert len({row.name for row in c.ANSWERS}) == len(c.ANSWERS)
    for row in c.ANSWERS:
        outcomes = {case.outcome for case in ANSWERS if case.row == row.name}
        expected = {row.outcome, U} if row.outcome is X else {row.outcome}
        assert outcomes == expected, f"{row.name}: a call that writes and one that reads"


# ---- exceptions ------------------------------------------------------------------------------------------------------


class Broken(NamedTuple):
    """What raises that type through the SDK, and what comes of it for a call that writes."""

    type: type[BaseException]
    call: Call
    answers: tuple[Scripted, ...]
    outcome: Outcome
    reason: Reason


DEEP = b'{"name": ' + b"[" * 100_000

EXCEPTIONS = (
    Broken(httpx2.ConnectError, w.import_raw, (httpx2.ConnectError("refused"),), U, Reason.NETWORK),
    Broken(httpx2.ConnectTimeout, w.import_raw, (httpx2.ConnectTimeout("no route"),), U, Reason.NETWORK),
    Broken(httpx2.PoolTimeout, w.import_raw, (httpx2.PoolTimeout("all busy"),), U, Reason.NETWORK),
    Broken(httpx2.ProxyError, w.import_raw, (httpx2.ProxyError("407"),), U, Reason.NETWORK),
    Broken(httpx2.UnsupportedProtocol, w.upload, (session(), httpx2.UnsupportedProtocol("gopher")), U, Reason.GARBLED),
    Broken(httpx2.InvalidURL, w.upload, (session("::::"),), U, Reason.GARBLED),
    Broken(httpx2.TimeoutException, w.import_raw, (httpx2.ReadTimeout("slow"),), X, Reason.TIMEOUT),
    Broken(httpx2.TimeoutException, w.upload, (session(), httpx2.WriteTimeout("slow")), X, Reason.TIMEOUT),
    Broken(TimeoutError, w.delete_raw, (TimeoutError(),), X, Reason.TIMEOUT),
    Broken(httpx2.TransportError, w.import_raw, (httpx2.RemoteProtocolError("disconnected"),), X, Reason.NETWORK),
    Broken(httpx2.TransportError, w.upload, (session(), httpx2.WriteError("reset")), X, Reason.NETWORK),
    Broken(OSError, w.create_store, (OSError("no buffer space"),), X, Reason.NETWORK),
    Broken(ValueError, w.import_raw, (Reply(200, b'{"name": "fileSear'),), X, Reason.GARBLED),
    Broken(ValueError, w.import_raw, (Reply(200, {"name": "not/an/operation"}),), X, Reason.GARBLED),
    Broken(ValueError, w.create_store, (Reply(200, {"name": str(w.STORE), "createTime": "soon"}),), X, Reason.GARBLED),
    Broken(ValueError, w.upload, (session(), Reply(200, b"", X_Goog_Upload_Status="active")), X, Reason.GARBLED),
    Broken(ValueError, w.upload, (session(), Reply(200, b"", X_Goog_Upload_Status="odd")), X, Reason.GARBLED),
    Broken(ValueError, w.upload, (session(), final(Reply(200, b"<html>"))), X, Reason.GARBLED),
    Broken(LookupError, w.upload, (Reply(200),), X, Reason.GARBLED),
    Broken(LookupError, w.upload, (session(), final(Reply(200, {}))), X, Reason.GARBLED),
    Broken(TypeError, w.upload, (session(), final(Reply(200, b"5"))), X, Reason.GARBLED),
    Broken(AttributeError, w.upload, (session(), final(Reply(200, {"file": {"state": 7}}))), X, Reason.GARBLED),
    Broken(RecursionError, w.import_raw, (Reply(200, DEEP),), X, Reason.GARBLED),
    Broken(httpx2.DecodingError, w.import_raw, (Reply(200, b"plain", Content_Encoding="gzip"),), X, Reason.GARBLED),
)


@pytest.mark.anyio
@pytest.mark.parametrize("broken", EXCEPTIONS, ids=lambda broken: f"{broken.type.__name__} - {broken.call.__name__}")
async def test_exception(broken: Broken) -> None:
    failure, cause = await failure_of(broken.call, *broken.answers)
    assert isinstance(cause, broken.type), cause
    assert (failure.outcome, failure.reason) == (broken.outcome, broken.reason), failure
    assert failure.code == 0
    assert failure.message.startswith(type(cause).__name__)
    raised = c.raised_of(cause)
    assert raised is not None
    assert broken.type in raised.types


def test_every_type_of_exceptions_has_a_case() -> None:
    assert {kind for raised in c.EXCEPTIONS for kind in raised.types} == {broken.type for broken in EXCEPTIONS}


@pytest.mark.anyio
@pytest.mark.parametrize("call", w.READS, ids=lambda call: call.__name__)
@pytest.mark.parametrize("broken", [httpx2.ReadError("x"), TimeoutError(), Reply(200, b"{"), Reply(202)], ids=str)
async def test_a_lost_answer_to_a_look_up_is_only_unavailable(call: Call, broken: Scripted) -> None:
    failure, _ = await failure_of(call, broken)
    assert failure.outcome is U


@pytest.mark.anyio
@pytest.mark.parametrize("call", w.WRITES, ids=lambda call: call.__name__)
@pytest.mark.parametrize("broken", [httpx2.ReadError("x"), TimeoutError(), Reply(200), Reply(202)], ids=str)
async def test_a_lost_answer_to_a_change_is_uncertain(call: Call, broken: Scripted) -> None:
    failure, _ = await failure_of(call, broken)
    assert failure.outcome is X


def test_an_error_of_ours_is_not_taken_for_one_of_the_service() -> None:
    assert c.classify(RuntimeError("a bug"), c.Effect.WRITE) is None
    assert c.classify(AssertionError(), c.Effect.READ) is None


# ---- messages --------------------------------------------------------------------------------------------------------


@pytest.mark.anyio
@pytest.mark.parametrize(
    "quoted",
    [
        w.KEY,
        "AIzaSyAnotherKeyThatIsNotOurs_0123456789",
        "AQ.Ab8RN6AnotherKeyOfTheNewKind-123",
        f"https://generativelanguage.googleapis.com/v1/files?key={w.KEY}&x=1",
    ],
)
async def test_no_message_quotes_a_key(quoted: str) -> None:
    secret = quoted.partition("key=")[2].partition("&")[0] or quoted
    for answer in (error(400, f"the key {quoted} is odd", quoted), Reply(500, f"<p>{quoted}</p>".encode())):
        failure, _ = await failure_of(w.get_store, answer)
        assert secret not in json.dumps([failure.message, failure.status])
        assert HIDDEN in failure.message
    failure, _ = await failure_of(w.get_store, httpx2.ReadError(f"while sending {quoted}"))
    assert secret not in failure.message


@pytest.mark.anyio
async def test_a_message_is_bounded_and_control_characters_stay_for_those_who_show_it() -> None:
    failure, _ = await failure_of(w.get_store, error(400, "\x1b[31m" + "x" * 100_000))
    assert len(failure.message) == MESSAGE_CHARS_MAX
    assert failure.message.startswith("\x1b[31m")


@pytest.mark.anyio
async def test_a_page_of_html_is_named_and_not_quoted() -> None:
    failure, _ = await failure_of(w.import_raw, Reply(502, PAGE_502))
    assert failure.message == "Bad Gateway instead of an answer"
    failure, _ = await failure_of(w.import_raw, Reply(503))
    assert failure.message == "HTTP 503 without a message"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.just(w.KEY),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
retry_texts = st.sampled_from(["", "...", "1.2.3", "-1", "9" * 400, "7", "0.5", "٣"])
error_bodies = st.builds(
    lambda code, message, status, details, delay, text: {
        "error": {
            "code": code,
            "message": f"{message} Please retry in {text}s." if text else message,
            "status": status,
            "details": [{"retryDelay": delay}, details],
        }
    },
    json_values,
    json_values,
    json_values,
    json_values,
    retry_texts.map(lambda text: f"{text}s") | json_values,
    retry_texts,
)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from([201, 204, 301, 400, 401, 403, 404, 408, 409, 413, 429, 499, 500, 502, 503, 504, 599]),
    st.binary(max_size=200) | (json_values | error_bodies).map(lambda value: json.dumps(value).encode()),
    st.sampled_from([w.get_store, w.import_raw]),
)
def test_whatever_the_error_says_it_is_classified(status: int, body: bytes, call: Call) -> None:
    failure, cause = anyio.run(failure_of, call, Reply(status, body))
    assert failure.code == (0 if isinstance(cause, UnicodeDecodeError) else status)
    assert failure.outcome is not Outcome.DONE
    assert failure.outcome is not X or call is w.import_raw
    assert 0 < len(failure.message) <= MESSAGE_CHARS_MAX
    assert w.KEY not in failure.message + failure.status
    assert failure.retry_after_s is None or 0.0 <= failure.retry_after_s <= c.RETRY_AFTER_MAX_S
