"""`hepwrap serve` for the peers that read over HTTP: started only where a column's command says {url}."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator, Mapping, Sequence

from hepwrap.errors import HepwrapError
from hepwrap.perf.columns import Column
from hepwrap.perf.work import NAME, Work


@contextlib.contextmanager
def served(
    columns: Sequence[Column], work: Work, hepwrap: Sequence[str], environment: Mapping[str, str]
) -> Iterator[str]:
    """The repository's base URL while the block lasts; "" where no column asks for it."""
    if not any("{url}" in word for column in columns if not column.missing for word in column.before):
        yield ""
        return
    command = [*hepwrap, "serve", "--port", "0", "--quiet", str(work.store)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=dict(environment), text=True) as server:
        assert server.stdout is not None
        try:
            base = server.stdout.readline().strip()
            if not base:
                raise HepwrapError("hepwrap serve did not start, and a column reads over HTTP")
            yield f"{base.rstrip('/')}/cvmfs/{NAME}"
        finally:
            server.terminate()
