"""What a section is made of; `page.html` knows how each kind looks."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from gtn_hpc.report.figures.style import PALETTE, Chart, specification


@dataclass(frozen=True)
class Prose:
    """A paragraph."""

    kind: ClassVar = "prose"
    text: str


@dataclass(frozen=True)
class Missing:
    """What is not there yet, and the command that makes it."""

    kind: ClassVar = "missing"
    what: str
    command: str


@dataclass(frozen=True)
class Tiles:
    """Key numbers: (name, number, what it means) each."""

    kind: ClassVar = "tiles"
    tiles: Sequence[tuple[str, str, str]]


@dataclass(frozen=True)
class Figure:
    """A chart as Vega-Lite JSON; `alternative` says in words what it shows; `half` ones stand side by side."""

    kind: ClassVar = "figure"
    caption: str
    alternative: str
    spec: str
    half: bool


@dataclass(frozen=True)
class Table:
    """`numeric` columns stand at the right, from the given one on."""

    kind: ClassVar = "table"
    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    numeric: int = 1


@dataclass(frozen=True)
class Sheet:
    """The images of one step as a data URI, and what there is to say of the step."""

    source: str
    label: str


@dataclass(frozen=True)
class Lesson:
    """Sheets of all shown steps, behind a slider; `width` and `height` in pixels of an image, columns are classes."""

    kind: ClassVar = "lesson"
    caption: str
    sheets: Sequence[Sheet]
    classes: int
    width: int
    height: int


@dataclass(frozen=True)
class Card:
    """An architecture: its name, what is known of it, and its drawing (SVG) or specification."""

    name: str
    facts: Sequence[tuple[str, str]]
    drawing: str


@dataclass(frozen=True)
class Gallery:
    kind: ClassVar = "gallery"
    cards: Sequence[Card]


@dataclass(frozen=True)
class Text:
    """Verbatim text, folded away where `folded`."""

    kind: ClassVar = "text"
    title: str
    text: str
    folded: bool = True


Block = Prose | Missing | Tiles | Figure | Table | Lesson | Gallery | Text


@dataclass(frozen=True)
class Panel:
    """What one run has to say in a section."""

    run: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Section:
    name: str
    title: str
    about: str
    panels: Sequence[Panel]


def figure(chart: Chart, caption: str, alternative: str, *, half: bool = False) -> Figure:
    """The chart with colours by role, so that the page can choose them for light, dark and print."""
    text = json.dumps(specification(chart), separators=(",", ":"), allow_nan=False)
    for role, colour in PALETTE.items():
        text = text.replace(f'"{colour}"', f'"var(--{role})"')
    return Figure(caption, alternative, text.replace("</", "<\\/"), half)
