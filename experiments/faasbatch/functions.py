"""What is called in FaaSBatch's experiments: a client is made and mostly not even used, or a number is computed."""

from __future__ import annotations

import os
from typing import Any

import boto3

import weftrun
from weftrun import function

_process: list[str] = []
_made: list[int] = []


def this_process() -> str:
    """Return a name that this process alone has, also among forks of one parent."""
    if not _process:
        _process.append(os.urandom(16).hex())
    return _process[0]


def make_client(region: str, endpoint_url: str | None) -> Any:
    """Make a client of S3, in a session of its own, since sessions may not be shared by threads."""
    _made.append(1)
    session = boto3.session.Session(
        aws_access_key_id="experiment", aws_secret_access_key="experiment", region_name=region
    )
    return session.client("s3", endpoint_url=endpoint_url)


def _use(client: Any, endpoint_url: str | None) -> tuple[str, int]:
    if endpoint_url is not None:
        client.get_object(Bucket="experiment", Key="object")["Body"].read()
    return this_process(), len(_made)


@function(effects="none", concurrency=64)
def client_of(region: str, endpoint_url: str | None) -> tuple[str, int]:
    """Use the client of this process; return this process, and how many clients it has made so far."""
    return _use(weftrun.shared(make_client, region, endpoint_url), endpoint_url)


@function(effects="none")
def fibonacci(n: int) -> int:
    """Compute a number the slow way."""
    return _fib(n)


def _fib(n: int) -> int:
    return n if n < 2 else _fib(n - 1) + _fib(n - 2)
