"""Which free Runs this engine may go on with by itself: those whose code it serves. Others are left alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from weftrun.model.errors import WeftrunError
from weftrun.model.ids import RunUid
from weftrun.model.records import Row, Started
from weftrun.ports.code import Code
from weftrun.ports.journal import Journal, RunInfo
from weftrun.runtime.committer import Committer


class Serving:
    """Looks at what Runs were begun with. On the loop.

    Attributes:
        others: free Runs that were seen and are begun with code that is not served here.
    """

    def __init__(self, journal: Journal, committer: Committer, code: Code) -> None:
        self.others: set[RunUid] = set()
        self._journal = journal
        self._committer = committer
        self._code = code
        self._looked_at: set[RunUid] = set()

    def serves(self, first: Row) -> bool:
        """Say whether the Run with this first row is served here."""
        started = first.records[0]
        assert isinstance(started, Started)
        return self._code.serves_all or self._code.serves(started)

    def adoptable(self, infos: Sequence[RunInfo], room: int, adopt: Callable[[Sequence[RunInfo]], None]) -> None:
        """Hand on those of all free Runs that are served, at most so many; what they began with is read once."""
        if self._code.serves_all:
            adopt(infos[:room])
            return
        self.others &= {info.uid for info in infos}
        unknown = [info for info in infos if info.uid not in self.others and info.uid not in self._looked_at][:room]
        if unknown:
            self._looked_at.update(info.uid for info in unknown)
            self.ask(unknown, adopt, lambda _: None, lambda _: None)  # what failed, the next look asks again

    def ask(
        self,
        infos: Sequence[RunInfo],
        served: Callable[[Sequence[RunInfo]], None],
        left: Callable[[Sequence[RunInfo]], None],
        failed: Callable[[WeftrunError], None],
    ) -> None:
        """Tell Runs that are served from those that are left to others; or why nobody can."""
        if self._code.serves_all:
            served(infos)
            return

        def read() -> list[Row]:
            return [row for info in infos for row in self._journal.load(info.uid)[:1]]

        def found(rows: list[Row]) -> None:
            self._looked_at.difference_update(info.uid for info in infos)
            mine = {row.uid for row in rows if self.serves(row)}
            others = [info for info in infos if info.uid not in mine]
            self.others.update(info.uid for info in others)
            left(others)
            served([info for info in infos if info.uid in mine])

        def unread(error: WeftrunError) -> None:
            self._looked_at.difference_update(info.uid for info in infos)
            failed(error)

        self._committer.read(read, found, unread)
