"""What a NAS-Bench-201 cell computes, as a value that equal functions share.

Skips and sums only route; average pooling is linear, so it moves inside sums. What is left of a state is a sum of
terms, each the input or the output of one convolution, pooled so many times. A cell is then its convolutions with
what they take, and the sum it ends in, whatever edges they stand on. Two convolutions of the same input stay two
(each has its own weights), and one that is used twice stays one: the string form of the benchmark confuses these.
A convolution of nothing counts as nothing: it could add no more than a constant to each channel.
"""

import itertools
from collections import Counter
from collections.abc import Iterator

EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
"""(from, to) of each edge, in the order of the cell string."""

Cell = tuple[str, ...]
"""The operation on each of `EDGES`."""

Terms = dict[tuple[int, int], int]
"""(edge of the convolution or `INPUT`, times pooled) -> how often it is added."""

Function = tuple[object, ...]
INPUT = -1


def function_of(cell: Cell) -> Function:
    """Hashable; equal for two cells exactly if they compute the same function with convolutions paired off."""
    convolutions, output = _flatten(cell)
    needed = sorted(_needed(convolutions, output))
    shapes = _shapes(cell, convolutions, needed)
    return min(_write(cell, convolutions, output, order) for order in _orders(needed, shapes))


def _flatten(cell: Cell) -> tuple[dict[int, Terms], Terms]:
    """The terms that each convolution takes, and those of the last state."""
    states: list[Counter[tuple[int, int]]] = [Counter({(INPUT, 0): 1}), Counter(), Counter(), Counter()]
    convolutions: dict[int, Terms] = {}
    for edge, ((source, to), op) in enumerate(zip(EDGES, cell, strict=True)):
        terms = states[source]
        if op == "none" or not terms:
            continue
        if op == "skip_connect":
            states[to].update(terms)
        elif op == "avg_pool_3x3":
            states[to].update({(base, pooled + 1): n for (base, pooled), n in terms.items()})
        else:
            convolutions[edge] = terms
            states[to][edge, 0] += 1
    return convolutions, states[3]


def _needed(convolutions: dict[int, Terms], terms: Terms) -> set[int]:
    """The convolutions that `terms` depend on."""
    bases = {base for base, _ in terms if base != INPUT}
    return bases.union(*(_needed(convolutions, convolutions[base]) for base in bases))


def _shapes(cell: Cell, convolutions: dict[int, Terms], needed: list[int]) -> dict[int, Function]:
    """Each convolution with all that stands above it written out, which does not depend on numbering."""
    shapes: dict[int, Function] = {INPUT: ()}
    for edge in needed:
        terms = sorted((shapes[base], pooled, n) for (base, pooled), n in convolutions[edge].items())
        shapes[edge] = (cell[edge], tuple(terms))
    return shapes


def _orders(needed: list[int], shapes: dict[int, Function]) -> Iterator[list[int]]:
    """Every order of the convolutions by shape; those of one shape in all permutations."""
    ranked = sorted(needed, key=lambda edge: shapes[edge])
    groups = [list(group) for _, group in itertools.groupby(ranked, key=lambda edge: shapes[edge])]
    for choice in itertools.product(*(itertools.permutations(group) for group in groups)):
        yield list(itertools.chain.from_iterable(choice))


def _write(cell: Cell, convolutions: dict[int, Terms], output: Terms, order: list[int]) -> Function:
    number = {INPUT: INPUT} | {edge: index for index, edge in enumerate(order)}

    def renumbered(terms: Terms) -> Function:
        return tuple(sorted((number[base], pooled, n) for (base, pooled), n in terms.items()))

    return (*((cell[edge], renumbered(convolutions[edge])) for edge in order), renumbered(output))
