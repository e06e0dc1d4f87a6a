"""What a comparison shows, in plain words, and what could make its figures wrong or useless."""

from collections.abc import Iterable, Mapping, Sequence

from src.evaluation.intervals import rounded, significant
from src.evaluation.reports.check import Check
from src.evaluation.reports.comparison.comparison import ALL, Comparison, MethodFacts
from src.evaluation.reports.comparison.paired_tests import FEWEST_SEEDS

_MOST_UNCERTAIN = 0.1  # detectable difference / error: smaller differences rarely decide which method is used
_NO_BETTER = 0.95  # error / error of the mean baseline
_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def verdict(comparison: Comparison) -> str:
    """Return which method has the smaller error, and for what that holds."""
    if len(comparison.seeds) == 2:
        finding = _of_two(comparison)
    elif comparison.baseline is not None:
        finding = _against(comparison, comparison.baseline)
    else:
        finding = _of_many(comparison)
    return f"{finding} {_scope(comparison)}"


def _of_two(comparison: Comparison) -> str:
    ((reference, method),) = comparison.pairs()
    rows = [row for row in comparison.of_pair(reference, method) if row.parameter != ALL]
    smaller = sum(row.is_significant and row.difference < 0 for row in rows)
    larger = sum(row.is_significant and row.difference > 0 for row in rows)
    if smaller + larger == 0:
        return f"Which of {reference} and {method} has the smaller error is unclear for every parameter."
    (count, winner), (other_count, other) = sorted([(smaller, method), (larger, reference)], reverse=True)
    what = rows[0].parameter if len(rows) == 1 else f"{count} of {len(rows)} parameters"
    sentence = f"{winner} has the smaller error for {what}"
    if other_count:
        sentence += f", {other} for {other_count}"
    unclear = len(rows) - smaller - larger
    if unclear:
        sentence += "; the other is unclear" if unclear == 1 else "; the others are unclear"
    return f"{sentence}."


def _of_many(comparison: Comparison) -> str:
    overall = comparison.parameters[-1]
    found = {name: comparison.error(name, overall.name) for name in comparison.seeds}
    best = min(found, key=lambda name: found[name].error)
    apart = []
    for row in comparison.differences:
        if row.parameter == overall.name and row.is_significant and best in (row.reference, row.method):
            apart.append(row.method if row.reference == best else row.reference)
    unclear = [name for name in found if name != best and name not in apart]
    error = f"{rounded(found[best].error, found[best].interval)} {overall.unit}".strip()
    sentence = f"{best} has the smallest error for {overall.name} ({error})"
    if unclear:
        sentence += f"; the difference from {_listed(unclear)} is unclear"
    if apart:
        names = _listed(apart) if unclear else "all others"
        verb = "is" if unclear and len(apart) == 1 else "are"
        sentence += f"; {names} {verb} worse by more than chance"
    return f"{sentence}."


def _against(comparison: Comparison, baseline: str) -> str:
    overall = comparison.parameters[-1].name
    groups: dict[str, list[str]] = {"smaller": [], "larger": [], "unclear": []}
    for row in comparison.differences:
        if row.parameter == overall:
            kind = "unclear" if not row.is_significant else "smaller" if row.difference < 0 else "larger"
            groups[kind].append(row.method)
    parts = [f"{kind} for {_listed(names)}" for kind, names in groups.items() if names]
    return f"Compared with {baseline}, the error for {overall} is {'; '.join(parts)}."


def _scope(comparison: Comparison) -> str:
    few = [name for name, seeds in comparison.seeds.items() if seeds < FEWEST_SEEDS]
    if not few:
        return f"The intervals cover the choice of {comparison.samples} and of seeds."
    count = len(comparison.seeds)
    if len(few) == count and sum(comparison.seeds.values()) == count:
        number = _NUMBERS[count] if count < len(_NUMBERS) else str(count)
        return f"These are {number} checkpoints, not {number} methods: other seeds may change the order."
    return f"With fewer than {FEWEST_SEEDS} seeds of {_listed(few)}, other seeds may change the order."


def check_comparison(
    comparison: Comparison, facts: Mapping[str, MethodFacts], checksums: Sequence[str | None]
) -> list[Check]:
    """Return the checks of a comparison; `checksums` are the SHA-256 of each run's test images, None if unknown."""
    return [
        _check_split(comparison, checksums),
        _check_seeds(comparison),
        _check_sounds(comparison),
        _check_baseline(comparison),
        _check_equal("Same machine", "Training times are not comparable", _all(row.hardware for row in facts.values())),
        _check_equal("Same code", "More than the config may differ", _all(row.commits for row in facts.values())),
    ]


def _check_split(comparison: Comparison, checksums: Sequence[str | None]) -> Check:
    name = "Same test split"
    same = f"All runs have the same parameters and the same {comparison.num_samples:,} true values"
    if None in checksums:
        return Check(name, "unknown", f"{same}, but not all state the SHA-256 of the images.")
    if len(set(checksums)) > 1:
        return Check(name, "warn", f"{same}, but other images: {comparison.samples} are paired by their index.")
    return Check(name, "pass", f"{same}, and the SHA-256 of the images is equal.")


def _check_seeds(comparison: Comparison) -> Check:
    name, fewest = "Seeds", min(comparison.seeds.values())
    if fewest < FEWEST_SEEDS:
        few = [method for method, seeds in comparison.seeds.items() if seeds < FEWEST_SEEDS]
        why = f"Fewer than {FEWEST_SEEDS} seeds, so that their spread is not known: {', '.join(few)}."
        return Check(name, "warn", why)
    return Check(name, "pass", f"At least {fewest} seeds of each method.")


def _check_sounds(comparison: Comparison) -> Check:
    """Check whether differences that matter would be found."""
    name, overall = f"Enough {comparison.samples}", comparison.parameters[-1].name
    shares = []
    for row in comparison.differences:
        error = comparison.error(row.reference, row.parameter).error
        if row.parameter == overall and error > 0:
            shares.append(row.detectable / error)
    if not shares:
        return Check(name, "unknown", "The errors are 0.")
    why = f"Differences below {significant(100 * max(shares), 2)} % of the error for {overall} are often not found."
    return Check(name, "pass" if max(shares) <= _MOST_UNCERTAIN else "warn", why)


def _check_baseline(comparison: Comparison) -> Check:
    name, poor = "Better than the mean baseline", []
    for method in comparison.seeds:
        for parameter in comparison.parameters:
            error = comparison.error(method, parameter.name).error
            if parameter.name != ALL and error >= _NO_BETTER * parameter.mean_baseline:
                poor.append(f"{method} for {parameter.name}")
    if poor:
        return Check(name, "warn", f"Hardly better: {', '.join(poor)}.")
    return Check(name, "pass", "Each method is, for each parameter.")


def _check_equal(name: str, fault: str, found: Sequence[str]) -> Check:
    if len(found) > 1:
        return Check(name, "warn", f"{fault}: {'; '.join(found)}.")
    if not found:
        return Check(name, "unknown", "The runs do not state it.")
    return Check(name, "pass", f"{found[0]}.")


def _all(texts: Iterable[Sequence[str]]) -> list[str]:
    return sorted({one for of_method in texts for one in of_method})


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
