"""Colours, and whether one can be seen on another."""

from collections.abc import Sequence

Colour = Sequence[float]  # red, green and blue, from 0 to 1


def rgb(colour: str) -> tuple[float, ...]:
    """Return the three parts of `#rrggbb`."""
    return tuple(int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))


def contrast(one: Colour, other: Colour) -> float:
    """Return the contrast of two colours, as the Web Content Accessibility Guidelines define it."""
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: Colour) -> float:
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
