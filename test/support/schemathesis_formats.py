"""What the OpenAPI document's own string formats hold, so that schemathesis can make valid ones."""

import base64
import datetime
import json

import schemathesis
from hypothesis import strategies as st

TIMES = st.datetimes(min_value=datetime.datetime(1970, 1, 1)).map(lambda time: f"{time.isoformat()}Z")
ROW_IDS = st.integers(0, 10**18 - 1).map(str)
CUSTOMER_IDS = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=64)


def as_cursor(place: dict[str, object]) -> str:
    return base64.urlsafe_b64encode(json.dumps(place, ensure_ascii=False).encode()).decode().rstrip("=")


HISTORY_PLACES = st.fixed_dictionaries({"receivedAt": TIMES, "id": ROW_IDS})
SORTS = ["customerId", "labelledAt", "-labelledAt", "probability", "-probability"]
PROBABILITIES = st.none() | st.floats(0, 1)
BATCH_PLACES = st.fixed_dictionaries({"createdAt": TIMES, "id": st.uuids(version=4).map(str)})
LIST_PLACES = st.fixed_dictionaries(
    {"sort": st.sampled_from(SORTS), "customerId": CUSTOMER_IDS, "labelledAt": TIMES, "probability": PROBABILITIES}
)

schemathesis.openapi.format("history-cursor", HISTORY_PLACES.map(as_cursor))
schemathesis.openapi.format("batch-cursor", BATCH_PLACES.map(as_cursor))
schemathesis.openapi.format("list-cursor", LIST_PLACES.map(as_cursor))


def place_in(cursor: object) -> dict[str, object]:
    try:
        place = json.loads(base64.urlsafe_b64decode(f"{cursor}==").decode())
    except ValueError:
        return {}
    return place if isinstance(place, dict) else {}


@schemathesis.hook
def before_call(_context: schemathesis.HookContext, case: schemathesis.Case, _kwargs: dict[str, object]) -> None:
    """A list's cursor is good for its own sort only, which the document has no way to say."""
    query = case.query or {}
    sort = query.get("sort", "customerId")
    place = place_in(query.get("cursor"))
    if "sort" in place and sort in SORTS:
        query["cursor"] = as_cursor({**place, "sort": sort})
