"""Formulas of the documentation as pictures in the page: no script and no font is needed to read them.

A fence ```` ```math ```` holds one formula a line in TeX, `$...$` one within a sentence; GitHub shows both as well. Here
matplotlib, which is installed anyway, sets them; the outlines take the colour of the text, in light and dark, and screen
readers get the TeX.
"""

from __future__ import annotations

import html
import re
from typing import Any

import numpy as np
from matplotlib.font_manager import FontProperties
from matplotlib.path import Path
from matplotlib.textpath import TextPath

SIZE = 100.0  # units of the drawing in one em; ours, so that whole numbers are fine enough
SCALE = 1.15  # ours: Computer Modern is smaller than the text that it stands in
FONT = FontProperties(math_fontfamily="cm")
INLINE = re.compile(r'<span class="arithmatex">\\\((.*?)\\\)</span>')  # what pymdownx.arithmatex makes of `$...$`
COMMANDS = {Path.MOVETO: "M", Path.LINETO: "L", Path.CURVE3: "Q", Path.CURVE4: "C"}


def draw_formula(tex: str) -> str:
    """Return an SVG element that shows a formula.

    Args:
        tex: Without dollar signs, in the part of TeX that matplotlib knows.

    Raises:
        ValueError: If matplotlib cannot read it.
    """
    outline = TextPath((0, 0), f"${tex}$", size=SIZE, prop=FONT)
    parts = []
    for points, code in outline.iter_segments(curves=True, simplify=False):
        if code == Path.CLOSEPOLY:
            parts.append("Z")
        else:
            pairs = points.reshape(-1, 2) * (1, -1)
            parts.append(COMMANDS[np.uint8(code)] + " ".join(f"{x:.0f},{y:.0f}" for x, y in pairs))
    box = outline.get_extents()
    width, height = box.width + 4, box.height + 4
    return (
        f'<svg class="formula" role="img" aria-label="{html.escape(tex)}" '
        f'style="height:{SCALE * height / SIZE:.2f}em;vertical-align:{SCALE * box.y0 / SIZE:.2f}em" '
        f'viewBox="{box.x0 - 2:.0f} {-box.y1 - 2:.0f} {width:.0f} {height:.0f}">'
        f'<path fill="currentColor" d="{"".join(parts)}"/></svg>'
    )


def format_fence(source: str, *_: Any, **__: Any) -> str:
    """Draw each line of a fence, fractions at full size as TeX has them; what else superfences passes plays no part."""
    lines = [line.strip().replace(r"\frac", r"\dfrac") for line in source.splitlines() if line.strip()]
    return "".join(f'<div class="formulas">{draw_formula(line)}</div>' for line in lines)


def draw_inline(page: str) -> str:
    """Draw the formulas within the sentences of a page's HTML."""
    return INLINE.sub(lambda match: draw_formula(html.unescape(match[1])), page)
