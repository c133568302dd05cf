"""How an error of the author's is made again where it is caught: from what it held, without its `__init__`.

Pickle makes an error by calling its class with `args`. That fails, formats a text twice or has an effect twice, as soon
as `__init__` takes something else than what it hands to `super().__init__`. So an error whose class has an `__init__`,
a `__new__` or `__slots__` of its own, and no word on how it is pickled, is made by its built-in base, and gets the
arguments, attributes and slots that it had. An error that says how it is pickled is pickled like that, where that can
be carried out.

The Journal holds pickles that name `bare` and `restore`: they stay where they are, and take what they take.
"""

from __future__ import annotations

import copyreg
from collections.abc import Callable, Iterator, Mapping
from types import BuiltinMethodType, MemberDescriptorType, MethodDescriptorType, WrapperDescriptorType
from typing import Any, Final

from weftrun.model.errors import NotSerializable, StepFailed
from weftrun.model.telling import asked, bounded, name_of, short_name_of, text_of, writable
from weftrun.sdk.codec import decode, encode
from weftrun.sdk.inspection import preview
from weftrun.sdk.reducers import learn, reducers_in_use

_BUILT_IN: Final = (BuiltinMethodType, MethodDescriptorType, WrapperDescriptorType)
_PICKLING: Final = ("__reduce_ex__", "__reduce__", "__setstate__")
_PART_SHOWN_BYTES: Final = 200
_UNSET: Final = object()

# As the interpreter keeps them: a class, or its metaclass, may have something else of the same name.
_bases_of: Callable[[type], tuple[type, ...]] = type.__dict__["__mro__"].__get__
_base_of: Callable[[type], type] = type.__dict__["__base__"].__get__
_names_in: Callable[[type], Mapping[str, Any]] = type.__dict__["__dict__"].__get__
_args_of: Callable[[BaseException], tuple[Any, ...]] = BaseException.__dict__["args"].__get__
_set_args: Callable[[BaseException, tuple[Any, ...]], None] = BaseException.__dict__["args"].__set__
_attributes_of: Callable[[BaseException], dict[str, Any]] = BaseException.__dict__["__dict__"].__get__
_message_of: Callable[[BaseException], str] = BaseExceptionGroup.__dict__["message"].__get__
_members_of: Callable[[BaseException], tuple[BaseException, ...]] = BaseExceptionGroup.__dict__["exceptions"].__get__


# ---------------------------------------------------------------------- making one again


def bare(kind: type, args: tuple[Any, ...], made_of: tuple[Any, ...] | None = None) -> BaseException:
    """Return a new error of a class, made by its nearest built-in base. Called by pickle.

    Args:
        args: what its `args` are to be.
        made_of: what the built-in base takes, where that isn't `args`: message and members of a group.
    """
    base = _built_in_base_of(kind)
    given = args if made_of is None else made_of
    error: BaseException = _names_in(base)["__new__"](kind, *given)
    asked(lambda: _names_in(base)["__init__"](error, *given), None)  # an OSError's number and file are set there
    _set_args(error, args)
    _learn(kind)
    return error


def restore(error: BaseException, state: tuple[dict[str, Any], dict[str, Any]]) -> None:
    """Give an error the attributes and slots that it had, past its own `__setattr__`. Called by pickle."""
    attributes, slots = state
    _attributes_of(error).update(attributes)
    for name, member in _slots_of(type(error)):
        if name in slots:
            asked(lambda: member.__set__(error, slots[name]), None)  # noqa: B023  # it is called at once


def _built_in_base_of(kind: type) -> type:
    """Return the class that memory for an error of this class is made by."""
    while not isinstance(_names_in(kind).get("__new__"), BuiltinMethodType) or "__init__" not in _names_in(kind):
        kind = _base_of(kind)
    return kind


def _slots_of(kind: type) -> Iterator[tuple[str, MemberDescriptorType]]:
    """Yield what errors of a class hold beside their attributes: slots, and the fields of built-in classes."""
    seen: set[str] = set()
    for base in _bases_of(kind):
        if base in (BaseException, BaseExceptionGroup, object):
            continue
        for name, member in list(_names_in(base).items()):
            # What an AttributeError was looked for in may be anything, and the interpreter leaves it out, too.
            if type(member) is MemberDescriptorType and name not in seen and (base, name) != (AttributeError, "obj"):
                seen.add(name)
                yield name, member


def _is_of_author(kind: type, name: str) -> bool:
    """Say whether a method is written in Python, not the interpreter's own."""
    found = next((_names_in(base)[name] for base in _bases_of(kind) if name in _names_in(base)), None)
    return found is not None and type(found) not in _BUILT_IN


def _is_made_bare(kind: type) -> bool:
    """Say whether errors of a class are made again without its `__init__`, which nobody has said how to call."""
    if kind in copyreg.dispatch_table or any(_is_of_author(kind, name) for name in _PICKLING):
        return False
    if _is_of_author(kind, "__init__") or _is_of_author(kind, "__new__"):
        return True
    return any("__slots__" in _names_in(base) for base in _bases_of(kind))


def _learn(kind: type) -> None:
    """Let errors of a class that are handed on as values be made again in the same way."""
    if "<locals>" not in short_name_of(kind):
        learn(kind, _reduced_bare if _is_made_bare(kind) else _reduced_as_can_be)


# ---------------------------------------------------------------------- taking one apart


def _held(error: BaseException) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the attributes and slots of an error."""
    slots = {}
    for name, member in _slots_of(type(error)):
        value: object = asked(lambda: member.__get__(error), _UNSET)  # noqa: B023  # it is called at once
        # None in a field of a built-in class may mean that it was never set.
        if value is not _UNSET and (value is not None or "__slots__" in _names_in(member.__objclass__)):
            slots[name] = value
    return dict(_attributes_of(error)), slots


def _reduced_bare(error: BaseException) -> tuple[Any, ...]:
    """Return how an error is made again without its `__init__`, as pickle wants it."""
    kind = type(error)
    _learn(kind)
    if issubclass(kind, BaseExceptionGroup):
        making: tuple[Any, ...] = (kind, _args_of(error), (_message_of(error), _members_of(error)))
    else:
        making = (kind, _args_of(error))
    return bare, making, _held(error), None, None, restore


def _reduced_as_can_be(error: BaseException) -> tuple[Any, ...]:
    return Reducers(careful=True).reduce(error)


class Reducers(Mapping[type, Callable[[Any], Any]]):
    """A dispatch table for pickle that holds for every class of errors, and for what needs a reducer of ours anyway.

    A careful one tries each part of an error that has none that works as a whole: what can't be carried is left out of
    its attributes, and told in its arguments; a note says so.
    """

    def __init__(self, *, careful: bool) -> None:
        """Begin with no error."""
        self._careful = careful
        self._others: Mapping[type, Callable[[Any], Any]] = reducers_in_use() or copyreg.dispatch_table
        self._reduced: dict[int, tuple[BaseException, tuple[Any, ...]]] = {}
        self._open: set[int] = set()

    def __getitem__(self, kind: type) -> Callable[[Any], Any]:
        if BaseException in _bases_of(kind):
            return self.reduce
        return self._others[kind]

    def __iter__(self) -> Iterator[type]:
        return iter(self._others)

    def __len__(self) -> int:
        return len(self._others)

    def reduce(self, error: BaseException) -> tuple[Any, ...]:
        """Return how an error is pickled: a callable, what it takes, and what follows."""
        if not self._careful:
            return _reduced_bare(error) if _is_made_bare(type(error)) else self._reduced_by_itself(error)
        if id(error) in self._open:
            raise NotSerializable("It leads back to an error that holds it.")
        if id(error) not in self._reduced:
            self._open.add(id(error))
            try:
                self._reduced[id(error)] = error, self._reduced_with_care(error)
            finally:
                self._open.discard(id(error))
        return self._reduced[id(error)][1]

    def _reduced_by_itself(self, error: BaseException) -> tuple[Any, ...]:
        reducer = copyreg.dispatch_table.get(type(error))
        reduced: Any = reducer(error) if reducer is not None else error.__reduce_ex__(5)
        if type(reduced) is not tuple:
            raise NotSerializable("The error is pickled in a way of its own.")
        return reduced

    def _reduced_with_care(self, error: BaseException) -> tuple[Any, ...]:
        if not _is_made_bare(type(error)):
            reduced: Any = asked(lambda: self._reduced_by_itself(error), None)
            made = asked(lambda: decode(encode(Reduced(reduced), what="the error", reducers=self).tobytes()), None)
            if type(made) is type(error):
                return reduced  # type: ignore[no-any-return]
        make, making, state, *rest = _reduced_bare(error)
        notes: list[str] = []
        kind, args, *group = making
        args = tuple(self._told(part, f"argument {place}", notes) for place, part in enumerate(args, 1))
        if group:
            group = [(group[0][0], tuple(self._member(member) for member in group[0][1]))]
        attributes, slots = (self._kept(part, notes) for part in state)
        if notes:
            before = attributes.get("__notes__")
            text = f"without {', '.join(notes)}, which can't be pickled and rebuilt"
            attributes["__notes__"] = [*(before if type(before) is list else ()), text]
        return make, (kind, args, *group), (attributes, slots), *rest

    def _passes(self, part: object) -> bool:
        """Say whether a part can be carried: pickled, and read again."""

        def there_and_back() -> bool:
            decode(encode(part, what="a part of the error", reducers=self).tobytes())
            return True

        return asked(there_and_back, False)

    def _told(self, part: object, what: str, notes: list[str]) -> object:
        if type(part) in (list, tuple) and not self._passes(part):  # the members of a group, say
            return [self._told(one, what, notes) for one in part]  # type: ignore[attr-defined]
        if self._passes(part):
            return part
        if isinstance(part, BaseException):
            return _stand_in(part)
        notes.append(f"{what} ({_kind_of(part)})")
        return preview(part, _PART_SHOWN_BYTES)

    def _member(self, member: BaseException) -> BaseException:
        return member if self._passes(member) else _stand_in(member)

    def _kept(self, parts: dict[str, Any], notes: list[str]) -> dict[str, Any]:
        kept = {name: part for name, part in parts.items() if self._passes((name, part))}
        notes.extend(f"attribute {writable(str(name))} ({_kind_of(parts[name])})" for name in parts if name not in kept)
        return kept


class Reduced:
    """Pickles as what a reducer has returned for something else."""

    def __init__(self, reduced: tuple[Any, ...]) -> None:
        """Take what the reducer has returned."""
        self._reduced = reduced

    def __reduce__(self) -> tuple[Any, ...]:
        return self._reduced


def reduced_parts(reduced: tuple[Any, ...]) -> tuple[Any, Any, tuple[dict[str, Any], ...], tuple[Any, ...]]:
    """Return what makes an error, what it takes, the mappings of its state, and what else its reducer has returned.

    Raises:
        NotSerializable: its state is of a form that only its own class knows.
    """
    make, args, *rest = reduced
    if len(rest) > 2 and rest[-1] is restore:
        return make, args, rest[0], tuple(rest[1:])
    if not rest or rest == [None]:
        return make, args, (), ()
    if len(rest) > 1 or type(rest[0]) is not dict:
        raise NotSerializable("The error is pickled in a way of its own.")
    return make, args, (rest[0],), ()


def _stand_in(error: BaseException) -> StepFailed:
    return StepFailed(bounded(f"{name_of(type(error))}: {text_of(error)}", _PART_SHOWN_BYTES))


def _kind_of(part: object) -> str:
    return name_of(type(part))
