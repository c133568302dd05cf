"""Objects in S3, each written only if it is not there yet."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    ParamValidationError,
)

from weftrun.adapters.sinks.sending import DELIVERED, SharedClient, failed, plain_key, unsure
from weftrun.model.outbox import Result
from weftrun.ports.sinks import SinkMessage

_THERE_ALREADY = 412
_PASSING = frozenset({409, 408, 500, 502, 503, 504})
"""Answers that leave open what happened. 409: somebody else writes the same object just now."""


class S3Sink:
    """Puts an object for each message, named by its key under a prefix, with `If-None-Match: *`.

    A message is known again for as long as its object is there. Objects have no order.

    Args:
        bucket: its name.
        prefix: what the names of objects begin with.
        endpoint_url: of another server than AWS; it must know `If-None-Match` on a put.
        region: as boto3 takes it; credentials come from where boto3 finds them.
        timeout_s: bound of each wait inside a request, in seconds.
        at_once: requests under way at the same time.
    """

    dedupes_for_s = math.inf
    keeps_order = False

    def __init__(
        self,
        bucket: str,
        prefix: str = "",
        *,
        endpoint_url: str | None = None,
        region: str | None = None,
        timeout_s: float = 10.0,
        at_once: int = 8,
    ) -> None:
        self._bucket = bucket
        self._prefix = prefix
        config = Config(
            connect_timeout=timeout_s,
            read_timeout=timeout_s,
            retries={"total_max_attempts": 1},
            max_pool_connections=at_once,
        )

        def make() -> Any:
            # A session of its own: the library's default one may not be shared by threads.
            session = boto3.session.Session()
            return session.client("s3", config=config, endpoint_url=endpoint_url, region_name=region)

        self._at_once = SharedClient(make, at_once, "weftrun-s3")

    def deliver(self, messages: Sequence[SinkMessage], may_begin: Callable[[], bool]) -> list[Result]:
        """Put the objects that are not there yet; see the port."""
        return self._at_once.send_each(messages, may_begin, self._send)

    def _send(self, client: Any, message: SinkMessage) -> Result:
        try:
            client.put_object(
                Bucket=self._bucket,
                Key=self._prefix + plain_key(message.key),
                Body=message.payload,
                ContentType=message.type,
                IfNoneMatch="*",
            )
        except ClientError as error:
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            if status == _THERE_ALREADY:
                return DELIVERED
            return unsure(error) if status in _PASSING else failed(error)
        except (ConnectTimeoutError, EndpointConnectionError, NoCredentialsError, ParamValidationError) as error:
            return failed(error)
        except (BotoCoreError, OSError) as error:
            return unsure(error)
        return DELIVERED

    def close(self) -> None:
        """Release connections. Idempotent."""
        self._at_once.close()
