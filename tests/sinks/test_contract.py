"""The sinks that come with weftrun keep the contract, each against a server of its kind."""

from __future__ import annotations

import asyncio
import math
import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import psycopg
import pytest
from tests.postgres.fixtures import server as server  # noqa: PLC0414 - it is a fixture
from tests.postgres.server import Server
from tests.sinks.servers import Missing, ShopServer, nats_server, redis_server

from weftrun.adapters.sinks.file import FileSink
from weftrun.adapters.sinks.postgres import PostgresSink
from weftrun.model.errors import UsageError
from weftrun.testing.contracts.sinks import Arrived, SinkContract

SHORT_S = 0.5


def _served(library: str, server: Callable[[], AbstractContextManager[int]]) -> Iterator[int]:
    pytest.importorskip(library)
    try:
        with server() as port:
            yield port
    except Missing as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="session")
def redis_port() -> Iterator[int]:
    yield from _served("redis", redis_server)


@pytest.fixture(scope="session")
def nats_port() -> Iterator[int]:
    yield from _served("nats", nats_server)


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    pytest.importorskip("boto3")
    pytest.importorskip("flask_cors")
    server = pytest.importorskip("moto.server").ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


class TestFile(SinkContract):
    @pytest.fixture
    def make(self, tmp_path: Path) -> Callable[[], FileSink]:
        return lambda: FileSink(tmp_path / "orders.jsonl")

    @pytest.fixture
    def arrived(self, tmp_path: Path) -> Callable[[], list[Arrived]]:
        def arrived() -> list[Arrived]:
            path = tmp_path / "orders.jsonl"
            return [Arrived(line) for line in path.read_bytes().splitlines()] if path.exists() else []

        return arrived

    @pytest.fixture
    def bad(self) -> bytes:
        return b"\xff\x00"


class TestHttp(SinkContract):
    @pytest.fixture
    def shop(self) -> Iterator[ShopServer]:
        pytest.importorskip("httpx")
        with ShopServer() as shop:
            yield shop
            shop.shutdown()

    @pytest.fixture
    def make(self, shop: ShopServer) -> Callable[[], object]:
        pytest.importorskip("httpx")
        from weftrun.sinks import Http  # noqa: PLC0415

        return lambda: Http(shop.url, dedupes_for_s=math.inf, timeout_s=5.0)

    @pytest.fixture
    def arrived(self, shop: ShopServer) -> Callable[[], list[Arrived]]:
        return lambda: [Arrived(body, key) for key, body in shop.taken.items()]

    @pytest.fixture
    def bad(self) -> bytes:
        return b"bad"

    @pytest.fixture
    def at_address(self, shop: ShopServer) -> Callable[[str, int], object]:
        pytest.importorskip("httpx")
        from weftrun.sinks import Http  # noqa: PLC0415

        return lambda host, port: Http(f"http://{host}:{port}/", dedupes_for_s=60.0, timeout_s=SHORT_S)


class TestPostgres(SinkContract):
    @pytest.fixture
    def url(self, server: Server) -> str:
        with server.connect() as connection:
            connection.execute("DROP TABLE IF EXISTS orders")
        return server.url("postgres")

    @pytest.fixture
    def make(self, url: str) -> Callable[[], PostgresSink]:
        return lambda: PostgresSink(url, "public.orders")

    @pytest.fixture
    def arrived(self, url: str) -> Callable[[], list[Arrived]]:
        def arrived() -> list[Arrived]:
            with psycopg.connect(url) as connection:
                if connection.execute("SELECT to_regclass('orders')").fetchone() == (None,):
                    return []
                rows = connection.execute("SELECT payload, key FROM orders ORDER BY place").fetchall()
            return [Arrived(bytes(payload), key) for payload, key in rows]

        return arrived

    @pytest.fixture
    def at_address(self) -> Callable[[str, int], PostgresSink]:
        return lambda host, port: PostgresSink(f"postgresql://x@{host}:{port}/x", "t", timeout_s=SHORT_S)


class TestRedis(SinkContract):
    @pytest.fixture
    def port(self, redis_port: int) -> int:
        return redis_port

    @pytest.fixture
    def stream(self) -> str:
        return f"orders {uuid.uuid4()}"

    @pytest.fixture
    def make(self, port: int, stream: str) -> Callable[[], object]:
        from weftrun.sinks import Redis  # noqa: PLC0415 - only where its library is

        return lambda: Redis(f"redis://127.0.0.1:{port}/0", stream)

    @pytest.fixture
    def arrived(self, port: int, stream: str) -> Callable[[], list[Arrived]]:
        import redis  # noqa: PLC0415

        def arrived() -> list[Arrived]:
            with redis.Redis(port=port) as client:
                entries = client.xrange(stream)
            return [Arrived(fields[b"payload"], fields[b"key"].decode()) for _, fields in entries]

        return arrived

    @pytest.fixture
    def at_address(self) -> Callable[[str, int], object]:
        pytest.importorskip("redis")
        from weftrun.sinks import Redis  # noqa: PLC0415

        return lambda host, port: Redis(f"redis://{host}:{port}/0", "orders", timeout_s=SHORT_S)


class TestNats(SinkContract):
    @pytest.fixture
    def port(self, nats_port: int) -> int:
        return nats_port

    @pytest.fixture
    def subject(self, port: int) -> str:
        subject = f"orders-{uuid.uuid4()}"
        _nats(port, lambda stream: stream.add_stream(name=subject, subjects=[subject], duplicate_window=120))
        return subject

    @pytest.fixture
    def make(self, port: int, subject: str) -> Callable[[], object]:
        pytest.importorskip("nats")
        from weftrun.sinks import Nats  # noqa: PLC0415

        return lambda: Nats(f"nats://127.0.0.1:{port}", subject)

    @pytest.fixture
    def arrived(self, port: int, subject: str) -> Callable[[], list[Arrived]]:
        async def read(stream):
            state = (await stream.stream_info(subject)).state
            if not state.messages:
                return []
            found = [await stream.get_msg(subject, seq) for seq in range(state.first_seq, state.last_seq + 1)]
            return [Arrived(one.data, one.headers["Nats-Msg-Id"]) for one in found if one is not None]

        return lambda: _nats(port, read)

    @pytest.fixture
    def bad(self) -> bytes:
        return b"x" * (2 << 20)

    @pytest.fixture
    def at_address(self) -> Callable[[str, int], object]:
        pytest.importorskip("nats")
        from weftrun.sinks import Nats  # noqa: PLC0415

        return lambda host, port: Nats(f"nats://{host}:{port}", "orders", timeout_s=SHORT_S)

    def test_a_window_that_is_shorter_than_was_said(self, port: int, subject: str) -> None:
        """Nothing is published: doubles would come through."""
        from weftrun.sinks import Answer, Nats  # noqa: PLC0415
        from weftrun.testing.contracts.sinks import always, message  # noqa: PLC0415

        (result,) = Nats(f"nats://127.0.0.1:{port}", subject, dedupes_for_s=121.0).deliver([message(1)], always)
        assert result.answer is Answer.FAILED
        assert "raise its duplicate_window" in result.why


class TestS3(SinkContract):
    @pytest.fixture
    def endpoint(self, s3_endpoint: str) -> str:
        return s3_endpoint

    @pytest.fixture
    def client(self, endpoint: str, monkeypatch: pytest.MonkeyPatch) -> object:
        import boto3  # noqa: PLC0415

        monkeypatch.setitem(os.environ, "AWS_ACCESS_KEY_ID", "x")
        monkeypatch.setitem(os.environ, "AWS_SECRET_ACCESS_KEY", "x")
        return boto3.session.Session().client("s3", endpoint_url=endpoint, region_name="us-east-1")

    @pytest.fixture
    def bucket(self, client):
        bucket = f"orders-{uuid.uuid4()}"
        client.create_bucket(Bucket=bucket)
        return bucket

    @pytest.fixture
    def make(self, bucket: str, endpoint: str) -> Callable[[], object]:
        pytest.importorskip("boto3")
        from weftrun.sinks import S3  # noqa: PLC0415

        return lambda: S3(bucket, "emits/", endpoint_url=endpoint, region="us-east-1")

    @pytest.fixture
    def arrived(self, bucket: str, client):
        def arrived() -> list[Arrived]:
            found = client.list_objects_v2(Bucket=bucket).get("Contents", [])
            return [
                Arrived(client.get_object(Bucket=bucket, Key=one["Key"])["Body"].read(), one["Key"]) for one in found
            ]

        return arrived

    @pytest.fixture
    def at_address(self, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, int], object]:
        pytest.importorskip("boto3")
        from weftrun.sinks import S3  # noqa: PLC0415

        monkeypatch.setitem(os.environ, "AWS_ACCESS_KEY_ID", "x")
        monkeypatch.setitem(os.environ, "AWS_SECRET_ACCESS_KEY", "x")
        return lambda host, port: S3(
            "orders", endpoint_url=f"http://{host}:{port}", region="us-east-1", timeout_s=SHORT_S
        )


@pytest.mark.parametrize("window_s", [0.0, -1.0, math.inf, math.nan])
def test_a_window_that_redis_cannot_keep(window_s: float) -> None:
    """Each delivery would fail, and be tried again for ever."""
    pytest.importorskip("redis")
    from weftrun.sinks import Redis  # noqa: PLC0415

    with pytest.raises(UsageError, match="can't expire after"):
        Redis("redis://127.0.0.1/0", "orders", dedupes_for_s=window_s)


def _nats(port: int, say):
    """Say something to the JetStream of a server."""

    async def talk():
        import nats  # noqa: PLC0415

        client = await nats.connect(f"nats://127.0.0.1:{port}")
        try:
            return await say(client.jetstream())
        finally:
            await client.close()

    return asyncio.run(talk())
