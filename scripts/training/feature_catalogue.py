"""What the features and labels of the churn table mean; the only Python file that lists them.

The order of FEATURES is the order of the model's input vector.
"""

from dataclasses import dataclass
from typing import Literal

FeatureType = Literal["integer", "number", "binary"]
Texts = dict[str, str]

ID_COLUMN = "customer_id"
LABEL_COLUMN = "churn"

DAYS = {"en": "days", "es": "días"}
MINUTES = {"en": "minutes", "es": "minutos"}
CALLS = {"en": "calls", "es": "llamadas"}
MESSAGES = {"en": "messages", "es": "mensajes"}


@dataclass(frozen=True)
class Feature:
    """One input of the model; texts by language, `unit` None for a flag."""

    name: str
    type: FeatureType
    unit: Texts | None
    display_name: Texts
    meaning: Texts

    @property
    def allowed(self) -> dict:
        """Values that are not refused: a minimum, or a list of values."""
        return {"values": [0, 1]} if self.type == "binary" else {"minimum": 0}

    @property
    def is_whole(self) -> bool:
        """Whether the feature only takes whole numbers."""
        return self.type != "number"


FEATURES: tuple[Feature, ...] = (
    Feature(
        "account_length", "integer", DAYS,
        {"en": "Account length", "es": "Antigüedad de la cuenta"},
        {"en": "How long the account has existed", "es": "Tiempo que lleva abierta la cuenta"},
    ),
    Feature(
        "number_vmail_messages", "integer", MESSAGES,
        {"en": "Voice-mail messages", "es": "Mensajes de voz"},
        {"en": "Voice-mail messages; 0 without the voice-mail plan",
         "es": "Mensajes en el buzón de voz; 0 sin el plan de buzón de voz"},
    ),
    Feature(
        "total_day_minutes", "number", MINUTES,
        {"en": "Day minutes", "es": "Minutos de día"},
        {"en": "Daytime call minutes in the period", "es": "Minutos de llamadas diurnas en el periodo"},
    ),
    Feature(
        "total_eve_minutes", "number", MINUTES,
        {"en": "Evening minutes", "es": "Minutos de tarde"},
        {"en": "Evening call minutes in the period", "es": "Minutos de llamadas por la tarde en el periodo"},
    ),
    Feature(
        "total_night_minutes", "number", MINUTES,
        {"en": "Night minutes", "es": "Minutos de noche"},
        {"en": "Night call minutes in the period", "es": "Minutos de llamadas nocturnas en el periodo"},
    ),
    Feature(
        "total_intl_minutes", "number", MINUTES,
        {"en": "International minutes", "es": "Minutos internacionales"},
        {"en": "International call minutes in the period",
         "es": "Minutos de llamadas internacionales en el periodo"},
    ),
    Feature(
        "number_customer_service_calls", "integer", CALLS,
        {"en": "Customer service calls", "es": "Llamadas a atención al cliente"},
        {"en": "Calls the customer made to customer service",
         "es": "Llamadas del cliente a atención al cliente"},
    ),
    Feature(
        "international_plan", "binary", None,
        {"en": "International plan", "es": "Plan internacional"},
        {"en": "Whether the customer has the international plan (1) or not (0)",
         "es": "Si el cliente tiene el plan internacional (1) o no (0)"},
    ),
    Feature(
        "total_day_calls", "integer", CALLS,
        {"en": "Day calls", "es": "Llamadas de día"},
        {"en": "Number of daytime calls in the period", "es": "Número de llamadas diurnas en el periodo"},
    ),
    Feature(
        "total_eve_calls", "integer", CALLS,
        {"en": "Evening calls", "es": "Llamadas de tarde"},
        {"en": "Number of evening calls in the period",
         "es": "Número de llamadas por la tarde en el periodo"},
    ),
    Feature(
        "total_night_calls", "integer", CALLS,
        {"en": "Night calls", "es": "Llamadas de noche"},
        {"en": "Number of night calls in the period", "es": "Número de llamadas nocturnas en el periodo"},
    ),
    Feature(
        "total_intl_calls", "integer", CALLS,
        {"en": "International calls", "es": "Llamadas internacionales"},
        {"en": "Number of international calls in the period",
         "es": "Número de llamadas internacionales en el periodo"},
    ),
)

FEATURE_NAMES: tuple[str, ...] = tuple(feature.name for feature in FEATURES)

LABELS: tuple[dict, ...] = (
    {"code": 0, "name": "stays", "text": {"en": "Stays", "es": "Se queda"}, "positive": False},
    {"code": 1, "name": "leaves", "text": {"en": "Leaves", "es": "Se va"}, "positive": True},
)
