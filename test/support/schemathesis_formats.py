"""What the OpenAPI document's own string formats hold, so that schemathesis can make valid ones."""

import base64
import datetime
import json

import schemathesis
from hypothesis import strategies as st

TIMES = st.datetimes(min_value=datetime.datetime(1970, 1, 1)).map(lambda time: f"{time.isoformat()}Z")
ROW_IDS = st.integers(0, 10**18 - 1).map(str)
CUSTOMER_IDS = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=64)


def as_cursor(place: dict[str, str]) -> str:
    return base64.urlsafe_b64encode(json.dumps(place, ensure_ascii=False).encode()).decode().rstrip("=")


HISTORY_PLACES = st.fixed_dictionaries({"receivedAt": TIMES, "id": ROW_IDS})
LIST_PLACES = st.fixed_dictionaries({"labelledAt": TIMES, "customerId": CUSTOMER_IDS})

schemathesis.openapi.format("history-cursor", HISTORY_PLACES.map(as_cursor))
schemathesis.openapi.format("list-cursor", LIST_PLACES.map(as_cursor))
