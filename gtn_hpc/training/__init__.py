"""One fresh learner trained on any stream of batches; its state can be saved, and training goes on from it."""
