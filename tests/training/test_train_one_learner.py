"""One learner trained on a stream of batches: cut anywhere it is the same, and what is measured is the split's."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from gtn_hpc.config.teaching import Data
from gtn_hpc.config.teaching import Learner as LearnerSection
from gtn_hpc.core.errors import NonFiniteError
from gtn_hpc.core.streams import torch_generator
from gtn_hpc.data import Splits, load
from gtn_hpc.inner.optimisers import SGD
from gtn_hpc.inner.step import Learner, evaluate
from gtn_hpc.models.layers import initialise
from gtn_hpc.models.learners import LearnerSpec, build_learner
from gtn_hpc.models.norm import use_running_statistics
from gtn_hpc.training.run import Measurement, Progress, measure, train
from gtn_hpc.training.streams import RealBatches, constant, cosine


@pytest.fixture(scope="module")
def splits() -> Splits:
    return load(Data(name="digits"), seed=0)


@pytest.fixture
def learner(splits: Splits) -> Learner:
    spec = LearnerSpec(LearnerSection(family="linear", dropout=0.2), (12, 8))
    module = build_learner(spec, splits.shape, splits.classes)
    return Learner(initialise(module, torch_generator(0, "test")), SGD(), seed=3)


def real_batches(splits: Splits, steps: int, lr: float = 0.05) -> RealBatches:
    like = torch.zeros(())
    return RealBatches(splits.train, 32, steps, 1, cosine(lr, steps, like), constant(0.9, like))


def test_pieces_equal_one_run_bit_for_bit(splits: Splits, learner: Learner) -> None:
    episode, at = real_batches(splits, 7), (2, 5, 7)
    start = Progress(0, learner.initial_state())
    whole = train(learner, start, episode, splits.validation, until=7, at=at)
    pieces = start
    for until in (1, 4, 4, 7):
        pieces = train(learner, pieces, episode, splits.validation, until=until, at=at)
    assert whole.curve == pieces.curve
    assert sorted(whole.curve) == [2, 5, 7]
    assert all(torch.equal(v, pieces.state.params[k]) for k, v in whole.state.params.items())
    assert all(torch.equal(v, pieces.state.optimiser[k]) for k, v in whole.state.optimiser.items())


def test_training_on_real_batches_learns(splits: Splits, learner: Learner) -> None:
    start = Progress(0, learner.initial_state())
    end = train(learner, start, real_batches(splits, 60), splits.validation, until=60, at=(60,))
    assert end.curve[60].accuracy > 0.6 > measure(learner, start.state, splits.validation).accuracy


def test_after_one_step_a_running_average_measures_as_the_statistics_of_that_batch(
    splits: Splits, learner: Learner
) -> None:
    found = []
    for momentum in (None, 0.1):
        use_running_statistics(learner.module, momentum)
        start = Progress(0, learner.initial_state())
        end = train(learner, start, real_batches(splits, 1), splits.validation, until=1, at=(1,))
        found.append(end.curve[1].loss)
    assert found[1] == pytest.approx(found[0], rel=1e-5)
    assert measure(learner, end.state, splits.validation).loss != pytest.approx(found[0], rel=1e-2)


def test_a_measurement_does_not_depend_on_its_batches(splits: Splits, learner: Learner) -> None:
    state = learner.initial_state()
    whole, parts = measure(learner, state, splits.validation), measure(learner, state, splits.validation, batch=7)
    assert whole.accuracy == parts.accuracy
    assert whole.loss == pytest.approx(parts.loss, rel=1e-6)


def test_a_measurement_is_the_sum_of_its_batches_to_the_last_bit(splits: Splits, learner: Learner) -> None:
    state, correct, loss = learner.initial_state(), 0.0, 0.0
    with torch.no_grad():
        for x, y in splits.validation.epoch(7):
            logits = evaluate(learner, state, x)
            correct += float((logits.argmax(dim=1) == y).sum())
            loss += float(F.cross_entropy(logits, y, reduction="sum"))
    count = len(splits.validation)
    assert measure(learner, state, splits.validation, batch=7) == Measurement(correct / count, loss / count)


def test_in_bf16_the_loss_is_that_of_its_logits_in_float32(splits: Splits) -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(splits.shape.height * splits.shape.width, splits.classes))
    learner = Learner(initialise(network, torch_generator(0, "test")), SGD(), autocast=torch.bfloat16)
    found, x, y = measure(learner, learner.initial_state(), splits.validation), *next(splits.validation.epoch(256))
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        logits = network(x)
    assert logits.dtype is torch.bfloat16
    assert len(y) == len(splits.validation)
    assert found.loss == pytest.approx(float(F.cross_entropy(logits.float(), y)), rel=1e-6)


def test_a_loss_that_is_not_finite_is_refused(splits: Splits, learner: Learner) -> None:
    episode = real_batches(splits, 3, lr=1e30)
    with pytest.raises(NonFiniteError, match="144 images"):
        train(learner, Progress(0, learner.initial_state()), episode, splits.validation, until=3, at=(3,))


def test_real_batches_are_functions_of_seed_and_step(splits: Splits) -> None:
    episode = real_batches(splits, 4)
    assert torch.equal(episode.batch(2).x, real_batches(splits, 9).batch(2).x)
    assert not torch.equal(episode.batch(2).x, episode.batch(3).x)
    assert [float(episode.hyper(t).lr) for t in (0, 2)] == pytest.approx([0.05, 0.025])
