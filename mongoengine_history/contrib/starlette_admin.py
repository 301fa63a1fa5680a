"""starlette-admin: the history of each document, and what was deleted, as a part of the admin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mongoengine_history import OptionsError
from mongoengine_history.web.browser import history_browser

try:
    from anyio import from_thread
    from starlette.responses import RedirectResponse
    from starlette_admin import CustomView, RequestAction, action, link_row_action, route
    from starlette_admin.contrib.mongoengine import ModelView
except ImportError as error:
    needed = 'pip install "mongoengine-history[starlette-admin]", with Python 3.11 or later'
    raise ImportError(f"Install what the admin needs: {needed}") from error

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

__all__ = ["HistoryMixin", "HistoryView", "admin_user"]

OWN_ACTIONS: Final = {"history", "recover"}

CLOCK_ICON: Final = "fa fa-clock-rotate-left"


def admin_user(scope: Mapping[str, Any]) -> Any:
    """
    Return who is logged in to the admin; None if nobody is.

    It is also an ``identity`` for `mongoengine_history.contrib.asgi.HistoryMiddleware`, as one of
    the ``middlewares`` of the admin, so that what the admin writes by itself has a name.

    Args:
        scope: The scope of a request.

    Returns:
        The ``pk`` of the ``AdminUser`` if it has one, else its ``username``.
    """
    user = scope.get("state", {}).get("admin_user")
    if user is None:
        return None
    return user.pk if hasattr(user, "pk") else str(user.username)


class HistoryMixin:
    """
    Gives a view of a tracked class its history: for each row, and of what was deleted.

    Name it before ``ModelView``, and give the view to a `HistoryView`.
    """

    history_view: HistoryView | None = None

    def may_see_history(self, request: Request, pk: Any, path: str | None) -> bool:
        """
        Say whether who sent a request may see a history, where the view itself is accessible.

        Here that is what the view shows: documents that a ``find_by_pk`` of its own finds, and
        ``fields`` that it shows as details.

        Args:
            request: The request to the browser; its ``state`` is that of the admin.
            pk: The primary key of a document; None asks for the class.
            path: Names of attributes, joined by dots, of a value; None asks for the document. What
                lies above a path is asked for, too.
        """
        view: Any = self
        if path is None:
            is_limited = pk is not None and type(view).find_by_pk is not ModelView.find_by_pk
            return not is_limited or from_thread.run(view.find_by_pk, request, pk) is not None
        field = next((it for it in view.fields if it.name == path), None)
        if field is None:
            return "." in path
        return bool(view.can_access_field(request, field, RequestAction.DETAIL))

    def may_restore_history(self, request: Request, pk: Any, path: str | None) -> bool:  # noqa: ARG002
        """Say the same of undo, revert and restore; here that is ``can_edit``."""
        view: Any = self
        return bool(view.can_edit(request))

    @link_row_action(name="history", text="History", icon_class=CLOCK_ICON)
    def row_action_history(self, request: Request, pk: Any) -> str:
        """Lead to the history of a document."""
        view: Any = self
        return str(
            view.history_view.url(request, view.history_view.browser.path_of(view.document, pk))
        )

    @action(
        name="recover",
        text="Recover deleted",
        icon_class=CLOCK_ICON,
        allow_empty_selection=True,
        dedicated_button=True,
        custom_response=True,
    )
    async def recover_action(self, request: Request, _selection: Any) -> RedirectResponse:
        """Lead to the documents that were deleted."""
        view: Any = self
        path = f"deleted?model={view.document._class_name}"
        return RedirectResponse(view.history_view.url(request, path), 303)

    async def get_all_actions(self, request: Request) -> list[dict[str, Any]]:
        """Return what the view has, with names in the language of the pages."""
        view: Any = super()
        return [self._translated(it) for it in await view.get_all_actions(request)]

    async def get_row_actions_for_obj(self, *args: Any, **named: Any) -> list[dict[str, Any]]:
        """Return what can be done with a row, with names in the language of the pages."""
        view: Any = super()
        return [self._translated(it) for it in await view.get_row_actions_for_obj(*args, **named)]

    def _translated(self, action: dict[str, Any]) -> dict[str, Any]:
        if self.history_view is None or action["name"] not in OWN_ACTIONS:
            return action
        return {**action, "text": self.history_view.browser.gettext(action["text"])}

    async def is_action_allowed(self, request: Request, name: str) -> bool:
        """Say what the view says; without a `HistoryView` nothing can be recovered."""
        view: Any = super()
        is_there = name != "recover" or self.history_view is not None
        return is_there and await view.is_action_allowed(request, name)

    async def is_row_action_allowed(self, request: Request, name: str) -> bool:
        """Say what the view says; without a `HistoryView` there is no history to lead to."""
        view: Any = super()
        is_there = name != "history" or self.history_view is not None
        return is_there and await view.is_row_action_allowed(request, name)


class HistoryView(CustomView):
    """
    The history browser as a part of the admin, for some of its views.

    Who may see and do what is up to these views: `HistoryMixin.may_see_history`,
    `HistoryMixin.may_restore_history`, and ``is_accessible``, without which nothing is there. The
    admin's ``auth_provider`` stands before it, as before all of the admin.

    Args:
        *views: Views with a `HistoryMixin`, of tracked classes.
        menu_label: What the menu calls it.
        icon: Its icon there.
        path: Where it stands, below the admin.
        **options: What else `history_browser` takes.

    Raises:
        OptionsError: no view is given, or an option cannot be used.
    """

    def __init__(
        self,
        *views: Any,
        menu_label: str = "History",
        icon: str = CLOCK_ICON,
        path: str = "/history",
        **options: Any,
    ) -> None:
        if not views:
            raise OptionsError("views", views, "give the views whose histories it shows")
        super().__init__(menu_label, icon, path, route_name="history")
        own = {
            "may_see": self._may_see,
            "may_restore": self._may_restore,
            "identity": lambda request: admin_user(request.scope),
            "form_fields": _token_of_the_admin,
        }
        self._views = views
        self.browser = history_browser(*(it.document for it in views), **{**own, **options})
        for view in views:
            view.history_view = self

    def url(self, request: Request, path: str) -> str:
        """Return the address of a page of the browser, inside a request to the admin."""
        return f"{request.scope['root_path']}{self.path}/{path}"

    def is_accessible(self, request: Request) -> bool:
        """Say whether one of its views is accessible."""
        return any(it.is_accessible(request) for it in self._views)

    @route("")
    async def index(self, _request: Request) -> Any:
        """Show the first page of the browser."""
        return self._below

    @route("/{rest:path}", methods=["GET", "POST"])
    async def history_page(self, _request: Request) -> Any:
        """Show a page of the browser."""
        return self._below

    async def _below(self, scope: Any, receive: Any, send: Any) -> None:
        root = f"{scope.get('root_path', '')}{self.path}"
        await self.browser({**scope, "root_path": root}, receive, send)

    def _may_see(self, request: Any, model: Any, pk: Any, path: str | None) -> object:
        answers = (it.may_see_history(request, pk, path) for it in self._of(request, model))
        return next(filter(None, answers), False)  # as it is: the browser refuses one to be awaited

    def _may_restore(self, request: Any, model: Any, pk: Any, path: str | None) -> object:
        answers = (it.may_restore_history(request, pk, path) for it in self._of(request, model))
        return next(filter(None, answers), False)

    def _of(self, request: Any, model: Any) -> list[Any]:
        return [it for it in self._views if it.document is model and it.is_accessible(request)]


def _token_of_the_admin(request: Request) -> Mapping[str, str]:
    """Return the field for which the admin looks in each form."""
    token = getattr(request.state, "csrf_token", None)
    return {"csrftoken": token} if token else {}
