"""The work pools for containers: a server takes their templates, and workers of the type know what is in them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from prefect import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.exceptions import PrefectHTTPStatusError
from prefect.settings import PREFECT_API_URL, temporary_settings

POOLS = Path(__file__).parents[2] / "docker" / "pools"
NAMES = sorted(path.stem for path in POOLS.glob("*.json"))

# What a worker knows beside the fields of its type's own template.
MORE: dict[str, set[str]] = {"docker": {"container_create_kwargs"}, "kubernetes": set()}


def template(name: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((POOLS / f"{name}.json").read_text())
    return read


def pool_type(name: str) -> str:
    return name.removesuffix("-gpu")


@pytest.mark.parametrize("name", NAMES)
def test_every_variable_is_used_and_every_default_is_one(name: str) -> None:
    variables = template(name)["variables"]
    used = set(re.findall(r"{{ (\w+) }}", json.dumps(template(name)["job_configuration"])))

    assert used == set(variables["properties"])
    assert all(field.get("title") and field.get("description") for field in variables["properties"].values())
    jsonschema.Draft202012Validator.check_schema(variables)
    defaults = {name: field["default"] for name, field in variables["properties"].items() if "default" in field}
    jsonschema.validate(defaults, variables)


@pytest.mark.parametrize("kind", ["docker", "kubernetes"])
def test_pools_with_and_without_gpus_differ_in_image_and_gpus_alone(kind: str) -> None:
    plain, gpu = template(kind), template(f"{kind}-gpu")

    for pool, image in ((plain, "prolab:cpu"), (gpu, "prolab:cuda")):
        assert pool["variables"]["properties"]["image"].pop("default") == image
    assert not plain["variables"]["properties"]["gpus"].pop("default")
    assert gpu["variables"]["properties"]["gpus"].pop("default")
    assert plain == gpu


@pytest.mark.slow
def test_a_server_takes_the_templates(prefect_environment: dict[str, str]) -> None:
    with (
        temporary_settings({PREFECT_API_URL: prefect_environment["PREFECT_API_URL"]}),
        get_client(sync_client=True) as client,
    ):
        types = {name: one for package in client.read_worker_metadata().values() for name, one in package.items()}
        for name in NAMES:
            kind, made = pool_type(name), template(name)
            client.create_work_pool(WorkPoolCreate(name=name, type=kind, base_job_template=made))
            assert client.read_work_pool(name).base_job_template == made
            known = types[kind]["default_base_job_configuration"]["job_configuration"].keys() | MORE[kind]
            assert made["job_configuration"].keys() <= known
            unknown = {**made, "variables": {"type": "object", "properties": {}}}
            with pytest.raises(PrefectHTTPStatusError, match="must be present as properties"):
                client.create_work_pool(WorkPoolCreate(name=f"{name}-x", type=kind, base_job_template=unknown))
