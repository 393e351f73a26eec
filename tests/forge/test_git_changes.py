"""What git changed is told correctly for any file names and contents; merges equal what git itself would make."""

import concurrent.futures
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forge import closing, history
from forge.git import Bare, Change, Git, Person
from tests.forge.conftest import ForgeUnderTest

BY = Person("Ada", "ada@example.org", "2024-01-01T00:00:00Z")
NAMES = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=12).filter(
    lambda name: (
        name not in (".", "..") and not re.match(r"(?i)\.?git", name) and name.isprintable() is not None
    )
)
# Some of the contents look like git's own output.
LINES = st.sampled_from(
    ["a", "", "diff --git a/x b/x", "@@ -1 +1 @@", "+++ b/x", "-- a", "\\ No newline", "ä", "\r"]
)
CONTENTS = st.one_of(st.lists(LINES, max_size=5).map("\n".join), st.just("\0binary"))
TREES = st.dictionaries(NAMES, CONTENTS, max_size=5)


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Bare:
    git = Git(tmp_path_factory.mktemp("git"))
    found = Bare(git.root / "a" / "b.git", git.env)
    found.path.parent.mkdir()
    found.run("init", "--quiet", "--bare", str(found.path))
    return found


def tree_of(bare: Bare, files: dict[str, str]) -> str:
    return bare.write_tree(
        None, [Change(name, bare.write_blob(text.encode())) for name, text in files.items()]
    )


@pytest.mark.timeout(600)  # a thousand examples in the long suite
@given(before=TREES, after=TREES)
def test_every_change_between_two_trees_is_told_with_its_own_counts(
    bare: Bare, before: dict[str, str], after: dict[str, str]
) -> None:
    found = history.changes(bare, tree_of(bare, before), tree_of(bare, after))
    gone = {change.previous for change in found if change.status == "renamed"}
    assert {change.path for change in found if change.status != "removed"} == {
        name for name, text in after.items() if before.get(name) != text
    }
    assert {
        change.path for change in found if change.status == "removed"
    } | gone == before.keys() - after.keys()
    for change in found:
        lines = (change.patch or "").split("\n")[1:]
        if change.patch is not None:
            # A header of a further hunk starts with @@ and is no line of the file.
            assert sum(line.startswith("+") for line in lines) == change.additions
            assert sum(line.startswith("-") for line in lines) == change.deletions


@given(message=st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40))
def test_a_commit_is_read_as_it_was_written(bare: Bare, message: str) -> None:
    sha = bare.commit_tree(tree_of(bare, {}), [], message, BY, BY)
    read = history.log(bare, sha, limit=1)[0]
    assert (read.sha, read.author, read.committer) == (sha, BY, BY)
    assert read.message == message.rstrip("\n")


@given(numbers=st.lists(st.integers(1, 999), max_size=4), words=st.text("abc #:\n", max_size=10))
def test_closing_keywords_are_found_once_each_and_in_order(numbers: list[int], words: str) -> None:
    text = f"\n{words} ".join(["start", *(f"Fixes #{number}" for number in numbers)])
    assert closing.named(text) == list(dict.fromkeys(numbers))


@pytest.mark.parametrize("method", ["merge", "squash", "rebase"])
def test_a_merge_has_the_tree_that_git_itself_makes(forge: ForgeUnderTest, method: str) -> None:
    ada = forge.create_user()
    repo = forge.create_repo(ada)
    clone = forge.clone(repo, ada.token)
    text = "".join(f"line {number}\n" for number in range(30))
    commit(forge, clone, "shared.txt", text)
    forge.git("push", "--quiet", "origin", "main", cwd=clone)
    forge.git("checkout", "--quiet", "-b", "topic", cwd=clone)
    commit(forge, clone, "shared.txt", text.replace("line 3\n", "topic 3\n"))
    commit(forge, clone, "new/deep.txt", "new\n")
    forge.git("checkout", "--quiet", "main", cwd=clone)
    commit(forge, clone, "shared.txt", text.replace("line 25\n", "main 25\n"))
    forge.git("push", "--quiet", "origin", "main", "topic", cwd=clone)
    made = ada.api.post(f"/repos/{repo}/pulls", json={"title": "t", "head": "topic", "base": "main"}).json()
    merged = ada.api.put(f"/repos/{repo}/pulls/{made['number']}/merge", json={"merge_method": method})
    assert merged.status_code == 200
    forge.git("merge", "--quiet", "--no-edit", "topic", cwd=clone)
    expected = forge.git("rev-parse", "main^{tree}", cwd=clone).stdout.strip()
    shown = ada.api.get(f"/repos/{repo}/git/commits/{merged.json()['sha']}").json()
    assert shown["tree"]["sha"] == expected


def commit(forge: ForgeUnderTest, clone: Path, path: str, text: str) -> None:
    (clone / path).parent.mkdir(exist_ok=True)
    (clone / path).write_text(text)
    forge.git("add", path, cwd=clone)
    forge.git("commit", "--quiet", "-m", f"Change {path}", cwd=clone)


def test_pull_requests_merged_at_once_are_all_in_the_base(forge: ForgeUnderTest) -> None:
    ada = forge.create_user()
    repo = forge.create_repo(ada)

    def work(number: int) -> int:
        made = forge.open_pull(ada.api, repo, f"topic-{number}")
        return ada.api.put(f"/repos/{repo}/pulls/{made['number']}/merge").status_code

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(8))) == [200] * 8
    names = {each["path"] for each in ada.api.get(f"/repos/{repo}/contents/").json()}
    assert names == {"README.md", *(f"topic-{number}.txt" for number in range(8))}
    numbers = [each["number"] for each in ada.api.get(f"/repos/{repo}/pulls?state=closed").json()]
    assert sorted(numbers) == list(range(1, 9))


def test_a_file_below_a_file_is_refused(forge: ForgeUnderTest) -> None:
    ada = forge.create_user()
    repo = forge.create_repo(ada)
    wish = {"message": "m", "content": ""}
    assert ada.api.put(f"/repos/{repo}/contents/README.md/below", json=wish).status_code == 422
