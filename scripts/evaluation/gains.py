"""What is gained by calling the customers in the order of their probability, for one label against the rest."""

from dataclasses import asdict, dataclass

import numpy as np

SHARES = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class Gain:
    """Among the `share` of customers with the highest probability: `found` of all that have the label, and
    `lift`, how many times as often they have it as customers taken at random.
    """

    share: float
    customers: int
    found: float
    lift: float


def gains(said: np.ndarray, happened: np.ndarray) -> tuple[Gain, ...]:
    """The gains at fixed shares, from probabilities [n] and what happened, bool [n]."""
    found = cumulative_gains(said, happened)
    made = []
    for share in SHARES:
        customers = max(1, round(share * len(said)))
        made.append(Gain(share, customers, float(found[customers]), float(found[customers] * len(said) / customers)))
    return tuple(made)


def cumulative_gains(said: np.ndarray, happened: np.ndarray) -> np.ndarray:
    """Share of the label's customers among the first 0, 1, …, n by probability [n + 1].

    Customers with equal probabilities count as in the mean over every order of them.
    """
    order = np.argsort(-said, kind="stable")
    starts = np.flatnonzero(np.diff(-said[order], prepend=-np.inf))
    ends = np.append(starts[1:], len(said))
    at_ends = np.add.reduceat(happened[order].astype(float), starts).cumsum() / happened.sum()
    return np.interp(np.arange(len(said) + 1), np.append(0, ends), np.append(0.0, at_ends))


def as_json(found: tuple[Gain, ...]) -> list[dict]:
    """As evaluation.json has it."""
    return [asdict(one) for one in found]
