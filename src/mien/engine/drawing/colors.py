"""Colors of expressions, and what can be read on them."""

from __future__ import annotations

from typing import TypeAlias

from mien.core.labels import UNCERTAIN

Color: TypeAlias = tuple[int, int, int]

# Any two differ by 13 or more (CIEDE2000) for normal sight and for protan, deutan and tritan color blindness;
# the palette of Okabe and Ito falls to 6 once gray is among it.
COLORS: dict[str, Color] = {
    "angry": (214, 40, 24),
    "disgust": (0, 150, 110),
    "fear": (190, 110, 230),
    "happy": (250, 232, 70),
    "sad": (55, 85, 205),
    "surprise": (236, 146, 40),
    "neutral": (180, 222, 252),
    "contempt": (150, 60, 110),
    UNCERTAIN: (178, 178, 178),
}
"""RGB color of each expression."""

OTHER_COLOR: Color = (178, 178, 178)
INK: Color = (14, 15, 18)
PAPER: Color = (255, 255, 255)
FADED: Color = (176, 180, 188)
GROOVE: Color = (84, 88, 98)


def color_of(expression: str) -> Color:
    """Return the RGB color of an expression; gray for any other name."""
    return COLORS.get(expression, OTHER_COLOR)


def ink_on(background: Color) -> Color:
    """Return near-black or white, whichever has the higher contrast on `background` (WCAG 2.2)."""
    return max((INK, PAPER), key=lambda ink: contrast(ink, background))


def contrast(first: Color, second: Color) -> float:
    """Return the contrast ratio of two RGB colors as WCAG 2.2 defines it, in [1, 21]."""
    dark, light = sorted((_luminance(first), _luminance(second)))
    return (light + 0.05) / (dark + 0.05)


def _luminance(color: Color) -> float:
    shares = [value / 255 for value in color]
    linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
