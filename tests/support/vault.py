"""Documents that hold secrets, and a search for secrets in all that a history is made of."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

import mongoengine as me
from bson.raw_bson import RawBSONDocument
from mongoengine import Document

from mongoengine_history import History

Paths = tuple[tuple[str, ...], ...]

MARK = "S3CRET"

KEY = b"a key of fingerprints"

HIDING: dict[str, Any] = {
    "exclude": ["password", "facts.*.pin", "codes.*"],
    "mask": ["token", "lines.*.card", "facts.answer", "place.door"],
}

_numbers = count()


def secret() -> str:
    """Make a text that nobody may ever find."""
    return f"{MARK}-{next(_numbers)}"


class VaultLine(me.EmbeddedDocument):
    sku = me.StringField()
    qty = me.IntField()
    card = me.StringField(db_field="c")


class VaultPlace(me.EmbeddedDocument):
    street = me.StringField()
    door = me.StringField(db_field="d")


def fields() -> dict[str, Any]:
    """Make the fields of a vault."""
    return {
        "name": me.StringField(max_length=300),
        "number": me.IntField(unique=True, sparse=True),
        "password": me.StringField(db_field="pw"),
        "token": me.StringField(),
        "lines": me.EmbeddedDocumentListField(VaultLine, db_field="ls"),
        "facts": me.DictField(),
        "codes": me.ListField(me.StringField()),
        "place": me.EmbeddedDocumentField(VaultPlace),
        "parent": me.ReferenceField("self", reverse_delete_rule=me.NULLIFY),
        "owner": me.ReferenceField("self", reverse_delete_rule=me.CASCADE),
    }


def vault(name: str, **meta: Any) -> type[Document]:
    """Make a class of documents with secrets."""
    meta = {"collection": f"vault_{name.lower()}", "auto_create_index": False, **meta}
    return type(f"Vault{name}", (Document,), {"meta": meta, **fields()})


def filled(model: type[Document], name: str, **values: Any) -> Any:
    """Make a document of which each secret is another one."""
    given = {
        "name": name,
        "password": secret(),
        "token": secret(),
        "lines": [VaultLine(sku=f"{name}{n}", qty=n, card=secret()) for n in range(3)],
        "facts": {"a": {"pin": secret(), "b": 1}, "answer": {secret(): [secret()]}, "c": 2},
        "codes": [secret(), secret()],
        "place": VaultPlace(street="s", door=secret()),
    }
    return model(**{**given, **values})


def refill(document: Any) -> Any:
    """Edit each secret of a document, and something that is none."""
    document.name += "!"
    document.password, document.token = secret(), secret()
    document.lines[0].card = secret()
    document.lines[1].qty = 9
    document.lines.insert(1, VaultLine(sku="new", card=secret()))
    del document.lines[-1]
    document.facts["a"] = {"pin": secret(), "b": 2}
    document.facts["answer"] = secret()
    document.codes.append(secret())
    document.place.door = secret()
    return document


def raw_secrets() -> dict[str, Any]:
    """Make values as they are stored, for writes past MongoEngine."""
    return {
        "pw": secret(),
        "token": secret(),
        "ls": [{"sku": "raw", "c": secret()}, {"sku": "raw 2", "qty": 1, "c": [secret()]}],
        "facts": {"a": {"pin": {"x": secret()}}, "answer": [secret()]},
        "codes": [secret()],
        "place": {"street": "t", "d": secret()},
    }


def found_in(*shown: Any) -> list[str]:
    """Tell what of that which somebody may see tells a secret."""
    return [text for text in map(repr, shown) if MARK in text]


def recorded() -> list[bytes]:
    """Read all documents of the history, as bytes, and check that no secret is among them."""
    history = History._get_collection()
    codec = history.codec_options.with_options(document_class=RawBSONDocument)
    raws = [it.raw for it in history.with_options(codec_options=codec).find()]
    assert not [raw for raw in raws if MARK.encode() in raw]
    return raws


def hides(rule: tuple[str, ...], path: tuple[str | int, ...]) -> bool:
    """Whether a path leads to what a rule names: ``*`` is an item, others pass through lists."""
    if not rule or not path:
        return not rule and not path
    if isinstance(path[0], int):
        return hides(rule[1:] if rule[0] == "*" else rule, path[1:])
    return rule[0] in {path[0], "*"} and hides(rule[1:], path[1:])


def planted(state: Any, rules: Paths, secret: Callable[[], Any]) -> Any:
    """Put secrets in the place of all that rules name."""

    def plant(value: Any, path: tuple[str | int, ...]) -> Any:
        if path and any(hides(rule, path) for rule in rules):
            return secret()
        if isinstance(value, dict):
            return {key: plant(item, (*path, key)) for key, item in value.items()}
        if isinstance(value, list):
            return [plant(item, (*path, index)) for index, item in enumerate(value)]
        return value

    return plant(state, ())
