"""What the application lets somebody see and do: its own functions decide."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from inspect import isawaitable, iscoroutinefunction
from typing import TYPE_CHECKING, Any

from mongoengine_history import history_of
from mongoengine_history.documents.attributes import attributes
from mongoengine_history.errors import OptionsError
from mongoengine_history.record.place import Place
from mongoengine_history.web.veil import Veil

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mongoengine import Document
    from starlette.requests import Request

    from mongoengine_history import Timeline
    from mongoengine_history.state.patches import DictdifferPatch

    Decide = Callable[[Request, type[Document], Any, str | None], object]


def nobody(_request: Request, _model: type[Document], _pk: Any, _path: str | None) -> bool:
    """Let nobody do it."""
    return False


def everybody(_request: Request, _model: type[Document], _pk: Any, _path: str | None) -> bool:
    """Let everybody do it."""
    return True


def check_sync(name: str, function: object) -> None:
    """Raise an OptionsError if a function of the host has to be awaited, which nobody does."""
    if iscoroutinefunction(function) or iscoroutinefunction(type(function).__call__):
        raise OptionsError(name, function, "nothing awaits it: define it without async")


def is_yes(answer: object) -> bool:
    """Say whether the host said yes. What has to be awaited is no answer, and lets nobody in."""
    if isawaitable(answer):
        getattr(answer, "close", bool)()
        raise TypeError(f"{answer!r} is no answer: nothing awaits a function that says who may")
    return bool(answer)


@dataclass(frozen=True)
class Rights:
    """The rights of who sent a request, to one document, or to a class where *pk* is None."""

    request: Request
    may_see: Decide
    may_restore: Decide
    may_erase: Decide
    model: type[Document]
    pk: Any = None

    @cached_property
    def sees(self) -> bool:
        """Whether it may be seen; a document only where its class may be."""
        return self._is_let(self.may_see)

    @cached_property
    def restores(self) -> bool:
        """Whether something of it may be led back."""
        return self.sees and self._is_let(self.may_restore)

    @cached_property
    def erases(self) -> bool:
        """Whether something may be erased from its history."""
        return self.sees and self._is_let(self.may_erase)

    def _is_let(self, decide: Decide) -> bool:
        """Ask about the class, and the document; one is free only where its class is."""
        asked = [None] if self.pk is None else [None, self.pk]
        return all(is_yes(decide(self.request, self.model, pk, None)) for pk in asked)

    @cached_property
    def of_erasing(self) -> Veil:
        """What says which paths of stored names may be erased."""
        return self._veil(self.may_erase)

    @property
    def stored(self) -> bytes | None:
        """The document as it is stored now; None if it is not."""
        return Place(self.model).stored(self.pk)

    @property
    def document(self) -> Document | None:
        """The document as the application finds it; a key that looks like an operator is none."""
        found: Document | None = self.model.objects(__raw__={"_id": {"$eq": self.pk}}).first()
        return found

    @property
    def timeline(self) -> Timeline[Document]:
        """The history of the document."""
        return history_of(self.model, self.pk)

    @cached_property
    def veil(self) -> Veil:
        """What hides the values at paths that may not be seen."""
        return self._veil(self.may_see)

    def refused(self, patches: Sequence[DictdifferPatch]) -> list[str]:
        """Name the paths of changes that must not be made by who sent the request."""
        closed = map(self.veil.shown, self._veil(self.may_restore).closed_in(patches))
        return [".".join(map(str, attributes(self.model, it))) for it in dict.fromkeys(closed)]

    def _veil(self, decide: Decide) -> Veil:
        return Veil(
            self.model, lambda path: is_yes(decide(self.request, self.model, self.pk, path))
        )
