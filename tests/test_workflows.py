"""What the forge runs, and what Binder installs: valid, no wider than needed, and made of what this repository has."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import torch_build
import yaml
from branch import ALONG
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / ".github/workflows").glob("*.yml"))
WORKFLOWS = {path.stem: yaml.load(path.read_text(encoding="utf-8"), yaml.BaseLoader) for path in FILES}
JOBS = {f"{name}/{key}": job for name, workflow in WORKFLOWS.items() for key, job in workflow["jobs"].items()}
PYTHONS = WORKFLOWS["quick"]["jobs"]["quick"]["strategy"]["matrix"]["python"]
PINS = (ROOT / "requirements.txt").read_text(encoding="utf-8")


def lines(job: dict) -> list[str]:
    """The shell's part in a job, a line at a time."""
    return [line for step in job["steps"] for line in step.get("run", "").splitlines()]


def test_the_forge_would_take_them() -> None:
    command = [
        sys.executable,
        "-m",
        "check_jsonschema",
        "--builtin-schema",
        "vendor.github-workflows",
        *map(str, FILES),
    ]
    done = subprocess.run(command, capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stdout + done.stderr
    assert set(WORKFLOWS) == {"quick", "publish"}


@pytest.mark.parametrize("name", JOBS)
def test_steps_are_short_and_run_what_is_there(name: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for line in lines(JOBS[name]):
        match line.split():
            case ["make", target, *settings]:
                assert target in targets and all(re.fullmatch(r"[A-Z]+=\w+", each) for each in settings), line
            case ["bash" | "python3", script, *_]:
                assert (ROOT / script).is_file(), line
            case ["git", *_]:
                pass
            case _:
                pytest.fail(f"logic belongs in a script or in the Makefile, where it can be run: {line}")


@pytest.mark.parametrize("name", JOBS)
def test_each_job_ends_and_takes_actions_of_one_major_version(name: str) -> None:
    assert int(JOBS[name]["timeout-minutes"]) <= 90
    for step in JOBS[name]["steps"]:
        if "uses" in step:
            assert re.fullmatch(r"actions/[\w-]+@v\d+", step["uses"]), step["uses"]


def test_what_may_write_runs_no_package_of_others() -> None:
    for name, workflow in WORKFLOWS.items():
        assert workflow["permissions"] == {"contents": "read"}, name
    for name, job in JOBS.items():
        if "write" in job.get("permissions", {}).values():
            assert name.startswith("publish/") and "default_branch" in job["if"], name
            assert not any(line.startswith(("make", "bash")) for line in lines(job)), name


def test_pull_requests_publish_nothing() -> None:
    assert "pull_request" in WORKFLOWS["quick"]["on"]
    assert set(WORKFLOWS["publish"]["on"]) == {"schedule", "push", "workflow_dispatch"}
    assert WORKFLOWS["publish"]["on"]["push"] == {"tags": ["v*"]}


def test_pythons_are_those_that_the_package_takes() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (bound,) = takes = SpecifierSet(project["requires-python"])
    assert bound.operator == ">=" and PYTHONS[0] == bound.version
    assert all(takes.contains(python) for python in PYTHONS)
    steps = [step for job in JOBS.values() for step in job["steps"] if "setup-python" in step.get("uses", "")]
    assert {step["with"]["python-version"] for step in steps} <= {*PYTHONS, "${{ matrix.python }}"}
    assert (ROOT / "binder/runtime.txt").read_text(encoding="utf-8").strip().removeprefix("python-") in PYTHONS


def test_binder_takes_the_build_for_the_cpu_in_the_books_version() -> None:
    text = (ROOT / "binder/requirements.txt").read_text(encoding="utf-8")
    wanted = [line for line in text.splitlines() if not line.startswith("#")]
    assert wanted == [f"--index-url {torch_build.INDEX}", f"torch=={torch_build.pinned(PINS)}"]


def test_binder_installs_the_rest_at_the_books_versions(tmp_path: Path) -> None:
    script = ROOT / "binder/postBuild"
    if os.name != "posix":
        pytest.skip("needs scripts of a shell")
    assert os.access(script, os.X_OK)
    pip = tmp_path / "python"  # says how it was called, and with which limits
    pip.write_text('#!/bin/sh\necho "$@"\nwhile [ "$1" != --constraint ]; do shift; done; cat "$2"\n', encoding="utf-8")
    pip.chmod(0o700)
    environment = os.environ | {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run([script], env=environment, check=True, capture_output=True, encoding="utf-8")
    called, *limits = done.stdout.splitlines()
    assert called.endswith("--editable .[plots,language] dask[distributed]")
    pins = [Requirement(line.split("#")[0]) for line in PINS.splitlines() if not line.startswith(("-e", "#"))]
    given = [Requirement(line.split("#")[0]) for line in limits if not line.startswith("#")]
    assert [(each.name, each.specifier) for each in given] == [(each.name, each.specifier) for each in pins]
    assert not any(each.extras for each in given)


def test_what_goes_along_to_binder_is_what_the_package_is_made_from() -> None:
    assert all((ROOT / name).exists() for name in ALONG)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert {*project["license-files"], "pyproject.toml", "nalu", "binder", "requirements.txt"} <= {*ALONG}


def test_the_oldest_that_are_tested_are_those_that_the_package_takes() -> None:
    made = (ROOT / "Makefile").read_text(encoding="utf-8")
    tested = {
        each.name: each for each in map(Requirement, re.search(r"^OLDEST := (.+)", made, re.MULTILINE)[1].split())
    }
    assert set(tested) == {"numpy", "pandas"}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for bound in map(Requirement, project["dependencies"]):
        if bound.name in tested:
            ((pin,), (least,)) = tested[bound.name].specifier, bound.specifier
            assert least.operator == ">=" and f"{pin.version}.".startswith(f"{least.version}.")
