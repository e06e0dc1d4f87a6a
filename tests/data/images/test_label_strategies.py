"""Labels of heads: each strategy by its definition, and configs that do not suit the classes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from src.data.images.image_set import Classes
from src.data.images.label_strategies import STRATEGIES, label_spec, make_labels
from src.utils.errors import UserError

DIGITS = Classes(tuple("0123456789"))
PETS = Classes(("cat", "dog", "fern"), ("animal", "plant"), (0, 0, 1))


def named(config, classes):
    """Return the name of each class's label, by head."""
    found = make_labels(config, classes)
    return {head: [labels.names[number] for number in labels.of_class] for head, labels in found.items()}


def test_every_strategy_follows_its_definition():
    config = {"digit": "identity", "parity": "parity", "strokes": "strokes", "value": "ordinal"}
    config["is_3"] = {"strategy": "one_vs_rest", "category": "3"}
    found = named(config, DIGITS)
    for digit in range(10):
        assert found["digit"][digit] == found["value"][digit] == str(digit)
        assert found["parity"][digit] == ("odd" if digit % 2 else "even")
        assert found["strokes"][digit] == ("2" if digit in (4, 5) else "1")
        assert found["is_3"][digit] == ("3" if digit == 3 else "rest")
    assert set(STRATEGIES) == {"identity", "coarse", "parity", "strokes", "one_vs_rest", "ordinal"}


def test_coarse_labels_are_those_of_the_files_or_of_the_groups():
    groups = {"soft": ["dog", "cat"], "green": ["fern"]}
    config = {"files": "coarse", "groups": {"strategy": "coarse", "groups": groups}}
    found = named(config, PETS)
    assert found == {"files": ["animal", "animal", "plant"], "groups": ["soft", "soft", "green"]}


def test_an_ordinal_label_may_have_another_order():
    found = make_labels({"size": {"strategy": "ordinal", "order": ["dog", "fern", "cat"]}}, PETS)["size"]
    assert found.of_class.tolist() == [2, 0, 1]
    spec = label_spec("size", found)
    assert (spec.kind, spec.min, spec.max, spec.step, spec.num_classes) == ("ordinal", 0, 2, 1, 3)


def test_all_but_the_labels_of_the_files_are_said_to_be_synthetic():
    config = {"class": "identity", "files": "coarse", "parity": "parity", "order": "ordinal"}
    config["cat"] = {"strategy": "one_vs_rest", "category": "cat"}
    specs = {head: label_spec(head, labels) for head, labels in make_labels(config, PETS).items()}
    synthetic = {head for head, spec in specs.items() if spec.description.startswith("synthetic: ")}
    assert synthetic == {"parity", "order", "cat"}
    assert specs["class"].values == PETS.names and specs["files"].values == PETS.coarse_names


@pytest.mark.parametrize(
    ("given", "classes", "cause"),
    [
        ("party", PETS, "strategy 'party' given. Did you mean 'parity'?"),
        (3, PETS, "strategy 3 given"),
        ({"category": "cat"}, PETS, "strategy None given"),
        ("coarse", DIGITS, "the files hold no coarse classes; give groups"),
        ("strokes", PETS, "strokes are known of the classes 0 to 9 only"),
        ("one_vs_rest", PETS, "category: "),
        ({"strategy": "one_vs_rest", "category": "cow"}, PETS, "category: no class 'cow'."),
        ({"strategy": "one_vs_rest", "category": 3}, PETS, "category: 3 given"),
        ({"strategy": "identity", "order": []}, PETS, "order: "),
        ({"strategy": "ordinal", "order": ["cat", "cat", "dog"]}, PETS, "order: 3 names given; give each of the 3"),
        ({"strategy": "coarse", "groups": {"a": ["cat", "dog"]}}, PETS, "groups: 'fern' is in no group"),
        ({"strategy": "coarse", "groups": {"a": ["cat", "eel"]}}, PETS, "groups: no class 'eel'"),
        ({"strategy": "coarse", "groups": {"a": ["cat", "dog"], "b": ["cat"]}}, PETS, "'cat' is in two groups"),
        ({"strategy": "coarse", "groups": {"a": ["cat", "dog", "fern"]}}, PETS, "1 different labels, so there is"),
        ({"strategy": "coarse", "groups": 3}, PETS, "groups: 3 given"),
    ],
    ids=range(15),
)
def test_a_strategy_that_does_not_suit_the_classes_is_named(given, classes, cause):
    with pytest.raises(UserError) as error:
        make_labels({"head": given}, classes)
    assert str(error.value).startswith("data.labels.head") and cause in str(error.value)


def test_heads_are_needed_and_names_are_checked():
    with pytest.raises(UserError, match=r"^data.labels: no heads given"):
        make_labels({}, PETS)
    with pytest.raises(UserError, match=r"^data.labels.head.*characters"):
        label_spec("head", make_labels({"head": "identity"}, Classes(("a\n", "b")))["head"])


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from(["cat", "dog", "fern"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=100, deadline=None, database=None, derandomize=True)
@given(st.sampled_from(sorted(STRATEGIES)), st.dictionaries(st.sampled_from(["groups", "order", "category"]), plain))
def test_any_config_gives_a_label_for_each_class_or_one_line(strategy, options):
    try:
        labels = make_labels({"head": {"strategy": strategy, **options}}, PETS)["head"]
    except UserError as error:
        assert len(str(error).splitlines()) == 1
        return
    assert labels.of_class.shape == (3,) and np.isin(labels.of_class, np.arange(len(labels.names))).all()
