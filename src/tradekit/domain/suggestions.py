"""What somebody probably meant: the known word nearest to one that is not known, or none."""

from collections.abc import Iterable

WORD_MAX = 40
"""Characters that are compared; a longer word is no slip of the finger."""
SLIPS_MAX = 3
START_MIN = 3
"""Letters that say enough to complete a word."""


def closest(word: str, known: Iterable[str]) -> str:
    """The known word that was probably meant, or empty text.

    A slip is a letter left out, added, mistyped or swapped with its neighbour: one in a word of up to five letters, two in one of up to
    ten, three in a longer one. Two or more count only if the first letter is right. A beginning is completed (``portf``:
    ``portfolio``), and words that are part of one name, and of no other, stand for it (``drawdown``: ``max_drawdown_pct``).
    """
    if not 1 < len(word) <= WORD_MAX:
        return ""
    names, most = list(known), min(SLIPS_MAX, (len(word) + 4) // 5)
    near = min(
        ((slips(word, name), name[0] != word[0], place) for place, name in enumerate(names) if name and abs(len(name) - len(word)) <= most),
        default=(WORD_MAX, True, 0),
    )
    count, elsewhere, place = near
    if count <= most and (count < 2 or not elsewhere):
        return names[place]
    if len(word) < START_MIN:
        return ""
    parts = set(word.split("_"))
    return _only([name for name in names if name.startswith(word)]) or _only([name for name in names if parts <= set(name.split("_"))])


def _only(names: list[str]) -> str:
    """The one that was found, or the shortest if the others only add to it; empty if several differ."""
    shortest = min(names, key=len, default="")
    return shortest if all(name.startswith(shortest) for name in names) else ""


def slips(word: str, other: str) -> int:
    """How many letters must be inserted, left out, replaced or swapped with their neighbour to make one word of the other.

    The optimal string alignment distance: https://en.wikipedia.org/wiki/Damerau%E2%80%93Levenshtein_distance
    """
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, a in enumerate(word, 1):
        before, last, row = row, before, [i]
        for j, b in enumerate(other, 1):
            least = min(row[j - 1] + 1, before[j] + 1, before[j - 1] + (a != b))
            if i > 1 and j > 1 and a == other[j - 2] and word[i - 2] == b:
                least = min(least, last[j - 2] + 1)
            row.append(least)
    return row[-1]
