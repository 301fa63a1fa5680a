"""Flask-Admin: the history of each document, and what was deleted, as a part of the admin."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from flask import current_app

from mongoengine_history import OptionsError
from mongoengine_history.contrib.flask import logged_in
from mongoengine_history.web.browser import history_browser

try:
    from flask_admin import BaseView, expose
    from flask_admin.contrib.mongoengine import ModelView
    from flask_admin.model.template import LinkRowAction
except ImportError as error:
    needed = 'pip install "mongoengine-history[flask-admin]"'
    raise ImportError(f"Install what the admin needs: {needed}") from error

if TYPE_CHECKING:
    from jinja2 import Environment, Template

__all__ = ["HistoryMixin", "HistoryView"]

CLOCK: Final = "fa fa-history glyphicon glyphicon-time"

TABBED: Final = """\
{% extends history_page %}
{% macro tab() %}
<li class="nav-item"><a class="nav-link" href="{{ history_tab[0] }}">{{ history_tab[1] }}</a></li>
{% endmacro %}
{% block model_menu_bar_before_filters %}{{ super() }}{{ tab() }}{% endblock %}
{% block navlinks %}{{ super() | replace("</ul>" | safe, tab() ~ "</ul>" | safe) }}{% endblock %}
"""
"""A page of the admin with one tab more."""


class HistoryMixin:
    """
    Gives a view of a tracked class its history: for each row, as a tab, and of what was deleted.

    Name it before ``ModelView``, and give the view to a `HistoryView`.
    """

    history_view: HistoryView | None = None

    def may_see_history(self, pk: Any, path: str | None) -> bool:
        """
        Say whether who is there may see a history, where the view itself is accessible.

        Here that is what the view shows: documents that its ``get_query`` finds, and no fields that
        it leaves out of its list or its details by name. Asked inside the request.

        Args:
            pk: The primary key of a document; None asks for the class.
            path: Names of attributes, joined by dots, of a value; None asks for the document. What
                lies above a path is asked for, too.
        """
        view: Any = self
        if path is None:
            is_limited = pk is not None and type(view).get_query is not ModelView.get_query
            return not is_limited or view.get_query().filter(pk=pk).first() is not None
        hidden = {*(view.column_exclude_list or ()), *(view.column_details_exclude_list or ())}
        return path not in hidden

    def may_restore_history(self, pk: Any, path: str | None) -> bool:  # noqa: ARG002
        """Say the same of undo, revert and restore; here that is ``can_edit``."""
        view: Any = self
        return bool(view.can_edit)

    def get_list_row_actions(self) -> list[Any]:
        """Return what can be done with a row: what the view has, and the link to its history."""
        view: Any = super()
        actions: list[Any] = view.get_list_row_actions()
        if self.history_view is None:
            return actions
        name = self.history_view.browser.gettext("History")
        return [*actions, LinkRowAction(CLOCK, lambda _action, _key, row: self._url_of(row), name)]

    def render(self, template: str, **shown: Any) -> str:
        """Return a page of the view, with a tab more."""
        view: Any = super()
        if self.history_view is None or not ("data" in shown or shown.get("model")):
            page: str = view.render(template, **shown)
            return page
        tab = self._history_of(shown["model"]) if "model" in shown else self._deleted
        tabbed = _tabbed(current_app.jinja_env)
        return view.render(tabbed, history_page=template, history_tab=tab, **shown)  # type: ignore[no-any-return]  # it is a text

    def _url_of(self, document: Any) -> str:
        history: Any = self.history_view
        return str(history.url_of(history.browser.path_of(document)))

    def _history_of(self, document: Any) -> tuple[str, str]:
        history: Any = self.history_view
        return self._url_of(document), history.browser.gettext("History")

    @property
    def _deleted(self) -> tuple[str, str]:
        view: Any = self
        url = view.history_view.url_of("deleted", model=view.model._class_name)
        return url, view.history_view.browser.gettext("Recover deleted")


class HistoryView(BaseView):
    """
    The history browser as a part of the admin, for some of its views.

    Who may see and do what is up to these views: `HistoryMixin.may_see_history`,
    `HistoryMixin.may_restore_history`, and ``is_accessible``, without which nothing is there. Who
    is logged in with Flask-Login answers for what is led back.

    Args:
        *views: Views with a `HistoryMixin`, of tracked classes.
        name: What the menu calls it; it has a place there like any view.
        category: In which part of the menu.
        endpoint: Its name for ``url_for``; ``index_view`` of it takes a ``path``.
        url: Where it stands, below the admin; at the endpoint's name if nothing is given.
        **options: What else `history_browser` takes.

    Raises:
        OptionsError: no view is given, or an option cannot be used.
    """

    def __init__(
        self,
        *views: Any,
        name: str = "History",
        category: str | None = None,
        endpoint: str = "history",
        url: str | None = None,
        **options: Any,
    ) -> None:
        if not views:
            raise OptionsError("views", views, "give the views whose histories it shows")
        super().__init__(name, category, endpoint, url)
        decide = {"may_see": self._may_see, "may_restore": self._may_restore}
        options = {**decide, "identity": lambda _request: logged_in(), **options}
        self._views = views
        self.browser = history_browser(*(it.model for it in views), **options)
        for view in views:
            view.history_view = self

    def url_of(self, path: str, **query: str) -> str:
        """Return the address of a page of the browser."""
        return str(self.get_url(f"{self.endpoint}.index_view", path=path, **query))

    def is_accessible(self) -> bool:
        """Say whether one of its views is accessible."""
        return any(it.is_accessible() for it in self._views)

    def inaccessible_callback(self, name: str, **more: Any) -> Any:
        """Answer as the first of its views does, by the way to the login page, say."""
        return self._views[0].inaccessible_callback(name, **more)

    @expose("/", methods=["GET", "POST"])
    @expose("/<path:path>", methods=["GET", "POST"])
    def index_view(self, path: str = "") -> Any:  # noqa: ARG002  # the browser reads it itself
        """Show a page of the browser."""
        return self.browser.below(self.url or "")

    def _may_see(self, _request: Any, model: Any, pk: Any, path: str | None) -> object:
        answers = (it.may_see_history(pk, path) for it in self._of(model))
        return next(filter(None, answers), False)  # as it is: the browser refuses one to be awaited

    def _may_restore(self, _request: Any, model: Any, pk: Any, path: str | None) -> object:
        answers = (it.may_restore_history(pk, path) for it in self._of(model))
        return next(filter(None, answers), False)

    def _of(self, model: Any) -> list[Any]:
        return [it for it in self._views if it.model is model and it.is_accessible()]


@lru_cache(maxsize=8)
def _tabbed(environment: Environment) -> Template:
    return environment.from_string(TABBED)
