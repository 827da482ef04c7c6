"""A wheel holds every file of the packages: modules, migrations, templates and the marker for type checkers."""

import subprocess
import sys
import zipfile
from pathlib import Path

ROOTS = ("src", "runners")


def expected() -> set[str]:
    names = subprocess.run(
        ["git", "ls-files", "-z", "-co", "--exclude-standard", *ROOTS], check=True, capture_output=True, text=True
    ).stdout
    return {Path(name).relative_to(Path(name).parts[0]).as_posix() for name in names.split("\0") if name and Path(name).is_file()}


def main(wheel: str) -> int:
    wanted = expected()
    held = set(zipfile.ZipFile(wheel).namelist())
    missing = sorted(wanted - held)
    for kind, part in [("migrations", "/versions/"), ("templates", "/templates/")]:
        if not any(part in name for name in held):
            missing.append(f"any {kind}")
    print(f"missing from {wheel}: {', '.join(missing)}" if missing else f"all {len(wanted)} files are in the wheel")
    return bool(missing)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1]))
