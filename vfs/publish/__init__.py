"""Writing repositories in the CernVM-FS format (format notes, section 18).

Pipeline: scan -> dirtab -> contents -> links -> nesting -> rows -> catalogues -> history, reflog -> manifest.
Knows nothing of fetchers, memory files or mounts.
"""
