"""The strategy that an engine is opened with: a name with settings, or a `Strategy`."""

from __future__ import annotations

import os
from typing import Any, get_args

from msgspec.structs import replace

from weftrun.adapters.process.priorities import check_priorities
from weftrun.model.errors import UsageError
from weftrun.model.strategy import ADAPTIVE, MovingAverage, Oracle, Strategy, StrategyName

_TAKES = {
    "adaptive": ("shares",),
    "vanilla": ("window_s", "shares"),
    "sfs": ("window_s", "shares"),
    "kraken": ("window_s", "slo_s", "predictor", "shares"),
    "faasbatch": ("window_s", "how", "shares"),
}
_PREDICTORS: dict[str, Any] = {"average": MovingAverage, "oracle": Oracle}
_WORDS: dict[str, dict[str, Any]] = {
    "shares": {"yes": True, "no": False},
    "how": {"threads": "threads", "processes": "processes"},
}


def checked_strategy(given: str | Strategy | None, cluster: str | None = None) -> Strategy:
    """Return the strategy that is named by a text such as `kraken:slo_s=0.5,predictor=oracle`, ready for use.

    Raises:
        UsageError: there is none of that name, or a setting is none of its own; or it is asked for with a cluster.
        Unsupported: this process may not do what it takes.
    """
    if given is not None and not isinstance(given, str | Strategy):
        raise UsageError(f"strategy={given!r} is not known: it takes a name such as 'kraken:slo_s=0.5', or a Strategy.")
    strategy = given if isinstance(given, Strategy) else _read(given or "adaptive")
    _check(strategy)
    if cluster is not None and strategy != ADAPTIVE:
        raise UsageError("strategy= is for the engine's own Sandboxes: leave it or cluster= out.")
    if strategy.name == "sfs":
        check_priorities()
        return replace(strategy, processors=len(os.sched_getaffinity(0)))
    if strategy.name == "kraken" and strategy.predictor is None:
        return replace(strategy, predictor=MovingAverage())
    return strategy


def _read(text: str) -> Strategy:
    name, _, rest = text.partition(":")
    settings: dict[str, Any] = {}
    for setting in filter(None, rest.split(",")):
        key, _, value = setting.partition("=")
        if key not in _TAKES.get(name, (key,)):
            raise UsageError(f"strategy={text!r}: {name} has no setting {key!r}; it takes {', '.join(_TAKES[name])}.")
        settings[key] = _value(text, key, value)
    return Strategy(name=name, **settings)  # type: ignore[arg-type]


def _value(text: str, key: str, value: str) -> Any:
    words = {**_WORDS, "predictor": _PREDICTORS}.get(key)
    if words is not None:
        if value not in words:
            raise UsageError(f"strategy={text!r}: {key} is one of {', '.join(words)}, not {value!r}.")
        return words[value]() if key == "predictor" else words[value]
    try:
        return float(value)
    except ValueError:
        raise UsageError(f"strategy={text!r}: {key} is a number of seconds, not {value!r}.") from None


def _check(strategy: Strategy) -> None:
    if strategy.name not in get_args(StrategyName):
        raise UsageError(f"There is no strategy {strategy.name!r}; there are {', '.join(get_args(StrategyName))}.")
    if strategy.how not in _WORDS["how"] or type(strategy.shares) is not bool:
        raise UsageError(
            f"strategy={strategy.name}: how={strategy.how!r}, shares={strategy.shares!r}: it takes how='threads' or "
            "'processes', and shares=True or False."
        )
    if strategy.predictor is not None and not callable(getattr(strategy.predictor, "expect", None)):
        raise UsageError(f"strategy={strategy.name}: {strategy.predictor!r} has no method expect(function, came).")
    window_s = strategy.window_s
    if window_s is not None and not 0.001 <= window_s <= 60.0:
        raise UsageError(f"strategy={strategy.name}: window_s={window_s:g} is not from 0.001 to 60 seconds.")
    if not 0 < strategy.slo_s < 1e9:
        raise UsageError(f"strategy={strategy.name}: slo_s={strategy.slo_s:g} is not a positive number of seconds.")
