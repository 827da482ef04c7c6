"""The page of results: ``python -m benchmarks.table`` writes ``docs/benchmarks.md`` from ``benchmarks/results``."""

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.measure import RESULTS

PAGE = Path(__file__).parent.parent / "docs" / "benchmarks.md"

INTRODUCTION = """# Benchmarks

Measured by `nox -s bench` and written by `python -m benchmarks.table`; do not edit. Goals are ratios to a peer, or to the least that
any design must spend, measured in turn with ours in the same run: machines differ, ratios hardly do. Figures are medians. A goal that
is not met is shown as it is.
"""

Document = dict[str, Any]


def stored(directory: Path = RESULTS) -> list[Document]:
    """The results on file, in the order of the rows."""
    documents = [json.loads(path.read_text()) for path in directory.glob("p*.json")]
    return sorted(documents, key=lambda document: int(document["row"][1:]))


def lines(documents: Sequence[Document]) -> Iterator[str]:
    """The table of goals and verdicts."""
    yield "| row | workload | goal | measured | verdict |"
    yield "|---|---|---|---|---|"
    for document in documents:
        for number, verdict in enumerate(document["verdicts"]):
            row, title = (document["row"], document["title"]) if not number else ("", "")
            yield f"| {row} | {title} | {verdict['goal']} | {_measured(verdict)} | {_word(verdict['met'])} |"


def page(documents: Sequence[Document]) -> str:
    """The whole page."""
    parts = [INTRODUCTION, "\n".join(lines(documents)), ""]
    parts.extend("\n".join(_section(document)) for document in documents)
    return "\n".join(parts) + "\n"


def _section(document: Document) -> Iterator[str]:
    yield f"## {document['row']}: {document['title']}"
    yield ""
    yield from _figures(document)
    yield ""
    for note in document["notes"]:
        yield f"- {note}"
    machine = document["machine"]
    rounds = max((len(samples) for samples in document["rounds"].values()), default=1)
    yield (
        f"- {rounds} rounds on {machine['cpu']}, {machine['cores']} cores, Python {machine['python']}, SQLite {machine['sqlite']}; "
        f"the disk took {machine['disk_commit_ms']} ms per commit; {_load(document)}."
    )
    yield ""


def _load(document: Document) -> str:
    load = document.get("load_before")
    return "how busy the machine was is not known" if load is None else f"{load} processes wanted the cores in the minute before"


def _figures(document: Document) -> Iterator[str]:
    names = list(dict.fromkeys(name for figures in document["figures"].values() for name in figures))
    yield "| | " + " | ".join(document["units"].get(name, name) if name in document["units"] else name for name in names) + " |"
    yield "|---|" + "---|" * len(names)
    for who, figures in document["figures"].items():
        cells = (_number(figures[name]) if name in figures else "" for name in names)
        yield f"| {who} | " + " | ".join(cells) + " |"


def _measured(verdict: Document) -> str:
    return "not measured" if verdict["met"] is None else f"{_number(verdict['measured'])} {verdict['unit']}"


def _word(met: bool | None) -> str:
    return {True: "met", False: "**not met**", None: "not measured"}[met]


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def main(arguments: Iterable[str] = ()) -> int:
    """Write the page, or with ``--check`` say whether it is what the results give."""
    text = page(stored())
    if "--check" in arguments:
        return 0 if PAGE.read_text() == text else 1
    PAGE.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
