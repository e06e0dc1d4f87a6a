"""What a stranger's file asks for is known before it is allocated."""

import pytest
import torch
from torch import nn

from src.models.components.simple_mlp import SimpleMLP
from src.models.rehearsal import bounded, load_matching, rehearse_network
from src.utils.errors import UserError

IMAGE = (1, 32, 32)


def weights_of(network):
    return network.state_dict()


def build(**options):
    return lambda: SimpleMLP(1, (32, 32), **options)


def test_the_network_of_the_weights_passes_and_allocates_nothing():
    network = build(hidden_sizes=[8, 8])()
    rehearse_network(build(hidden_sizes=[8, 8]), weights_of(network), IMAGE)
    with torch.device("meta"), bounded(weights_of(network)):
        assert nn.Linear(4, 4).weight.is_meta
    assert not nn.Linear(4, 4).weight.is_meta  # nothing is left behind
    torch.zeros(2**24 + 1, dtype=torch.bool)


@pytest.mark.parametrize("sizes", [[8, 9], [8], [8, 8, 8]])
def test_another_network_than_the_weights_is_refused(sizes):
    with pytest.raises(UserError, match="its weights belong to another model"):
        rehearse_network(build(hidden_sizes=sizes), weights_of(build(hidden_sizes=[8, 8])()), IMAGE)


@pytest.mark.parametrize("sizes", [[65_536, 65_536], [60_000] * 3, [10**9], [10**9, 10**9]])
def test_a_network_of_huge_layers_is_refused_before_memory_is_taken(sizes):
    with pytest.raises((UserError, RuntimeError)):
        rehearse_network(build(hidden_sizes=sizes), weights_of(build(hidden_sizes=[8, 8])()), IMAGE)


def test_a_network_of_many_layers_ends_early():
    built = []

    def endless():
        while True:
            built.append(nn.Linear(1, 1))

    with pytest.raises(UserError, match="more layers than the file has weights for"):
        rehearse_network(endless, weights_of(build()()), IMAGE)
    assert len(built) < 100


def test_a_forward_pass_of_huge_tensors_is_refused():
    class Wide(nn.Module):
        def forward(self, image):
            return image.repeat(1, 1, 10_000, 100)

    with pytest.raises(UserError, match="needs a tensor of"):
        rehearse_network(Wide, {}, IMAGE)


def test_outside_of_a_rehearsal_sizes_are_bounded_by_the_largest_weight():
    with bounded({"a": torch.empty(2**26, device="meta")}):
        torch.empty(2**26, device="meta")
    with pytest.raises(UserError, match=f"the maximum is {2**24}"), bounded({"a": torch.zeros(3)}):
        torch.empty(2**24 + 1, device="meta")


def test_all_tensors_together_are_bounded_while_they_are_in_use():
    with torch.device("meta"), bounded({}):
        for _ in range(20):
            torch.empty(2**24).view(2, -1).add_(1)
        with pytest.raises(UserError, match=r"needs tensors of \d+ bytes at one time; .*; train again with smaller"):
            _ = [torch.empty(2**20) for _ in range(100)]
    with torch.device("meta"), bounded({"a": torch.empty(2**25, device="meta")}):
        _ = [torch.empty(2**24) for _ in range(8)]


def test_an_image_counts_as_one_of_16_channels():
    for channels in (1, 3, 16):
        rehearse_network(nn.Identity, {}, (channels, 1024, 1024 * 16 // max(channels, 16)))
        with pytest.raises(UserError, match="train again with smaller images"):
            rehearse_network(nn.Identity, {}, (channels, 1024, 1025))


@pytest.mark.parametrize("change", [lambda own: own.pop("weight"), lambda own: own.update(more=torch.zeros(1)),
                                    lambda own: own.update(weight=torch.zeros(3, 2))])  # fmt: skip
def test_weights_fit_exactly(change):
    weights = nn.Linear(2, 2).state_dict()
    load_matching(nn.Linear(2, 2), weights)
    change(weights)
    with pytest.raises(
        UserError, match=r"^ckpt_path: its weights belong to another model \(.*\); give the same model=\.\.\.$"
    ):
        load_matching(nn.Linear(2, 2), weights)
