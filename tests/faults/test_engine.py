"""A daemon that misbehaves at one question, whichever it is: in time there is a whole report, and it names what is missing."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import pytest

from .engine import ASKED, ENGINE, Answer, but, ending, engine, hanging_after, http, json_of, reset, saying, trickling, well
from .program import DOCTOR, hang, patiently, report_of, run

_FLAT = (b"0", b"-1", b"1e400", b"9" * 5000, b"true", b'"text"', b'{"', b"<html>", b"NaN", b"[" * 100_000)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _doubled(body: bytes) -> bytes:
    """Keys twice: the first is another id."""
    return body.replace(b'{"Id":', b'{"Id": "first", "Id":').replace(b'{"ID":', b'{"ID": "first", "ID":')


# It gives no answer: what was asked for is a blind spot.
NONE: dict[str, Answer] = {
    "hangs": lambda peer, _: hang(peer),
    "hangs after its head": hanging_after(lambda body: http(b"", length=len(body))),
    "hangs within the body": hanging_after(lambda body: http(body[: len(body) // 2], length=len(body))),
    "sends a byte a second": trickling(http),
    "sends a byte a second of the body": trickling(bytes, head=True),
    "closes": ending(lambda _: b""),
    "closes within its head": ending(lambda _: b"HTTP/1.1 200 OK\r\nContent-Le"),
    "closes within the body": ending(lambda body: http(body[: len(body) // 2], length=len(body))),
    "resets": reset,
    "says a length too long": hanging_after(lambda body: http(body, length=len(body) + 1)),
    "says a length that is no number": saying(lambda body: http(body, length="x")),
    "says a length below nothing": saying(lambda body: http(body, length=-1)),
    "says a length of 5000 digits": saying(lambda body: http(body, length="9" * 5000)),
    "says a chunk's size in no digits": saying(
        lambda _: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n"
    ),
    "says a chunk's size below nothing": saying(
        lambda _: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n{}\r\n0\r\n\r\n"
    ),
    "sends chunks and no last one": ending(lambda _: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n"),
    "speaks no HTTP": saying(lambda _: b"220 mail.example ESMTP\r\n\r\n"),
    "speaks HTTP/2": saying(lambda _: b"\0\0\x12\4\0\0\0\0\0\0\3\0\0\0\x80\r\n\r\n"),
    "says a status of letters": saying(lambda body: http(body, status="abc OK")),
    "sends binary": saying(lambda _: bytes(range(256)) + b"\r\n\r\n"),
    **{
        f"answers {status}": saying(lambda body, status=status: http(body, status=f"{status} Something", length=len(body)))  # type: ignore[misc]
        for status in (100, 101, 201, 301, 307, 400, 401, 403, 429, 500, 503, 999)
    },
}
# It answers something else: of a log that is as good as anything, of all others a blind spot.
OTHER: dict[str, Answer] = {
    "says a length too short": ending(lambda body: http(body, length=len(body) // 2)),
    "answers nothing": saying(lambda _: http(b"")),
    "answers in UTF-16": saying(lambda body: http(body.decode("utf-8", "replace").encode("utf-16"))),
    "answers in Latin 1": saying(lambda body: http(body[:-2] + b"\xe9" + body[-2:])),
    "answers gzip": saying(lambda _: http(b"\x1f\x8b\x08" + bytes(range(200)), "Content-Encoding: gzip")),
    "answers 33 MiB": saying(lambda _: http(b'{"a": "' + b"x" * (33 << 20) + b'"}')),
    **{f"answers {said[:12].decode()}": saying(lambda _, said=said: http(said)) for said in _FLAT},  # type: ignore[misc]
}
# It answers what may be taken, or not; a report there is.
ODD: dict[str, Answer] = {
    "answers 404": saying(lambda body: http(b'{"message": "no such thing"}', status="404 Not Found")),
    "answers null": saying(lambda _: http(b"null")),
    "answers {}": saying(lambda _: http(b"{}")),
    "answers []": saying(lambda _: http(b"[]")),
    "answers [1]": saying(lambda _: http(b"[1]")),
    "answers [null]": saying(lambda _: http(b"[null]")),
    "answers [{}]": saying(lambda _: http(b"[{}]")),
    "says two lengths": saying(lambda body: http(body, "Content-Length: 2")),
    "says its keys twice": saying(lambda body: http(_doubled(body))),
    "says a mark of byte order": saying(lambda body: http(b"\xef\xbb\xbf" + body)),
    "has a string of 10 MB": saying(lambda body: http(body.replace(b'": "', b'": "' + b"x" * 10_000_000, 1))),
    "has strings of another kind": json_of(lambda value: 1 if isinstance(value, str) else value),
    "has empty strings": json_of(lambda value: "" if isinstance(value, str) else value),
    "has strings of control characters": json_of(lambda value: "\x1b[2J\u202e\0\r\n" if isinstance(value, str) else value),
    "has halves of surrogates": json_of(lambda value: "\ud800" if isinstance(value, str) else value),
    "has strings of a megabyte in all": json_of(lambda value: "a:1/b=" * 500 if isinstance(value, str) else value),
    "has strings of paths and options": json_of(lambda value: "--../../etc/shadow" if isinstance(value, str) else value),
    "has numbers of another kind": json_of(lambda value: "x" if _number(value) else value),
    "has numbers below nothing": json_of(lambda value: -1 if _number(value) else value),
    "has numbers of 64 bits": json_of(lambda value: 2**63 - 1 if _number(value) else value),
    "has numbers of 200 bits": json_of(lambda value: 2**200 if _number(value) else value),
    "has broken numbers": json_of(lambda value: 0.5 if _number(value) else value),
    "has null for each list": json_of(lambda value: None if isinstance(value, list) and value else value),
    "has null for each object within": json_of(lambda value: None if isinstance(value, dict) and "Id" not in value else value),
    "has null for each string": json_of(lambda value: None if isinstance(value, str) else value),
    "has null for each truth": json_of(lambda value: None if isinstance(value, bool) else value),
    "has other truths": json_of(lambda value: not value if isinstance(value, bool) else value),
    "has everything in a list": json_of(lambda value: [value]),
    "has each list doubled": json_of(lambda value: value + value if isinstance(value, list) else value),
    "has ids of something else": json_of(
        lambda value: "0" * len(value) if isinstance(value, str) and len(value) == 64 else value
    ),
    "has addresses that are none": json_of(
        lambda value: "999.1.2.3/77" if isinstance(value, str) and value[:1].isdigit() and "." in value else value
    ),
    "has ports that are none": json_of(lambda value: "99999/tcp" if isinstance(value, str) and value.isdigit() else value),
    "has moments that are none": json_of(
        lambda value: "0000-99-99T99:99:99Z" if isinstance(value, str) and "T" in value else value
    ),
    "hangs up after each answer": ending(http),
    "closes without saying so": ending(lambda body: b"HTTP/1.1 200 OK\r\n\r\n" + body),
    "speaks HTTP/1.0": ending(lambda body: http(body).replace(b"HTTP/1.1", b"HTTP/1.0", 1)),
}
FAULTS = {**NONE, **OTHER, **ODD}
# What is wrong with the text of an answer does not depend on how it came.
CASES = [
    (fault, asked, transport)
    for number, (fault, asked) in enumerate(product(FAULTS, ASKED))
    for transport in (("unix", "tcp") if fault in NONE else (("unix", "tcp")[number % 2],))
]


@pytest.mark.fault
@pytest.mark.parametrize(("fault", "asked", "transport"), CASES)
def test_a_fault_at_one_question(fault: str, asked: str, transport: str, tmp_path: Path) -> None:
    path, name = ASKED[asked]
    missing = fault in NONE or (fault in OTHER and asked != "log")

    def attempt(timeout: float) -> None:
        with engine(transport, tmp_path, but(path, FAULTS[fault])) as url:
            done = run([*DOCTOR, "check", "-H", url, "--no-probes", "--timeout", f"{timeout:g}", "--format", "json"])
        report = done.report()
        spots = [f"{spot['area']}: {spot['what']}" for spot in report["blind_spots"]]
        assert (done.stderr, done.status in (0, 1, 3)) == (b"", True)
        assert report["duration_s"] < timeout + 1 + done.starved_s
        assert not any(spot.startswith(("run: ", "engine: the host ")) for spot in spots), "all was read and looked at in time"
        engine_seen = report["hosts"][0]["engine"] is not None
        if name:
            assert engine_seen
            assert not missing or any(spot.startswith(f"engine: {name}") for spot in spots), spots
        elif missing:
            assert (done.status, engine_seen, bool(report["findings"])) == (3, False, True)

    patiently(attempt)


@pytest.mark.parametrize("transport", ["unix", "tcp"])
def test_a_proxy_that_lets_only_get_through_hides_no_answer(transport: str, tmp_path: Path) -> None:
    with engine(transport, tmp_path, but("", well)) as url:
        outcome = report_of("check", "-H", url, "--no-probes")
    assert outcome.report["hosts"][0]["engine"]["version"].startswith(ENGINE)
    assert [spot for spot in outcome.blind() if spot.startswith("engine: ")] == []
