"""One call over HTTP: what was refused, what has failed, and what nobody knows."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest
from tests.remote.serving import Script, answer

from weftrun import RemoteBusy, RemoteError, RemoteFailed, RemoteRefused, RemoteUnknown, UsageError
from weftrun.adapters.remote import Address, RemoteAnswer, post


@pytest.fixture(scope="module")
def script() -> Iterator[Script]:
    made = Script()
    yield made
    made.close()


def ask(
    script: Script, path: str, parts: list[bytes], deadline_s: float = 20.0, bytes_max: int = 1_000
) -> RemoteAnswer:
    script.answers[path] = parts
    return post(f"{script.url}{path}", b"{}", {"Idempotency-Key": "k"}, deadline_s=deadline_s, bytes_max=bytes_max)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, RemoteRefused), (401, RemoteRefused), (404, RemoteRefused), (409, RemoteRefused), (501, RemoteRefused),
        (301, RemoteRefused), (302, RemoteRefused), (304, RemoteRefused), (408, RemoteBusy), (425, RemoteBusy),
        (429, RemoteBusy), (503, RemoteBusy), (502, RemoteUnknown), (504, RemoteUnknown),
    ],
)  # fmt: skip
def test_a_status_says_what_is_known(script: Script, status: int, error: type[RemoteError]) -> None:
    with pytest.raises(RemoteError, match=f"answered {status}: why|answered {status}.$") as caught:
        ask(script, f"/{status}", answer(status, b"" if status == 304 else b"why"))
    assert type(caught.value) is error


@pytest.mark.parametrize("status", [200, 204, 500, 507])
def test_an_answer_is_read(script: Script, status: int) -> None:
    got = ask(script, f"/{status}", answer(status, b"" if status == 204 else b"7", "Content-Type: application/json"))
    assert got == RemoteAnswer(status, "application/json", b"" if status == 204 else b"7")
    assert b"\r\nIdempotency-Key: k\r\n" in script.asked[-1]


LIES = {
    "closed": [],
    "no_http": [b"what?\r\n\r\n"],
    "half_a_header": [b"HTTP/1.1 200 OK\r\nContent-Le"],
    "half_a_line": [b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n"],
    "no_length": [b"HTTP/1.1 200 OK\r\n\r\n7"],
    "too_short": answer(200, b"123", length=500),
    "no_chunk": [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"],
    "cut_chunk": [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n123"],
    "endless_header": [b"HTTP/1.1 200 OK\r\nA: " + b"x" * 100_000],
    "many_headers": [b"HTTP/1.1 200 OK\r\n" + b"A: x\r\n" * 10_000],
}


@pytest.mark.parametrize("lie", LIES)
def test_a_call_without_a_whole_answer_is_unknown(script: Script, lie: str) -> None:
    with pytest.raises(RemoteUnknown, match=r"gave no whole answer: .*nobody knows"):
        ask(script, f"/{lie}", LIES[lie])


@pytest.mark.parametrize("lie", ["declared", "sent", "chunked"])
def test_a_long_answer_is_not_read(script: Script, lie: str) -> None:
    chunk = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    parts = {
        "declared": answer(200, b"", length=1 << 60),
        "sent": [b"HTTP/1.1 200 OK\r\n\r\n" + bytes(100_000)],
        "chunked": [chunk + b"ffff\r\n" + bytes(0xFFFF) + b"\r\n"] + [b"ffff\r\n" + bytes(0xFFFF) + b"\r\n"] * 3,
    }
    with pytest.raises(RemoteFailed, match=r"1,000 are allowed \(answer_bytes_max\)"):
        ask(script, f"/{lie}", parts[lie])


def test_more_than_was_declared_is_not_taken(script: Script) -> None:
    assert ask(script, "/more", answer(200, b"7 and what else", length=1)).body == b"7"


@pytest.mark.parametrize("parts", [[b""], [b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n1", b""]])
def test_a_server_that_does_not_end_is_left_at_the_deadline(script: Script, parts: list[bytes]) -> None:
    with pytest.raises(RemoteUnknown, match="has not answered in time"):
        ask(script, f"/late{len(parts)}", parts, deadline_s=0.05)


def test_redirects_stay_with_their_server_and_end(script: Script) -> None:
    script.answers["/there"] = answer(200, b"7")
    assert ask(script, "/moved", answer(307, b"", "Location: /there")).body == b"7"
    with pytest.raises(RemoteRefused, match="more than 3 times"):
        ask(script, "/round", answer(308, b"", "Location: /round"))
    assert [asked.split()[1] for asked in script.asked[-4:]] == [b"/round"] * 4
    with pytest.raises(RemoteRefused, match=r"to another server, 127\.0\.0\.2"):
        ask(script, "/away", answer(308, b"", "Location: http://127.0.0.2:1/"))
    with pytest.raises(UsageError, match="begins with http:// or https://"):
        ask(script, "/file", answer(308, b"", "Location: file:///etc/passwd"))


def test_what_is_not_reached_was_not_entered() -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    with pytest.raises(RemoteBusy, match=f"http://127.0.0.1:{port}/f can't be reached: Connection refused"):
        post(f"http://127.0.0.1:{port}/f", b"", {}, deadline_s=5, bytes_max=1)
    with pytest.raises(RemoteRefused, match="its deadline was over before"):
        post(f"http://127.0.0.1:{port}/f", b"", {}, deadline_s=0, bytes_max=1)


def test_a_server_that_answers_before_it_has_read_all_is_heard(script: Script) -> None:
    script.answers["/early"] = answer(413, b"too long")
    with pytest.raises((RemoteRefused, RemoteUnknown)):
        post(f"{script.url}/early", bytes(20_000_000), {}, deadline_s=20, bytes_max=1_000)


@pytest.mark.parametrize(
    "url",
    ["", "f", "ftp://h/f", "http://", "http://h:0x1/", "http://me:secret@h/", "http://h/a b", "http://h/\r\nX: y"],
)
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        Address.of(url)
    assert "secret" not in str(caught.value)


def test_a_deadline_bounds_a_server_that_drips(script: Script) -> None:
    def drip() -> list[bytes]:
        return [b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"]

    began = time.monotonic()
    with pytest.raises(RemoteUnknown):
        ask(script, "/drip", [*drip(), b"x", b"x", b""], deadline_s=0.1)
    assert time.monotonic() - began < 15
