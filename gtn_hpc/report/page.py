"""One self-contained HTML page of one or several runs: nothing is fetched, from anywhere."""

import base64
import functools
import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path

import altair as alt
import vl_convert
from jinja2 import Environment, PackageLoader, StrictUndefined

from gtn_hpc import __version__
from gtn_hpc.core import atomic
from gtn_hpc.core.errors import StorageError, UsageError
from gtn_hpc.core.rundir import RunDirectory
from gtn_hpc.report.blocks import Block, Panel, Section
from gtn_hpc.report.evidence import Evidence, gather
from gtn_hpc.report.frames.searching import front, thinned
from gtn_hpc.report.sections import cost, provenance, search, summary, teacher, trust
from gtn_hpc.report.sections.search import DOTS

Author = Callable[[Evidence], Iterable[Block]]


def write(runs: Sequence[RunDirectory], output: Path) -> Path:
    """Writes the page of `runs`, side by side, and returns its path. Parts whose data are missing say so in a line.

    A page that is there is replaced, another file is not.

    Cost: seconds, most of them for bootstrap intervals; 1.3 MB and what the data take.

    Raises:
        UsageError: no run is named.
        StorageError: what is there is no page.
        ConfigError, StorageError: a run's configuration or one of its files is damaged.
    """
    if not runs:
        raise UsageError("There is no run to report on.", remedy="Name at least one: gtn report RUN -o FILE.html")
    _require_page(output)
    evidence = [gather(run) for run in runs]
    atomic.write_text(output, _render(evidence))
    return output


def _require_page(path: Path) -> None:
    """Passes where nothing is there, or nothing but a page or an empty file."""
    if not path.is_file():
        return
    with path.open("rb") as file:
        begins = file.read(1000).strip().lower()
    if begins and not begins.startswith(b"<!doctype html"):
        raise StorageError(f"{path} is there already, and is no page.", remedy="Name another file: -o FILE.html.")


def _render(evidence: Sequence[Evidence]) -> str:
    loader = Environment(
        loader=PackageLoader("gtn_hpc.report", "template"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return loader.get_template("page.html").render(
        title=", ".join(item.run.name for item in evidence),
        several=len(evidence) > 1,
        sections=list(_sections(evidence)),
        drawings=_packed(_drawings(evidence)),
        style=_resource("style.css"),
        script=_resource("page.js"),
        vega=_vega(),
        version=__version__,
        written=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
    )


def _sections(evidence: Sequence[Evidence]) -> Iterator[Section]:
    shown = functools.partial(teacher.shown, share=1 / len(evidence))
    parts: list[tuple[str, str, str, Author]] = [
        ("summary", "Summary", "", summary.summary),
        ("teacher", "The teacher", "How fast fresh learners learn from it, beside real data.", teacher.taught),
        ("images", "What the teacher shows", "The synthetic curriculum, step by step.", shown),
        ("trust", "Can its estimates be believed?", "Architectures trained both ways.", trust.certified),
        ("best", "Best architectures", "By accuracy after the curriculum.", search.best),
        ("search", "The search", "", search.searched),
        ("pareto", "Accuracy and cost", "", search.costly),
        ("final", "Winners on real data", "", search.final),
        ("work", "Time and workers", "", cost.worked),
        ("failures", "Failures", "", cost.failed),
        ("provenance", "Provenance", "", provenance.provenance),
        ("reproduce", "How to make this again", "", provenance.reproduction),
    ]  # fmt: skip
    for name, title, about, author in parts:
        yield Section(name, title, about, [Panel(item.run.name, list(author(item))) for item in evidence])


def _drawings(evidence: Sequence[Evidence]) -> dict[str, str]:
    """SVG by architecture, of all that a figure shows."""
    return {arch: drawing for item in evidence for arch in _pointed_at(item) if (drawing := item.drawing(arch))}


def _pointed_at(evidence: Evidence) -> set[str]:
    found = evidence.estimates
    if found.empty:
        return set()
    dots = (thinned(found.assign(front=front(found, name)), DOTS)["arch"] for name in ("params", "flops"))
    return set().union(evidence.pairs["arch"], *dots)


def _packed(drawings: dict[str, str]) -> str:
    """Deflated JSON: drawings are alike, so thousands of them take little room."""
    return base64.b64encode(zlib.compress(json.dumps(drawings).encode(), 9)).decode()


def _resource(name: str) -> str:
    return resources.files("gtn_hpc.report").joinpath("template", name).read_text(encoding="utf-8")


@functools.cache
def _vega() -> str:
    """Vega, Vega-Lite and vega-embed as one script; 0.9 MB."""
    version = ".".join(alt.SCHEMA_VERSION.split(".")[:2])
    bundle = vl_convert.javascript_bundle(vl_version=version)  # type: ignore[call-arg]
    return str(bundle).replace("</script", "<\\/script")
