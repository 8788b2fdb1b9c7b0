"""When a transfer counts as stalled, and when a peer has talked too much.

Pure: told how many bytes came and how long they were waited for.  Only waiting counts, so a process that was stopped or
short of processor time does not take its own slowness for the server's.
"""

from __future__ import annotations


class Stalled(TimeoutError):
    """Too few bytes for too long (a TimeoutError, because that is what the layers between us and the socket expect)."""


class TooMuch(OSError):
    """More bytes than any honest answer would have."""


class Pace:
    """One transfer: at least `window * low_speed` bytes must come in every `window` seconds of waiting.

    So S bytes take at most `(S / (window * low_speed) + 1) * 2 * window` seconds of waiting, however they drip.
    `cap` is the number of bytes, headers and framing included, after which the peer is cut off.
    """

    def __init__(self, window: float, low_speed: int, cap: int) -> None:
        self.window = window
        self.cap = cap
        self.total = 0
        self.trouble = ""
        self._low_speed = low_speed
        self._enough = max(1.0, window * low_speed)
        self._waited = 0.0
        self._got = 0

    def patience(self) -> float:
        """Seconds to wait for the next byte."""
        return max(0.001, self.window - self._waited)

    def count(self, size: int, waited: float) -> None:
        """`size` bytes came after `waited` seconds; Stalled or TooMuch where that is not acceptable."""
        self.total += size
        self._got += size
        self._waited += waited
        if self.total > self.cap:
            self.trouble = "sends more than it should"
            raise TooMuch(self.trouble)
        if self._got >= self._enough:
            self._got, self._waited = 0, 0.0
        elif self._waited >= self.window:
            self.stall()

    def stall(self) -> None:
        """Nothing came within `patience()` seconds; always raises Stalled."""
        self.trouble = f"sent nothing for {self.window:g} s"
        if self._got:
            self.trouble = f"stalled: under {self._low_speed} bytes a second for {self.window:g} s"
        raise Stalled(self.trouble)
