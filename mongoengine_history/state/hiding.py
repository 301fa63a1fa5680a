"""Values that a history must not hold: left out, or replaced by a mask. Knows no database."""

from __future__ import annotations

import hmac
import secrets
from collections import Counter, defaultdict, deque
from dataclasses import dataclass, field
from functools import partial
from itertools import repeat
from typing import TYPE_CHECKING, Any, Final

from bson import Code, DBRef
from bson.binary import Binary

from mongoengine_history.state.diff import gaps
from mongoengine_history.state.mask import BLANK, SIGN, SIZES, SUBTYPE, has_masks, is_mask
from mongoengine_history.state.rules import (
    ANY,
    CLASS,
    EXCLUDE,
    HIDDEN,
    MASK,
    Rules,
    kinds_in,
    rule_for,
    rule_for_items,
    rule_of,
    rules_for,
    united,
)
from mongoengine_history.state.values import ABSENT, State, encode, same

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    Masking = Callable[[object], Binary]

PASSING: Final = (len(SIGN) + 32,)
"""Bytes of a mask that serves to compare, and is never stored."""

IDS: Final = ("_id", "id")
"""The keys by which an item of a list is recognised wherever it stands."""


@dataclass(frozen=True, slots=True)
class Hiding:
    """
    What is hidden of the states of one class, or of all classes that share a collection.

    Without a rule it hides nothing, and costs nothing.
    """

    #: By keys, what is hidden below them: `EXCLUDE`, `MASK`, or again such a dict, which may lead
    #: back. Below `CLASS` stand the rules of certain classes; the others are those of all of them.
    rules: Rules = field(default_factory=dict)
    #: The key of fingerprints …
    key: bytes | None = field(default=None, repr=False)
    #: … and those of certain classes.
    keys: Mapping[str, bytes | None] = field(default_factory=dict, repr=False)

    @classmethod
    def of(
        cls,
        exclude: Iterable[tuple[str, ...]],
        mask: Iterable[tuple[str, ...]],
        key: bytes | None = None,
        rules: Iterable[Rules] = (),
    ) -> Hiding:
        """Make it of paths, in which `ANY` is each item of a list and each key, and of *rules*."""
        named = [
            *(rule_of(path, EXCLUDE) for path in exclude),
            *(rule_of(path, MASK) for path in mask),
        ]
        return cls(united([*named, *rules]), key)

    @classmethod
    def of_classes(cls, hidings: Mapping[str, Hiding]) -> Hiding:
        """Make one of those of classes that share a collection, by what ``_cls`` has of each."""
        rules = {name: hiding.rules for name, hiding in hidings.items()}
        keys = {name: hiding.key for name, hiding in hidings.items()}
        key = next((key for key in keys.values() if key), None)
        return cls(united([{CLASS: rules}]) if any(rules.values()) else {}, key, keys)

    def hidden(self, state: State) -> State:
        """Return a state as the history may have it."""
        hidden: State = _hidden(state, self.rules, self._masking(state)) if self.rules else state
        return hidden

    def hides_all_of(self, state: State) -> bool:
        """Say whether there is nothing in a state that would have to be hidden."""
        if not self.rules:
            return True
        return same(_blank(_hidden(state, self.rules, _blank_mask)), _blank(state))

    def pair(self, before: State, after: State) -> tuple[State, State]:
        """
        Return two states in which different values have different masks, also without a key.

        They are for comparing; what comes of it has to go through `settled`.
        """
        if not self.rules:
            return before, after
        compared = partial(_mask, secrets.token_bytes(16), sizes=PASSING)
        masks = (self._masking(it) if self._key_of(it) else compared for it in (before, after))
        return _hidden(before, self.rules, next(masks)), _hidden(after, self.rules, next(masks))

    def revealed(self, state: State, live: State | None) -> State:
        """
        Return an earlier state in which all that is hidden is as *live* has it.

        What lies below something that the earlier state does not have goes with it. An item of a
        list keeps the values of the live item that has the same ``_id`` or ``id``. Without such a
        key it is one that looks the same, or else the one that resembles it most. If it shows one
        value only, it is the one in its place.

        The state may be from before there was a rule. Without a document masks are left out.
        """
        if not self.rules and not has_masks(state):
            return state
        if live is None:
            return without_masks(state)
        return _revealed_dict(self.hidden(state), live, self.rules, self._masking(state))

    def kept(self, state: State, live: State | None) -> State:
        """
        Return an earlier state in which what the rules name is as *live* has it.

        Of an item or a dict that *live* does not have, all of it comes back.
        """
        if not self.rules or live is None:
            return state
        return _revealed_dict(self.hidden(state), live, self.rules, self._masking(state), state)

    @property
    def has_masks(self) -> bool:
        """Say whether anything is masked."""
        return MASK in kinds_in(self.rules)

    def _key_of(self, state: State) -> bytes | None:
        name = state.get(CLASS)
        return self.keys.get(name, self.key) if isinstance(name, str) else self.key

    def _masking(self, state: State) -> Masking:
        key = self._key_of(state)
        return partial(_mask, key) if key else _blank_mask


def without_masks(state: State) -> State:
    """Return a state without the values that are masked; the same one if there are none."""
    return _revealed_dict(state, {}, {}, _blank_mask) if has_masks(state) else state


def settled(value: Any) -> Any:
    """Return a value in which masks that `pair` made only for comparing tell nothing."""
    return _blank(value, PASSING)


def _blank(value: Any, sizes: tuple[int, ...] = SIZES) -> Any:
    if isinstance(value, dict):
        return {key: _blank(item, sizes) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_blank(item, sizes) for item in value)
    return BLANK if is_mask(value, sizes) else value


def _blank_mask(_: object) -> Binary:
    return BLANK


def _mask(key: bytes, value: object, sizes: tuple[int, ...] = SIZES) -> Binary:
    if is_mask(value):
        return value
    digest = hmac.digest(key, encode(value), "sha256")
    mask: Binary = Binary((SIGN + digest)[: max(sizes)], SUBTYPE)
    return mask


def _hidden(value: Any, rules: Any, mask: Masking) -> Any:
    """Return a value without what *rules* hide of it."""
    rules = rules_for(value, rules)
    if rules == MASK or _is_closed(value):
        return mask(value)
    if isinstance(value, list):
        rule = rule_for_items(rules)
        return [] if rule == EXCLUDE else [_hidden(item, rule, mask) for item in value]
    if not isinstance(value, dict):
        return value
    kept = {key: (item, rule_for(key, rules)) for key, item in value.items()}
    return {
        key: _hidden(item, rule, mask) if rule else item
        for key, (item, rule) in kept.items()
        if rule != EXCLUDE
    }


def _is_closed(value: Any) -> bool:
    """Say whether a value has further ones inside that no rule can reach."""
    if isinstance(value, DBRef):
        return bool(value.as_doc().keys() - {"$ref", "$id", "$db"})
    return isinstance(value, Code) and bool(value.scope)


def _revealed(value: Any, live: Any, rules: Any, mask: Masking, was: Any = ABSENT) -> Any:
    """
    Return a hidden value in which what is hidden is as *live* has it, of the same kind.

    Where that has none of the kind, it is as the value *was* itself, if that is known.
    """
    if isinstance(value, dict | list) and was is not ABSENT and not isinstance(live, type(value)):
        return was
    if isinstance(value, dict):
        return _revealed_dict(value, live if isinstance(live, dict) else {}, rules, mask, was)
    if isinstance(value, list):
        return _revealed_list(value, live if isinstance(live, list) else [], rules, mask, was)
    return value


def _revealed_dict(
    value: State, live: State, rules: Any, mask: Masking, was: Any = ABSENT
) -> State:
    rules = rules_for(value, rules) or {}
    rule_of = {key: rule_for(key, rules) for key in {**value, **live}}
    inner = {} if was is ABSENT else was
    revealed = {
        key: live[key]
        if is_mask(item)
        else _revealed(item, live.get(key), rule_of[key], mask, inner.get(key, ABSENT))
        for key, item in value.items()
        if not is_mask(item) or key in live
    }
    kept = {key for key in live if rule_of[key] in HIDDEN and key not in revealed}
    return _with(kept, live, revealed) if kept else revealed


def _with(keys: set[str], live: State, revealed: State) -> State:
    """Put *keys* of *live* among those that are *revealed*, where they stand there."""
    behind: dict[str | None, list[str]] = {None: []}
    last = None
    for key in live:
        if key in keys:
            behind[last].append(key)
        elif key in revealed:
            behind[key], last = [], key
    order = [*behind[None], *(each for key in revealed for each in (key, *behind.get(key, ())))]
    return {key: revealed[key] if key in revealed else live[key] for key in order}


def _revealed_list(
    items: list[Any], live: list[Any], rules: Any, mask: Masking, was: Any
) -> list[Any]:
    rule = rule_for_items(rules or {})
    if rule in HIDDEN:
        return live
    hidden = _hidden(live, {ANY: rule}, mask) if rule else live
    revealed, wholes = [], repeat(ABSENT) if was is ABSENT else was
    for item, index, whole in zip(items, _partners(hidden, items), wholes, strict=False):
        partner = ABSENT if index is None else live[index]
        revealed.append(partner if is_mask(item) else _revealed(item, partner, rule, mask, whole))
    return [item for item in revealed if item is not ABSENT]


def _partners(old: list[Any], new: list[Any]) -> list[int | None]:
    """Say which old item each new one is; None for one that is not among them."""
    partners: dict[int, int] = {}
    for name_of in (encode, _name):  # the first by fingerprints, too
        free: dict[bytes, deque[int]] = defaultdict(deque)
        for index in sorted({*range(len(old))} - {*partners.values()}):
            free[name_of(old[index])].append(index)
        for index, item in enumerate(new):
            same_items = () if index in partners else free[name_of(item)]
            if same_items:
                partners[index] = same_items.popleft()
    taken = {*partners.values()}
    olds = {index: _features(item) for index, item in enumerate(old) if index not in taken}
    news = {index: _features(item) for index, item in enumerate(new) if index not in partners}
    in_place = list(_in_place([*map(_name, old)], [*map(_name, new)]))
    alike = [pair for pair in in_place if olds.get(pair[0], {}).keys() & news.get(pair[1], {})]
    edited = [pair for pair in in_place if _only_key(old[pair[0]]) == _only_key(new[pair[1]]) != ""]
    for before, after in [*_resembling(olds, news), *alike, *edited]:
        if after not in partners and before not in taken:
            partners[after] = before
            taken.add(before)
    return [partners.get(index) for index in range(len(new))]


def _name(item: Any) -> bytes:
    """Return what tells an item from others, whatever is hidden of it: its id, or all of it."""
    known = _id_of(item)
    return encode(_blank(item)) if known is ABSENT else encode(["id", known])


def _id_of(item: Any) -> Any:
    for key in IDS:
        known = item.get(key) if isinstance(item, dict) else None
        if known is not None and not is_mask(known):
            return known
    return ABSENT


def _features(item: Any) -> dict[Any, int]:
    """Return by what an item without an id may be known again, and how much each tells."""
    if not isinstance(item, dict) or _id_of(item) is not ABSENT:
        return {}
    return {
        (key, encode(_blank(value))): 1 if isinstance(value, (int, float)) else 2
        for key, value in item.items()
        if not (value is None or isinstance(value, bool) or is_mask(value))
    }


def _only_key(item: Any) -> str:
    """Return the one key of an item that is shown beside what is masked; empty without one."""
    shown = [key for key in item if not is_mask(item[key])] if isinstance(item, dict) else []
    return shown[0] if len(shown) == 1 and _id_of(item) is ABSENT else ""


def _resembling(
    old: Mapping[int, dict[Any, int]], new: Mapping[int, dict[Any, int]]
) -> list[tuple[int, int]]:
    """Pair items by features that only these two have, those that tell most first."""
    first, second = _owners(old), _owners(new)
    scores: Counter[tuple[int, int]] = Counter()
    for known in first.keys() & second.keys():
        if len(first[known]) == len(second[known]) == 1:
            before, after = first[known][0], second[known][0]
            scores[before, after] += old[before][known]
    return sorted(scores, key=lambda pair: (-scores[pair], abs(pair[0] - pair[1]), pair))


def _owners(items: Mapping[int, dict[Any, int]]) -> dict[Any, list[int]]:
    owners: dict[Any, list[int]] = defaultdict(list)
    for index, features in items.items():
        for known in features:
            owners[known].append(index)
    return owners


def _in_place(old: list[bytes], new: list[bytes]) -> Iterator[tuple[int, int]]:
    """Pair items that differ and stand at the same place between others."""
    for gap in gaps(old, new):
        olds, news = range(gap.old_start, gap.old_end), range(gap.new_start, gap.new_end)
        if len(olds) == len(news):
            yield from zip(olds, news, strict=True)
