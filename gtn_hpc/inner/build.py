"""Engines by name."""

from gtn_hpc.config.teaching import Engine as EngineSection
from gtn_hpc.inner.engine import Engine


def make_engine(section: EngineSection) -> Engine:
    """The engine of the configuration; imports only what that engine needs."""
    if section.name == "higher":
        from gtn_hpc.inner.higher_engine import Higher

        return Higher()
    if section.name == "unrolled":
        from gtn_hpc.inner.unrolled import Unrolled

        return Unrolled()
    from gtn_hpc.inner.auto import make_adjoint
    from gtn_hpc.inner.trajectory import Trajectory

    return Trajectory(
        make_adjoint(section.adjoint, graphs=section.cuda_graphs),
        budget=section.memory_budget,
        window=section.window,
        offload=section.offload,
    )
