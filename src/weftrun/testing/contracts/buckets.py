"""The contract of the port Buckets."""

from __future__ import annotations

import threading
from decimal import Decimal

import pytest

from weftrun.model.selecting import Selection, selected
from weftrun.ports.buckets import ABSENT, Buckets, KeyChanged

KEYS = ("k", "a/b", "..", ".", "a b%2F?#", "ü\n", "'quoted'", "x" * 200)


LINES = (
    b"", b"\n", b"a 1\na\0 2\n", b"\na 2\n\nab 3.50\nab -7\nb x\nab +0.5 9",
    b"a 1.0\r\na 010\na\xff 1\n\xc3\xa4 2\na,1 2\na 1e3\na " + b"9" * 31 + b"\na 9999999999999.99\n\n",
)  # fmt: skip
"""Values, of which lines are chosen."""
SELECTIONS = (
    Selection(), Selection("a"), Selection("\u00e4", gives="count"), Selection(" ", 2), Selection("a", 2, gives="sum"),
    Selection(field=2, least=Decimal(-7), most=Decimal("3.5")), Selection(field=2, least=Decimal(2), gives="count"),
    Selection("a", 1, ",", gives="count"), Selection(field=3, separator="a", gives="sum"),
    Selection(field=2, gives="sum"),
)  # fmt: skip


class BucketsContract:
    """Subclasses give the fixture `buckets`: empty ones."""

    @pytest.fixture
    def buckets(self) -> Buckets:
        """Return buckets that have no key yet."""
        raise NotImplementedError

    def test_what_is_written_is_read(self, buckets: Buckets) -> None:
        """Bytes come back as they were, whole and in parts."""
        for content in (b"", b"v1 v2", bytes(range(256)) * 1_000):
            stat = buckets.write("b", "k", content)
            assert stat.nbytes == len(content)
            assert buckets.stat("b", "k") == stat
            found = buckets.read("b", "k")
            assert found is not None
            assert found[0] == stat
            assert bytes(found[1]) == content
            for offset, nbytes in ((0, 3), (2, -1), (1, 70_000), (len(content), 5), (len(content) + 9, -1)):
                part = buckets.read("b", "k", offset, nbytes)
                assert part is not None
                assert bytes(part[1]) == (content[offset:] if nbytes < 0 else content[offset : offset + nbytes])

    def test_what_is_not_there_is_told(self, buckets: Buckets) -> None:
        """Neither a key nor a bucket that nobody has written is there."""
        assert buckets.read("b", "k") is None
        assert buckets.stat("b", "k") is None
        assert not buckets.delete("b", "k")
        assert buckets.keys("b") == []

    def test_any_text_is_a_key(self, buckets: Buckets) -> None:
        """Keys are texts, not paths."""
        for key in KEYS:
            buckets.write("b", key, key.encode())
        assert buckets.keys("b") == sorted(KEYS)
        assert buckets.keys("b", "a") == sorted(key for key in KEYS if key.startswith("a"))
        assert [bytes((buckets.read("b", key) or (None, b""))[1]) for key in KEYS] == [key.encode() for key in KEYS]
        assert buckets.keys("other") == []

    @pytest.mark.parametrize("name", ["", "x" * 300])
    def test_a_name_that_can_not_be_one_is_refused(self, buckets: Buckets, name: str) -> None:
        """Names have a length."""
        with pytest.raises(ValueError, match="1 to 255"):
            buckets.write("b", name or "x" * 256, b"")
        with pytest.raises(ValueError, match="1 to 255"):
            buckets.write(name or "x" * 256, "k", b"")

    def test_a_key_is_removed(self, buckets: Buckets) -> None:
        """What was removed is not there."""
        buckets.write("b", "k", b"1")
        assert buckets.delete("b", "k")
        assert buckets.read("b", "k") is None

    def test_each_write_makes_a_version(self, buckets: Buckets) -> None:
        """Another write is another version, also of the same bytes."""
        assert len({buckets.write("b", "k", b"same").version for _ in range(5)}) == 5

    def test_a_guarded_write_finds_out_that_it_is_late(self, buckets: Buckets) -> None:
        """Who has read an older version writes nothing."""
        old = buckets.write("b", "k", b"1")
        new = buckets.write("b", "k", b"2", if_version=old.version)
        with pytest.raises(KeyChanged):
            buckets.write("b", "k", b"3", if_version=old.version)
        buckets.delete("b", "k")
        with pytest.raises(KeyChanged):
            buckets.write("b", "k", b"3", if_version=new.version)
        assert buckets.read("b", "k") is None

    def test_a_write_that_comes_again_does_nothing(self, buckets: Buckets) -> None:
        """A token is carried out once, whatever was written meanwhile, and also where its guard fails now."""
        seen = buckets.write("b", "k", b"0")
        buckets.write("b", "k", b"1", once="run/step#1", if_version=seen.version)
        buckets.write("b", "k", b"1", once="run/step#1", if_version=seen.version)
        buckets.write("b", "k", b"2")
        buckets.write("b", "k", b"1", once="run/step#1")
        found = buckets.read("b", "k")
        assert found is not None
        assert bytes(found[1]) == b"2"

    def test_readers_see_whole_values(self, buckets: Buckets) -> None:
        """A value is replaced at once."""
        size, ended = 300_000, threading.Event()
        buckets.write("b", "k", b"a" * size)

        def write() -> None:
            for letter in b"bcdefgh":
                buckets.write("b", "k", bytes([letter]) * size)
            ended.set()

        writer = threading.Thread(target=write)
        writer.start()
        while not ended.is_set():
            found = buckets.read("b", "k")
            assert found is not None
            assert len(found[1]) == size
            assert len(set(bytes(found[1]))) == 1
        writer.join()

    def test_a_key_is_made_once(self, buckets: Buckets) -> None:
        """A write may say that the key must not be there."""
        buckets.write("b", "k", b"1", if_version=ABSENT)
        with pytest.raises(KeyChanged):
            buckets.write("b", "k", b"2", if_version=ABSENT)
        buckets.delete("b", "k")
        buckets.write("b", "k", b"3", once="t", if_version=ABSENT)
        assert buckets.write("b", "k", b"3", once="t", if_version=ABSENT).nbytes == 1

    def test_a_selection_gives_what_choosing_of_all_of_it_does(self, buckets: Buckets) -> None:
        """Wherever the lines are chosen."""
        assert buckets.select("b", "gone", Selection()) is None
        for value in LINES:
            stat = buckets.write("b", "k", value)
            for selection in SELECTIONS:
                found = buckets.select("b", "k", selection)
                assert found is not None
                assert (found.stat, found.data) == (stat, selected(selection, value)), (value, selection)

    def test_of_two_writers_with_one_guard_one_writes(self, buckets: Buckets) -> None:
        """A guard is checked and the value replaced in one."""
        for _ in range(5):
            seen = buckets.write("b", "k", b"").version
            wins: list[int] = []

            def write(number: int, seen: str = seen, wins: list[int] = wins) -> None:
                try:
                    buckets.write("b", "k", str(number).encode(), if_version=seen)
                except KeyChanged:
                    return
                wins.append(number)

            threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            found = buckets.read("b", "k")
            assert found is not None
            assert [bytes(found[1])] == [str(number).encode() for number in wins]
