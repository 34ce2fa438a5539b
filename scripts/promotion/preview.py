"""Who would change label with a version, before anything changes."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from scripts.evaluation.model_contract import FLOAT32_MAX, ModelContract
from scripts.evaluation.model_version import ModelVersion
from scripts.promotion.stored_labels import Pieces, StoredContract, StoredLabels, Unreadable

IDS_NAMED = 5
SAME_SCALING = 1e-12


@dataclass(frozen=True)
class Change:
    """One customer of the list: `after` is None where the version cannot label it, and `reason` says why."""

    customer_id: str
    version: str
    before: str
    after: str | None
    reason: str = ""


@dataclass
class Preview:
    """`matrix` counts customers by code before and after; `unusable` by reason, with the first ids of each."""

    customers: int = 0
    matrix: Counter[tuple[str, str]] = field(default_factory=Counter)
    versions: Counter[str] = field(default_factory=Counter)
    names_before: dict[str, str] = field(default_factory=dict)
    unusable: Counter[str] = field(default_factory=Counter)
    unusable_ids: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    converted: int = 0

    @property
    def changed(self) -> int:
        """How many customers would get another label."""
        return sum(count for (before, after), count in self.matrix.items() if before != after)

    @property
    def labelled(self) -> int:
        """How many customers the version can label."""
        return sum(self.matrix.values())


def preview(version: ModelVersion, pieces: Pieces, tell: Callable[[Preview, list[Change]], None]) -> Preview:
    """Labels every stored customer by the version. `tell` gets the changes of each piece, in the order of the ids."""
    found = Preview()
    for piece in pieces:
        changes: list[Change] = []
        for group in piece:
            found.customers += len(group.ids)
            if isinstance(group, Unreadable):
                refused = zip(group.ids, group.labels, strict=True)
                changes += [Change(one, "?", label, None, group.reason) for one, label in refused]
            else:
                changes += list(label_group(version, group, found))
        for change in changes:
            if change.after is None:
                found.unusable[change.reason] += 1
                if len(found.unusable_ids[change.reason]) < IDS_NAMED:
                    found.unusable_ids[change.reason].append(change.customer_id)
        tell(found, sorted(changes, key=lambda change: change.customer_id))
    return found


def label_group(version: ModelVersion, group: StoredLabels, found: Preview) -> Iterator[Change]:
    """Counts the group's customers and gives those that change or cannot be labelled."""
    found.versions.update(group.versions)
    found.names_before |= group.contract.label_names
    reason = other_features(group.contract, version.contract)
    if reason is not None:
        for one, by, before in zip(group.ids, group.versions, group.labels, strict=True):
            yield Change(one, by, before, None, reason)
        return
    standardised, reasons = as_model_takes_it(group, version.contract, found)
    usable = np.array([reason == "" for reason in reasons])
    after = np.full(len(group.ids), "", dtype=object)
    if usable.any():
        codes = np.array([str(label.code) for label in version.contract.labels], dtype=object)
        after[usable] = codes[version.labels_of_standardised(standardised[usable])]
    for one, by, before, new, reason in zip(group.ids, group.versions, group.labels, after, reasons, strict=True):
        if reason:
            yield Change(one, by, before, None, reason)
            continue
        found.matrix[before, new] += 1
        if before != new:
            yield Change(one, by, before, new)


def other_features(stored: StoredContract, wanted: ModelContract) -> str | None:
    """Why inputs of the stored contract say nothing to the version, None where they have its features."""
    missing = [name for name in wanted.names if name not in stored.names]
    besides = [name for name in stored.names if name not in wanted.names]
    if not missing and not besides:
        return None
    parts = [f"without {', '.join(missing)}"] if missing else []
    parts += [f"with {', '.join(besides)} besides"] if besides else []
    return f"stored {' and '.join(parts)}"


def as_model_takes_it(
    group: StoredLabels, wanted: ModelContract, found: Preview,
) -> tuple[np.ndarray, list[str]]:
    """Rows [n, features] standardised by the version's contract, and why a row cannot be used ("" where it can).

    Inputs that were standardised by another scaling go back to the ERP's units by the contract they were read by.
    """
    order = [group.contract.names.index(name) for name in wanted.names]
    given = group.inputs[:, order]
    reasons = [""] * len(given)
    if group.scale == "raw":
        for place, feature in enumerate(wanted.features):
            for row in np.flatnonzero(feature.faulty(given[:, place])):
                reasons[row] = reasons[row] or f"{feature.name} is not allowed"
        standardised = wanted.standardise(given)
    else:
        mean, scale = group.contract.mean[order], group.contract.scale[order]
        if same_scaling(mean, scale, wanted):
            standardised = given
        else:
            standardised = wanted.standardise(given * scale + mean)
            found.converted += len(given)
    for row in np.flatnonzero(~(np.abs(standardised) <= FLOAT32_MAX).all(axis=1)):
        reasons[row] = reasons[row] or "a number is too large for the model"
    return standardised, reasons


def same_scaling(mean: np.ndarray, scale: np.ndarray, wanted: ModelContract) -> bool:
    """Whether two scalings are one, but for the last bits."""
    return bool(
        np.allclose((mean - wanted.mean) / wanted.scale, 0, atol=SAME_SCALING)
        and np.allclose(scale / wanted.scale, 1, rtol=0, atol=SAME_SCALING)
    )
