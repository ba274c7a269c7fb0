"""Layers against torch's own, weight norm against its definition, and batch norm's kinds of statistics."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from gtn_hpc.models.layers import Conv2d, LeakyReLU, Linear, initialise
from gtn_hpc.models.norm import BatchNorm, use_running_statistics, without_start


def draws(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("weight_norm", [False, True])
def test_layers_compute_what_torchs_do(weight_norm: bool) -> None:
    x = torch.randn(3, 4, 7, 6, generator=draws(), dtype=torch.float64)
    conv = initialise(Conv2d(4, 6, (3, 5), stride=2, weight_norm=weight_norm).double(), draws())
    ours = conv(x)
    assert ours.shape == (3, 6, 4, 3)
    torch.testing.assert_close(ours, F.conv2d(x, conv.weight, conv.bias, stride=2, padding=(1, 2)))
    linear = initialise(Linear(6, 5, weight_norm=weight_norm).double(), draws())
    torch.testing.assert_close(linear(x), F.linear(x, linear.weight, linear.bias))


def test_weight_norm_separates_length_and_direction() -> None:
    linear = initialise(Linear(6, 5), draws())
    with torch.no_grad():
        linear.weight.mul_(7.0)
        linear.g.copy_(torch.arange(5.0))
    torch.testing.assert_close(linear.effective_weight().norm(dim=1), torch.arange(5.0))


def test_initialisation_is_kaimings_and_a_function_of_the_generator_alone() -> None:
    torch.random.manual_seed(1)
    first = initialise(nn.Sequential(Conv2d(64, 64, 3), Linear(64, 10)), draws())
    torch.random.manual_seed(2)
    second = initialise(nn.Sequential(Conv2d(64, 64, 3), Linear(64, 10)), draws())
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert float(first[0].weight.detach().std()) == pytest.approx((2 / (1.01 * 9 * 64)) ** 0.5, rel=0.02)
    assert float(first[0].bias.detach().abs().sum()) == 0.0


def test_leaky_relu_has_slope_a_tenth() -> None:
    assert LeakyReLU()(torch.tensor([-1.0, 2.0])).tolist() == pytest.approx([-0.1, 2.0])


@pytest.mark.parametrize("shape", [(5, 3), (5, 3, 4, 2)])
def test_batch_norm_normalises_with_the_batch_while_training(shape: tuple[int, ...]) -> None:
    x = 3 + 2 * torch.randn(shape, generator=draws(), dtype=torch.float64)
    norm = initialise(BatchNorm(3).double(), draws())
    torch.testing.assert_close(norm(x), F.batch_norm(x, None, None, norm.weight, norm.bias, training=True))
    norm.eval()
    torch.testing.assert_close(norm(x), F.batch_norm(x, norm.mean, norm.var, norm.weight, norm.bias))
    one = norm(x[:1])
    torch.testing.assert_close(one, norm(x)[:1])


def test_mean_only_batch_norm_subtracts_the_mean_and_does_not_scale() -> None:
    x = 3 + 2 * torch.randn(5, 3, 4, 4, generator=draws(), dtype=torch.float64)
    norm = initialise(BatchNorm(3, mean_only=True).double(), draws())
    assert [name for name, _ in norm.named_parameters()] == ["bias"]
    torch.testing.assert_close(norm(x), x - x.mean(dim=(0, 2, 3), keepdim=True))
    torch.testing.assert_close(norm.eval()(x + 1), x + 1 - x.mean(dim=(0, 2, 3), keepdim=True))


def test_running_averages_without_their_start_are_means_of_the_batches() -> None:
    norm = initialise(BatchNorm(3).double(), draws())
    module, seen = nn.Sequential(norm), draws()
    use_running_statistics(module, 0.1)
    batches = [2 + torch.randn(8, 3, generator=seen, dtype=torch.float64) for _ in range(4)]
    for steps, batch in enumerate(batches, 1):
        module(batch)
        weights = torch.tensor([0.9**age for age in reversed(range(steps))], dtype=torch.float64)
        found = without_start(module, dict(module.named_buffers()), steps)
        for name, of in (("0.mean", torch.mean), ("0.var", lambda x, dim: x.var(dim, correction=0))):
            means = torch.stack([of(x, 0) for x in batches[:steps]])
            torch.testing.assert_close(found[name], weights @ means / weights.sum())
    use_running_statistics(module, None)
    left = without_start(module, dict(module.named_buffers()), 4)
    assert all(left[name] is buffer for name, buffer in module.named_buffers())


def test_statistics_are_of_the_last_batch_or_running() -> None:
    x = torch.randn(8, 3, generator=draws(), dtype=torch.float64, requires_grad=True)
    norm = initialise(BatchNorm(3).double(), draws())
    norm(x)
    assert norm.mean.requires_grad and norm.var.requires_grad
    torch.testing.assert_close(norm.var, x.var(dim=0, correction=0))
    initialise(norm, draws())
    use_running_statistics(nn.Sequential(norm), 0.1)
    norm(x)
    norm(x)
    assert not norm.mean.requires_grad
    torch.testing.assert_close(norm.mean, 0.19 * x.detach().mean(dim=0))
    torch.testing.assert_close(norm.var, 0.81 + 0.19 * x.detach().var(dim=0, correction=0))
