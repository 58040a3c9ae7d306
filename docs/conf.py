"""The documentation site, read by Sphinx."""

import inspect
import os
import re
from pathlib import Path
from typing import Any

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxTranslator

project = "plastorch"
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
exclude_patterns = ["_build", "evidence"]  # templates of generated text
templates_path = ["_templates"]  # of a class's page in the reference
html_theme = "furo"
html_title = project
html_static_path = ["_static"]
html_css_files = ["page.css"]
html_show_copyright = html_show_sphinx = html_copy_source = False
myst_enable_extensions = ["dollarmath"]

nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_merge_streams = True
nb_render_image_options = {"width": "480px"}  # 4.8 inches, as the figures are made

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88

# For the cells: the digits inside the package, whatever other data is at hand; and one thread,
# which is as fast for small networks, and much faster where other work keeps a core busy.
os.environ.pop("PLASTORCH_DATA", None)
os.environ |= {"XDG_CACHE_HOME": str(Path(__file__).parent / "_build"), "OMP_NUM_THREADS": "1"}


def inline_math(translator: SphinxTranslator, node: nodes.math) -> None:
    """A formula in a line, as MathML: browsers draw it themselves, without a network."""
    translator.body.append(convert(node.astext()))
    raise nodes.SkipNode


def block_math(translator: SphinxTranslator, node: nodes.math_block) -> None:
    """A formula in a line of its own."""
    formula = convert(node.astext(), display="block")
    translator.body.append(f'<div class="formula" tabindex="0">{formula}</div>')
    raise nodes.SkipNode


PARAMETERS = re.compile(r'<dl>\n((?:<dd><em class="sig-param">.*</dd>\n)+)</dl>')
"""A signature's parameters, which Sphinx writes as descriptions of no term."""
REPLACED = {
    "<pre>": '<pre tabindex="0">',
    '<div class="table-wrapper': '<div tabindex="0" class="table-wrapper',
    'role="heading">': 'role="heading" aria-level="2">',
    '<div id="search-results">': '<h1>Search</h1>\n<div id="search-results">',
    '<aside class="sidebar-drawer">': '<aside class="sidebar-drawer" aria-label="All pages">',
    '<aside class="toc-drawer': '<aside aria-label="This page" class="toc-drawer',
}
"""What the theme writes, and what suits those who have no mouse, or who hear the page: code and
tables may be wider than a phone, and are scrolled by keyboard; headings have levels, and every page
has one; both columns beside the text have names."""


def accessible(app: Sphinx, failure: Exception | None) -> None:
    """Makes the finished pages fit for keyboards and screen readers."""
    for path in Path(app.outdir).rglob("*.html"):
        text = PARAMETERS.sub(lambda found: listed(found[1]), path.read_text())
        for written, better in REPLACED.items():
            text = text.replace(written, better)
        path.write_text(text)


def listed(parameters: str) -> str:
    """A signature's parameters as plain lines."""
    lines = parameters.replace("<dd>", "<div>").replace("</dd>", "</div>")
    return f'<div class="parameters">{lines}</div>'


def has_a_page(
    app: Sphinx, what: str, name: str, member: object, skip: bool, options: object
) -> bool | None:
    """Keeps classes from the pages of rooms, which list them: each has a page of its own."""
    return True if what == "module" and inspect.isclass(member) else None


def near(app: Sphinx, page: str, template: str, context: dict[str, Any], tree: object) -> None:
    """Lists pages beside a page: all of the site's first level, and below it those near this one.
    With all classes beside each page, the list would take half of the build."""
    if whole := context.get("toctree"):
        context["toctree"] = lambda **options: whole(**options | {"collapse": True})


def setup(app: Sphinx) -> dict[str, bool]:
    """Registers how formulas are drawn; ``html_math_renderer`` then names it. Pages are read and
    written side by side."""
    app.add_html_math_renderer("mathml", (inline_math, None), (block_math, None))
    app.connect("autodoc-skip-member", has_a_page)
    app.connect("html-page-context", near, priority=400)  # before the theme's
    app.connect("build-finished", accessible)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


html_math_renderer = "mathml"
