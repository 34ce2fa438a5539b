"""The registry's stages: Staging, Production, and the way back."""

import json
import logging
from datetime import datetime, timezone

import mlflow
from mlflow.entities.model_registry import ModelVersion as RegisteredVersion
from mlflow.tracking import MlflowClient

from scripts.evaluation.model_version import (
    CONTRACT_ARTIFACT, MODEL_ARTIFACT, ModelVersion, in_stage, open_registered, versions_of,
)
from scripts.evaluation.refusal import Refused
from scripts.promotion.fitness import check_fitness

PRODUCTION, STAGING, ARCHIVED = "Production", "Staging", "Archived"
FROM_TAG = "promotedFrom"
AT_TAG = "promotedAt"
MOMENT_TAG = "promotedAtTransition"
ROLLED_BACK_TAG = "rolledBackAt"
NONE = "none"

logger = logging.getLogger(__name__)


def register(client: MlflowClient, version: ModelVersion) -> ModelVersion:
    """The run as a new version, whose number its contract then names; a registered version as it is."""
    if version.version is not None:
        return version
    made = mlflow.register_model(f"runs:/{version.run_id}/{MODEL_ARTIFACT}", version.name)
    body = version.contract.body
    body["model"] |= {"version": str(made.version), "runId": version.run_id}
    client.log_text(
        version.run_id, json.dumps(body, indent=2, ensure_ascii=False, allow_nan=False) + "\n", CONTRACT_ARTIFACT,
    )
    logger.info("run %s is registered as version %s of %s", version.run_id[:8], made.version, version.name)
    return open_registered(client, client.get_model_version(version.name, str(made.version)))


def promote(client: MlflowClient, version: ModelVersion) -> None:
    """Checks, registers if need be, then Staging, then Production; whoever was there is archived."""
    before = in_stage(client, version.name, PRODUCTION)
    if before is not None and str(before.version) == version.version:
        logger.info("version %s is in Production already: nothing to do", version.version)
        return
    logger.info("%s: %s", version.title, check_fitness(client, version))
    version = register(client, version)
    say_verdict(client, version)
    move(client, version.name, version.version, STAGING)
    move(client, version.name, version.version, PRODUCTION)
    tag(client, version.name, version.version, {FROM_TAG: str(before.version) if before else NONE})
    drop_tag(client, version.name, version.version, ROLLED_BACK_TAG)
    if before is not None:
        logger.info("version %s is archived; to go back to it: python -m scripts.promotion rollback", before.version)


def roll_back(client: MlflowClient, name: str) -> None:
    """The version that was in Production before goes back there; the present one is archived."""
    present = in_production(client, name)
    previous, how = find_previous(client, present)
    logger.info("version %s is in Production; version %s was there before, %s", present.version, previous.version, how)
    check_previous(client, previous)
    move(client, name, str(previous.version), PRODUCTION)
    if previous.tags.get(FROM_TAG):
        tag(client, name, str(previous.version), {})
    client.set_model_version_tag(name, str(present.version), ROLLED_BACK_TAG, now())
    logger.info(
        "version %s is archived; to take it again: python -m scripts.promotion promote --version %s",
        present.version, present.version,
    )


def in_production(client: MlflowClient, name: str) -> RegisteredVersion:
    """The version in Production. Raises Refused when there is none."""
    present = in_stage(client, name, PRODUCTION)
    if present is None:
        raise Refused(f"no version of {name} is in Production, so there is nothing to go back from")
    return present


def find_previous(client: MlflowClient, present: RegisteredVersion) -> tuple[RegisteredVersion, str]:
    """The version that was in Production before `present`, and how that is known.

    The tag of the promotion says it, as long as nobody moved the version since by other means; else it is the version
    that was archived last. One that was led away from by a rollback does not come back by itself.
    """
    others = [one for one in versions_of(client, present.name) if one.version != present.version]
    tags = present.tags
    if tags.get(MOMENT_TAG) == str(present.last_updated_timestamp):
        if tags.get(FROM_TAG) == NONE:
            raise Refused(f"version {present.version} was the first in Production: there is no version to go back to")
        for one in others:
            if str(one.version) == tags.get(FROM_TAG):
                return one, f"says its tag {FROM_TAG}"
    archived = [one for one in others if one.current_stage == ARCHIVED and ROLLED_BACK_TAG not in one.tags]
    if not archived:
        raise Refused(f"no version of {present.name} was in Production before version {present.version}")
    return max(archived, key=lambda one: one.last_updated_timestamp), "being the one archived last"


def check_previous(client: MlflowClient, previous: RegisteredVersion) -> None:
    """Raises Refused where its contract is not that of its model; a version without a contract is only warned of."""
    try:
        version = open_registered(client, previous)
    except Refused as error:
        logger.warning("%s: the service can only prove it by a contract file of its own", error)
        return
    logger.info("%s: %s", version.title, check_fitness(client, version))


def move(client: MlflowClient, name: str, version: str, stage: str) -> None:
    """One transition, said."""
    before = client.get_model_version(name, version).current_stage
    client.transition_model_version_stage(name, version, stage, archive_existing_versions=stage == PRODUCTION)
    logger.info("version %s: %s -> %s", version, before, stage)


def tag(client: MlflowClient, name: str, version: str, tags: dict[str, str]) -> None:
    """Tags of a version that has just gone to Production, with the moment of its transition."""
    moment = client.get_model_version(name, version).last_updated_timestamp
    for key, text in (tags | {AT_TAG: now(), MOMENT_TAG: str(moment)}).items():
        client.set_model_version_tag(name, version, key, text)


def drop_tag(client: MlflowClient, name: str, version: str, key: str) -> None:
    """Takes a tag away where there is one."""
    if key in client.get_model_version(name, version).tags:
        client.delete_model_version_tag(name, version, key)


def say_verdict(client: MlflowClient, version: ModelVersion) -> None:
    """What its evaluation said; it decides nothing here."""
    tags = client.get_run(version.run_id).data.tags
    verdict = tags.get("evaluation.verdict")
    if verdict is None:
        logger.info("%s was not evaluated: python -m scripts.evaluation --version %s", version.title, version.version)
        return
    logger.info("its evaluation of %s says %s: %s", tags.get("evaluation.at"), verdict, tags.get("evaluation.reason"))


def now() -> str:
    """The time in UTC."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
