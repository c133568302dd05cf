"""An ItemBatch: items of a map, one after the other, their results told in ranges."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any, Final

from weftrun.guest.attempt import Callables, Forks, failure_from
from weftrun.guest.memory import memory_limit
from weftrun.guest.objects import Received, Speaker
from weftrun.guest.text import PageText
from weftrun.model.ids import item_step
from weftrun.model.messages import Fork, ItemBatch, ItemOutcomes
from weftrun.model.outcomes import Failure, Ran
from weftrun.model.values import Data
from weftrun.sdk import place
from weftrun.sdk.codec import decode_tree, encode, preview
from weftrun.wire.page import Page

_TELL_S: Final = 0.020
_TELL_BYTES: Final = 64 * 1024


class ItemCurrent(place.Current):
    """What runs now, for whichever item of a map is running: its id is made only when somebody asks."""
