"""What is wrong with a catalogue, a sentence for each fault. The rules are those of the model contract."""

import math
from collections import Counter
from collections.abc import Callable, Iterator

LANGUAGES = ("en", "es")
FEATURE_TYPES = ("integer", "number", "binary")
LONGEST_NAME = 128
LARGEST_NUMBER = 3.4e38

Check = Callable[[object], bool]


def is_text(value: object) -> bool:
    """A text with something in it."""
    return isinstance(value, str) and value.strip() != ""


def is_name(value: object) -> bool:
    """A text that can name a feature or a column."""
    return is_text(value) and len(value) <= LONGEST_NAME


def is_number(value: object) -> bool:
    """A finite number that float32 holds."""
    is_real = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_real and math.isfinite(value) and abs(value) <= LARGEST_NUMBER


def is_texts(value: object) -> bool:
    """A text in every language, and nothing else."""
    return isinstance(value, dict) and sorted(value) == sorted(LANGUAGES) and all(map(is_text, value.values()))


def is_code(value: object) -> bool:
    """A whole number or a text."""
    return is_text(value) or (isinstance(value, int) and not isinstance(value, bool))


def is_allowed(value: object) -> bool:
    """{"values": [numbers]}, or bounds of which either may be left out."""
    if not isinstance(value, dict):
        return False
    if "values" in value:
        values = value["values"]
        return len(value) == 1 and isinstance(values, list) and values != [] and all(map(is_number, values))
    bounds = [value.get("minimum", -math.inf), value.get("maximum", math.inf)]
    return set(value) <= {"minimum", "maximum"} and all(map(is_number, value.values())) and bounds[0] <= bounds[1]


TEXTS = (is_texts, "must be a text in each of en and es")
WHOLE: dict[str, tuple[Check, str]] = {
    "idColumn": (is_name, "must be the name of a column"),
    "labelColumn": (is_name, "must be the name of a column"),
    "features": (lambda value: isinstance(value, list) and len(value) > 0, "must be a list of features"),
    "labels": (lambda value: isinstance(value, list) and len(value) > 1, "must be a list of at least two labels"),
}
FEATURE: dict[str, tuple[Check, str]] = {
    "name": (is_name, f"must be a text of at most {LONGEST_NAME} characters"),
    "names": TEXTS,
    "meaning": TEXTS,
    "unit": (lambda value: value is None or is_texts(value), "must be null, or a text in each of en and es"),
    "type": (lambda value: value in FEATURE_TYPES, f"must be one of {', '.join(FEATURE_TYPES)}"),
    "allowed": (is_allowed, 'must be {"values": [numbers]}, or {} with a "minimum", a "maximum" or both'),
}
LABEL: dict[str, tuple[Check, str]] = {
    "code": (is_code, "must be a whole number or a text"),
    "name": (is_text, "must be a text"),
    "text": TEXTS,
    "positive": (lambda value: isinstance(value, bool), "must be true or false"),
}


def catalogue_faults(value: object) -> Iterator[str]:
    """One sentence for each fault of a parsed catalogue."""
    yield from entry_faults("the catalogue", value, WHOLE)
    if not isinstance(value, dict):
        return
    for kind, fields in (("features", FEATURE), ("labels", LABEL)):
        for index, entry in enumerate(value[kind] if isinstance(value.get(kind), list) else []):
            yield from entry_faults(f"{kind}[{index}]", entry, fields)
    yield from contradictions(value)


def entry_faults(place: str, entry: object, fields: dict[str, tuple[Check, str]]) -> Iterator[str]:
    """Missing, unknown and wrong fields of one object."""
    if not isinstance(entry, dict):
        yield f"{place}: must be an object"
        return
    for name, (holds, rule) in fields.items():
        if name not in entry:
            yield f"{place}: '{name}' is missing"
        elif not holds(entry[name]):
            yield f"{place}: '{name}' {rule}"
    for name in entry.keys() - fields.keys():
        yield f"{place}: '{name}' is not known"


def contradictions(value: dict) -> Iterator[str]:
    """What is wrong between entries that are each right."""
    features, labels = objects(value.get("features")), objects(value.get("labels"))
    columns = [value.get("idColumn"), value.get("labelColumn"), *(feature.get("name") for feature in features)]
    for name in repeated(columns):
        yield f"two columns are named '{name}'"
    codes = [label.get("code") for label in labels]
    for code in repeated([str(code) for code in codes if is_code(code)]):
        yield f"two labels have the code {code}"
    if len({type(code) for code in codes if is_code(code)}) > 1:
        yield "label codes must be all numbers or all texts"
    if sum(label.get("positive") is True for label in labels) > 1:
        yield "at most one label is the positive one"
    for feature in features:
        allowed = feature.get("allowed")
        if feature.get("type") == "binary" and is_allowed(allowed) and allowed != {"values": [0, 1]}:
            yield f"feature '{feature.get('name')}' is binary, so that 'allowed' must be {{\"values\": [0, 1]}}"


def objects(entries: object) -> list[dict]:
    """The objects of a list; none where there is no list."""
    return [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []


def repeated(names: list) -> list:
    """What stands more than once in a list, in its order; missing names do not count."""
    return [name for name, times in Counter(filter(is_text, names)).items() if times > 1]
