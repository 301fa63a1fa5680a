"""Changes in words: patches as short lines for people. Knows no database."""

from __future__ import annotations

import json
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from mongoengine_history.state.mask import fingerprint_of, is_mask
from mongoengine_history.state.patches import CHANGE, REMOVE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from mongoengine_history.state.values import Path


def changes(
    patches: Iterable[tuple[str, Sequence[str | int], Any]], room: int, most: int
) -> list[str]:
    """
    Write one line for each value that was changed (``~``), added (``+``) or removed (``-``).

    A line has *room* for so many characters; of *most* lines the last one counts those left out.
    """
    lines = [line for patch in patches for line in _lines_of(*patch, room)]
    if len(lines) <= most:
        return lines
    return [*lines[: most - 1], f"... and {len(lines) - most + 1:,} more"]


def facts(said: Mapping[str, Any], room: int, most: int) -> list[str]:
    """Write what an event says: its kind, then one line for each other fact, as `changes` does."""
    told = [("add", (), [(name, value)]) for name, value in said.items() if name != "kind"]
    lines = [line.removeprefix("+ ") for line in changes(told, room, max(most - 1, 1))]
    return [shortened(str(said.get("kind")), room), *lines]


def _lines_of(action: str, path: Sequence[str | int], data: Any, room: int) -> list[str]:
    if action == CHANGE:
        return [_change("~", tuple(path), data, room)]
    sign = "-" if action == REMOVE else "+"
    return [_change(sign, (*path, key), [value], room) for key, value in data]


def _change(sign: str, path: Path, values: Sequence[object], room: int) -> str:
    """Write ``~ path: old -> new``; a long path loses its beginning, long values their ends."""
    where = readable(path)
    texts = [json.dumps(value, default=_text, ensure_ascii=False) for value in values]
    left = room - len(f"{sign} : ") - len(" -> ") * (len(texts) - 1)
    third = left // 3
    if len(texts) > 1 and sum(map(len, texts)) > max(2 * third, left - len(where)):
        texts = _differing(*texts)
    widest = max(third, left - sum(min(len(text), third) for text in texts))
    where = where if len(where) <= widest else f"...{where[3 - widest :]}"
    left -= len(where)
    # Each of two values has one half, and what the other leaves of its own.
    rooms = [max(left // len(texts), left - len(other)) for other in reversed(texts)]
    cut = [shortened(text, width) for text, width in zip(texts, rooms, strict=True)]
    return shortened(f"{sign} {where}: {' -> '.join(cut)}", room)


def _text(value: object) -> str:
    """Write what JSON does not know."""
    return f"masked {fingerprint_of(value).hex()[:8]}".strip() if is_mask(value) else str(value)


def _differing(old: str, new: str) -> list[str]:
    """Leave out what both texts begin with, since it says nothing."""
    pairs = zip(old, new, strict=False)
    common = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
    return [f"...{text[common:]}" if common > 3 else text for text in (old, new)]


def readable(path: Path) -> str:
    """Write a path for people: ``lines[0].count``, ``notes["paid.by"]``."""
    text = "".join(_step(key) for key in path)
    return text.removeprefix(".")


def _step(key: str | int) -> str:
    if isinstance(key, str) and key.replace("-", "_").isidentifier():
        return f".{key}"
    return f"[{json.dumps(key, ensure_ascii=False)}]"


def shortened(text: str, width: int) -> str:
    """Fit a text into one cell: no longer, and with no sign that moves a terminal's cursor."""
    line = "".join(sign if sign.isprintable() else " " for sign in text)
    return line if len(line) <= width else f"{line[: width - 3].rstrip()}..."
