"""What may stand in the tree: no path of one machine, no address of a registry, no file that has outgrown one idea."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

LINES_MAX = 600
LINES_WANTED = 450
BYTES_MAX = 1_000_000

# Put together here, so that this file does not contain what it looks for.
FORBIDDEN = re.compile(
    "|".join(
        re.escape(head + tail)
        for head, tail in [
            ("/" + "work", "/"),
            ("/" + "root", "/"),
            ("/" + "home", "/"),
            ("pypi", ".org"),
            ("files.", "pythonhosted"),
            ("registry.", "npmjs"),
        ]
    )
)


def tracked() -> list[Path]:
    names = subprocess.run(["git", "ls-files", "-z", "-co", "--exclude-standard"], check=True, capture_output=True, text=True).stdout
    return [path for name in names.split("\0") if name and (path := Path(name)).is_file()]


def problems(path: Path) -> Iterator[str]:
    data = path.read_bytes()
    if len(data) > BYTES_MAX:
        yield f"{path}: {len(data):,} bytes, more than {BYTES_MAX:,}"
    try:
        lines = data.decode().splitlines()
    except UnicodeDecodeError:
        return
    for number, line in enumerate(lines, 1):
        if found := FORBIDDEN.search(line):
            yield f"{path}:{number}: {found.group()!r} does not belong in the repository"
    if path.suffix == ".py" and len(lines) > LINES_MAX:
        yield f"{path}: {len(lines)} lines, more than {LINES_MAX}"


def main() -> int:
    paths = tracked()
    if not paths:
        print("nothing to check: is this a git work tree?", file=sys.stderr)
        return 1
    for path in paths:
        if path.suffix == ".py" and path.parts[0] in {"src", "runners"} and (count := len(path.read_bytes().splitlines())) > LINES_WANTED:
            print(f"note: {path} has {count} lines; {LINES_WANTED} is the aim", file=sys.stderr)
    found = [problem for path in paths for problem in problems(path)]
    print("\n".join(found) if found else f"{len(paths)} files are fine")
    return bool(found)


if __name__ == "__main__":
    raise SystemExit(main())
