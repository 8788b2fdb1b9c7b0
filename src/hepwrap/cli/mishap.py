"""One line about an exception that nobody expected."""

from __future__ import annotations

import os


def describe(error: BaseException) -> str:
    """What it is and where it came from."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f" at {os.path.basename(trace.tb_frame.f_code.co_filename)}:{trace.tb_lineno}" if trace else ""
    return f"this is a mistake in hepwrap: {type(error).__name__}: {error}{place}; please report it"
