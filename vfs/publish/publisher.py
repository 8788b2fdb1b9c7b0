"""From a directory to a new signed revision of a repository in a store: the order of the steps, and nothing else.

The law of that order: every object is durable before the manifest that leads to it is replaced, which is last and
atomic.  So a reader, and whoever looks after a crash, sees the previous revision or the new one, whole.
Objects of earlier revisions are never removed.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

from hepwrap.digest import Algorithm, Digest
from hepwrap.errors import ConfigurationError, HepwrapError, PublishFailed, UsageError
from hepwrap.vfs.publish import dirtab, files, history_writer, keys, links, manifest_writer, nesting, previous, reflog
from hepwrap.vfs.publish import whitelist as whitelists
from hepwrap.vfs.publish.catalogs import BuiltCatalog, CatalogBuilder, Revision
from hepwrap.vfs.publish.contents import ContentReader, ContentStore, regular_files
from hepwrap.vfs.publish.layout import Layout
from hepwrap.vfs.publish.lock import publisher_lock
from hepwrap.vfs.publish.manifest_writer import Manifest
from hepwrap.vfs.publish.names import check_repository_name, check_tag_name, hash_algorithm
from hepwrap.vfs.publish.node import Content, Node, directories
from hepwrap.vfs.publish.notebook import Notebook
from hepwrap.vfs.publish.objects_writer import COMPRESSION_CODES, ObjectWriter
from hepwrap.vfs.publish.options import PublishOptions
from hepwrap.vfs.publish.report import Progress, PublishReport
from hepwrap.vfs.publish.row import RowMaker
from hepwrap.vfs.publish.scan import Scanner, remove_gone

#: More workers than this gain nothing: the calling thread feeds them.
_MOST_JOBS = 32


@dataclass(slots=True)
class _Job:
    """One publishing: what was asked for, what it works with, and what it leaves behind as it goes."""

    directory: Path
    name: str
    layout: Layout
    signer: keys.Signer
    algorithm: Algorithm
    jobs: int
    tag: str | None
    ttl: int
    options: PublishOptions
    now: float
    report: Callable[[Progress], None]
    warn: Callable[[str], None]
    before: Manifest | None
    writer: ObjectWriter
    notebook: Notebook
    entries: int = 0
    renewed: bool = False
    reader: ContentReader = field(init=False)


def publish(
    directory: Path,
    *,
    name: str,
    store: Path,
    keys: Path,
    algorithm: str | None = None,
    jobs: int | None = None,
    tag: str | None = None,
    progress: Callable[[Progress], None] | None = None,
    warn: Callable[[str], None] | None = None,
    ttl: int = 240,
    clock: Callable[[], float] = time.time,
    options: PublishOptions | None = None,
) -> PublishReport:
    """Publish the tree below `directory` as the next revision of the repository `name` in `STORE/<name>/`.

    `keys` is a directory made by `keys.generate`; `algorithm` None is the one of the last revision, or sha1; `jobs`
    threads compress; `ttl` in seconds.  Warnings go to `warn` and into the report.  Raises UsageError,
    ConfigurationError, CorruptObject (the store is damaged) or PublishFailed; the previous revision then still stands.
    """
    warnings: list[str] = []

    def note(text: str) -> None:
        warnings.append(text)
        if warn is not None:
            warn(text)

    options = options or PublishOptions()
    layout = Layout(store / check_repository_name(name))
    _check_request(directory, layout.base, keys, tag, options)
    signer = _load_keys(name, keys)
    try:
        layout.make()
        with publisher_lock(layout.lock, name=name):
            layout.clean()
            before = previous.read_manifest(layout, name)
            chosen = hash_algorithm(algorithm or (before.root.algorithm.name if before is not None else "sha1"))
            now = clock()
            with closing(Notebook(layout.notebook, options=_shape(chosen, options), now_ns=int(now * 1e9))) as notebook:
                job = _Job(
                    directory=directory,
                    name=name,
                    layout=layout,
                    signer=signer,
                    algorithm=chosen,
                    jobs=max(1, min(jobs or os.cpu_count() or 1, _MOST_JOBS)),
                    tag=tag,
                    ttl=ttl,
                    options=options,
                    now=now,
                    report=progress or (lambda _: None),
                    warn=note,
                    before=before,
                    writer=ObjectWriter(layout, chosen, level=options.level, warn=note),
                    notebook=notebook,
                )
                return _run(job, warnings)
    except OSError as error:
        place = error.filename or layout.base
        raise PublishFailed(
            f"publishing {name} failed at {place}: {error.strerror or error}; the revision before still stands"
        ) from error


def _run(job: _Job, warnings: list[str]) -> PublishReport:
    history_writer.check_free(job.layout, job.before.history if job.before is not None else None, job.tag)
    job.renewed = _look_after_whitelist(job)
    root = _scan(job)
    nesting.check_root(root)
    rules = _read_dirtab(job, root)
    _store_contents(job, root)
    content_objects = sum(job.writer.new.values())
    chosen = nesting.choose(root, rules, job.options.limits, job.warn)
    if nesting.needs_markers(chosen):
        digest = ContentStore(job.writer, job.notebook, job.options.compression).put(b"", "")
        nesting.add_markers(chosen, Content(0, digest))
    revision = _next_revision(job)
    catalog = _build_catalogs(job, chosen, revision)
    new_catalogs = job.writer.new["C"]
    job.report(Progress("commit"))
    _commit(job, catalog, revision)
    counters = job.reader.counters
    return PublishReport(
        name=job.name,
        revision=revision.number,
        root_hash=catalog.digest,
        entries=job.entries,
        files=counters.files,
        bytes=counters.bytes,
        files_read=counters.files_read,
        new_objects=content_objects,
        reused_objects=max(0, counters.objects - content_objects),
        catalogs=len(chosen),
        new_catalogs=new_catalogs,
        new_bytes=job.writer.new_bytes,
        whitelist_renewed=job.renewed,
        warnings=tuple(warnings),
    )


# The steps.


def _check_request(directory: Path, base: Path, keys_directory: Path, tag: str | None, options: PublishOptions) -> None:
    """Nobody wants private keys or the store itself to be published."""
    if tag is not None:
        check_tag_name(tag)
    if options.compression not in COMPRESSION_CODES:
        raise UsageError(f"{options.compression!r} is not a compression; use {' or '.join(COMPRESSION_CODES)}")
    source = directory.resolve()
    for what, place in (("the store", base.resolve()), ("the keys directory", keys_directory.resolve())):
        if place.is_relative_to(source):
            raise UsageError(f"{what} {place} lies inside {source}, which shall be published; put it elsewhere")


def _shape(algorithm: Algorithm, options: PublishOptions) -> str:
    """What the objects of a file depend on, besides its content."""
    sizes = options.chunks
    return f"{algorithm.name}/{options.compression}/{sizes.minimum}/{sizes.average}/{sizes.maximum}"


def _load_keys(name: str, directory: Path) -> keys.Signer:
    return keys.load(name, directory)


def _look_after_whitelist(job: _Job) -> bool:
    """Renew it where it is missing, does not list our certificate or is near its end; True if it was renewed."""
    present = keys.read_whitelist(job.signer, job.layout)
    usable = present is not None and whitelists.lists(present, job.signer.certificate_der)
    left = (present.expires - job.now) / whitelists.DAY if present is not None else 0.0
    if usable and left > job.options.renew_days:
        return False
    if job.signer.files.master.exists():
        keys.write_whitelist(job.signer, job.layout, job.algorithm, days=job.options.whitelist_days, now=job.now)
        return True
    if not usable or left <= 0:
        raise ConfigurationError(
            f"the whitelist of {job.name} is missing, expired or without this certificate, and there is no"
            f" {job.signer.files.master} to sign a new one; put the master key there, or the renewed whitelist into"
            f" {job.layout.whitelist}"
        )
    job.warn(f"the whitelist of {job.name} ends in {left:.1f} days, and the master key to renew it is not here")
    return False


def _scan(job: _Job) -> Node:
    def tick() -> None:
        job.entries += 1
        job.report(Progress("scan", job.entries))

    return Scanner(job.directory, xattrs=job.options.xattrs, warn=job.warn, tick=tick).scan()


def _read_dirtab(job: _Job, root: Node) -> dirtab.Dirtab:
    if not any(child.name == dirtab.NAME and child.is_file for child in root.children):
        return dirtab.Dirtab()
    return dirtab.parse((job.directory / os.fsdecode(dirtab.NAME)).read_bytes())


def _store_contents(job: _Job, root: Node) -> None:
    job.reader = ContentReader(
        os.fsencode(job.directory),
        ContentStore(job.writer, job.notebook, job.options.compression),
        job.notebook,
        sizes=job.options.chunks,
        jobs=job.jobs,
        checksum=job.options.checksum,
        warn=job.warn,
        report=job.report,
    )
    job.reader.store_all(regular_files(directories(root)))
    remove_gone(root)
    links.group_links(root, job.warn)


def _next_revision(job: _Job) -> Revision:
    """S + 1; the time never goes back, readers would refuse that."""
    number, timestamp = (job.before.revision + 1, job.before.timestamp) if job.before is not None else (1, 0)
    return Revision(number, max(int(job.now), timestamp), job.ttl)


def _build_catalogs(job: _Job, chosen: list[Node], revision: Revision) -> BuiltCatalog:
    known = {}
    if job.before is not None:
        try:
            known = previous.catalog_references(job.layout, job.before)
        except HepwrapError as error:
            job.warn(f"{error}; all catalogues are written anew")
    maker = RowMaker(job.algorithm, COMPRESSION_CODES[job.options.compression])
    return CatalogBuilder(job.layout, job.writer, maker, known, revision, job.report).build(chosen)


def _commit(job: _Job, catalog: BuiltCatalog, revision: Revision) -> None:
    """Everything that leads to the root catalogue, the manifest last."""
    layout, before = job.layout, job.before
    tagged = history_writer.TaggedRevision(catalog.digest, catalog.size, revision.number, revision.timestamp)
    history = history_writer.next_history(
        layout,
        fqrn=job.name,
        before=before.history if before is not None else None,
        revision=tagged,
        tag=job.tag,
        description=job.options.tag_description,
    )
    manifest = Manifest(
        name=job.name,
        root=catalog.digest,
        root_size=catalog.size,
        revision=revision.number,
        timestamp=revision.timestamp,
        ttl=job.ttl,
        certificate=job.writer.put(job.signer.certificate_pem, "X").digest,
        history=job.writer.put(history, "H").digest,
        meta_info=_store_meta(job),
        reflog=None,
        garbage_collectable=job.options.garbage_collectable,
    )
    log = reflog.read(layout, before, job.warn)
    added = reflog.references(manifest)
    extended = reflog.extend(layout, log, fqrn=job.name, added=added, timestamp=revision.timestamp)
    data = manifest_writer.build(
        replace(manifest, reflog=Digest.of(extended, job.algorithm)), job.algorithm, job.signer.sign_manifest
    )
    if job.options.master_replica:
        files.replace_file(layout.master_replica, b"", temporary=layout.temporary)
    files.sync_file_system(layout.base)
    reflog.install(layout, log, extended, job.algorithm)
    files.replace_file(layout.manifest, data, temporary=layout.temporary)
    job.notebook.commit()


def _store_meta(job: _Job) -> Digest:
    """The meta information: what was asked for, else what there was, else an empty one."""
    if job.options.meta is None and job.before is not None and job.before.meta_info is not None:
        return job.before.meta_info
    text = json.dumps(dict(job.options.meta or {}), sort_keys=True)
    return job.writer.put(text.encode(), "M").digest
