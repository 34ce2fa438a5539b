"""What the preview shows: the label-to-label matrix, the first customers, and the list as a CSV file."""

import csv
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from scripts.promotion.preview import Change, Preview

COLUMNS = ("customer_id", "version", "label", "name", "new_label", "new_name", "reason")
SHOWN = 20

Names = dict[str, str]


@contextmanager
def open_list(path: Path | None, new_names: Names) -> Iterator[Callable[[Preview, list[Change]], None]]:
    """A function that takes changes as they come and writes them; the file appears at the end, whole."""
    if path is None:
        yield lambda found, changes: None
        return
    temporary = path.with_name(f".{path.name}.new")
    try:
        with temporary.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            yield lambda found, changes: writer.writerows(as_row(one, found.names_before, new_names) for one in changes)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def as_row(change: Change, names: Names, new_names: Names) -> tuple[str, ...]:
    """One customer of the list."""
    after = change.after or ""
    return (
        change.customer_id, change.version, change.before, names.get(change.before, ""),
        after, new_names.get(after, ""), change.reason,
    )


def describe(found: Preview, title: str, new_names: Names) -> Iterator[str]:
    """The preview in lines of text."""
    given_by = ", ".join(f"version {name} {count:,}" for name, count in found.versions.most_common())
    yield f"{found.customers:,} customers in the store, labelled by {given_by or 'nobody'}"
    share = f" ({found.changed / found.labelled:.2%})" if found.labelled else ""
    yield f"with {title} {found.changed:,}{share} would change label, {found.labelled - found.changed:,} would keep it"
    if found.matrix:
        yield ""
        yield from matrix_lines(found, new_names)
        yield ""
    if found.converted:
        yield (
            f"{found.converted:,} customers came standardized by another scaling: taken back to the ERP's units "
            "by the contract that they were read by"
        )
    for reason, count in found.unusable.most_common():
        ids = ", ".join(found.unusable_ids[reason]) + (", …" if count > len(found.unusable_ids[reason]) else "")
        yield f"{count:,} customers cannot be labelled by it, {reason}: {ids}"


def matrix_lines(found: Preview, new_names: Names) -> Iterator[str]:
    """Rows: the label now; columns: the label that it would be."""
    before = sorted({one for one, _ in found.matrix})
    after = sorted(new_names)
    heads = [f"now {titled(code, found.names_before)}" for code in before]
    columns = [f"would be {titled(code, new_names)}" for code in after]
    margin = max(map(len, heads), default=0)
    yield " " * margin + "".join(f"  {column}" for column in columns)
    for code, head in zip(before, heads, strict=True):
        counts = (
            f"  {found.matrix[code, new]:>{len(column)},}" for new, column in zip(after, columns, strict=True)
        )
        yield f"{head:<{margin}}{''.join(counts)}"


def titled(code: str, names: Names) -> str:
    """A label as people call it."""
    return f"{names[code]} ({code})" if names.get(code) else code
