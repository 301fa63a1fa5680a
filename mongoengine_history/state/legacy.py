"""Records of mongoengine-history 1.1: read as they are, unwound where they still fit.

1.1 joined paths by dots and wrote what was changed more than once, so a path is worked out against
the state that its record led to, and what is gone already is passed over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mongoengine_history.errors import MalformedRecordError
from mongoengine_history.state.patches import ADD, CHANGE, REMOVE, Draft, Patch
from mongoengine_history.state.problem import UNREADABLE, problem_in
from mongoengine_history.state.values import ABSENT, Path, State, find, same

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping


def unwind(
    records: Iterable[Mapping[str, Any]], state: State, renamed: Mapping[str, str] | None = None
) -> tuple[State, list[Patch]]:
    """
    Take records of 1.1, the newest first, back from the state after them.

    What they call by a top-level name that was *renamed* has another one in that state.
    Return the state before the oldest of them, and their patches with exact paths, newest first.
    """
    draft = Draft(state)
    patches = []
    for record in records:
        try:
            for patch in reversed(_patches(record, draft.state, renamed or {})):
                _take_back(patch, draft)
                patches.append(patch)
        except UNREADABLE as error:
            key, own = record.get("document_id"), record.get("_id")
            problem = problem_in([record], error)[1]
            raise MalformedRecordError(key, None, own, problem) from error
    return draft.state, patches


def _patches(record: Mapping[str, Any], state: State, renamed: Mapping[str, str]) -> list[Patch]:
    data, (root, *rest) = record["data"], record["path"].split(".")
    text = ".".join([renamed.get(root, root), *rest])
    if record["action"] == CHANGE:
        path = _path(text, state, lambda path: same(find(state, path), data["new"]))
        return [Patch(CHANGE, path, (data["old"], data["new"]))]
    names = {} if text else renamed
    items = [(names.get(item["key"], item["key"]), item["value"]) for item in data["items"]]
    key, value = items[0]
    left = value if record["action"] == ADD else ABSENT
    path = _path(text, state, lambda path: same(find(state, (*path, key)), left))
    if record["action"] == REMOVE and isinstance(key, int):
        return [Patch(REMOVE, path, [item]) for item in items]  # as 1.1 removed them: one by one
    return [Patch(record["action"], path, items)]


def _path(text: str, state: State, fits: Callable[[Path], bool]) -> Path:
    """Find the path that *text* names in *state*: the first that fits, else the first there is."""
    paths = list(_paths(text.split(".") if text else [], state, ()))
    paths.sort(key=lambda path: find(state, path) is ABSENT)
    return next((path for path in paths if fits(path)), paths[0])


def _paths(parts: list[str], node: Any, path: Path) -> Iterator[Path]:
    """Yield the ways that *parts*, joined by dots, may go: long keys first, indexes in lists."""
    if isinstance(node, list) and parts and parts[0].isdecimal() and int(parts[0]) < len(node):
        index = int(parts[0])
        yield from _paths(parts[1:], node[index], (*path, index))
        return
    lengths = range(len(parts), 0, -1) if isinstance(node, dict) else ()
    keys = {".".join(parts[:length]): length for length in lengths}
    known = {key: length for key, length in keys.items() if key in node}
    for key, length in known.items():
        yield from _paths(parts[length:], node[key], (*path, key))
    if not known:
        yield (*path, *parts)  # what is left of them is not there any more


def _take_back(patch: Patch, draft: Draft) -> None:
    if patch.action == REMOVE:
        _make_container(patch, draft)
    path = patch.path[:-1] if patch.action == CHANGE else patch.path
    if not isinstance(find(draft.state, path), dict | list):
        return  # what the record speaks of is not there any more
    parent = draft.at(path)
    if patch.action == CHANGE:
        _put(parent, patch.path[-1], patch.data[0])
        return
    if patch.action == ADD:
        for key, _ in reversed(patch.data):
            _drop(parent, key)
    else:
        for key, value in patch.data:
            _restore(parent, key, value)


def _make_container(patch: Patch, draft: Draft) -> None:
    """MongoEngine stores no list and no dict of which the last item was removed."""
    path, key = patch.path, patch.data[0][0]
    parent = find(draft.state, path[:-1])
    if isinstance(parent, dict) and find(draft.state, path) is ABSENT and key in (0, str(key)):
        draft.dict_at(path[:-1])[str(path[-1])] = [] if key == 0 else {}


def _put(parent: Any, key: Any, value: object) -> None:
    if isinstance(parent, dict) or _is_index(key, parent):
        parent[key] = value


def _drop(parent: Any, key: Any) -> None:
    if isinstance(parent, dict):
        parent.pop(key, None)
    elif _is_index(key, parent):
        del parent[key]


def _is_index(key: Any, items: list[Any]) -> bool:
    return isinstance(key, int) and key < len(items)


def _restore(parent: Any, key: Any, value: object) -> None:
    if isinstance(parent, dict):
        parent[str(key)] = value
    elif _is_index(key, parent) and same(parent[key], value):
        return  # it was recorded twice, and is back already
    elif isinstance(key, int) and key <= len(parent):
        parent.insert(key, value)
