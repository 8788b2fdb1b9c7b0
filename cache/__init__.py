"""Objects by digest, in memory: sealed files, limits, eviction."""
