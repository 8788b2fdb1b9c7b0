#!/usr/bin/env python3
"""Generates EVENTS hard proton-proton collisions with Pythia 8 and prints what came out of them.

    python3 pythia8_events.py [EVENTS]

The seed is fixed, so the last line, a digest over every particle of every final state, is the same at every run.
"""

from __future__ import annotations

import hashlib
import struct
import sys
from collections import Counter

import pythia8mc

SETTINGS = (
    "Beams:eCM = 13600.",
    "HardQCD:all = on",
    "PhaseSpace:pTHatMin = 30.",
    "Random:setSeed = on",
    "Random:seed = 2024",
    "Print:quiet = on",
)
NAMES = {11: "electrons", 13: "muons", 22: "photons", 211: "pions", 321: "kaons", 2212: "protons"}


def generator() -> pythia8mc.Pythia:
    """A generator that is ready to go; its particle data and tunes are read from where the module lies."""
    pythia = pythia8mc.Pythia("", False)
    for setting in SETTINGS:
        pythia.readString(setting)
    if not pythia.init():
        raise SystemExit("pythia8_events: the generator does not start")
    return pythia


def main(events: int) -> None:
    """Generate, count, print."""
    pythia = generator()
    digest = hashlib.sha256()
    counts: Counter[str] = Counter()
    generated = 0
    while generated < events:
        if not pythia.next():
            continue
        generated += 1
        for particle in pythia.event:
            if particle.isFinal():
                counts["charged"] += particle.isCharged()
                counts[NAMES.get(abs(particle.id()), "others")] += 1
                momentum = (particle.px(), particle.py(), particle.pz(), particle.e())
                digest.update(struct.pack("<i4d", particle.id(), *momentum))
    cross_section = pythia.infoPython().sigmaGen()  # millibarn
    print(f"cross section {cross_section:.6e} mb, charged particles per event {counts['charged'] / events:.2f}")
    print(", ".join(f"{name} {counts[name]}" for name in [*NAMES.values(), "others"]))
    print(f"events={generated} charged={counts['charged']} sha256={digest.hexdigest()[:16]}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
