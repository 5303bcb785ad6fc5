"""What all our resources share: group and version, metadata, conditions, and how their models are set up."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

GROUP: Final = "jobyard.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"

Int32 = Annotated[int, Field(le=2**31 - 1)]
#: A count that nothing limits but the type.
Count = Annotated[int, Field(ge=0)]
#: RFC 3339, in UTC.
Time = Annotated[str, Field(max_length=64, json_schema_extra={"format": "date-time"})]


class Model(BaseModel):
    """A part of a resource: camelCase outside, immutable inside. Fields that a newer version added are left aside."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, extra="ignore")


class OwnerReference(Model):
    """What an object belongs to, and is removed with."""

    kind: str = ""
    name: str = ""
    uid: str = ""


class Metadata(Model):
    """Those parts of ObjectMeta that we use. The API server has checked them."""

    name: str
    namespace: str = ""
    uid: str = ""
    generation: int = 0
    resource_version: str = ""
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    owner_references: tuple[OwnerReference, ...] = ()


class Condition(Model):
    """A metav1.Condition."""

    type: Annotated[str, Field(max_length=316, description="Name of the condition, for instance Ready.")]
    status: Annotated[Literal["True", "False", "Unknown"], Field(description="Whether it holds.")]
    reason: Annotated[
        str,
        Field(
            min_length=1,
            max_length=1024,
            pattern=r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
            description="Why, in one word for programs.",
        ),
    ]
    message: Annotated[str, Field(max_length=32768, description="Why, for people.")] = ""
    last_transition_time: Annotated[Time, Field(description="When the status changed last.")]
    observed_generation: Annotated[
        int,
        Field(
            ge=0,
            description="The generation of the resource that this was said about.",
            json_schema_extra={"format": "int64"},
        ),
    ] = 0


#: Of a status.
Conditions = Annotated[
    list[Condition],
    Field(
        max_length=16,
        description="Ready sums up the others.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    ),
]


def rule(expression: str, message: str, **more: Any) -> dict[str, Any]:
    """One CEL rule for `x-kubernetes-validations`; the message says what to change."""
    return {"rule": expression, "message": message, **more}


def rules(*all_rules: dict[str, Any]) -> dict[str, Any]:
    """`json_schema_extra` with these rules."""
    return {"x-kubernetes-validations": list(all_rules)}
