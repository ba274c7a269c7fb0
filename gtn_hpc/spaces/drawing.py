"""SVG pictures of architectures: self-contained, in the colour of the page's text, without a background."""

from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

ROW, SLOT, GAP, MARGIN = 44, 66, 14, 6
BOX = 26


@dataclass(frozen=True)
class DrawnNode:
    """A node that adds operations: (number of the state taken, text) each. States count inputs first, then nodes."""

    operations: tuple[tuple[int, str], ...]


def draw_row(layers: Sequence[tuple[str, str]]) -> str:
    """A sequence of layers from left to right, each with a name and a size."""
    width, step, parts = 66, 66 + GAP, []
    for index, (name, size) in enumerate(layers):
        left = MARGIN + index * step
        parts.append(_box(left, MARGIN, width, 34) + _text(left + width // 2, 20, name))
        parts.append(_text(left + width // 2, 34, size))
        if index:
            parts.append(_path(f"M{left - GAP} 23H{left}"))
    return _document(2 * MARGIN + len(layers) * step - GAP, 46, "".join(parts))


def draw_cells(cells: Sequence[tuple[str, str]], width: int, height: int) -> str:
    """Pictures of one size (from `cell_body`), each under its title."""
    parts = []
    for index, (title, body) in enumerate(cells):
        top = index * (height + 20)
        parts.append(f'<g transform="translate(0 {top})">{_text(MARGIN, 14, title, "start")}')
        parts.append(f'<g transform="translate(0 20)">{body}</g></g>')
    return _document(width, len(cells) * (height + 20), "".join(parts))


def cell_size(inputs: int, slots: Sequence[int]) -> tuple[int, int]:
    """Width and height of the picture of a cell whose nodes have so many `slots`."""
    columns = sum(SLOT * max(1, count) + GAP for count in slots)
    return MARGIN + SLOT + GAP + columns + SLOT, ROW * (inputs + len(slots))


def cell_body(inputs: Sequence[str], nodes: Sequence[DrawnNode], outputs: Sequence[int], joined: str) -> str:
    """A staircase: every state has its row and runs to the right; operations hang below the states that they take.

    Lines cross but never pass through a box; a dot marks where a state is taken. `outputs` are the states that
    reach the bar at the right, which reads `joined`; a node without operations is zero.
    """
    width, height = cell_size(len(inputs), [len(node.operations) for node in nodes])
    bar = width - SLOT + GAP
    reach = [MARGIN + SLOT] * len(inputs) + [0] * len(nodes)
    starts, taps, parts = list(reach), [], []
    for row, name in enumerate(inputs):
        parts.append(_text(MARGIN + SLOT - 4, _middle(row) + 4, name, "end"))
    left = MARGIN + SLOT + GAP
    for row, node in enumerate(nodes, len(inputs)):
        parts.append(_node(left, _middle(row), node))
        for slot, (state, _) in enumerate(node.operations):
            x = left + SLOT * slot + SLOT // 2
            taps.append((x, _middle(state), _middle(row) - BOX // 2))
            reach[state] = max(reach[state], x)
        left += _span(node)
        starts[row] = reach[row] = left
        left += GAP
    for state in outputs:
        reach[state] = bar
    buses = "".join(f"M{a} {_middle(r)}H{b}" for r, (a, b) in enumerate(zip(starts, reach, strict=True)) if b > a)
    parts.append(_path(buses + "".join(f"M{x} {a}V{b}" for x, a, b in taps)))
    parts += [f'<circle cx="{x}" cy="{y}" r="2.5"/>' for x, y, _ in taps]
    parts.append(f'<rect x="{bar}" y="8" width="3" height="{height - 16}"/>')
    parts.append(_text(bar + 8, height // 2 + 4, joined, "start"))
    return "".join(parts)


def _span(node: DrawnNode) -> int:
    return SLOT * max(1, len(node.operations))


def _node(left: int, middle: int, node: DrawnNode) -> str:
    parts = [_box(left, middle - BOX // 2, _span(node), BOX)]
    for slot, (_, text) in enumerate(node.operations or ((0, "0"),)):
        x = left + SLOT * slot
        parts += [_text(x, middle + 4, "+")] if slot else []
        parts.append(_text(x + SLOT // 2, middle + 4, text))
    return "".join(parts)


def _middle(row: int) -> int:
    return ROW * row + ROW // 2


def _box(x: int, y: int, width: int, height: int) -> str:
    return f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="4" fill="none" stroke="currentColor"/>'


def _text(x: int, y: int, text: str, anchor: str = "middle") -> str:
    placed = "" if anchor == "middle" else f' text-anchor="{anchor}"'
    return f'<text x="{x}" y="{y}"{placed}>{escape(text)}</text>'


def _path(steps: str) -> str:
    return f'<path d="{steps}" fill="none" stroke="currentColor" opacity=".7"/>'


def _document(width: int, height: int, body: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'font-family="sans-serif" font-size="11" text-anchor="middle" fill="none">'
        f'<g fill="currentColor">{body}</g></svg>\n'
    )
