"""What is to be fetched, and with how much patience."""

import random
from collections.abc import Callable
from dataclasses import dataclass

Report = Callable[[int, int | None], None]


@dataclass(frozen=True)
class FileRequest:
    """A request for one file.

    Attributes:
        url: may hold a password or a token: `public_address` hides it.
        size_bytes: its size, or None where it is not published.
        max_bytes: no more than this is written.
        has_published_hash: wrong bytes will be noticed; otherwise a part is continued only if the
            server promises that it is of the same version, and nothing is taken over an open line.
        advice: what to do when the server refuses, as the end of a message.
        needs_login: a redirect means that the login is missing, and is not followed.
    """

    url: str
    size_bytes: int | None
    max_bytes: int
    has_published_hash: bool
    advice: str
    needs_login: bool = False


@dataclass(frozen=True)
class Patience:
    """How often to try without getting any further, how long to wait, and how slow is too slow.

    Attributes:
        attempts: in a row that bring nothing.
        first_wait_s: before the second; twice as long each time.
        lowest_bytes_per_s: on the mean of `slow_for_s`; a server that sends less is left.
        slow_for_s: no shorter than what a disk or a router takes to come back.
    """

    attempts: int = 6
    first_wait_s: float = 1.0
    lowest_bytes_per_s: float = 1000.0
    slow_for_s: float = 60.0

    def wait_s(self, failures: int) -> float:
        """Return twice as long each time, give or take a half: not all ask again at once."""
        return min(self.first_wait_s * 2.0 ** (failures - 1), 60) * random.uniform(0.5, 1.5)


class TransientError(Exception):
    """A failure that another try may mend.

    Attributes:
        wait_s: how long the server wants to be left alone.
        is_slow: what arrived is no reason to go on without end.
    """

    def __init__(self, problem: str, *, wait_s: float = 0.0, is_slow: bool = False) -> None:
        super().__init__(problem)
        self.wait_s = wait_s
        self.is_slow = is_slow
