"""Numbers for what Sandboxes are made for: the machine of a Worker only compares them."""

from __future__ import annotations

from weftrun.model.policy import Bundle, FunctionSpec
from weftrun.ports.sandboxes import Profile


class Profiles:
    """Numbers what Sandboxes are made for."""

    def __init__(self) -> None:
        self._numbers: dict[Profile, int] = {}
        self._profiles: list[Profile] = []
        self._last: tuple[Bundle, FunctionSpec, int] | None = None

    def number(self, bundle: Bundle, function: FunctionSpec) -> int:
        """Return the number of the profile that a Function of a bundle needs."""
        last = self._last
        if last is not None and last[0] is bundle and last[1] is function:
            return last[2]
        profile = Profile(bundle, function.network, function.privileges)
        number = self._numbers.get(profile)
        if number is None:
            number = self._numbers[profile] = len(self._profiles)
            self._profiles.append(profile)
        self._last = (bundle, function, number)
        return number

    def profile(self, number: int) -> Profile:
        """Return a profile by its number."""
        return self._profiles[number]
