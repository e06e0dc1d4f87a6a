"""Names that are made of labels."""

from hypothesis import given
from hypothesis import strategies as st

from src.synth.discovered import PLAYED, unique_names
from tests.synth.references import repeatable

LABELS = st.lists(st.sampled_from(["a b", "a_b", "a", "", "+", "note_number", "note_velocity", "a_2", "é"]), max_size=9)


@repeatable
@given(labels=LABELS)
def test_names_are_words_that_differ(labels):
    names = unique_names(labels, [f"group/{label}" for label in labels])
    assert len(set(names)) == len(labels) and not set(names) & set(PLAYED)
    assert all(name.isidentifier() or name.replace("_", "").isalnum() for name in names)


def test_a_clash_is_resolved_by_the_path():
    assert unique_names(["cutoff", "cutoff", "mix"], ["one/cutoff", "two/cutoff", "mix"]) == [
        "one_cutoff", "two_cutoff", "mix"
    ]  # fmt: skip
