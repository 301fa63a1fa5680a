"""Tags of Django's templates: the way to a document's history, and the newest of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from django import template
from django.urls import get_script_prefix, resolve, reverse
from django.utils.html import format_html
from django.utils.safestring import mark_safe

from mongoengine_history.web.django import history_part

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["BROWSER", "register"]

BROWSER: Final = "history_browser"
"""The name that the pattern of the browser has among the URLs of the site."""

register = template.Library()


@register.simple_tag
def history_link(document: Any, text: str = "History") -> Any:
    """
    Link to the history of a document.

    Args:
        document: A document of a class that the browser shows.
        text: What the link says.
    """
    root, browser = _mounted()
    return format_html('<a href="{}{}">{}</a>', root, browser.path_of(document), text)


@register.simple_tag(takes_context=True)
def history(context: Mapping[str, Any], document: Any, size: int = 5) -> Any:
    """
    Tell the newest revisions of a document as a list, what the reader of the page may see of them.

    It needs ``request`` in the context, by the context processor of that name.

    Args:
        context: That of the template.
        document: A document of a class that the browser shows.
        size: How many revisions, up to 25.
    """
    root, browser = _mounted()
    path = f"{browser.path_of(document)}/newest?size={size:d}"
    part = history_part(browser, context["request"], root, path)
    return mark_safe(part)  # noqa: S308  # escaped by the browser


def _mounted() -> tuple[str, Any]:
    """Return the path of the browser, and the browser."""
    root = reverse(BROWSER, args=[""])
    view: Any = resolve(f"/{root.removeprefix(get_script_prefix())}").func
    return root, view.browser
