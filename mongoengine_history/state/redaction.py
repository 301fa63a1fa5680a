"""What becomes of values that are erased from a history, and what it remembers of where they were.

The paths at which the newest state has such masks are carried from revision to revision. What is
stored there is no news: neither as the value before a change, nor as one that is still there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from mongoengine_history.state.context import Context
from mongoengine_history.state.hiding import Hiding
from mongoengine_history.state.mask import BLANK, is_blank, is_mask
from mongoengine_history.state.merge import collapse
from mongoengine_history.state.patches import CHANGE, REMOVE, Patch
from mongoengine_history.state.revision import REDACT
from mongoengine_history.state.rules import CLASS, MASK, rule_for, rule_for_items
from mongoengine_history.state.values import ABSENT, Path, State, encode, find, identifier, same

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from mongoengine_history.state.revision import StoredRevision
    from mongoengine_history.state.rules import Rules

OWN_FACTS: Final = ("erased", "left", "reconciled")
"""What the metadata of a revision holds that this package has put there; it names nobody."""

MOST_PATHS: Final = 50
"""Paths of masks that each revision carries; of more their first names are, which hides more."""


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What is to be erased: values by their paths, whatever they are."""

    #: By keys, `MASK` or the rules below, as `Hiding` has them.
    rules: Rules
    #: Whether who answers for a revision, and why, goes, too.
    said: bool = False
    #: Who is another one from now on, and who that is; None for nobody.
    renamed: tuple[Any, Any] | None = None

    def at(self, path: Iterable[str | int]) -> Any:
        """Return the rules for what lies at a path; none where nothing of it is erased."""
        rules: Any = self.rules
        for place, key in enumerate(path):
            if not rules or rules == MASK:
                break
            is_class = key == CLASS and not place  # without which nobody can read the rest
            of_key = {} if is_class else rule_for(str(key), rules)
            rules = rule_for_items(rules) if isinstance(key, int) else of_key
        return rules

    def value(self, path: Iterable[str | int], value: Any) -> Any:
        """Return what is left of a value at a path."""
        rules = self.at(path)
        return Hiding({"": rules}).hidden({"": value})[""] if rules else value

    def state(self, state: State) -> State:
        """Return what is left of a state."""
        return {key: self.value((key,), value) for key, value in state.items()}

    def patch(self, patch: Patch) -> Patch:
        """Return what is left of a patch."""
        return replace(patch, data=self.data(patch.action, patch.path, patch.data))

    def data(self, action: str, path: Path, data: Any) -> Any:
        """Return what is left of the values of a patch."""
        if action == CHANGE:
            return tuple(self.value(path, value) for value in data)
        return [(key, self.value((*path, key), value)) for key, value in data]

    def context(self, revision: StoredRevision) -> Context:
        """Return what is left of what is said of a revision; receipts stay."""
        if self.said and revision.operation != REDACT:
            return Context(changeset=revision.context.changeset)
        return self.said_of(revision.context)

    def said_of(self, context: Context) -> Context:
        """Return who and why, by the names that they have from now on."""
        if self.renamed is None:
            return context
        metadata = {
            name: it if name in OWN_FACTS else self.names(it)
            for name, it in context.metadata.items()
        }
        return replace(context, identity=self.name(context.identity), metadata=metadata)

    def name(self, value: Any) -> Any:
        """Return who it is from now on."""
        is_meant = self.renamed and identifier(value) == identifier(self.renamed[0])
        return self.renamed[1] if self.renamed and is_meant else value

    def names(self, value: Any) -> Any:
        """Return a value with who it is from now on, wherever in it that stands."""
        named = self.name(value)
        if isinstance(named, dict):
            return {key: self.names(it) for key, it in named.items()}
        return [*map(self.names, named)] if isinstance(named, list) else named

    def lists(self, lists: Mapping[str, bytes]) -> dict[str, bytes]:
        """Return the hashes of lists of which nothing is erased; of others they would tell."""
        return {text: it for text, it in lists.items() if not self.at(_path_in(text))}


def _path_in(text: str) -> Path:
    """Read what `path_text` wrote."""
    names = re.findall(r"((?:[^\\.]|\\.)*)\.", f"{text}.", re.DOTALL)
    return tuple(re.sub(r"\\(.)", r"\1", name, flags=re.DOTALL) for name in names)


def erased_in(state: State) -> list[Path]:
    """Name where a state has masks that tell nothing; in a list it is that one."""
    found = list(_erased_below(state, ()))
    return (
        found if len(found) <= MOST_PATHS else [(it,) for it in dict.fromkeys(p[0] for p in found)]
    )


def _erased_below(value: Any, path: Path) -> Iterator[Path]:
    if is_blank(value) or (isinstance(value, list) and _holds_blank(value)):
        yield path
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _erased_below(item, (*path, key))


def _holds_blank(value: Any) -> bool:
    if isinstance(value, dict | list):
        return any(map(_holds_blank, value.values() if isinstance(value, dict) else value))
    return is_blank(value)


def erased_at(state: State, path: Path) -> bool:
    """Say whether a state may have been erased at a path: by a mask there, or since it is gone."""
    value = find(state, path)
    return value is ABSENT or _holds_blank(value)


def covered(stored: Any, state: Any) -> Any:
    """
    Return what is *stored* as a history may have it of which *state* shows masks.

    Such a value was masked, or erased. Two fingerprints can be compared. A list of which items were
    erased, and that has another length by now, is masked as a whole.
    """
    if is_mask(state) and (not is_mask(stored) or BLANK in {state, stored}):
        return state
    if isinstance(stored, dict) and isinstance(state, dict):
        return {key: covered(it, state.get(key)) for key, it in stored.items()}
    if isinstance(stored, list) and isinstance(state, list) and _holds_blank(state):
        pairs = zip(stored, state, strict=False)
        return [covered(*it) for it in pairs] if len(stored) == len(state) else BLANK
    return stored


def unsaid(
    before: State, after: State, patches: Sequence[Patch], paths: Iterable[Path]
) -> tuple[State, State, list[Patch]]:
    """
    Return a change without what was erased at *paths*: what was there, and what of it still is.

    A value that is new is told, but no part of it that was there.
    """
    news = list(patches)
    for path in paths:
        old = find(before, path)
        if old is ABSENT or is_mask(old):
            continue
        known = {encode(leaf) for leaf in _leaves(old)}
        before = _put(before, path, BLANK)
        new = find(after, path)
        if new is not ABSENT:
            after = _put(after, path, BLANK if same(old, new) else _without(new, known))
        if any(it.path[: len(path)] == path for it in news):
            news = collapse(news, [path], before, after)
        news = [_told_anew(it, path, before, after) for it in news]
    return before, after, news


def _leaves(value: Any) -> Iterator[Any]:
    if not isinstance(value, dict | list):
        yield value
        return
    for item in value.values() if isinstance(value, dict) else value:
        yield from _leaves(item)


def _without(value: Any, known: set[bytes]) -> Any:
    if isinstance(value, dict):
        return {key: _without(item, known) for key, item in value.items()}
    if isinstance(value, list):
        return [_without(item, known) for item in value]
    return BLANK if encode(value) in known else value


def _put(state: Any, path: Path, value: Any) -> Any:
    """Copy a state with another value at a path of keys that is there."""
    if not path:
        return value
    return {**state, path[0]: _put(state[path[0]], path[1:], value)}


def _told_anew(patch: Patch, path: Path, before: State, after: State) -> Patch:
    """Give a patch of a whole that a path leads into its values of both states."""
    at = patch.path
    if patch.action == CHANGE:
        if at == path[: len(at)] and at != path:
            return replace(patch, data=(find(before, at), find(after, at)))
        return patch
    if at != path[: len(at)] or at == path:
        return patch
    side = before if patch.action == REMOVE else after
    own = [(key, find(side, (*at, key)) if key == path[len(at)] else it) for key, it in patch.data]
    return replace(patch, data=own)


def left(paths: Sequence[Path], before: State, after: State) -> tuple[Path, ...]:
    """Return at which of *paths*, or below them, the state after a change has masks."""
    if not paths:
        return ()
    names = {*before, *after}
    kept = [path for path in paths if path[0] not in names]
    here = [path for path in paths if path[0] in names]
    below = [(*path, *it) for path in here for it in _erased_below(find(after, path), ())]
    return tuple(dict.fromkeys([*kept, *below]))
