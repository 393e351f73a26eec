"""What a pull request asks people to look at twice."""

import pytest

from bot.core.lock_sources import added
from bot.core.second_look import MOST, new_dependencies, second_look
from bot.core.values import TreeChange


def _look(path: str, new: bytes, old: bytes = b"", mode: str = "100644", old_mode: str = "100644") -> str:
    return "; ".join(second_look([TreeChange(path, old_mode, mode)], {path: old}, {path: new}))


@pytest.mark.parametrize(
    ("path", "new", "said"),
    [
        ("a.png", b"\x89PNG\0", "`a.png` is binary (5 bytes)"),
        ("a.py", "x = 1  # \u202e evil".encode(), "turn the direction of reading, line 1"),
        ("a.py", "is\u200badmin = 1".encode(), "characters that nobody sees, line 1"),
        ("a.js", b"eval(atob('eA=='))", "decoded and run, line 1"),
        ("a.py", b"\nx = '" + b"QUJD" * 100 + b"'", "packed or encoded text, line 2"),
        ("a.min.js", b"var a=1;" * 200, "lines of more than 1000 characters"),
        ("tests/test_a.py", b"requests.get('http://x')", "calls over the network in tests, line 1"),
        ("src/a.test.ts", b"await fetch('https://x')", "calls over the network in tests, line 1"),
        ("package.json", b'{"dependencies": {"left-pad": "1"}}', "new packages: `left-pad`"),
    ],
)
def test_what_is_easily_overlooked_is_named(path: str, new: bytes, said: str) -> None:
    assert said in _look(path, new)
    assert _look(path, new, old=new) == ("" if b"\0" not in new else _look(path, new))


@pytest.mark.parametrize(
    ("path", "new"),
    [
        ("src/a.py", b"requests.get('http://x')"),
        ("a.svg", b"<path d='" + b"M1 1" * 400 + b"'/>"),
        ("docs/a.md", b"word " * 400),
        ("tests/test_a.py", b"request.get('x')"),
        ("a.py", "naïve = 'ß'".encode()),
    ],
)
def test_the_usual_is_not(path: str, new: bytes) -> None:
    assert _look(path, new) == ""


def test_new_programs_links_and_what_cannot_be_looked_into_are_named_and_the_list_ends() -> None:
    assert _look("run", b"x", mode="100755", old_mode="") == "`run` is a new program"
    assert _look("run", b"x", mode="100755") == "`run` became a program"
    assert _look("l", b"../a", mode="120000") == "`l` is a symlink to `../a`"
    assert second_look([TreeChange("big", "", "100644")], {}, {}) == (
        "`big` is too large to be looked into here",
    )
    many = [TreeChange(f"b{n}", "", "100644") for n in range(MOST + 3)]
    found = second_look(many, {}, {change.path: b"\0" for change in many})
    assert (len(found), found[-1]) == (MOST + 1, "and 3 more")


@pytest.mark.parametrize(
    ("path", "old", "new", "names"),
    [
        (
            "pyproject.toml",
            b'[project]\ndependencies = ["a>1"]',
            b'[project]\ndependencies = ["a>2", "B[x]; python_version>\'3\'"]',
            ("b",),
        ),
        (
            "pyproject.toml",
            b"",
            b'[project.optional-dependencies]\ndev = ["c"]\n[tool.poetry.dependencies]\npython = "3"\nd = "1"',
            ("c", "d"),
        ),
        (
            "pyproject.toml",
            b"",
            b'[dependency-groups]\ntest = ["e"]\n[build-system]\nrequires = ["f"]',
            ("e", "f"),
        ),
        (
            "Cargo.toml",
            b"",
            b'[dependencies]\nserde = "1"\n[target.x.dev-dependencies]\nrand = "0"',
            ("rand", "serde"),
        ),
        ("requirements-dev.txt", b"a\n", b"a\n# no\n-r x.txt\nb==1 # why\n", ("b",)),
        ("go.mod", b"", b"require (\n\tgithub.com/x/y v1.0.0\n)\n", ("github.com/x/y",)),
        ("package.json", b"{", b"[]", ()),
        ("pyproject.toml", b"", b"= broken", ()),
        ("other.txt", b"", b"a", ()),
    ],
)
def test_new_packages_are_read_from_manifests(
    path: str, old: bytes, new: bytes, names: tuple[str, ...]
) -> None:
    assert new_dependencies(path, old, new) == names


@pytest.mark.parametrize(
    ("path", "text", "sources"),
    [
        ("package-lock.json", '"resolved": "https://registry.npmjs.org/a/-/a.tgz"', ()),
        ("package-lock.json", '"funding": {"url": "https://github.com/sponsors/x"}', ()),
        ("package-lock.json", '"resolved": "https://npm.evil.example/a.tgz"', ("npm.evil.example",)),
        (
            "package-lock.json",
            '"resolved": "http://registry.npmjs.org/a.tgz"',
            ("http registry.npmjs.org/a.tgz",),
        ),
        (
            "package-lock.json",
            '"resolved": "git+ssh://git@github.com/x/y.git#1"',
            ("git+ssh github.com/x/y.git",),
        ),
        ("web/yarn.lock", '  resolved "https://registry.yarnpkg.com/a.tgz"', ()),
        ("web/yarn.lock", '  resolved "https://evil.example/a.tgz"', ("evil.example",)),
        ("pnpm-lock.yaml", "    resolution: {tarball: https://evil.example/a.tgz}", ("evil.example",)),
        ("uv.lock", 'source = { registry = "https://pypi.org/simple" }', ()),
        ("uv.lock", 'source = { git = "https://github.com/x/y" }', ("github.com",)),
        ("uv.lock", 'source = { registry = "https://evil.example/simple" }', ("evil.example",)),
        ("poetry.lock", 'url = "https://evil.example/simple"', ("evil.example",)),
        ("Cargo.lock", 'source = "registry+https://github.com/rust-lang/crates.io-index"', ()),
        ("Cargo.lock", 'source = "git+https://github.com/x/y?rev=1#2"', ("github.com",)),
        ("Gemfile.lock", "  remote: https://rubygems.org/", ()),
        ("Gemfile.lock", "  remote: https://gems.evil.example/", ("gems.evil.example",)),
        ("composer.lock", '"url": "https://github.com/x/y.git"', ()),
        ("composer.lock", '"url": "https://evil.example/y.zip"', ("evil.example",)),
        ("requirements.txt", "--index-url https://evil.example/simple", ("evil.example",)),
        ("requirements.txt", "a @ git+https://github.com/x/y@1", ("git+https github.com/x/y@1",)),
        ("requirements.txt", "a==1  --hash=sha256:0", ()),
        ("src/a.py", "https://evil.example", ()),
    ],
)
def test_new_sources_of_a_lock_file_are_named(path: str, text: str, sources: tuple[str, ...]) -> None:
    assert added(path, b"", text.encode()) == sources
    assert added(path, text.encode(), text.encode()) == ()
