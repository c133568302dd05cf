"""Buckets in S3: an object for each key, replaced by conditional puts.

    PREFIX + BUCKET/QUOTED-KEY      the value; its metadata has its version, and those before it
    PREFIX + .once/SHA256           tokens of writes that were carried out

The version that a write with a token makes is that of the token. So whoever comes with the token again, after a crash
between the value and the token, finds the version among the last ones of the key, and does not write again. Others
make a version of what they write and of the version before.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final
from urllib.parse import quote, unquote

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from weftrun.adapters.buckets.names import name_of
from weftrun.model.errors import UsageError
from weftrun.model.selecting import Selection, selected
from weftrun.ports.buckets import ABSENT, BucketsUnreachable, KeyChanged, Selected, Stat

_NOT_THERE: Final = (404, 416)
_LATE: Final = (409, 412)
_AGAIN: Final = 8
_SCHEME: Final = "s3://"
_VERSIONS: Final = "weftrun-versions"
_KNOWN: Final = 50
"""So many versions of 33 bytes each fit into the 2 KB of metadata that an object may have."""


class S3Buckets:
    """Buckets below a prefix of a bucket in S3, or in a server that knows `If-Match` and `If-None-Match` on a put."""

    def __init__(self, url: str, *, endpoint_url: str | None = None, timeout_s: float = 30.0) -> None:
        """Use `s3://BUCKET/PREFIX`; credentials and region come from where boto3 finds them.

        Args:
            url: where values go.
            endpoint_url: of another server than AWS; default is what boto3 finds, such as `$AWS_ENDPOINT_URL_S3`.
            timeout_s: bound of each wait inside a request, in seconds.

        Raises:
            UsageError: the URL is none of S3.
        """
        place, _, prefix = url.removeprefix(_SCHEME).partition("/")
        if not url.startswith(_SCHEME) or not place:
            raise UsageError(f"{url!r} is no place in S3; one is written as s3://BUCKET/PREFIX.")
        self._place = place
        self._prefix = f"{prefix.rstrip('/')}/" if prefix.strip("/") else ""
        self._url = url
        config = Config(connect_timeout=timeout_s, read_timeout=timeout_s, retries={"total_max_attempts": 3})
        # A session of its own: the library's default one may not be shared by threads, clients may.
        self._client: Any = boto3.session.Session().client("s3", config=config, endpoint_url=endpoint_url)

    def stat(self, bucket: str, key: str) -> Stat | None:
        """Ask what is known of a key."""
        head = self._ask("head_object", Key=self._key(bucket, key))
        return None if head is None else _stat(head, head["ContentLength"])

    def read(self, bucket: str, key: str, offset: int = 0, nbytes: int = -1) -> tuple[Stat, bytes] | None:
        """Fetch bytes of a key."""
        name = self._key(bucket, key)
        if nbytes:
            last = offset + nbytes - 1 if nbytes > 0 else ""
            part = {"Range": f"bytes={offset}-{last}"} if offset or nbytes > 0 else {}
            got = self._ask("get_object", Key=name, **part)
            if got is not None:
                whole = got.get("ContentRange", "").rpartition("/")[2] or got["ContentLength"]
                return _stat(got, int(whole)), self._body(got)
        head = self._ask("head_object", Key=name)  # nothing is there, or nothing so far behind
        return None if head is None else (_stat(head, head["ContentLength"]), b"")

    def select(self, bucket: str, key: str, selection: Selection) -> Selected | None:
        """Fetch a key, and choose lines of it."""
        found = self.read(bucket, key)
        if found is None:
            return None
        return Selected(found[0], selected(selection, found[1]), "here", "no storage role is beside the bucket")

    def write(self, bucket: str, key: str, data: bytes | memoryview, *, once: str = "", if_version: str = "") -> Stat:
        """Put the value of a key, if nobody else has put one since it was looked at."""
        name = self._key(bucket, key)
        token = hashlib.sha256(once.encode()).hexdigest() if once else ""
        tried: set[str] = set()
        if token and self._ask("head_object", Key=self._once(token)) is not None:
            return self.stat(bucket, key) or Stat(len(data), "")
        for _ in range(_AGAIN):
            now = self._ask("head_object", Key=name)
            versions = _versions(now)
            mine = token or hashlib.sha256(" ".join(versions[:1]).encode() + b"|" + data).hexdigest()
            mine, tried = mine[:32], tried | {mine[:32]}
            if tried.isdisjoint(versions):
                if if_version and if_version != (versions[0] if versions else ABSENT):
                    raise KeyChanged(f"The key {key!r} of bucket {bucket!r} was written by somebody else meanwhile.")
                guard = {"IfNoneMatch": "*"} if now is None else {"IfMatch": now["ETag"]}
                metadata = {_VERSIONS: " ".join([mine, *versions][:_KNOWN])}
                if self._ask("put_object", Key=name, Body=bytes(data), Metadata=metadata, **guard) is None:
                    continue
            if token:
                self._ask("put_object", Key=self._once(token), Body=b"")
            return Stat(len(data), next((one for one in versions if one in tried), mine))
        raise BucketsUnreachable(f"The key {key!r} of bucket {bucket!r} in {self._url} is written all the time.")

    def delete(self, bucket: str, key: str) -> bool:
        """Remove a key."""
        name = self._key(bucket, key)
        there = self._ask("head_object", Key=name) is not None
        if there:
            self._ask("delete_object", Key=name)
        return there

    def keys(self, bucket: str, prefix: str = "") -> list[str]:
        """Ask for the keys that begin with `prefix`."""
        folder = f"{self._prefix}{name_of('bucket', bucket)}/"
        found: list[str] = []
        more: dict[str, str] = {}
        while True:
            got = self._ask("list_objects_v2", Prefix=folder + quote(prefix, safe="").replace(".", "%2E"), **more)
            got = got or {}
            found += [unquote(one["Key"][len(folder) :]) for one in got.get("Contents", ())]
            if not got.get("IsTruncated"):
                return sorted(found)
            more = {"ContinuationToken": got["NextContinuationToken"]}

    def _key(self, bucket: str, key: str) -> str:
        return f"{self._prefix}{name_of('bucket', bucket)}/{name_of('key', key)}"

    def _once(self, token: str) -> str:
        return f"{self._prefix}.once/{token}"

    def _ask(self, verb: str, **said: Any) -> Any:
        """Ask for something; None where it isn't there, or where a guard has failed."""
        try:
            return getattr(self._client, verb)(Bucket=self._place, **said)
        except ClientError as error:
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            missing = error.response.get("Error", {}).get("Code") == "NoSuchBucket"
            if not missing and status in (*_NOT_THERE, *_LATE):
                return None
            raise BucketsUnreachable(f"{self._url} can't be used: {error}.") from None
        except (BotoCoreError, OSError) as error:
            raise BucketsUnreachable(f"{self._url} can't be reached: {error}.") from None

    def _body(self, got: Any) -> bytes:
        try:
            body: bytes = got["Body"].read()
        except (BotoCoreError, OSError) as error:
            raise BucketsUnreachable(f"{self._url} can't be reached: {error}.") from None
        return body


def _versions(head: Any) -> list[str]:
    """Return the versions that a key has had, the newest first; of what others have put, its `ETag`."""
    if head is None:
        return []
    said: str = head["Metadata"].get(_VERSIONS) or head["ETag"].strip('"')
    return said.split()


def _stat(head: Any, nbytes: int) -> Stat:
    return Stat(nbytes, _versions(head)[0])
