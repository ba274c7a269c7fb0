"""Engines by name."""

from gtn_hpc.config.teaching import Engine as EngineSection
from gtn_hpc.inner.engine import Engine


def make_engine(section: EngineSection) -> Engine:
    """The engine of the configuration; imports only what that engine needs."""
    if section.name == "higher":
        from gtn_hpc.inner.higher_engine import Higher

        return Higher()
    from gtn_hpc.inner.unrolled import Unrolled

    return Unrolled()
