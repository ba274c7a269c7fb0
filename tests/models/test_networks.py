"""Networks built from architectures of every space."""

import needs
import numpy as np
import pytest
import torch
from torch.func import functional_call
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from gtn_hpc.config.searching import ChainSpace, ConvSpace, NaoCellSpace, NasBench201Space
from gtn_hpc.config.teaching import Learner
from gtn_hpc.core.errors import ConfigError
from gtn_hpc.core.records import Architecture, ImageShape
from gtn_hpc.models.layers import initialise
from gtn_hpc.models.learners import LearnerSpec, build_learner
from gtn_hpc.models.networks import Network, Outputs, build_network
from gtn_hpc.models.networks_operations import Average, AvgPool, Drop, MaxPool, average_of_windows, mean_of_existing
from gtn_hpc.spaces import make_space
from gtn_hpc.spaces.nasbench201 import OPERATIONS, write_cell
from gtn_hpc.spaces.planner import Planner

CELLS = [NaoCellSpace(cells=1, filters=3), NasBench201Space(cells=1, filters=4)]
SECTIONS = [ConvSpace(), ChainSpace(widths=(4, 6)), *CELLS]
every_section = pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.name)
every_cell = pytest.mark.parametrize("section", CELLS, ids=lambda section: section.name)
IMAGE = ImageShape(1, 8, 8)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(count: int, image: ImageShape, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(count, image.channels, image.height, image.width, generator=generator(1), dtype=dtype)


def sampled(section, seed: int = 0) -> Architecture:
    return make_space(section, IMAGE, 10).sample(np.random.default_rng(seed))


def built(section, arch: Architecture, image: ImageShape = IMAGE, classes: int = 10, **options) -> Network:
    return initialise(build_network(section, arch, image, classes, **options), generator())


@every_section
@pytest.mark.parametrize("size", [(8, 8), (9, 13), (16, 16), (32, 32)], ids=str)
@pytest.mark.parametrize("channels", [1, 3])
def test_shape_parameters_and_flops_are_those_of_the_space(section, size, channels):
    image = ImageShape(channels, *size)
    space = make_space(section, image, 7)
    rng = np.random.default_rng(size[0])
    for _ in range(4):
        arch = space.sample(rng)
        network = built(section, arch, image, 7)
        assert network(images(3, image)).shape == (3, 7)
        assert sum(parameter.numel() for parameter in network.parameters()) == space.params(arch)
        with FlopCounterMode(display=False) as counted:
            network.eval()(images(1, image))
        assert counted.get_total_flops() == space.flops(arch)


@pytest.mark.parametrize("section", [NaoCellSpace(cells=2, filters=1), NasBench201Space(cells=2, filters=5)])
def test_deeper_networks_of_larger_images(section):
    arch, image = sampled(section), ImageShape(3, 64, 64)
    network = built(section, arch, image, 100)
    assert network(images(2, image)).shape == (2, 100)
    assert sum(parameter.numel() for parameter in network.parameters()) == make_space(section, image, 100).params(arch)


@every_section
def test_second_derivatives_under_functional_call_in_float64(section):
    """Grad of an inner step's effect on the loss, against central differences."""
    network = built(section, sampled(section, 3)).double()
    parameters, buffers = dict(network.named_parameters()), dict(network.named_buffers())
    x, y = images(4, IMAGE, torch.float64), torch.arange(4)

    def after_a_step(rate: torch.Tensor) -> torch.Tensor:
        loss = F.cross_entropy(functional_call(network, {**parameters, **buffers}, (x,)), y)
        gradients = torch.autograd.grad(loss, list(parameters.values()), create_graph=True)
        moved = {name: p - rate * g for (name, p), g in zip(parameters.items(), gradients, strict=True)}
        loss = F.cross_entropy(functional_call(network, {**moved, **buffers}, (x,)), y)
        return sum(g.square().sum() for g in torch.autograd.grad(loss, list(moved.values()), create_graph=True))

    rate = torch.tensor(1e-3, dtype=torch.float64, requires_grad=True)
    (exact,) = torch.autograd.grad(after_a_step(rate), rate)
    step = 1e-6
    numeric = (after_a_step(rate.detach() + step) - after_a_step(rate.detach() - step)) / (2 * step)
    assert exact.item() == pytest.approx(numeric.item(), rel=1e-4, abs=1e-6)


@every_section
def test_every_parameter_gets_a_gradient_and_evaluation_ignores_neighbours(section):
    network = built(section, sampled(section, 5))
    gradients = torch.autograd.grad(network(images(4, IMAGE)).square().sum(), list(network.parameters()))
    assert all(gradient.isfinite().all() for gradient in gradients)
    network.eval()
    batch = images(4, IMAGE)
    torch.testing.assert_close(network(batch)[:1], network(batch[:1]))


def test_a_cell_that_nothing_passes_still_has_gradients_for_all():
    arch = Architecture("nasbench201", {"cell": write_cell(("none",) * 6)})
    network = built(CELLS[1], arch)
    gradients = torch.autograd.grad(network(images(2, IMAGE)).sum(), list(network.parameters()))
    assert len(gradients) > 5


@every_section
def test_canonically_equal_architectures_are_the_same_network_bit_for_bit(section):
    space = make_space(section, IMAGE, 10)
    for seed in range(3):
        arch = sampled(section, seed)
        one, other = built(section, arch), built(section, space.canonical(arch))
        assert torch.equal(one(images(3, IMAGE)), other(images(3, IMAGE)))


def unsimplified(section, arch: Architecture) -> Network:
    """The network of `arch` as it is written, without going through its canonical form."""
    space = make_space(section, IMAGE, 10)
    planner = Planner(IMAGE, weight_norm=space.weight_norm)
    trunk = space._lay(planner, arch.spec)
    return Network(planner.finish(planner.classify(trunk.features, 10)))


def test_a_merged_cell_computes_what_the_written_one_computes():
    written = "|skip_connect~0|+|nor_conv_3x3~0|skip_connect~1|+|none~0|none~1|avg_pool_3x3~2|"
    arch = Architecture("nasbench201", {"cell": written})
    raw, merged = unsimplified(CELLS[1], arch), built(CELLS[1], arch)
    assert len(raw.plan.steps) != len(merged.plan.steps)
    for theirs, mine in zip(raw.parameters(), merged.parameters(), strict=True):
        theirs.data.copy_(mine)
    torch.testing.assert_close(raw(images(3, IMAGE)), merged(images(3, IMAGE)))


def test_a_chain_cut_down_to_its_small_maps_computes_what_the_written_one_computes():
    pool = {"op": "max_pool", "stride": 2}
    convs = [{"op": "conv5", "width": 4, "stride": stride, "norm": False} for stride in (2, 1, 2, 2)]
    arch = Architecture("chain", {"layers": [convs[0], pool, convs[1], convs[2], convs[3], pool], "head": "average"})
    raw, cut = unsimplified(SECTIONS[1], arch), built(SECTIONS[1], arch)
    ops = [layer["op"] for layer in make_space(SECTIONS[1], IMAGE, 10).canonical(arch).spec["layers"]]
    assert ops == ["conv5", "max_pool", "conv3", "conv3", "conv1"]
    for (name, theirs), mine in zip(raw.named_parameters(), cut.parameters(), strict=True):
        theirs.data.zero_()
        rim = (theirs.shape[-1] - mine.shape[-1]) // 2 if theirs.dim() == 4 else 0
        (theirs.data[..., rim:-rim, rim:-rim] if rim else theirs.data).copy_(mine)
        assert name.rsplit(".", 1)[1] in ("weight", "g", "bias")
    torch.testing.assert_close(raw(images(3, IMAGE)), cut(images(3, IMAGE)))


def test_the_conv_space_holds_the_learners_of_the_teacher():
    image, widths = ImageShape(1, 9, 9), (33, 65, 66)
    network = built(ConvSpace(), Architecture("conv", {"widths": list(widths)}), image)
    learner = initialise(build_learner(LearnerSpec(Learner(family="conv2-fc"), widths), image, 10), generator())
    assert torch.equal(network(images(3, image)), learner(images(3, image)))


def relabelled(arch: Architecture) -> Architecture:
    """The same NAO cells with the edges of every node swapped."""
    return Architecture(arch.space, {kind: [node[::-1] for node in nodes] for kind, nodes in arch.spec.items()})


def test_relabelled_cells_are_the_same_network():
    arch = sampled(CELLS[0], 2)
    one, other = built(CELLS[0], arch), built(CELLS[0], relabelled(arch))
    assert torch.equal(one(images(3, IMAGE)), other(images(3, IMAGE)))


@every_cell
def test_drop_path_rises_with_depth_and_follows_its_generator(section):
    network = built(section, busy(section), drop_path=0.4)
    chances = [module.p for module in network.modules() if isinstance(module, Drop) and module.whole_sample]
    assert chances == sorted(chances)
    assert chances[-1] == pytest.approx(0.4)
    assert chances[0] == pytest.approx(0.4 / cells(section))
    x = images(8, IMAGE)

    def outputs(seed: int) -> torch.Tensor:
        network.generator = generator(seed)
        return network(x)

    assert torch.equal(outputs(0), outputs(0))
    assert not torch.equal(outputs(0), outputs(1))
    assert network.generator.initial_seed() == 1
    network.drop_path /= 2
    assert chances == [2 * module.p for module in network.modules() if isinstance(module, Drop) and module.whole_sample]
    network.drop_path = 0.0
    assert torch.equal(outputs(0), outputs(1))


def cells(section) -> int:
    return 3 * section.cells + (2 if section.name == "nao_cell" else 0)


def busy(section) -> Architecture:
    """An architecture whose last cells hold operations that a path can lose."""
    if section.name == "nasbench201":
        return Architecture("nasbench201", {"cell": write_cell((OPERATIONS[3],) * 6)})
    cell = [[[i, "conv_1x1"], [i + 1, "avg_pool_3x3"]] for i in range(5)]
    return Architecture("nao_cell", {"normal": cell, "reduction": cell})


@pytest.mark.parametrize("whole_sample", [True, False])
@pytest.mark.parametrize("own", [True, False], ids=["generator", "torch's own"])
def test_dropping_keeps_the_mean_and_is_off_in_evaluation(whole_sample, own):
    drop = Drop(0.3, whole_sample=whole_sample)
    drop.generator = generator() if own else None
    x = torch.ones(4000, 2, 1, 2)
    with torch.random.fork_rng():
        y = drop(x)
    assert y.unique().tolist() == pytest.approx([0, 1 / 0.7])
    assert y.mean().item() == pytest.approx(1, abs=0.05)
    assert bool((y.amax(dim=(1, 2, 3)) == y.amin(dim=(1, 2, 3))).all()) is whole_sample
    assert drop.eval()(x) is x


@every_section
def test_dropout_stands_before_the_classifier_in_training_only(section):
    network = built(section, sampled(section), dropout=0.5)
    network.generator = generator()
    x = images(6, IMAGE)
    assert not torch.equal(network(x), network(x))
    network.eval()
    assert torch.equal(network(x), network(x))


@every_cell
@pytest.mark.parametrize("size", [8, 32])
def test_auxiliary_head_speaks_in_training_only(section, size):
    image, arch = ImageShape(3, size, size), sampled(section)
    plain, network = built(section, arch, image, 6), built(section, arch, image, 6, auxiliary=True)
    outputs = network(images(4, image))
    assert isinstance(outputs, Outputs)
    assert outputs.logits.shape == outputs.auxiliary.shape == (4, 6)
    assert torch.equal(outputs.logits, plain(images(4, image)))
    gradients = torch.autograd.grad(sum(o.square().sum() for o in outputs), list(network.parameters()))
    assert all(gradient.isfinite().all() for gradient in gradients)
    space = make_space(section, image, 6)
    head = space.plan(arch, auxiliary=True).params - space.params(arch)
    assert sum(p.numel() for p in network.parameters()) - sum(p.numel() for p in plain.parameters()) == head > 0
    assert torch.equal(network.eval()(images(4, image)), plain.eval()(images(4, image)))


@pytest.mark.parametrize("section", SECTIONS[:2], ids=lambda section: section.name)
def test_what_only_cells_have_is_refused_elsewhere(section):
    for option in ({"auxiliary": True}, {"drop_path": 0.1}):
        with pytest.raises(ConfigError, match="Only cell networks"):
            build_network(section, sampled(section), IMAGE, 10, **option)


@pytest.mark.parametrize("kernel", [2, 3, 5])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [(4, 5), (1, 3)], ids=str)
def test_pooling_counts_existing_pixels_only(kernel, stride, size):
    x = images(2, ImageShape(1, *size), torch.float64)
    before, rows, columns = (kernel - 1) // 2, *size

    def window(i: int, size: int) -> slice:
        return slice(max(0, i * stride - before), min(size, i * stride - before + kernel))

    for pool, reduce in ((MaxPool, torch.amax), (AvgPool, torch.mean)):
        expected = [
            [reduce(x[:, :, window(i, rows), window(j, columns)], dim=(2, 3)) for j in range(-(-columns // stride))]
            for i in range(-(-rows // stride))
        ]
        torch.testing.assert_close(pool(kernel, stride)(x), torch.stack([torch.stack(r, -1) for r in expected], -2))


GPU = pytest.param("cuda", marks=needs.GPU)


@pytest.mark.parametrize("device", ["cpu", GPU])
@pytest.mark.parametrize(("shape", "size"), [((5, 7), 2), ((3, 4), 2), ((8, 7), 3), ((2, 1), 2)], ids=str)
def test_windows_that_overlap_are_averaged_as_adaptive_pooling_averages_them(shape, size, device):
    x = images(3, ImageShape(2, *shape), torch.float64).to(device).requires_grad_()
    weight = images(3, ImageShape(2, size, size), torch.float64).to(device)
    expected = torch.nn.functional.adaptive_avg_pool2d(x, size)
    (gradient,) = torch.autograd.grad((expected * weight).sum(), x)
    for average in (lambda x: average_of_windows(x, size), Average(size)):
        found = average(x)
        torch.testing.assert_close(found, expected)
        first, second = (torch.autograd.grad((found * weight).sum(), x, retain_graph=True)[0] for _ in range(2))
        torch.testing.assert_close(first, gradient)
        assert torch.equal(first, second)


@pytest.mark.parametrize("device", ["cpu", GPU])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=["first", "last"])
@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (5, 1), (5, 2)])
@pytest.mark.parametrize("channels", [1, 3])
def test_means_without_padding_are_those_of_the_padded_pool(channels, kernel, stride, layout, device):
    """Where CUDA is wrong about the padded pool's gradient, a CPU's says what it is."""
    x = images(3, ImageShape(channels, 6, 7), torch.float64)
    reference = x.clone().requires_grad_()
    expected = torch.nn.functional.avg_pool2d(reference, kernel, stride, kernel // 2, count_include_pad=False)
    weight = torch.linspace(-1, 1, expected.numel(), dtype=x.dtype).reshape(expected.shape)
    (gradient,) = torch.autograd.grad((expected * weight).sum(), reference)
    there = x.to(device).contiguous(memory_format=layout).requires_grad_()
    for pool in (AvgPool(kernel, stride), lambda x: mean_of_existing(x, kernel, stride)):
        found = pool(there)
        torch.testing.assert_close(found.cpu(), expected)
        torch.testing.assert_close(torch.autograd.grad((found * weight.to(device)).sum(), there)[0].cpu(), gradient)
