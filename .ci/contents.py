"""Compare an sdist and a wheel with what Git knows: ``python .ci/contents.py dist``."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = "mongoengine_history/"
MADE_FOR_SDIST = {"PKG-INFO"}
MADE_FOR_WHEEL = {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE"}


def in_git() -> set[str]:
    """Name all files that Git has or, not being ignored, will have."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return {name for name in listed.split("\0") if name and (ROOT / name).exists()}


def in_sdist(path: Path) -> set[str]:
    """Name the files of an sdist, below its one folder."""
    with tarfile.open(path) as sdist:
        return {it.name.partition("/")[2] for it in sdist if it.isfile()}


def in_wheel(path: Path) -> set[str]:
    """Name the files of a wheel; what is about it is named without the folder."""
    with zipfile.ZipFile(path) as wheel:
        return {
            name if name.startswith(PACKAGE) else name.partition(".dist-info/")[2] or name
            for name in wheel.namelist()
        }


def main(folder: str) -> int:
    """Return 0 if both hold what they should, and nothing else."""
    known = in_git()
    [sdist], [wheel] = Path(folder).glob("*.tar.gz"), Path(folder).glob("*.whl")
    packaged = {name for name in known if name.startswith(PACKAGE)}
    differences = {
        sdist: in_sdist(sdist) ^ (known | MADE_FOR_SDIST),
        wheel: in_wheel(wheel) ^ (packaged | MADE_FOR_WHEEL),
    }
    for path, names in differences.items():
        print(f"{path.name}:", ", ".join(sorted(names)) or "as in Git")
    return 1 if any(differences.values()) else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
