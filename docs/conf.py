"""How Sphinx builds the documentation: ``sphinx-build -W docs build/html``. Needs no network."""

from mongoengine_history import __all__, __version__

project = "mongoengine-history"
project_copyright = "The mongoengine-history maintainers"
version = release = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx_design",
]
exclude_patterns = ["_build"]
default_role = "py:obj"  # a name in single backticks, as docstrings have them, is a link

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

# Each public name has a page, whose address is the name. Some file systems know no case.
templates_path = ["templates"]
autosummary_filename_map = {
    f"mongoengine_history.{it}": f"{it}-class" if it.lower() in {*__all__} - {it} else it
    for it in __all__
} | {
    "mongoengine_history.read.recent.Recent": "Recent-class",
    "mongoengine_history.record.history.HistoryQuerySet": "HistoryQuerySet",
}
autodoc_default_options = {
    "members": True,
    "special-members": "__getitem__, __iter__, __len__, __reversed__",
    "no-value": True,
}
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
napoleon_numpy_docstring = False

# What a button copies of a prompt is what was typed there.
copybutton_prompt_text = r">>> |\.\.\. "
copybutton_prompt_is_regexp = True

html_extra_path = ["llms.txt"]
html_theme = "furo"
html_title = f"{project} {release}"
