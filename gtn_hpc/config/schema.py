"""The whole configuration."""

from gtn_hpc.config.searching import Final, Search
from gtn_hpc.config.teaching import Teaching

OPERATIONAL = frozenset(
    {
        "engine.memory_budget",
        "engine.offload",
        "run.root",
        "run.name",
        "run.device",
        "run.timeout",
        "run.deadline",
        "run.margin",
        "search.pool",
        "search.shard",
        "search.expiry",
        "search.workers",
        "search.isolate",
        "search.budget",
        "search.limits",
        "search.certificate.fraction",
        "search.certificate.policy",
        "search.certificate.floor",
        "search.certificate.controls",
        "search.certificate.score_at",
        "search.chaos",
        "final.top_k",
        "final.checkpoint_every",
        "meta.checkpoint_every",
        "meta.checkpoint_minutes",
        "meta.compare_every",
        "meta.keep",
        "meta.log_every",
        "meta.images_every",
    }
)
"""Keys that may differ between two starts of one run: they do not change what a key of the results means."""


class Config(Teaching):
    """Every setting of every stage. Names and units: `gtn_hpc.config.reference` lists them."""

    search: Search = Search()
    final: Final = Final()
