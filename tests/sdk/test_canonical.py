"""Digests of arguments: equal for what Python calls equal, of one type, in every process, and never changed again."""

from __future__ import annotations

# ruff: noqa: DTZ001, DTZ901
import array
import dataclasses
import enum
import fractions
import ipaddress
import logging
import re
import subprocess
import sys
import threading
import uuid
import zoneinfo
from collections import Counter, OrderedDict, UserDict, defaultdict, deque, namedtuple
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from pathlib import Path, PurePosixPath, PureWindowsPath
from types import SimpleNamespace
from typing import Any, ClassVar, NamedTuple
from urllib.parse import urlsplit

import attrs
import numpy as np
import pydantic
import pytest
from msgspec import Struct

import weftrun
from weftrun.sdk.canonical import digest, why_not

Point = namedtuple("Point", "x y")
EAST = timezone(timedelta(hours=1))
BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")


@dataclass
class Thing:
    name: str
    parts: Any


class Typed(NamedTuple):
    x: int
    y: int


class Colour(enum.Enum):
    RED = 1
    GREEN = 2
    ROUGE = 1  # noqa: PIE796


class Level(enum.IntEnum):
    LOW = 1


class Word(enum.StrEnum):
    LOW = "low"


class Bits(enum.Flag):
    A = 1
    B = 2


class Name(str):
    __slots__ = ()


class Tagged(str):  # noqa: SLOT000
    tag = ""


class Caseless(str):
    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return str(self).lower() == str(other).lower()

    __hash__ = str.__hash__


class Table(dict[str, int]):
    pass


class Day(date):
    pass


class Model(pydantic.BaseModel):
    when: date
    tags: set[str] = set()
    _cache: Any = pydantic.PrivateAttr(default=None)


class Open(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")


@attrs.define
class Fields:
    x: int
    label: str = attrs.field(eq=str.lower, default="")
    note: Any = attrs.field(eq=False, default=None)


class Row(Struct):
    when: date


class Shifting(tzinfo):
    def utcoffset(self, dt: datetime | None) -> timedelta:
        raise RuntimeError("no")


@dataclass
class Guarded:
    x: int
    lock: Any = dataclasses.field(default_factory=threading.Lock, compare=False)
    log: ClassVar[Any] = logging.getLogger("weftrun.tests")


@weftrun.function
def step(x: int) -> int:
    return x


GOLDEN = [
    ("None", "311022946fd10a2a99b9bc62863ee4ccd8e66228457b47086534d19ae9a181bd"),
    ("True", "05013fb89d1fd5d4b7e240713d8a7da0c8c455acbd2c76a89ea00ebe3340b113"),
    ("False", "5817432e6861671a2fb57534164f04351250b2fa856610f6ab13e129220315de"),
    ("0", "72c17e08c1ce83294157613ce0a4b0604447971acebfa33550cced8ed515fcac"),
    ("-255", "2bdaea1fe09123acdf98da9d19f37434ee6c22e175c6320068532fd16372d114"),
    ("2**70", "e79741878dab5e3217fed21cdb0a0e5d55f88e804010784d09d76594b26984cd"),
    ("1.5", "586bae06ef42a1345d4cbfed655a2cf83fe61b70679d89235f309b4134ed4d16"),
    ("-0.0", "f655b54c1c587ebf4312989497fd01048213bceaf8ebd51c9dd10319c4c2cdf8"),
    ("float('inf')", "4b51b51e33c74ceaacb08983fed2e94412a7b961f3a26ee855c289ee8b999878"),
    ("float('nan')", "db71ad533db972bb63d0922d0c07867c4952e7c185dc1765598f8f5eda47e1a4"),
    ("'h\\u00e9\\udce9'", "7c4f588d37244e63041b7c8a79ad2fb49740abdddd28fe0e14707b857fa90fb2"),
    ("b'\\x00ab'", "5e649006a9c8227e81b562de9617a7489d7ab889956e91223fd75b3c9ad88f6e"),
    ("[]", "9a87cc3076dc0da4df27eb28fb2a51793333aff1d678ed34602edebbedf61d0e"),
    ("(1, 'a', None)", "8f49229e11b78fff6a386588452dbde9b0100e1d16f810ea3f0d693afd155642"),
    ("{'b': [1], 'a': (2,)}", "89ae082611f1b154dd0e37db2209d2e762259386ca1a39ac76488f0e7dd36ca3"),
    ("{3, 'x', 2.5}", "9b02eb086e62e8cf4ec482ce0019b543b7ffa2f4a8c71e5d93abb0afb3bdf546"),
    ("frozenset({1, (2,)})", "29d9c84ac7ba4c1410d82ed1cabcb656ba17ca2666281a265eeb0157ed043405"),
    ("Thing('a', {1: 2})", "197b8c6d508833090899e6f3a23bae2672d5cb722b2787d26ff5433a9aa5d377"),
    ("list(range(30))", "a028c28c2823a46bd29ca5e271dc759edcc41b90e54bbe69a1610f6064829e9e"),
    ("('ab',) * 30", "3dc998ded1e3e7525e941ac0fc7a9f39b484fa64aed602734ff0a0bb6cc82698"),
    ("[0.5, -0.0] * 15", "f4f98313f8842ca8206eb7a965fd48c9535997e0e9986df48d7b46da8450e9ef"),
    ("[True] * 30", "3aeea850beda412a73be980517649f4e619e44326e4305c3d2e0be2f8c43d742"),
    ("[1, 2.5] * 15", "c8af79be3fc92a2c84698d345738419646dc3e3344b0df497e43dd935dc57877"),
    ("np.arange(6, dtype='<i8').reshape(2, 3)", "f209d5e69129583666609df58294fdb9bad1c4509b4371fb78e9480f1b6c426f"),
    ("np.zeros(3, '<f4')", "c8ef049e16bd76ffe20cba5c17e4032b0536ce48984e943493b1044930dcd394"),
    ("np.array('2024-01-02', 'M8[D]')", "263fdd449834e5179bce7df99553b003fab94c4f85cf7d5de2e51902f867aeda"),
    ("((1, 'x'), {'k': [None, True]})", "1fe1444c09f14dfd2af2fc2f4b53cfb3c732f03461444ac2b0f78083893ebeb4"),
]


@pytest.mark.parametrize(("text", "known"), GOLDEN)
def test_what_was_recorded_before_is_compared_still(text: str, known: str) -> None:
    """These are in Journals of earlier versions: a change would refuse, or park, what is there."""
    assert digest(eval(text)) == known


LATER = [
    ("date(2024, 1, 2)", "86245094fd292935dc0f863b3eb68da0d57971dcee090674f7c31ef8cff6a51f"),
    ("datetime(2024, 1, 2, 3, 4, 5, 6)", "6676b7f856dd15ab7072fa3c030093e1411276dd7f9a2b1e5f1abd60586f0bd2"),
    ("datetime(2024, 1, 2, tzinfo=EAST)", "f902f5a8b7fda9643f53a344bb052fafb4bcc5779581b470e51160b0f77c5474"),
    ("time(1, 2, 3)", "ff611c413eff76799ddb7d06665b97321dc5f7b378331147d205b81587d0873a"),
    ("timedelta(1, 2, 3)", "8a8aec396ab3509a9bda218ae2d3d38d20bc9e972bf19a56ac8fc2f6e728f4db"),
    ("BERLIN", "f96724ef955029c20d48af5322c81f003eb9a6287dbb00203618bb5599d54904"),
    ("EAST", "e7b2342a095ed8a89802e9a19c4559126845eea5cc58156549ab305c54f864a0"),
    ("Decimal('-1.50')", "7f56dd3752efb0b02c65bebf9c0a8afd59e4bc092756428fe70f70b94f115ceb"),
    ("Decimal('NaN')", "53d0dea5451607138c9062227aac32f9d11e3df2c804b6c8dd212e7a0bee462d"),
    ("fractions.Fraction(1, 3)", "660d54a9208ffb9d17e6a8890d9c298962ccc5b4658c9b6a5c0d24b8ec816209"),
    ("uuid.UUID(int=7)", "681e99955b4393c83cb570cbe4cf0888a50c9e9131b42640a4606bc0701286d3"),
    ("Path('a/b')", "ead0bdf491f4e8b6950ae714ab26763503b7bf31f0e43e347e968a10b3a63be8"),
    ("PureWindowsPath('A')", "e884258e95d3d3a30c3c5bae78983a02f073d1a5229dd1264458daa37eac67f7"),
    ("Colour.GREEN", "01a339f330dee93d66b1231ebd5b942ee92c8e90c7fac2c9653f255deceab874"),
    ("Bits.A | Bits.B", "85326c36f6c6d1c7821c2782571b3df9317d2c943a94f27f9d02456c9215333e"),
    ("Level.LOW", "5edca8ad443a39f382eb3728333c5c1de62c506693bc8c00de81b0c5b6b3b2c7"),
    ("Point(1, 2)", "259657aa5b205a18cd23daec5999c53fe683e334f0ae75b846a5ec0ea68cf143"),
    ("Counter('aab')", "df02b2dd010cfaeb73a29036c4f4ad516306289e0df35e800abac692a995beab"),
    ("OrderedDict(a=1)", "cbaa4519bf47bfcf0ed7d74c010e06e1e1ead42736c65020d5fd75ad890db043"),
    ("defaultdict(int, a=1)", "fd05b5c125d701ade843d1e0b194a0264eccf6fd9228666ad9b23f0be5ad0090"),
    ("deque([1])", "265cc71d8ea0a161aafa85e8a1f83777ee3c41f3240d8929be3a6ca00af87386"),
    ("range(2, 9, 3)", "7ff94706f2595b56c187d7f96b5f6c0cc95684999bc8cbaa82540e72ba6b546f"),
    ("slice(1, None)", "8f47465c831f8f5d9bd4617f66d1a9148dfda69d8fd1eb1df972a611fae4a31a"),
    ("1 - 2j", "e766b6826aedcd680cd955d570b7f07f77198dbce1a648c4a4bb68bd75df8f5e"),
    ("bytearray(b'a')", "7f2303e50718d4f6722f8b530805939c044f2186e7f1784c1e2abc13a7a50a96"),
    ("re.compile('a+', re.IGNORECASE)", "c65e602c8b4ad3b1dd7d14379975f0d158dbca0035c0c9a297dd0bfa2489b975"),
    ("ipaddress.ip_network('10.0.0.0/8')", "e041ebbbea240e5dfb1f873c475fc5cc72439fe7247f65ba121dd45cd02ffc39"),
    ("SimpleNamespace(a=1)", "cde650d54bcfe35de9bcfe2138dc988110321aa5e2509d23bc7cfcaa5e35947a"),
    ("Model(when=date(2024, 1, 1))", "dab45af007a43148453bd98eb63ea91d7d026905282cb9363bd8308e5d281124"),
    ("Fields(1)", "6d89018e1ccf76f755eaf5f2728394b72d669b0e7514e1bbf8ffcfbbb11892a1"),
    ("Row(date(2024, 1, 1))", "f14516cbe3b6daef231531ba03d2988e0c7047cfb43115c94b91c74040f7ab2d"),
    ("np.float64(0.5)", "c96c46ddf562ae040a683c36088edf2ca8476283c76997eac36589982814635b"),
    ("np.int32(7)", "52e34724233593a561bf07721a7c70990caa657acbe934c69e608c8f94530d3f"),
    ("np.datetime64('2024-01-02')", "09e44c444bc60b99f989f0b2fdc966ad2377d7331b5c9b330dbb6bdfbd918988"),
    ("np.dtype('<f4')", "9235f5ed8f08daba7382a0671bd23e6a72befe732c66bf36211f0adece0770a9"),
    ("np.array([1, 'a'], dtype=object)", "e8f6d26595a905bee1ab50eedd859aa40d6fc58862cbfb81e292c84cf953ea31"),
    ("array.array('i', [1])", "d05b7527810a0a4e18c80435cd3b8feb3e0db1f329a560a3b07d9efe66cc293a"),
    ("int", "6d15edf61849151b8eb2b78a86fbcc6dd1b955b9645cbd0c7ef9d6b447993472"),
    ("step", "330a1449eed8f616a3093ad41594ed64597685dbc6ca73fefcb505ea669d2b56"),
    ("Name('a')", "05cae71a925cf8b004da4a212536d9ce6257bc66542e8e296e6492e51af05bb7"),
]


@pytest.mark.parametrize(("text", "known"), LATER)
def test_what_came_later_does_not_change_either(text: str, known: str) -> None:
    assert digest(eval(text)) == known


EQUAL = [
    ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    ({"x", "y", "z"}, {"z", "y", "x"}),
    (Thing("a", {1: 2}), Thing("a", {1: 2})),
    (np.arange(6).reshape(2, 3), np.asfortranarray(np.arange(6).reshape(2, 3))),
    (0.0, -0.0),
    ([0.0] * 100, [-0.0] * 100),
    (float("nan"), float("nan")),
    (["ab"] * 100, ["ab" for _ in range(100)]),
    (frozenset({(1, "a")}), frozenset({(1, "a")})),
    (complex(0.0, -0.0), complex(-0.0, 0.0)),
    (range(0, 3, 2), range(0, 4, 2)),
    (range(0), range(5, 5)),
    (Decimal("1.0"), Decimal("1.000")),
    (Decimal("1E+2"), Decimal(100)),
    (Decimal("-0"), Decimal("0.0")),
    (datetime(2024, 1, 1, 12, tzinfo=UTC), datetime(2024, 1, 1, 13, tzinfo=EAST)),
    (datetime(2024, 1, 1, 12, tzinfo=UTC), datetime(2024, 1, 1, 13, tzinfo=BERLIN)),
    (time(12, tzinfo=UTC), time(13, tzinfo=EAST)),
    (timedelta(hours=1), timedelta(minutes=60)),
    (UTC, timezone(timedelta(0))),
    (Counter(a=1, b=0), Counter(a=1)),
    (Counter("ab"), Counter("ba")),
    (defaultdict(int, a=1), defaultdict(int, a=1)),
    (deque([1, 2], maxlen=3), deque([1, 2])),
    (Colour.RED, Colour.ROUGE),
    (PureWindowsPath("A/b"), PureWindowsPath("a/B")),
    (Path("a//b"), Path("a/b")),
    (fractions.Fraction(2, 4), fractions.Fraction(1, 2)),
    (Model(when=date(2024, 1, 1), tags={"a", "b"}), Model(when=date(2024, 1, 1), tags={"b", "a"})),
    (Fields(1, "A", note=1), Fields(1, "a", note=object())),
    (Guarded(1), Guarded(1)),
    (np.float64(0.0), np.float64(-0.0)),
    (np.array([1, "a", None], dtype=object), np.array([1, "a", None], dtype=object)),
    (Table(a=1, b=2), Table(b=2, a=1)),
    (bytearray(b"ab"), bytearray(b"ab")),
]


@pytest.mark.parametrize(("one", "other"), EQUAL)
def test_equal_values_have_equal_digests(one: Any, other: Any) -> None:
    assert digest(one) == digest(other) != ""


DIFFERENT = [
    None, True, False, 0, 1, -1, 16, 1.0, "1", b"1", "", b"", [], (), {}, set(), [[]], [1, 2], (1, 2),
    [[1], 2], [1, [2]], ["a", "bc"], ["ab", "c"], {1: 2}, {2: 1}, {1, 2}, Thing("a", 1), Thing("a", 2),
    list(range(50)), tuple(range(50)), [*range(49), 48], [0.5] * 50, np.zeros(3), np.zeros((3, 1)), np.zeros(3, "f4"),
    [True] * 30, [1] * 30, float("nan"), float("inf"), 1 + 0j, 1j, Ellipsis, NotImplemented,
    date(2024, 1, 1), date(2024, 1, 2), "2024-01-01", datetime(2024, 1, 1), datetime(2024, 1, 1, microsecond=1),
    datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 1, tzinfo=EAST), datetime.min, datetime.max,
    datetime.min.replace(tzinfo=EAST), datetime.max.replace(tzinfo=timezone(-timedelta(hours=1))), Day(2024, 1, 1),
    time(0), time(1), time(0, tzinfo=UTC), time(0, tzinfo=EAST), timedelta(1), timedelta(seconds=1),
    timedelta(microseconds=1), timedelta(-1), UTC, EAST, BERLIN, zoneinfo.ZoneInfo("Europe/Paris"),
    Decimal(1), Decimal("0.1"), Decimal("NaN"), Decimal("inf"), Decimal("-inf"), Decimal(10), Decimal(0),
    fractions.Fraction(1), fractions.Fraction(1, 2), uuid.UUID(int=1), uuid.UUID(int=2), str(uuid.UUID(int=1)),
    Path("a"), PurePosixPath("a"), PureWindowsPath("a"), Path("b"), Path("/a"), Path("a") / "b",
    Colour.RED, Colour.GREEN, Level.LOW, Word.LOW, "low", Bits.A, Bits.B, Bits.A | Bits.B, Bits(0),
    Point(1, 2), Typed(1, 2), Counter(a=1), {"a": 1}, Counter(a=2), Counter(), defaultdict(int), OrderedDict(),
    OrderedDict(a=1, b=2), OrderedDict(b=2, a=1), UserDict(a=1), deque(), deque([1]), range(3), range(1, 3),
    range(0, 3, 2), [0, 1, 2], slice(1), slice(0, 1), slice(None, 1, 2), bytearray(b"1"), memoryview(b"1"),
    array.array("i", [1]), array.array("d", [1.0]), re.compile("a"), re.compile("a", re.IGNORECASE), re.compile(b"a"),
    ipaddress.ip_address("10.0.0.1"), ipaddress.ip_network("10.0.0.1/32"), ipaddress.ip_interface("10.0.0.1/32"),
    ipaddress.ip_address("::1"), SimpleNamespace(a=1), Name("1"), Table(a=1), urlsplit("http://a/b"),
    Model(when=date(2024, 1, 1)), Model(when=date(2024, 1, 2)), Open(a=1), Open(a=2), Fields(1), Fields(2),
    Fields(1, "b"), Row(date(2024, 1, 1)), Row(date(2024, 1, 2)), Guarded(1), Guarded(2),
    np.int64(1), np.int32(1), np.float64(1), np.float32(1), np.bool_(True), np.str_("1"), np.bytes_(b"1"),
    np.complex128(1), np.datetime64("2024-01-01"), np.datetime64("2024-01-02"), np.datetime64("2024-01-01", "h"),
    np.datetime64("NaT"), np.timedelta64(1, "s"), np.longdouble(1), np.dtype("f4"), np.dtype("f8"), np.float32,
    np.array([1, "a"], dtype=object), np.array([1, "b"], dtype=object), int, str, len, sorted, dataclass, step,
]  # fmt: skip


def test_different_values_have_different_digests() -> None:
    seen: dict[str, list[Any]] = {}
    for value in DIFFERENT:
        seen.setdefault(digest(value), []).append(value)
    assert not seen.get("")
    assert [values for values in seen.values() if len(values) > 1] == []


def pool() -> Any:
    return threading.Lock()


def cycle() -> Any:
    value: list[Any] = [1]
    value.append(value)
    return value


def deep() -> Any:
    value: list[Any] = []
    for _ in range(200):
        value = [value]
    return value


def tagged() -> Any:
    value = Tagged("a")
    value.tag = "b"
    return value


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (pool(), "x is a lock"),
        ([1, {"a": (pool(),)}], "x[1]['a'][0] is a lock"),
        ({pool(): 1}, "x[a key] is a lock"),
        (Thing("a", pool()), "x.parts is a lock"),
        ([SimpleNamespace(pool=pool())], "x[0].pool is a lock"),
        (lambda: 0, "x is a function"),
        ([object()], "x[0] is an object"),
        (Caseless("a"), "x is a Caseless"),
        (tagged(), "x is a Tagged"),
        (datetime(2024, 1, 1, tzinfo=Shifting()), "x is a datetime"),
        (cycle(), "x is a list that holds itself, or is more than 100 deep"),
    ],
)
def test_what_has_no_digest_is_named(value: Any, why: str) -> None:
    assert digest(value) == ""
    assert why_not(value, "x") == why


def test_what_is_too_deep_has_none() -> None:
    assert digest(deep()) == ""
    assert why_not(deep(), "x").endswith("is a list that holds itself, or is more than 100 deep")


def test_digests_don_t_hang_on_the_process() -> None:
    code = (
        "import pathlib, decimal, enum\nfrom weftrun.sdk.canonical import digest\n"
        "C = enum.Enum('C', 'A B')\n"
        "paths = {pathlib.Path('a'), decimal.Decimal(1)}\n"
        "print(digest([{'b', 'a', 'c'}, {'x': 1, 'y': {2.5, None}}, {C.A, C.B}, paths]))"
    )
    seen = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(seen) == 1
    assert seen != {b"\n"}
