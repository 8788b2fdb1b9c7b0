"""Objects by digest, in memory: what programs open, limits, eviction."""
