"""The preview from a store to the screen and to a file."""

import sys
import time
from pathlib import Path

from scripts.evaluation.model_version import ModelVersion
from scripts.evaluation.refusal import Refused
from scripts.promotion.change_list import SHOWN, as_row, describe, open_list
from scripts.promotion.postgres_store import is_postgres, place_of, read_postgres
from scripts.promotion.preview import Change, Preview, preview
from scripts.promotion.results_file import is_results_file, read_results
from scripts.promotion.stored_labels import Pieces

SAY_EVERY_S = 5


def open_store(store: str) -> Pieces:
    """The customers. Raises Refused where the store is neither of the two kinds."""
    if is_postgres(store):
        return read_postgres(store)
    if is_results_file(store):
        return read_results(Path(store))
    if Path(store).is_dir():
        raise Refused(
            f"--store {store} is a folder: with PGlite only the running service reads its store. Send the customers as "
            "NDJSON to POST /v1/batches, and give the file of GET /v1/batches/ID/results as --store FILE.ndjson"
        )
    raise Refused("--store is neither postgres://… nor FILE.ndjson")


def show_preview(version: ModelVersion, store: str, list_file: Path | None) -> None:
    """Reads every customer and prints the matrix and the first changes; the whole list goes to `list_file`."""
    new_names = {str(label.code): label.name for label in version.contract.labels}
    first: list[Change] = []
    began = said = time.monotonic()
    with open_list(list_file, new_names) as write:

        def tell(found: Preview, changes: list[Change]) -> None:
            nonlocal said
            write(found, changes)
            if len(first) < SHOWN:
                first.extend([one for one in changes if one.after is not None][: SHOWN - len(first)])
            if time.monotonic() - said >= SAY_EVERY_S:
                said = time.monotonic()
                print(f"  {found.customers:,} customers looked at", file=sys.stderr)

        found = preview(version, open_store(store), tell)
    took = time.monotonic() - began
    print(f"{place_of(store) if is_postgres(store) else store}, {took:.1f} s")
    for line in describe(found, version.title, new_names):
        print(line)
    for one in first:
        customer, _, before, name, after, new_name, _ = as_row(one, found.names_before, new_names)
        print(f"  {customer}: {name or before} -> {new_name or after}")
    if found.changed > len(first):
        print(f"  and {found.changed - len(first):,} more" + ("" if list_file else ": write them with --list FILE"))
    if list_file:
        print(f"the list is in {list_file}")
