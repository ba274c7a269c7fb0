"""What the engine chose reaches those who watch a run, once."""

import logging

from tiny import alone, tiny

from gtn_hpc.core.events import read_events
from gtn_hpc.meta.choices import choices_told
from gtn_hpc.meta.events import Noted
from gtn_hpc.meta.stage import train


def test_the_reason_for_a_slower_adjoint_and_what_a_budget_buys_are_noted_once(tmp_path):
    seen = []
    options = [
        "engine={name: trajectory, memory_budget: 1000000}",
        "run.precision=bf16",
        "meta.replicas=2",
        "meta.iterations=2",
    ]
    run = train(tiny(tmp_path, *options), alone(), [seen.append]).run
    told = [event.message for event in seen if isinstance(event, Noted)]
    reasons = [text for text in told if "adjoint: traced, not the layer kit: the kit has no mixed precision" in text]
    budgets = [text for text in told if text.startswith("of a budget of 1000000 bytes the engine keeps the states")]
    assert (len(reasons), len(budgets)) == (1, 1)
    kept = [event["message"] for event in read_events(run.events) if event["kind"] == "noted"]
    assert kept == told


def test_the_log_is_left_as_it_was():
    seen, logger = [], logging.getLogger("gtn_hpc.inner")
    before = (logger.level, list(logger.handlers))
    with choices_told(seen.append):
        logging.getLogger("gtn_hpc.inner.auto").info("chosen: %s", "this")
        logging.getLogger("gtn_hpc.inner.auto").info("chosen: %s", "this")
        logging.getLogger("gtn_hpc.inner.traced").info("chosen: %s", "that")
        logging.getLogger("gtn_hpc.data").warning("chosen: %s", "nothing of the engine")
    logging.getLogger("gtn_hpc.inner.auto").info("too late")
    assert seen == [Noted("chosen: this"), Noted("chosen: that")]
    assert (logger.level, logger.handlers) == before


def test_scalars_are_on_disk_when_training_returns(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = train(tiny(tmp_path, "meta.iterations=2"), alone()).run
    found = EventAccumulator(str(run.tensorboard))
    found.Reload()
    assert [scalar.step for scalar in found.Scalars("meta/loss")] == [0, 1]
