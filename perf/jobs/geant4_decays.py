#!/usr/bin/env python3
"""Lets PARTICLES kaons, pions and muons fly and decay in a vacuum with Geant4, and prints what came of them.

    python3 geant4_decays.py [PARTICLES]

Transport and decay need none of Geant4's data sets but the table of nuclear levels, for which a line is written into
$GEANT4_DATA_DIR.  The seed is fixed, so the last line, a digest over the end of every track, is the same at every run.
"""

from __future__ import annotations

import hashlib
import os
import struct
import sys
from collections import Counter
from pathlib import Path

DATA = Path(os.environ.get("GEANT4_DATA_DIR", "."))
#: The ground state of the deuteron: proton and neutron number, keV, no offset, stable, spin, magnetic moment.
LEVEL = " 1 2 0.0 - -1 2 0.857438\n"
BEAM = ("kaon+", "pi-", "mu-")
SEED = 2024


def prepare_data() -> None:
    """Before the module is imported: it asks at once where data sets are."""
    (DATA / "ENSDFSTATE.dat").write_text(LEVEL)
    for name in ("ENSDFSTATE", "LE", "LEVELGAMMA", "PARTICLEXS", "PII", "RADIOACTIVE", "REALSURFACE", "SAIDXS"):
        os.environ.setdefault(f"G4{name}DATA", str(DATA))


def main(particles: int) -> None:
    """Simulate, count, print."""
    prepare_data()
    import geant4_pybind as g4

    counts: Counter[str] = Counter()
    digest = hashlib.sha256()
    kept = []  # What Python must not free while Geant4 uses it.

    class World(g4.G4VUserDetectorConstruction):
        def Construct(self):
            vacuum = g4.G4NistManager.Instance().FindOrBuildMaterial("G4_Galactic")
            box = g4.G4Box("world", 10 * g4.m, 10 * g4.m, 10 * g4.m)
            volume = g4.G4LogicalVolume(box, vacuum, "world")
            placed = g4.G4PVPlacement(None, g4.G4ThreeVector(), volume, "world", None, False, 0)
            kept.extend((box, volume, placed))
            return placed

    class Physics(g4.G4VModularPhysicsList):
        def __init__(self):
            super().__init__()
            self.SetVerboseLevel(0)
            self.RegisterPhysics(g4.G4DecayPhysics())

    class Beam(g4.G4VUserPrimaryGeneratorAction):
        def __init__(self):
            super().__init__()
            self.gun = g4.G4ParticleGun(1)
            self.count = 0

        def GeneratePrimaries(self, event):
            kind = g4.G4ParticleTable.GetParticleTable().FindParticle(BEAM[self.count % len(BEAM)])
            self.count += 1
            self.gun.SetParticleDefinition(kind)
            self.gun.SetParticleMomentumDirection(g4.G4ThreeVector(0, 0, 1))
            self.gun.SetParticleEnergy(50 * g4.MeV)
            self.gun.GeneratePrimaryVertex(event)

    class Tracks(g4.G4UserTrackingAction):
        def PostUserTrackingAction(self, track):
            end = track.GetPosition()
            counts[track.GetDefinition().GetParticleName()] += 1
            digest.update(struct.pack("<4d", end.x, end.y, end.z, track.GetGlobalTime()))

    class Actions(g4.G4VUserActionInitialization):
        def Build(self):
            self.SetUserAction(Beam())
            self.SetUserAction(Tracks())

    g4.G4Random.setTheSeed(SEED)
    manager = g4.G4RunManagerFactory.CreateRunManager(g4.G4RunManagerType.Serial)
    for part in (World(), Physics(), Actions()):
        manager.SetUserInitialization(part)
    manager.Initialize()
    manager.BeamOn(particles)
    print(", ".join(f"{name} {count}" for name, count in sorted(counts.items())))
    print(f"particles={particles} tracks={counts.total()} sha256={digest.hexdigest()[:16]}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5000)
