"""What is known of an execution, and how the status page tells it."""

import json
import socket
from pathlib import Path

import nbformat
import numpy as np
import pytest
import status
import torch
from _ext import statuspage
from execute import ROOT


@pytest.fixture
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict:
    monkeypatch.setenv("NALU_SCALE", "fast")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 + 1")], metadata={"other": {"is": "kept"}})
    nbformat.write(notebook, tmp_path / "page.ipynb")
    status.stamp(tmp_path / "page.ipynb", 12.34)
    read = nbformat.read(tmp_path / "page.ipynb", as_version=4)
    nbformat.validate(read)
    assert read.cells[0].source == "1 + 1" and read.metadata.other == {"is": "kept"}
    return json.loads(json.dumps(read.metadata[statuspage.KEY]))


def test_time_machine_and_versions_are_recorded(record: dict) -> None:
    assert record["seconds"] == 12.3 and record["scale"] == "fast" and record["commit"]
    assert int(record["on"]["Cores"]) > 0 and record["on"]["Processor"]
    assert record["on"]["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert record["on"]["numpy"] == np.__version__


def test_neither_the_machine_nor_its_folders_are_named(record: dict) -> None:
    words = json.dumps(record)
    assert socket.gethostname() not in words and str(ROOT) not in words and str(Path.home()) not in words


def test_the_page_has_a_row_for_each_notebook_and_names_each_machine_once(record: dict) -> None:
    other = record | {"on": record["on"] | {"Cores": "1000"}}
    shown = statuspage.table({"notebooks/a": record, "notebooks/b": record, "notebooks/c": None})
    assert f"| {{doc}}`/notebooks/a` | 12 | fast | `{record['commit']}` | {record['date']} |" in shown
    assert "| {doc}`/notebooks/c` | – | – | – | – |" in shown
    assert "| **All** | **25** |" in shown and shown.count("| Cores |") == 1 and "Executed on**\n" in shown
    both = statuspage.table({"notebooks/a": record, "notebooks/b": other})
    assert both.count("| Cores |") == 2 and "Executed on**: {doc}`/notebooks/b`" in both
