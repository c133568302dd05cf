"""A body in a thread of its own, so that it can wait for answers: of it and the simulation, one runs at a time."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

from weftrun.model.messages import Answer, FromSandbox
from weftrun.testing.sim.outside import Died


class Talk:
    """What a body says, and what it hears. Once it has begun, `end` must be called whatever comes."""

    def __init__(self) -> None:
        """Begin nothing yet."""
        self._said: queue.SimpleQueue[FromSandbox | None] = queue.SimpleQueue()
        self._heard: queue.SimpleQueue[Answer | None] = queue.SimpleQueue()
        self._result: object = None
        self._error: BaseException | None = None
        self._dead = False
        self._thread: threading.Thread | None = None

    def begin(self, body: Callable[[], object]) -> None:
        """Let a body run that speaks through `ask`, until it says something."""

        def run() -> None:
            try:
                self._result = body()
            except BaseException as error:  # noqa: BLE001  # the author's code runs here; `result` raises it again
                self._error = error
            self._said.put(None)

        self._thread = threading.Thread(target=run, name="a body of the simulation", daemon=True)
        self._thread.start()

    def ask(self, message: FromSandbox) -> Answer:
        """Say something and return the answer: for the body, which ends here where its Sandbox does."""
        answer = None
        if not self._dead:
            self._said.put(message)
            answer = self._heard.get()
        if answer is None:
            raise Died("its Sandbox has ended")
        return answer

    def listen(self) -> FromSandbox | None:
        """Wait until the body says something, and return that; None when it has ended."""
        return self._said.get()

    def answer(self, answer: Answer) -> None:
        """Give the body the answer that it waits for, and let it go on."""
        self._heard.put(answer)

    def result(self) -> object:
        """Return what the body that has ended returned, or raise what it raised."""
        if self._error is not None:
            raise self._error
        return self._result

    def end(self) -> None:
        """End the body wherever it waits. Idempotent."""
        self._dead = True
        if self._thread is not None and self._thread.is_alive():
            self._heard.put(None)
            self._thread.join()
