"""Some thousand damaged files of each kind: `python -m tests.mutation` runs more of them."""

import pytest

from tests.mutation.__main__ import run

SEEDS = {
    "vimh": range(10**6, 10**6 + 800),
    "sounds": range(10**6, 10**6 + 3000),
    "checkpoints": range(10**6, 10**6 + 800),
}


@pytest.mark.slow
@pytest.mark.parametrize("what", SEEDS)
def test_no_damaged_file_does_what_no_file_may(what):
    counts, faults = run(what, SEEDS[what])
    assert not faults, "\n".join(faults)
    outcomes = {outcome for _, outcome in counts}
    assert outcomes == {"read", "refused"}  # both: else the files would be damaged too much, or not at all
