"""A client that decrypts: the history has the ciphertext, and all writes are as without it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import mongoengine
import pytest
from bson import Binary, ObjectId
from bson.binary import STANDARD
from bson.codec_options import CodecOptions
from mongoengine import Document, DynamicField, StringField, signals
from pymongo import MongoClient, ReturnDocument
from pymongo.database import Database
from pymongo.encryption import Algorithm, ClientEncryption
from pymongo.encryption_options import AutoEncryptionOpts
from pymongo.errors import InvalidOperation
from support.binding import binds

from mongoengine_history import (
    DocumentTrack,
    History,
    OptionsError,
    StaleDocumentError,
    as_of,
    backfill,
    changeset,
    history_of,
    load_history,
    restore,
    revert,
    revert_changeset,
    track_changes,
    track_history,
    undo,
    untrack_history,
    untracked,
)
from mongoengine_history.record.place import Place

KMS = {"local": {"key": os.urandom(96)}}

Encrypt = Callable[[str], Binary]


class Person(Document):
    meta = {"db_alias": "decrypting", "collection": "person"}
    name = StringField()
    number = DynamicField()


class Watched(Document):
    meta = {"db_alias": "decrypting", "collection": "watched"}
    name = StringField()
    number = DynamicField()


class Keyed(Document):
    meta = {"db_alias": "decrypting", "collection": "keyed"}
    number = DynamicField(primary_key=True)
    name = StringField()


def connected(uri: str, name: str, *, bypass: bool) -> MongoClient[Any]:
    options = AutoEncryptionOpts(KMS, f"{name}.keys", bypass_auto_encryption=bypass)
    settings = {"uuidRepresentation": "standard", "auto_encryption_opts": options}
    Person._collection = Watched._collection = Keyed._collection = None
    return mongoengine.connect(name, alias="decrypting", host=uri, **settings)


@pytest.fixture
def raw(database: Database, client: MongoClient, mongodb_uri: str) -> Iterator[Database]:
    """The database as it is stored; MongoEngine's own client for it decrypts."""
    name = f"{database.name}_secret"
    connected(mongodb_uri, name, bypass=True)
    for model in (Person, Keyed):
        track_history(model)
    yield client[name]
    for model in (Person, Keyed):
        untrack_history(model)
    mongoengine.disconnect("decrypting")
    client.drop_database(name)


@pytest.fixture
def encrypt(raw: Database) -> Iterator[Encrypt]:
    codec = CodecOptions(uuid_representation=STANDARD)
    with ClientEncryption(KMS, f"{raw.name}.keys", raw.client, codec) as crypt:
        key = crypt.create_data_key("local")
        kind = Algorithm.AEAD_AES_256_CBC_HMAC_SHA_512_Random
        yield lambda text: crypt.encrypt(text, kind, key_id=key)


def leaks(raw: Database) -> list[Any]:
    stored = [document for name in raw.list_collection_names() for document in raw[name].find()]
    return [document for document in stored if "secret" in repr(document)]


def person(encrypt: Encrypt) -> Person:
    """A person with two revisions, as the application loads it."""
    made = Person(name="a", number=encrypt("secret 1")).save()
    made.number = encrypt("secret 2")
    made.save()
    return Person.objects.get(pk=made.pk)


def test_a_save_records_the_ciphertext(raw: Database, encrypt: Encrypt) -> None:
    ada = person(encrypt)
    assert ada.number == "secret 2"
    stored = raw["person"].find_one()
    assert history_of(ada).state(2)["number"] == stored["number"]
    assert [revision.operation for revision in history_of(ada)] == ["create", "update"]
    assert len(load_history(ada)) == 2
    assert not leaks(raw)


def test_a_stored_document_is_learned_as_it_is(raw: Database, encrypt: Encrypt) -> None:
    with untracked():
        ada = Person(name="a", number=encrypt("secret 1")).save()
        eve = Person(name="e", number=encrypt("secret 3")).save()
    ada.name = "b"
    ada.save()
    backfill(Person)
    for each in (ada, eve):
        stored = raw["person"].find_one({"_id": each.pk})
        assert history_of(each).state(0)["number"] == stored["number"]
    assert not leaks(raw)


WRITES: dict[str, Callable[[Person], Any]] = {
    "update": lambda ada: ada.update(name="b"),
    "modify": lambda ada: ada.modify(name="b"),
    "query update": lambda _: Person.objects(name="a").update(name="b"),
    "query update_one": lambda _: Person.objects(name="a").update_one(name="b"),
    "query modify": lambda _: Person.objects(name="a").modify(name="b"),
    "query delete": lambda _: Person.objects(name="a").delete(),
    "delete": lambda ada: ada.delete(),
    "drop": lambda _: Person.drop_collection(),
}


@pytest.mark.parametrize("name", WRITES)
def test_each_write_is_recorded_as_it_is_stored(name: str, raw: Database, encrypt: Encrypt) -> None:
    ada = person(encrypt)
    number = raw["person"].find_one()["number"]
    WRITES[name](ada)
    timeline = history_of(Person, ada.pk)
    assert timeline.state(2) == {"name": "a", "number": number}
    if timeline[3].operation == "update":
        assert timeline.state(3) == {"name": "b", "number": number}
        assert raw["person"].find_one()["number"] == number
    assert not leaks(raw)


def test_inserts_are_recorded_as_they_are_stored(raw: Database, encrypt: Encrypt) -> None:
    people = [Person(number=encrypt(f"secret {number}")) for number in range(2)]
    for made in Person.objects.insert(people):
        stored = raw["person"].find_one({"_id": made.pk})
        assert history_of(made).state(1)["number"] == stored["number"]
    assert not leaks(raw)


def test_what_a_write_gives_is_what_the_application_reads(raw: Database, encrypt: Encrypt) -> None:
    ada = person(encrypt)
    assert ada.modify(name="b")
    assert (ada.name, ada.number) == ("b", "secret 2")
    assert Person.objects.modify(name="c", new=True).number == "secret 2"
    collection = Person._get_collection()
    asked = {"projection": ["number"], "return_document": ReturnDocument.AFTER}
    found = collection.find_one_and_update({}, {"$inc": {"n": 1}}, **asked)
    assert found == {"_id": ada.pk, "number": "secret 2"}
    assert next(collection.aggregate([]))["number"] == "secret 2"
    assert collection.find_one_and_delete({})["number"] == "secret 2"
    assert collection.find_one_and_delete({}) is None
    assert not leaks(raw)


def test_going_back_stores_the_same_bytes(raw: Database, encrypt: Encrypt) -> None:
    ada = person(encrypt)
    first, second = (history_of(ada).state(number)["number"] for number in (1, 2))
    revert(ada, revision=1).save()
    assert raw["person"].find_one()["number"] == first
    assert ada.reload().number == "secret 1"
    undo(ada, 3).save()
    assert raw["person"].find_one()["number"] == second
    ada.delete()
    restore(Person, ada.pk).save()
    assert raw["person"].find_one()["number"] == second
    [then] = as_of(Person, history_of(ada)[1].at)
    assert then.number == first
    then.save()
    assert raw["person"].find_one()["number"] == first
    assert not leaks(raw)


def test_a_changeset_is_taken_back_without_a_transaction(raw: Database, encrypt: Encrypt) -> None:
    ada = person(encrypt)
    second = raw["person"].find_one()["number"]
    with changeset("eve") as unit:
        Person.objects.update(number=encrypt("secret 3"), name="b")
    revert_changeset(unit)
    assert raw["person"].find_one() == {"_id": ada.pk, "name": "a", "number": second}
    assert not leaks(raw)


def test_a_primary_key_may_be_ciphertext(raw: Database, encrypt: Encrypt) -> None:
    key = encrypt("secret 1")
    Keyed(number=key, name="a").save()
    with changeset("eve") as unit:
        Keyed.objects.update(name="b")
    revert_changeset(unit)
    assert raw["keyed"].find_one() == {"_id": key, "name": "a"}
    assert [revision.operation for revision in history_of(Keyed, key)][1:] == ["update", "undo"]
    assert not leaks(raw)


def test_a_watched_document_is_recorded_as_it_is_stored(raw: Database, encrypt: Encrypt) -> None:
    for signal in (signals.post_save, signals.post_delete):
        signal.connect(track_changes, sender=Watched)
    made = Watched(name="a", number=encrypt("secret 1")).save()
    ada = Watched.objects.get(pk=made.pk)
    with DocumentTrack(ada, "eve"):
        ada.name = "b"
        ada.save()
        number = raw["watched"].find_one()["number"]
        ada.delete()
    assert history_of(ada).state(1) == {"name": "b", "number": number}
    assert history_of(ada)[2].operation == "delete"
    assert not leaks(raw)


def test_a_deletion_asked_for_late_has_what_the_history_has(
    raw: Database, encrypt: Encrypt
) -> None:
    signals.post_save.connect(track_changes, sender=Watched)
    number = encrypt("secret 1")
    made = Watched(name="a", number=number)
    with DocumentTrack(made):
        made.save()
    known = Watched.objects.get(pk=made.pk)
    unknown = Watched(name="b", number=encrypt("secret 2")).save().reload()
    with DocumentTrack(known), DocumentTrack(unknown):
        signals.post_delete.connect(track_changes, sender=Watched)
        known.delete()
        unknown.delete()
    assert history_of(known)[2].operation == history_of(unknown)[1].operation == "delete"
    assert restore(Watched, known.pk).save().number == number
    assert not leaks(raw)


def test_a_stale_copy_is_one_that_reads_otherwise(raw: Database, encrypt: Encrypt) -> None:
    ada, other = person(encrypt), Person.objects.first()
    with DocumentTrack(ada, refuse_stale=True):
        for number in (3, 4):
            ada.number = encrypt(f"secret {number}")
            ada.save()
    with DocumentTrack(other, refuse_stale=True):
        other.number = encrypt("secret 5")
        with pytest.raises(StaleDocumentError):
            other.save()
    assert Person.objects.first().number == "secret 4"
    assert len(history_of(ada)) == 4
    assert not leaks(raw)


def test_the_client_for_the_history_lives_as_long_as_the_other(raw: Database) -> None:
    first, second = Place(Person), Place(Watched)
    assert first.client is second.client is not mongoengine.get_connection("decrypting")
    assert first.documents.find_one() is None
    mongoengine.get_connection("decrypting").close()
    with pytest.raises(InvalidOperation):
        first.documents.find_one()
    with pytest.raises(InvalidOperation):
        Person(name="a").save()


def test_with_automatic_encryption_nothing_is_written(raw: Database, mongodb_uri: str) -> None:
    mongoengine.disconnect("decrypting")
    connected(mongodb_uri, raw.name, bypass=False)
    signals.post_save.connect(track_changes, sender=Watched)
    writes: list[Callable[[], Any]] = [
        lambda: Person(name="a").save(),
        lambda: Person.objects.update(name="b"),
        lambda: Person.objects.insert([Person(name="a")]),
        Person.objects.delete,
        lambda: DocumentTrack(Watched(name="a")),
        lambda: history_of(Person, ObjectId()),
    ]
    for write in writes:
        with pytest.raises(OptionsError, match="bypass_auto_encryption=True") as refused:
            write()
        assert refused.value.value == "…"
    with pytest.raises(OptionsError, match="no revision belongs"):  # of other databases
        revert_changeset(ObjectId())
    assert raw.list_collection_names() == []


def test_a_session_of_the_client_is_refused(raw: Database) -> None:
    collection = Person._get_collection()
    with mongoengine.get_connection("decrypting").start_session() as session:
        with pytest.raises(OptionsError, match="outside of the session"):
            collection.insert_one({"name": "a"}, session=session)
        with untracked():
            collection.insert_one({"name": "b"}, session=session)
    assert raw["person"].count_documents({"name": "a"}) == 0


@binds
def test_a_bound_session_of_the_client_is_refused(raw: Database) -> None:
    with mongoengine.get_connection("decrypting").start_session() as session, session.bind():
        for write in (Person(name="a").save, Person.objects.delete):
            with pytest.raises(OptionsError, match="outside of the session"):
                write()
        with session.start_transaction(), untracked():
            Person(name="b").save()
    assert raw["person"].count_documents({}) == 1


@binds
def test_an_atomic_changeset_is_refused(raw: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    decrypting = mongoengine.get_connection("decrypting")
    monkeypatch.setitem(mongoengine.connection._connections, "default", decrypting)
    monkeypatch.setitem(mongoengine.connection._dbs, "default", decrypting[raw.name])
    monkeypatch.setattr(History, "_collection", None)
    with pytest.raises(OptionsError, match="atomic=True"), changeset(atomic=True):
        Person(name="a").save()
    assert raw["person"].count_documents({}) == 0
