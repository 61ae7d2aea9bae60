"""Formulas as MathML, which browsers show without a script from the network."""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.writers.html5 import HTML5Translator

logger = logging.getLogger(__name__)


def _mathml(text: str, display: str, node: nodes.Element) -> str:
    # A parenthesis that is only made large would carry an exponent by itself; a paired one carries it for the whole.
    text = re.sub(r"\\[bB]ig([lr])(?![a-z])", lambda side: r"\left" if side[1] == "l" else r"\right", text.strip())
    try:
        made = convert(text, display=display)
    except Exception as error:  # noqa: BLE001 - whatever it is, the page that holds the formula is named
        logger.warning("the formula %r cannot be read: %r", text, error, location=node)
        return ""
    # The converter leaves in its output the commands that it does not know.
    if "\\" in made:
        logger.warning("the formula %r holds a command that is not known", text, location=node)
    return str(made)


def _inline(translator: HTML5Translator, node: nodes.math) -> None:
    translator.body.append(_mathml(node.astext(), "inline", node))
    raise nodes.SkipNode


def _block(translator: HTML5Translator, node: nodes.math_block) -> None:
    translator.body.append(translator.starttag(node, "div", CLASS="math"))
    # docutils separates several formulas of one directive by blank lines.
    for part in filter(str.strip, node.astext().split("\n\n")):
        translator.body.append(_mathml(part, "block", node))
    translator.body.append("</div>\n")
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_html_math_renderer("mathml", inline_renderers=(_inline, None), block_renderers=(_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
