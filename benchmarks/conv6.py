"""The network Conv6 of InverSynth (Barkan et al., IEEE/ACM TASLP 27(12), 2019, arXiv 1812.06349, table I)."""

from torch import Tensor, nn

LAYERS = (  # filters, kernel and stride, both over time and frequency
    (32, (3, 3), (2, 2)),
    (71, (3, 3), (2, 2)),
    (128, (3, 4), (2, 3)),
    (128, (3, 3), (2, 2)),
    (128, (3, 3), (2, 2)),
    (128, (3, 3), (1, 2)),
)
HIDDEN = 512


class Conv6(nn.Module):
    """Six strided convolutions and a fully connected layer, each with ReLU.

    The padding keeps ceil(size / stride) values, which gives the 1.2 million parameters of the paper.
    """

    normalised_input = True

    def __init__(self, in_channels: int, image_size: tuple[int, int]):
        super().__init__()
        height, width = image_size
        size, channels = [width, height], in_channels
        layers: list[nn.Module] = []
        for filters, kernel, stride in LAYERS:
            (top, bottom), (left, right) = _padding(size, kernel, stride)
            size = [-(-length // step) for length, step in zip(size, stride, strict=True)]
            pad = nn.ZeroPad2d((left, right, top, bottom))
            layers += [pad, nn.Conv2d(channels, filters, kernel, stride), nn.ReLU()]
            channels = filters
        flat = channels * size[0] * size[1]
        self.layers = nn.Sequential(*layers, nn.Flatten(), nn.Linear(flat, HIDDEN), nn.ReLU())
        self.feature_dim = HIDDEN

    def forward(self, image: Tensor) -> Tensor:
        """Map images (B, C, H, W) to features (B, 512)."""
        return self.layers(image.mT)


def _padding(size: list[int], kernel: tuple[int, int], stride: tuple[int, int]) -> list[tuple[int, int]]:
    """Return how many zeros are before and after each axis, so that ceil(size / stride) values are kept."""
    found = []
    for length, width, step in zip(size, kernel, stride, strict=True):
        missing = max(0, (-(-length // step) - 1) * step + width - length)
        found.append((missing // 2, missing - missing // 2))
    return found
