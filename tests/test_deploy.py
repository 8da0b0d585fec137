"""The files of deploy/: what they promise, read as they are."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

import pytest
import yaml

from mcfast import cli

DEPLOY = Path(__file__).parents[1] / "deploy"


@pytest.fixture(scope="module")
def compose():
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text())


@pytest.fixture(scope="module")
def dockerfile():
    text = re.sub(r"^#.*\n", "", (DEPLOY / "Dockerfile").read_text(), flags=re.MULTILINE).replace("\\\n", "")
    return [tuple(line.split(maxsplit=1)) for line in text.splitlines() if line.strip()]


def test_services_hang_together(compose):
    services = compose["services"]
    assert set(services) == {"serve", "redis", "milvus"}
    named = {volume.split(":")[0] for service in services.values() for volume in service["volumes"]}
    assert {name for name in named if not name.startswith(".")} == set(compose["volumes"])
    assert all((DEPLOY / name).is_file() for name in named if name.startswith("."))
    assert services["milvus"]["profiles"] == ["milvus"]
    assert "profiles" not in services["redis"]
    needs = services["serve"]["depends_on"]
    assert set(needs) == {"redis", "milvus"}
    assert needs["milvus"]["required"] is False  # as it is there in its profile only
    for name in needs:
        assert "healthcheck" in services[name]
        host = next(text for text in services["serve"]["environment"].values() if f"//{name}:" in text)
        assert re.search(r":\d+", host)


def test_the_service_may_write_only_where_it_must(compose):
    serve = compose["services"]["serve"]
    assert serve["read_only"] is True
    assert serve["tmpfs"] == ["/tmp"]
    assert serve["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in serve["security_opt"]
    assert serve["volumes"] == ["serving:/serving"]
    assert all(
        port.startswith("127.0.0.1:") for service in compose["services"].values() for port in service.get("ports", [])
    )


def test_the_image_runs_the_service_as_a_user_of_its_own(compose, dockerfile):
    stages = [words for command, words in dockerfile if command == "FROM"]
    assert len(stages) == 2
    users = [words for command, words in dockerfile if command == "USER"]
    assert users == ["mcfast"]
    after = [command for command, _ in dockerfile][dockerfile.index(("USER", "mcfast")) :]
    assert not {"RUN", "COPY"} & set(after)
    for command, words in dockerfile:
        if command == "COPY" and not words.startswith("--from"):
            assert all((DEPLOY.parent / name).exists() for name in words.split()[:-1])
    assert (DEPLOY / compose["services"]["serve"]["build"]["context"]).resolve() == DEPLOY.parent
    arguments = yaml.safe_load(next(words for command, words in dockerfile if command == "CMD"))
    assert cli._parser().parse_args(arguments)


def test_the_unit_starts_the_service_in_a_folder_that_it_may_write():
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str
    unit.read(DEPLOY / "mcfast.service")
    service = unit["Service"]
    program, *arguments = service["ExecStart"].split()
    assert program.endswith("/mcfast")
    assert cli._parser().parse_args(arguments)
    assert arguments[1].startswith(f"/var/lib/{service['StateDirectory']}/")
    assert service["ProtectSystem"] == "strict"
    assert service["User"] not in ("", "root")
