"""Print what `pyproject.toml` asks for, one word a requirement: that of hepwrap, or of the extras named."""

import sys
import tomllib
from pathlib import Path

project = tomllib.loads((Path(__file__).resolve().parents[1] / "pyproject.toml").read_text())["project"]
wanted = [row for extra in sys.argv[1:] for row in project["optional-dependencies"][extra]]
print(*(wanted if sys.argv[1:] else project["dependencies"]))
