"""The files that set the project up say what is so."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LOCKS = ("requirements.lock", "requirements-dev.lock")


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_file_names_no_index_and_hashes_everything(name: str) -> None:
    text = (ROOT / name).read_text()
    assert not re.search(r"://|^\s*--(index-url|extra-index-url|find-links)", text, re.MULTILINE)
    wanted = re.findall(r"^[a-z0-9][^\n]*(?:\n[ \t]+[^\n]*)*", text, re.MULTILINE)
    assert len(wanted) > 50
    assert [entry for entry in wanted if "--hash=sha256:" not in entry] == []


def test_both_lock_files_agree() -> None:
    pins = [dict(re.findall(r"^([\w.-]+)==(\S+)", (ROOT / name).read_text(), re.MULTILINE)) for name in LOCKS]
    run, dev = pins
    assert {name: dev.get(name) for name in run} == run


def test_the_lock_avoids_the_hishel_that_githubkit_cannot_import() -> None:
    pin = re.search(r"^hishel==(\d+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    assert pin is not None
    assert int(pin[1]) < 2


def test_the_image_copies_what_exists_and_is_not_ignored() -> None:
    copied = re.findall(r"^COPY (.+) \S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    sources = {source for line in copied for source in line.split()}
    assert {source.removeprefix("./") for source in sources} == allowed
    assert all((ROOT / source).exists() for source in sources)


def test_every_local_link_of_the_documents_leads_somewhere() -> None:
    documents = [*ROOT.glob("*.md"), ROOT / "examples" / "README.md"]
    dead = []
    for document in documents:
        for target in re.findall(r"\]\(([^)#]+)\)", document.read_text()):
            if "://" not in target and not (document.parent / target).exists():
                dead.append(f"{document.name}: {target}")
    assert dead == []


def test_make_lists_every_target_that_the_documents_name() -> None:
    listed = subprocess.run(
        ["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    ).stdout
    targets = set(re.findall(r"make ([a-z-]+)", listed))
    named = {
        name
        for document in ROOT.glob("*.md")
        for name in re.findall(r"(?:^\$ |`)make ([a-z-]+)", document.read_text(), re.MULTILINE)
    }
    assert {"setup", "demo", "test", "check"} <= named <= targets


@pytest.mark.parametrize("script", [".ci/run", ".ci/setup", ".ci/lock"])
def test_scripts_are_executable_and_parse(script: str) -> None:
    path = ROOT / script
    assert path.stat().st_mode & 0o111
    shell = path.read_text().splitlines()[0].split()[-1].rpartition("/")[2]
    subprocess.run([shell, "-n", str(path)], check=True, timeout=60)


def test_set_up_refuses_an_old_git_in_words(tmp_path: Path) -> None:
    old = tmp_path / "git"
    old.write_text("#!/bin/sh\necho git version 2.30.2\n")
    old.chmod(0o755)
    done = subprocess.run(
        ["sh", str(ROOT / ".ci/setup"), str(tmp_path / "venv")],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", "MAKE_VERSION": "4.3"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    assert "git 2.30.2 is too old: 2.38 or later is needed" in done.stderr
