"""What is to be fetched, and with how much patience."""

import random
from collections.abc import Callable
from dataclasses import dataclass

Report = Callable[[int, int | None], None]


@dataclass(frozen=True)
class FileRequest:
    """A request for one file.

    Attributes:
        url: may hold a password or a token, which `public_address` removes.
        size_bytes: its size, or None where it is not published.
        max_bytes: the most that is written.
        has_published_hash: wrong bytes will be noticed; otherwise a part is continued only if the
            server promises the same version, and nothing is fetched unencrypted.
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
    """How many failures in a row to accept, how long to wait, and how slow is too slow.

    Attributes:
        attempts: in a row that bring no bytes.
        first_wait_s: before the second attempt; doubled each time.
        lowest_bytes_per_s: averaged over `slow_for_s`; a slower server is given up.
        slow_for_s: at least as long as a disk or a router takes to recover.
    """

    attempts: int = 6
    first_wait_s: float = 1.0
    lowest_bytes_per_s: float = 1000.0
    slow_for_s: float = 60.0

    def wait_s(self, failures: int) -> float:
        """Return a wait that doubles each time, varied by a half so that clients spread out."""
        return min(self.first_wait_s * 2.0 ** (failures - 1), 60) * random.uniform(0.5, 1.5)


class TransientError(Exception):
    """A failure that another attempt may overcome.

    Attributes:
        wait_s: how long the server asks us to wait.
        is_slow: the bytes that arrived do not justify more attempts.
    """

    def __init__(self, problem: str, *, wait_s: float = 0.0, is_slow: bool = False) -> None:
        super().__init__(problem)
        self.wait_s = wait_s
        self.is_slow = is_slow
