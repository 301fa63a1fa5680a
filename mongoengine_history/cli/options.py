"""What all commands are asked: which server, which class, and how it shall be told."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from datetime import timezone, tzinfo
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click
import mongoengine
from mongoengine import Document
from mongoengine.connection import DEFAULT_CONNECTION_NAME

from mongoengine_history.cli.connection import (
    OWN_ALIAS,
    also,
    connect,
    database_of,
    expect_answer,
    is_registered,
    is_there,
)
from mongoengine_history.cli.models import imported
from mongoengine_history.cli.terminal import Terminal
from mongoengine_history.cli.values import zone_of
from mongoengine_history.embedded import NoServerError
from mongoengine_history.errors import OptionsError
from mongoengine_history.faces.classless import classless, history_named
from mongoengine_history.record.history import alias_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pymongo import MongoClient

C = TypeVar("C", bound=click.Command)

NEGATIVE: Final = re.compile(r"-\d+")

USUAL_HISTORY: Final = "history"
"""The collection of the records, if no other one is named."""

NO_SERVER_NAMED: Final = "Which server? Give --uri, or set MONGODB_URI."


@dataclass
class Settings:
    """What was said, before the command or after it, and what follows from it."""

    #: The URI that was given; else that of the environment, which gives way to the application.
    given: str | None = None
    database: str | None = None
    #: As they were named: ``package.module:Class``.
    model: tuple[str, ...] = ()
    kept_in: str = USUAL_HISTORY
    zone: tzinfo = timezone.utc
    json: bool = False
    #: What was said to those commands that write.
    yes: bool = False
    dry_run: bool = False
    reason: str | None = None
    identity: str | None = None
    _clients: list[MongoClient[Any]] = field(default_factory=list)
    _aliases: set[str] = field(default_factory=set)

    @property
    def uri(self) -> str | None:
        """The URI that counts where the application has not connected itself."""
        return self.given or os.environ.get("MONGODB_URI") or None

    @cached_property
    def terminal(self) -> Terminal:
        """Where all is told."""
        return Terminal(self.zone)

    def answer(self, data: Any, text: str, indent: int | None = 2) -> None:
        """Tell data where JSON is asked for, else a text, if there is one."""
        if self.json:
            self.terminal.json(data, indent)
        elif text:
            self.terminal.line(text)

    @cached_property
    def models(self) -> list[type[Document]]:
        """The classes that were named, connected."""
        models = [imported(name) for name in self.model]
        for model in models:
            self._reach(alias_of(model))
        return models

    def classless(self, collection: str) -> type[Document]:
        """Return a class for a collection whose class is not named."""
        self.reach_own()
        return classless(collection, alias=OWN_ALIAS, history=self.kept_in)

    def all_models(self) -> list[type[Document]]:
        """Return the classes that were named, or one for each collection that has a history."""
        if self.model:
            return self.models
        self.reach_own()
        records = history_named(self.kept_in).beside(mongoengine.get_db(OWN_ALIAS))
        names = records.distinct("document_type")
        named = sorted(it for it in names if isinstance(it, str) and it)
        return [self.classless(it) for it in named]

    def everything(self) -> list[type[Document]]:
        """Return the same; none at all if that means all there is, events of no document, too."""
        models = self.all_models()
        is_all = not self.model and self.kept_in == USUAL_HISTORY
        return [] if is_all and DEFAULT_CONNECTION_NAME in self._aliases else models

    def reach_own(self) -> None:
        """Connect to where collections lie whose classes are not named, and their records."""
        self._reach(OWN_ALIAS)
        if self.kept_in != USUAL_HISTORY:
            self._check_kept()
        if not is_registered(DEFAULT_CONNECTION_NAME):  # which means all, where no class is given
            also(OWN_ALIAS, DEFAULT_CONNECTION_NAME)
            self._aliases.add(DEFAULT_CONNECTION_NAME)

    def _check_kept(self) -> None:
        """Raise an OptionsError if records are named that are not there: nothing is no answer."""
        if not is_there(mongoengine.get_db(OWN_ALIAS), self.kept_in):
            problem = "the database has no such collection; the class that makes it is a --model"
            raise OptionsError("history", self.kept_in, problem)

    def _reach(self, alias: str) -> None:
        """Connect, unless the application has, and nothing else is said."""
        if alias in self._aliases:
            return
        is_theirs = is_registered(alias) and not self.given
        if is_theirs and self.database in {None, database_of(alias)}:
            expect_answer(mongoengine.get_connection(alias))
            return
        if not self.uri:
            raise NoServerError(NO_SERVER_NAMED)
        name = self.database or (database_of(alias) if is_registered(alias) else None)
        self._clients.append(connect(self.uri, name, alias))
        self._aliases.add(alias)

    def close(self) -> None:
        """End the connections that were made."""
        for alias in self._aliases:
            mongoengine.disconnect(alias)
        for client in self._clients:
            client.close()


def _keep(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    settings = ctx.find_object(Settings)
    if settings is not None and value not in (None, (), False):
        setattr(settings, str(param.name), value)


def _zone(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    _keep(ctx, param, zone_of(value) if value else None)


def kept() -> dict[str, Any]:
    """Return how an option is made that the settings keep."""
    return {"expose_value": False, "callback": _keep}


def several(*options: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return what gives a command some options, in their order."""

    def given(function: Any) -> Any:
        for option in reversed(options):
            function = option(function)
        return function

    return given


def shared(command: C) -> C:
    """Give a command the options that all have; they may stand before its name, too."""
    for option in _shared():
        option(command)
    return command


def _shared() -> Sequence[Callable[[Any], Any]]:
    return [
        click.option(
            "--uri", "given", metavar="URI", help="The server; else MONGODB_URI.", **kept()
        ),
        click.option("--database", metavar="NAME", help="If the URI names none.", **kept()),
        click.option(
            "--model",
            "-m",
            multiple=True,
            metavar="MODULE:CLASS",
            help="The application's class, by whose rules is read and written.",
            **kept(),
        ),
        click.option(
            "--history",
            "kept_in",
            metavar="NAME",
            help="Collection of records, without --model.",
            **kept(),
        ),
        click.option(
            "--zone",
            metavar="NAME",
            help="Time zone, such as Europe/Berlin or local; UTC by default.",
            expose_value=False,
            callback=_zone,
        ),
        click.option("--json", is_flag=True, help="Tell it as JSON.", **kept()),
    ]


class Command(click.Command):
    """A command that takes numbers below zero, which look like options."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Let ``-1`` be a word, where one is there; a misspelt option is then one too many."""
        ctx.ignore_unknown_options = any(map(NEGATIVE.fullmatch, args))
        return super().parse_args(ctx, args)


def command(name: str, **said: Any) -> Callable[[Callable[..., Any]], click.Command]:
    """Make a command, with the options that all have."""

    def made(function: Callable[..., Any]) -> click.Command:
        return shared(click.command(name, cls=Command, **said)(click.pass_obj(function)))

    return made


NEW_FILE: Final = click.option(
    "--to", type=click.Path(dir_okay=False, path_type=Path), help="A file that is new."
)


def words(usage: str) -> Callable[[Any], Any]:
    """Let a command take words, of which *usage* tells the names."""
    return click.argument("words", nargs=-1, metavar=usage)
