"""The encoding of an error, with what it was raised from: bounded in links and bytes, and safe against its own code.

An error alone is its pickle (`sdk.rebuilding` says how it is made again). One with a cause, a context, or members of a
group that have such, is a list of links, each pickled by itself, so that one that can't be pickled, or rebuilt, is told
by a stand-in and takes no other with it. What is too large loses text, not its type.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeGuard, TypeVar

from weftrun.model.errors import NotSerializable, StepFailed
from weftrun.model.telling import asked, bounded, name_of, short_name_of, text_of
from weftrun.sdk.codec import decode, encode
from weftrun.sdk.inspection import preview
from weftrun.sdk.rebuilding import Reduced, Reducers, reduced_parts

if TYPE_CHECKING:
    from types import TracebackType

E = TypeVar("E", bound=BaseException)

LINKS_MAX: Final = 32
"""Causes, contexts and members of groups that are kept of one error, nearest first."""

_LINK_BYTES: Final = 1_024
_LINK_BYTES_MIN: Final = 256
_STAND_IN_BYTES_MAX: Final = 1_000
_SHORTER: Final = ((2, 64), (4, 32), (16, 16), (64, 8), (256, 4))
"""What share of the room a part of an error may have, and how many parts a container, in turn until the error fits."""
_GROUPS: Final = ("ExceptionGroup", "BaseExceptionGroup")
_DEPTH_MAX: Final = 4

# As the interpreter keeps them: a class may have a property of the same name.
cause_of: Callable[[BaseException], BaseException | None] = BaseException.__dict__["__cause__"].__get__
context_of: Callable[[BaseException], BaseException | None] = BaseException.__dict__["__context__"].__get__
is_suppressed: Callable[[BaseException], bool] = BaseException.__dict__["__suppress_context__"].__get__
trace_of: Callable[[BaseException], TracebackType | None] = BaseException.__dict__["__traceback__"].__get__
_members_of: Callable[[BaseException], Sequence[BaseException]] = BaseExceptionGroup.__dict__["exceptions"].__get__
_set_cause: Callable[[BaseException, BaseException | None], None] = BaseException.__dict__["__cause__"].__set__
_set_context: Callable[[BaseException, BaseException | None], None] = BaseException.__dict__["__context__"].__set__
_set_trace: Callable[[BaseException, TracebackType | None], None] = BaseException.__dict__["__traceback__"].__set__
_set_suppressed: Callable[[BaseException, bool], None] = BaseException.__dict__["__suppress_context__"].__set__


class Link(NamedTuple):
    """One error of a chain, as it travels.

    Attributes:
        data: the error's encoding; None where it has none, or comes as a member of its group.
        name, text: what tells it where it can't be rebuilt; empty where it can.
        suppressed: its `__suppress_context__`.
        cause, context, members: places in the chain; -1 where there is none.
    """

    data: bytes | None
    name: str
    text: str
    suppressed: bool
    cause: int
    context: int
    members: tuple[int, ...]


class _Found(NamedTuple):
    error: BaseException
    cause: int
    context: int
    members: tuple[int, ...]


def _found(error: BaseException) -> list[_Found]:
    """Return an error and what hangs on it, breadth first, as far as the chain may go."""
    errors, places, found = [error], {id(error): 0}, []

    def place(one: BaseException | None) -> int:
        if one is None:
            return -1
        if id(one) not in places and len(errors) < LINKS_MAX:
            places[id(one)] = len(errors)
            errors.append(one)
        return places.get(id(one), -1)

    for one in errors:
        cause, context = place(cause_of(one)), place(context_of(one))
        inner = _members_of(one) if issubclass(type(one), BaseExceptionGroup) else ()
        found.append(_Found(one, cause, context, tuple(map(place, inner[:LINKS_MAX]))))
    return found


@contextmanager
def cut_short(error: BaseException) -> Iterator[None]:
    """Cut a long chain behind its first links for the time of the block: whoever prints it would walk it all."""
    last, seen = error, {id(error)}
    while (after := _shown_after(last)) is not None and id(after) not in seen and len(seen) <= LINKS_MAX:
        seen.add(id(after))
        last = after
    if len(seen) <= LINKS_MAX:
        yield
        return
    cause, context, suppressed = cause_of(last), context_of(last), is_suppressed(last)
    _set_cause(last, None)
    _set_context(last, None)
    try:
        yield
    finally:
        _set_cause(last, cause)
        _set_context(last, context)
        _set_suppressed(last, suppressed)


def _shown_after(error: BaseException) -> BaseException | None:
    """Return what a traceback tells of after an error."""
    cause = cause_of(error)
    return cause if cause is not None else context_of(error)


def take_traces(error: BaseException, original: BaseException) -> None:
    """Give a rebuilt error, and what hangs on it, the tracebacks of the original."""
    for ours, theirs in zip(_found(error), _found(original), strict=False):
        if type(ours.error) is type(theirs.error) or ours.error is error:
            _set_trace(ours.error, trace_of(theirs.error))


# ---------------------------------------------------------------------- packing


def pack(error: BaseException, bytes_max: int) -> tuple[bytes | None, str]:
    """Return the encoding of an error in at most about so many bytes, and why it can't be rebuilt, if it can't.

    There is no encoding where nothing of it, and of what it was raised from, can be rebuilt.

    What isn't an Exception (SystemExit, KeyboardInterrupt) is not rebuilt: it would end who asks, who has done nothing.
    """
    found = _found(error)
    alone = all(one.cause == one.context == -1 and not is_suppressed(one.error) for one in found)
    if alone:
        data, why = _packed_root(error, bytes_max)
        if data is not None or len(found) == 1:
            return data, why
    links, why = _links(found, bytes_max)
    if links[0].data is None and len(links) == 1:
        return None, why
    return encode(tuple(map(tuple, links)), what="the error").tobytes(), why


def _links(found: list[_Found], bytes_max: int) -> tuple[list[Link], str]:
    """Return the links of a chain, and why the first can't be rebuilt.

    The nearest ones have most of the room, and the last ones may be left out.
    """
    links: list[Link] = []
    why_first = ""
    inside: set[int] = set()
    left = bytes_max
    for place, (error, cause, context, members) in enumerate(found):
        if left < _LINK_BYTES_MIN:
            break
        data, name, text = None, "", ""
        if place not in inside:
            allowed = left - min(left // 4, _LINK_BYTES * (len(found) - place - 1))
            data, why = _packed(error, allowed) if place else _packed_root(error, allowed)
            why_first = why_first or ("" if place else why)
            if data is None:
                name, text = name_of(type(error)), bounded(_message(error), min(_STAND_IN_BYTES_MAX, allowed))
        if data is not None or place in inside:
            inside.update(members)
        links.append(Link(data, name, text, is_suppressed(error), cause, context, members))
        left -= len(data or b"") + len(name) + len(text) + 64
    return links, why_first


def is_of(error: object, kind: type[E]) -> TypeGuard[E]:
    """Say whether this is an error of a kind, by its type, whatever it says of its `__class__`."""
    return issubclass(type(error), kind)


def _message(error: BaseException) -> str:
    if is_of(error, BaseExceptionGroup):
        return asked(lambda: str.__str__(error.message), "")
    return text_of(error)


def _packed_root(error: BaseException, bytes_max: int) -> tuple[bytes | None, str]:
    if not is_of(error, Exception):
        return None, f"{short_name_of(type(error))} is no Exception, and would end whoever asks for the value"
    return _packed(error, bytes_max)


def _packed(error: BaseException, bytes_max: int) -> tuple[bytes | None, str]:
    """Return the encoding of one error if it comes back as the same type, shortened where it is too large.

    Where it doesn't, return why.
    """
    why = ""
    for careful in (False, True):
        try:
            return _packed_by(Reducers(careful=careful), error, bytes_max), ""
        except BaseException as failed:  # noqa: BLE001  # pickling runs the author's code, which may raise anything
            why = _why_of(failed)
    return None, why


def _packed_by(reducers: Reducers, error: BaseException, bytes_max: int) -> bytes:
    encoded = encode(error, what="the error", reducers=reducers)
    for share, parts_max in _SHORTER:
        if encoded.nbytes <= bytes_max:
            break
        shorter = _Shorter(reducers, bytes_max // share, parts_max)
        encoded = encode(shorter.error(error), what="the error", reducers=reducers)
    data = encoded.tobytes()
    if len(data) > bytes_max:
        raise NotSerializable(
            f"The shortest form of the error has {len(data):,} bytes; at most {bytes_max:,} are kept."
        )
    made = type(decode(data))
    if made is not type(error):
        raise NotSerializable(f"The error is pickled as {name_of(made)}.")
    return data


def _why_of(error: BaseException) -> str:
    text = text_of(error).rstrip(".")
    return text if type(error) is NotSerializable else f"{name_of(type(error))}: {text}"


class _Shorter(NamedTuple):
    """Cuts texts, and tells large parts by their previews."""

    reducers: Reducers
    bytes_max: int
    parts_max: int

    def error(self, error: BaseException) -> Reduced:
        """Return what pickles as an error of the same type with shorter parts."""
        make, args, states, rest = reduced_parts(self.reducers.reduce(error))
        state = tuple({name: self.part(value, 1) for name, value in held.items()} for held in states)
        return Reduced((make, self.part(args, 0), *(() if not state else (state, *rest) if rest else state)))

    def part(self, value: Any, depth: int) -> Any:
        """Return a part of an error, shortened where it is too large."""
        kind = type(value)
        if kind is str:
            return bounded(value, self.bytes_max)
        if kind is bytes or kind is bytearray:
            half = self.bytes_max // 2
            return value if len(value) <= self.bytes_max else value[:half] + value[-half:]
        if depth < _DEPTH_MAX:
            if kind is list or kind is tuple:
                return kind(self.part(one, depth + 1) for one in value[: self.parts_max])
            if kind is dict:
                return {key: self.part(one, depth + 1) for key, one in list(value.items())[: self.parts_max]}
        if issubclass(kind, type):
            return value
        if encode(value, what="a part of the error", reducers=self.reducers).nbytes <= self.bytes_max:
            return value
        if depth < _DEPTH_MAX and is_of(value, BaseException):
            return self.error(value)
        return preview(value, self.bytes_max)


# ---------------------------------------------------------------------- unpacking


def unpack(data: bytes, otherwise: Exception) -> Exception:
    """Return the error of an encoding with its chain; `otherwise` in its place, which says why, where it has none."""
    value, why = _decoded(data)
    if type(value) is not tuple:
        return value if is_of(value, Exception) else _with_reason(otherwise, why)
    links = [Link(*link) for link in value]
    errors: list[BaseException | None] = [None] * len(links)
    for place in reversed(range(len(links))):  # members lie behind their group
        errors[place], why = _rebuilt(links[place], errors)
    root = errors[0]
    if not is_of(root, Exception) or (links[0].data is None and links[0].name not in _GROUPS):
        errors[0] = root = _with_reason(otherwise, why)
    _find_members(links, errors)
    for link, error in zip(links, errors, strict=True):
        if error is not None:
            _set_cause(error, _at(errors, link.cause))
            _set_context(error, _at(errors, link.context))
            _set_suppressed(error, link.suppressed)
    return root


def _decoded(data: bytes) -> tuple[Any, str]:
    """Return the value of an encoding, or None and why it has none here."""
    try:
        return decode(data), ""
    except BaseException as error:  # noqa: BLE001  # the author's code runs here
        return None, _why_of(error)


def not_rebuilt(why: str) -> str:
    """Return the line by which a StepFailed says why it stands where an error of another type was raised."""
    return f"It comes as a StepFailed, because it can't be rebuilt: {why}."


def _with_reason(error: Exception, why: str) -> Exception:
    if why:
        error.args = (f"{text_of(error)}\n{not_rebuilt(why)}",)
    return error


def _rebuilt(link: Link, errors: Sequence[BaseException | None]) -> tuple[BaseException | None, str]:
    """Return the error of a link, its stand-in, or None for what its group brings along; and why it has none here."""
    if link.data is not None:
        error, why = _decoded(link.data)
        if is_of(error, BaseException):
            return error, ""
        return None, why
    if not link.name:
        return None, ""
    members = [error for error in (_at(errors, place) for place in link.members) if error is not None]
    if link.name in _GROUPS and members:
        return BaseExceptionGroup(link.text, members), ""
    return StepFailed(f"{link.name}: {link.text}"), ""


def _find_members(links: Sequence[Link], errors: list[BaseException | None]) -> None:
    """Take the members that a group brought along out of it, for what hangs on them."""
    for place, link in enumerate(links):
        group = errors[place]
        if link.members and is_of(group, BaseExceptionGroup):
            for member, error in zip(link.members, _members_of(group), strict=False):
                if 0 <= member < len(links) and links[member].data is None and not links[member].name:
                    errors[member] = error


def _at(errors: Sequence[BaseException | None], place: int) -> BaseException | None:
    return errors[place] if 0 <= place < len(errors) else None
