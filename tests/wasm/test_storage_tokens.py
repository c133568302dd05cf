"""A storage role with tokens does for each what its scopes say, and tells the others why not."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from tests.wasm import modules

from weftrun.adapters.buckets.opened import buckets_of
from weftrun.adapters.buckets.remote import RemoteBuckets
from weftrun.adapters.wasm.call import CallReach
from weftrun.adapters.wasm.compiled import compiled
from weftrun.adapters.wasm.runner import cache_folder, run
from weftrun.entrypoints.http.roles import StorageRole
from weftrun.entrypoints.http.storage_tokens import StorageTokens
from weftrun.model.errors import UsageError
from weftrun.model.selecting import Selection
from weftrun.model.wasm import WasmLimits


def line(token: str, rest: str) -> str:
    return f"{hashlib.sha256(token.encode()).hexdigest()} {rest}\n"


TOKENS = line("all", "* read,write,run  # an operator") + line("one", "b read") + line("one", "c read,write")


@pytest.fixture(scope="module")
def role(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StorageRole]:
    root = tmp_path_factory.mktemp("storage")
    (root / "tokens").write_text(TOKENS, encoding="utf-8")
    made = StorageRole(root / "data", "127.0.0.1", 0, tokens=root / "tokens")
    writer = RemoteBuckets(made.url, token="all")
    writer.write("b", "k", b"abc 7\n")
    writer.close()
    yield made
    made.close()


@pytest.mark.parametrize(
    ("token", "method", "path", "status"),
    [
        ("all", "GET", "/buckets/b/k", 200),
        ("all", "PUT", "/buckets/new/k", 204),
        ("one", "GET", "/buckets/b/k", 200),
        ("one", "HEAD", "/buckets/b/k", 200),
        ("one", "GET", "/buckets/b", 200),
        ("one", "PUT", "/select/b/k", 200),
        ("one", "PUT", "/buckets/b/k", 403),
        ("one", "DELETE", "/buckets/b/k", 403),
        ("one", "PUT", "/buckets/c/k", 204),
        ("one", "GET", "/buckets/new/k", 403),
        ("one", "PUT", f"/modules/{'0' * 64}", 403),
        ("wrong", "GET", "/buckets/b/k", 401),
        ("", "GET", "/buckets/b/k", 401),
        ("", "GET", "/ping", 200),
    ],
)
def test_a_token_may_do_what_its_scopes_say(role: StorageRole, token: str, method: str, path: str, status: int) -> None:
    content = b"{}" if "select" in path else b""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    answer = httpx.request(method, role.url + path, content=content, headers=headers)
    assert answer.status_code == status, answer.text
    if status in (401, 403) and method != "HEAD":
        assert {401: "wants a token that it knows", 403: "The token may not "}[status] in answer.json()["detail"]


def test_a_call_without_the_scope_does_not_run_and_says_so(role: StorageRole, monkeypatch: pytest.MonkeyPatch) -> None:
    reader, without = RemoteBuckets(role.url, token="one"), RemoteBuckets(role.url)
    module = compiled(modules.SUM_NEAR, "m", cache_folder())

    def summed() -> object:
        return run(module, "_start", "m", b"k", CallReach("b", reader, reader, "require"), WasmLimits())

    wants: list[tuple[Callable[[], object], str]] = [
        (summed, "may not run in the bucket 'b'"),
        (lambda: reader.write("b", "k", b""), "may not write in the bucket 'b'"),
        (lambda: without.stat("b", "k"), "WEFTRUN_STORAGE_TOKEN is not set"),
        (lambda: without.keys("b"), "wants a token that it knows"),
    ]
    for ask, words in wants:
        with pytest.raises(UsageError, match=words):
            ask()
    assert reader.select("b", "k", Selection(gives="count")) is not None
    reader.close()
    without.close()
    monkeypatch.setenv("WEFTRUN_STORAGE_TOKEN", "all")
    buckets_of.cache_clear()
    with_token = buckets_of(role.url)
    assert isinstance(with_token, RemoteBuckets)
    assert with_token.keys("b") == ["k"]
    with_token.close()
    buckets_of.cache_clear()


@pytest.mark.parametrize("text", ["token b read", line("a", "b"), line("a", "b read,fly"), line("a", "b read extra")])
def test_a_file_of_tokens_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "tokens").write_text(f"# comment\n{text}\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"tokens, line 2: a line is the SHA-256"):
        StorageTokens(tmp_path / "tokens")
    with pytest.raises(UsageError, match="can't be read"):
        StorageTokens(tmp_path / "gone")
