"""The account of a launch: what it cost, as JSON for programs and as a few lines for people.

Owns the form.  Must not know where the numbers come from: it is handed plain values.
"""

from __future__ import annotations

from collections.abc import Mapping

VERSION = 1
_KIB = 1024.0


def size_text(count: float) -> str:
    """Bytes for people: 12.3 MiB."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < _KIB or unit == "GiB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= _KIB
    raise AssertionError("unreachable")


def as_json(account: Mapping[str, object]) -> str:
    """Versioned JSON, one object."""
    import json

    return json.dumps({"version": VERSION, **account}, indent=1, sort_keys=True, default=str) + "\n"


def as_text(account: Mapping[str, Mapping[str, float]]) -> str:
    """The lines of `--stats`, each with our prefix."""
    tracer, fetch, cache, questions = (account[name] for name in ("tracer", "fetch", "cache", "questions"))
    lines = [
        f"{account['time']['wall_seconds']:.2f} s in all; {tracer['stops']} tracer stops, {tracer['redirects']} calls "
        f"redirected, {tracer['upcalls']} questions, {tracer['execs']} execs",
        f"questions: {', '.join(f'{name} {count}' for name, count in sorted(questions.items())) or 'none'}",
        f"fetched: {fetch['requests']:.0f} objects, {size_text(fetch['bytes_received'])} in "
        f"{fetch['seconds']:.2f} s of waiting; {fetch['retries']:.0f} retries, {fetch['failovers']:.0f} failovers, "
        f"{fetch['corrupt']:.0f} corrupt, {fetch['failures']:.0f} failed",
        f"memory: {cache['files_held']:.0f} files, {size_text(cache['bytes_held'])} held, "
        f"{size_text(cache['most_bytes_held'])} at most, {cache['evicted']:.0f} evicted, "
        f"{'in a mount of their own' if cache['private_mount'] else 'sealed'}; "
        f"index {size_text(account['index']['bytes'])}",
    ]
    return "".join(f"hepwrap: {line}\n" for line in lines)
