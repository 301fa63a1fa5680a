"""Rules say what is hidden where: by keys, at any depth, and by classes. Knows no database."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

Rules = Mapping[str, Any]
"""By keys, `EXCLUDE`, `MASK` or the rules below, which may lead back; below `CLASS`, by classes."""

ANY: Final = "*"
"""Any item of a list, or any key."""

EXCLUDE: Final = "exclude"
MASK: Final = "mask"
HIDDEN: Final = (EXCLUDE, MASK)

CLASS: Final = "_cls"
"""Where MongoEngine keeps the class of a document, also of an embedded one."""


def rule_of(path: tuple[str, ...], kind: str) -> dict[str, Any]:
    """Return the rules that hide what lies at a path."""
    rule: Any = kind
    for step in reversed(path):
        rule = {step: rule}
    return rule  # type: ignore[no-any-return]  # a path has a step


def united(rules: Sequence[Rules]) -> Rules:
    """
    Unite rules. What hides the whole hides its parts, and what is said of any key holds for each.

    Of rules that differ by class, all hold where the class is not known. They may lead back to
    themselves, so each set of them is united once.
    """
    return _united(rules, {})


def _united(rules: Iterable[Rules], known: dict[frozenset[int], dict[str, Any]]) -> Rules:
    some = [*{id(rule): rule for rule in rules}.values()]
    names = frozenset(map(id, some))
    if names in known:
        return known[names]
    made = known[names] = {}
    of_any_class = [it for rule in some for it in _of_any_class(rule)]
    others = [rule[ANY] for rule in of_any_class if ANY in rule]
    for key in dict.fromkeys(key for rule in of_any_class for key in rule if key != CLASS):
        own = [rule[key] for rule in of_any_class if key in rule]
        made[key] = _one(own, [] if key == ANY else others, known)
    classes = dict.fromkeys(name for rule in some for name in rule.get(CLASS, ()))
    if classes:
        made[CLASS] = {
            name: _united([it for rule in some for it in _of_class(rule, name)], known)
            for name in classes
        }
    return made


def _one(own: list[Any], others: list[Any], known: dict[frozenset[int], dict[str, Any]]) -> Any:
    """Unite what is said of a key itself, which wins, and of any key."""
    for some in (own, others):
        if EXCLUDE in some or MASK in some:
            return EXCLUDE if EXCLUDE in some else MASK
    return _united([*own, *others], known)


def _of_any_class(rules: Rules) -> Iterable[Rules]:
    """Return what holds where the class is not known; of what is united already that is it."""
    return rules[CLASS].values() if rules.keys() == {CLASS} else [rules]


def _of_class(rules: Rules, name: str) -> Iterable[Rules]:
    named = rules.get(CLASS, {})
    return [named[name]] if name in named else _of_any_class(rules)


def rules_for(value: Any, rules: Any) -> Any:
    """Return the rules that hold for a value, if they differ by its class."""
    named = rules.get(CLASS) if isinstance(rules, dict) and isinstance(value, dict) else None
    name = value.get(CLASS) if named else None
    return named.get(name, rules) if named and isinstance(name, str) else rules


def rule_for(key: str, rules: Rules) -> Any:
    """Return what is hidden at or below a key."""
    return rules.get(key) or rules.get(ANY)


def rule_for_items(rules: Rules) -> Any:
    """Return what is hidden of items: a path may name them or pass through."""
    named = {key: rule for key, rule in rules.items() if key != ANY}
    if not (named and ANY in rules):
        return rules.get(ANY, named)
    return _one([rules[ANY]], [named], {})


def kinds_in(rules: Rules) -> set[str]:
    """Say how values are hidden by rules: `EXCLUDE`, `MASK`, both or none."""
    kinds: set[str] = set()
    nodes: list[Any] = [rules]
    seen: set[int] = set()
    while nodes:
        node = nodes.pop()
        if isinstance(node, str):
            kinds.add(node)
        elif id(node) not in seen:
            seen.add(id(node))
            nodes += node.values()
    return kinds
