"""The services are pinned, watched, restarted, reached from this machine alone, and get no secret from the file."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.docker.recipes import EXAMPLE_ENV, image_command, image_health_check, services, variables

SERVICES = services({"POSTGRES_PASSWORD": "secret"})
IMAGES = {"prolab:cpu": "cpu", "prolab:cuda": "cuda"}

every_service = pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)


@every_service
def test_ports_are_published_on_this_machine_alone(service: dict[str, Any]) -> None:
    assert all(re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port) for port in service.get("ports", []))
    assert service.get("network_mode") is None


@every_service
def test_a_service_comes_back_and_is_watched(service: dict[str, Any]) -> None:
    assert service["restart"] == "unless-stopped"
    # The images' own health check asks the worker that they start by themselves.
    own = "healthcheck" in service
    assert own or ("command" not in service and image_health_check(IMAGES[service["image"]]))


@every_service
def test_images_are_pinned_or_built_here(service: dict[str, Any]) -> None:
    if service["image"] in IMAGES:
        assert service["build"]["target"] == IMAGES[service["image"]]
    else:
        assert re.fullmatch(r"[\w./-]+:[\w.-]*\d[\w.-]*(@sha256:[0-9a-f]{64})?", service["image"])


def test_what_is_waited_for_is_healthy() -> None:
    healthy = {"condition": "service_healthy"}
    waits = {name: service["depends_on"] for name, service in SERVICES.items() if "depends_on" in service}
    assert waits == {
        "server": {"postgres": healthy},
        "cpu-worker": {"server": healthy},
        "gpu-worker": {"server": healthy},
    }


def test_workers_differ_in_image_and_gpus_alone() -> None:
    cpu, gpu = SERVICES["cpu-worker"], SERVICES["gpu-worker"]
    differing = {name for name in cpu.keys() | gpu.keys() if cpu.get(name) != gpu.get(name)}
    assert differing == {"image", "build", "profiles", "deploy"}
    assert "cpu" in image_command("cpu") and "gpu" in image_command("cuda")


def test_models_are_the_same_server_to_a_worker() -> None:
    for name in ("llama-server", "vllm"):
        service = SERVICES[name]
        assert service["networks"]["default"]["aliases"] == ["llm"]
        assert "local" in service["command"]
        assert service["profiles"] == [name]


def test_the_example_names_every_variable_and_gives_no_secret() -> None:
    lines = [line for line in EXAMPLE_ENV.read_text().splitlines() if line and not line.startswith("# ")]
    pairs = dict(line.lstrip("#").split("=", 1) for line in lines)
    assert set(pairs) == variables()
    assert not any(pairs.values())


def test_a_secret_reaches_only_who_needs_it() -> None:
    holders = {name for name, service in SERVICES.items() if "secret" in str(service)}
    assert holders == {"postgres", "server"}
