"""docker-compose.yml: valid by the Compose Specification's schema, pinned, checked, closed to the outside, and in step
with the program that it starts. There is no Docker engine where this runs."""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from typer.main import get_command

from pipeline.cli.app import app
from pipeline.graph import WORKERS
from pipeline.settings import Settings

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docker-compose.yml").read_text("utf-8")
COMPOSE = yaml.safe_load(TEXT)
SERVICES = COMPOSE["services"]
OURS = {name: s for name, s in SERVICES.items() if s["image"].startswith("windvane:")}
SERVERS = {name: s for name, s in SERVICES.items() if name not in OURS}


def variables(text: str) -> dict[str, str]:
    """Each ${NAME…} with what follows the name: "" is required to be set, ":-x" has a default."""
    return dict(re.findall(r"(?<!\$)\$\{([A-Z0-9_]+)([^}]*)\}", text))


def check(compose: dict[str, Any]) -> None:
    schema = json.loads((Path(__file__).parent / "compose_spec.json").read_text("utf-8"))
    later = {"name"}  # in the specification since that copy was made
    jsonschema.Draft7Validator(schema).validate({key: part for key, part in compose.items() if key not in later})


def test_it_is_valid_by_the_schema() -> None:
    check(COMPOSE)
    with pytest.raises(jsonschema.ValidationError, match="restrat"):
        check(COMPOSE | {"services": SERVICES | {"web": SERVICES["web"] | {"restrat": "always"}}})


def test_every_stage_has_its_worker_and_there_are_no_others() -> None:
    started = {s["command"][1] for s in OURS.values() if s["command"][0] == "worker"}
    assert started == {n.name for n in WORKERS} | {"deliver"}
    assert {s["command"][0] for s in OURS.values()} == {"worker", "crawl", "serve"}


@pytest.mark.parametrize("profile, classifies_on", [("cpu", "classify"), ("gpu", "classify-gpu")])
def test_a_profile_starts_everything_and_one_kind_of_classify(profile: str, classifies_on: str) -> None:
    of_profile = {name for name, s in OURS.items() if profile in s["profiles"]}
    assert of_profile == OURS.keys() - ({"classify", "classify-gpu"} - {classifies_on})
    assert not any("profiles" in s for s in SERVERS.values())


@pytest.mark.parametrize("name", OURS)
def test_the_command_is_one_that_the_program_takes(name: str) -> None:
    verb, *rest = OURS[name]["command"]
    get_command(app).commands[verb].make_context(verb, rest)  # raises a usage error for an option it does not know


def test_every_setting_is_one_of_the_programs() -> None:
    for name in {name for s in OURS.values() for name in s["environment"]} | set(env_example()):
        if not name.startswith("WINDVANE_"):
            continue
        model = Settings
        for part in name.removeprefix("WINDVANE_").lower().split("__"):
            assert part in model.model_fields, name
            model = model.model_fields[part].annotation


@pytest.mark.parametrize("name", SERVICES)
def test_images_are_pinned_to_an_exact_version(name: str) -> None:
    _, _, tag = SERVICES[name]["image"].rpartition(":")
    assert re.match(r"\d+\.\d+(\.\d+)?(-\w+)?$", tag), tag


def test_the_images_we_build_carry_the_programs_version_and_a_target_that_exists() -> None:
    version = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text("utf-8"), re.M)[1]
    for service in OURS.values():
        target = service["build"]["target"]
        assert service["image"] == f"windvane:{version}-{target}"
        assert f" AS {target}\n" in (ROOT / service["build"]["dockerfile"]).read_text("utf-8")


def test_every_server_says_when_it_is_ready_and_whoever_needs_it_waits() -> None:
    for name, service in SERVICES.items():
        assert service["restart"] == "unless-stopped"
        assert "max-size" in service["logging"]["options"], name
        if name != "crawl":
            assert {"test", "interval", "timeout", "retries", "start_period"} <= service["healthcheck"].keys(), name
    for service in OURS.values():
        waits = {name: how["condition"] for name, how in service["depends_on"].items()}
        assert waits == dict.fromkeys(["kafka", "elasticsearch", "postgres"], "service_healthy")


def test_a_worker_is_asked_where_it_answers() -> None:
    for name, service in OURS.items():
        asked = service["healthcheck"]["test"][-1] if name != "crawl" else ""
        if service["command"][0] == "worker":
            port = service["command"][service["command"].index("--metrics-port") + 1]
            assert asked == f"http://127.0.0.1:{port}/health"
    assert SERVICES["web"]["healthcheck"]["test"][-1] == "http://127.0.0.1:8710/healthz"


def test_ports_are_open_on_the_loopback_only() -> None:
    ports = [port for s in SERVICES.values() for port in s.get("ports", [])]
    assert len(ports) == 5
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_kafka_tells_clients_outside_the_port_they_came_by() -> None:
    kafka = SERVICES["kafka"]
    outside = kafka["ports"][0].removesuffix(":9092")
    assert f"EXTERNAL://{outside}" in kafka["environment"]["KAFKA_ADVERTISED_LISTENERS"]
    inside = OURS["prepare"]["environment"]["WINDVANE_KAFKA__SERVERS"]
    assert f"INTERNAL://{inside}" in kafka["environment"]["KAFKA_ADVERTISED_LISTENERS"]


def test_what_is_kept_lies_in_a_volume() -> None:
    for name in SERVERS:
        assert SERVERS[name]["volumes"][0].split(":")[0] == name
    assert SERVICES["postgres"]["volumes"] == ["postgres:/var/lib/postgresql"]  # 18 keeps a folder per version there
    named = {v.split(":")[0] for s in SERVICES.values() for v in s.get("volumes", []) if not v.startswith("$")}
    assert named == COMPOSE["volumes"].keys()


def test_the_workers_can_do_little_harm() -> None:
    for service in OURS.values():
        assert service["read_only"] and service["cap_drop"] == ["ALL"] and service["init"]
        assert service["working_dir"] in service["tmpfs"]  # Faust makes folders where it is started
        assert service["security_opt"] == ["no-new-privileges:true"]


def test_the_gpu_is_reserved_for_classify_alone() -> None:
    [gpu] = [name for name, s in SERVICES.items() if "deploy" in s]
    [device] = SERVICES[gpu]["deploy"]["resources"]["reservations"]["devices"]
    assert (gpu, device["driver"], device["capabilities"]) == ("classify-gpu", "nvidia", ["gpu"])
    assert SERVICES[gpu]["build"]["target"] == "cuda"


def env_example() -> dict[str, str]:
    """The names in .env.example, those commented out included, with their values."""
    return dict(re.findall(r"^#?([A-Z][A-Z0-9_]*)=(.*)$", (ROOT / ".env.example").read_text("utf-8"), re.M))


def test_no_password_has_a_default_and_each_must_be_given() -> None:
    used = variables(TEXT)
    required = {name for name, rest in used.items() if rest.startswith(":?")}
    assert required == {"POSTGRES_PASSWORD", "ELASTIC_PASSWORD", "GRAFANA_PASSWORD"}
    assert all(env_example()[name] == "" for name in required)
    assert all(rest.startswith((":?", ":-")) for rest in used.values())


def test_the_example_names_what_is_used_with_the_same_defaults() -> None:
    said, used = env_example(), variables(TEXT)
    taken_over = {k for s in OURS.values() for k, v in s["environment"].items() if v is None}
    assert said.keys() <= used.keys() | taken_over
    for name, rest in used.items():
        assert said[name] == rest.removeprefix(":-") or rest.startswith(":?"), name


def test_what_is_mounted_is_there() -> None:
    assert (ROOT / variables(TEXT)["FEEDS_FILE"].removeprefix(":-")).is_file()
    ignored = (ROOT / ".gitignore").read_text("utf-8").splitlines()
    assert ".env" in ignored
