"""Whose fault it is: the ways in which the world can be wrong. Each message is one sentence for a person.

They are raised where the fault is seen and caught once at the boundary. Our own faults have no class here:
they end the process, and the supervisor starts it again from the checkpoint.
"""

from collections.abc import Callable


class EdgeError(Exception):
    """The world's fault; its text says what is wrong, where, and what to do."""


class BadPayload(EdgeError):
    """A message that cannot be used. `reason` is the name of the counter it goes to.

    `detail` may be what makes the text once somebody asks for it: of most refusals nobody does.
    """

    def __init__(self, reason: str, detail: str | Callable[[], str]) -> None:
        super().__init__(detail)
        self.reason = reason
        self._detail = detail

    def __str__(self) -> str:
        if not isinstance(self._detail, str):
            self._detail = self._detail()
        return self._detail


class BadData(EdgeError):
    """A file of recordings that cannot be read; the text names file, line and column."""


class BadModel(EdgeError):
    """A model file that is broken, altered, or made for something else."""


class ModelFails(BadModel):
    """A model that passed every test, and does not do what it should with the rows of an asset."""

    def __init__(self, sha256: str, why: str) -> None:
        super().__init__(f"model {sha256[:12]}: {why}")
        self.sha256 = sha256


class BadState(EdgeError):
    """A checkpoint or outbox that cannot be read; it is set aside and the work goes on without it."""


class BadConfig(EdgeError):
    """Settings that cannot work; the text has one line for each problem, with its fix."""
