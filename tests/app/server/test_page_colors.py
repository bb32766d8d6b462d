from __future__ import annotations

import re

from mien.app.server.application import STATIC
from mien.engine.drawing.colors import COLORS, INK, OTHER_COLOR, PAPER


def test_the_page_paints_expressions_as_drawings_do() -> None:
    text = (STATIC / "colors.js").read_text("utf-8")
    found = re.findall(r"(\[?\w+\]?)(?:: | = )\[(\d+), (\d+), (\d+)\]", text)
    painted = {name: tuple(map(int, color)) for name, *color in found}
    drawn = {name: COLORS[name.removeprefix("[").removesuffix("]").lower()] for name in painted if name not in ENDS}
    assert painted == drawn | ENDS
    assert len(drawn) == len(COLORS)


ENDS = {"OTHER": OTHER_COLOR, "INK": INK, "PAPER": PAPER}
