"""Runs the demo on somebody else's project, at a past commit, with its real issue and its real fix as the script.

`python -m bot.demo.real PROJECT [--clone DIR] [--issue-file FILE] [--out DIR]`, which `make demo-real` calls. PROJECT is
one of the table below, or anything where `--clone`, `--base`, `--fix`, `--test-command` and `--issue-file` say the rest.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click
import httpx

from bot.demo.driver import run_demo
from bot.demo.fixes import write_script
from bot.demo.options import Options, read_issue
from bot.demo.report import Report
from bot.demo.source import run_git
from bot.errors import BotError, GitError, UserError

TIME_LIMIT = 900.0  # seconds
_ASKING = 30.0  # seconds for an issue's text
_PYTEST = "python -m pytest -q -p no:cacheprovider"


@dataclass(frozen=True, slots=True)
class Project:
    """A public project that fixed something: the state before, the commits that did it, and who asked for it."""

    slug: str
    base: str
    fixes: tuple[str, ...]
    issue: int
    test: str

    @property
    def url(self) -> str:
        return f"https://github.com/{self.slug}"


KNOWN = {
    "cachetools": Project(
        "tkem/cachetools",
        "8011b71949e8",
        ("57d2e4813d98",),
        387,
        f"PYTHONPATH=src {_PYTEST} tests",
    ),
    "boltons": Project(
        "mahmoud/boltons",
        "8c3fc28",
        ("7b577b0f3cc7", "289edfcd2047", "e66cade323f5"),
        343,
        f"PYTHONPATH=. {_PYTEST} tests",
    ),
    "boltons-sweep": Project(
        "mahmoud/boltons",
        "e66cade323f5",
        ("eb659013fbe4", "1f37cce42f8d", "0a3084e3058f", "435774ef8b10", "f1034b07ddf7"),
        443,
        f"PYTHONPATH=. {_PYTEST} tests",
    ),
}


_OPTIONS = (
    click.argument("name", metavar="PROJECT"),
    click.option(
        "--clone",
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        help="A local clone; only read.",
    ),
    click.option("--base", help="The commit before the fix."),
    click.option(
        "--fix", "fixes", multiple=True, help="A commit that fixes something; may be given several times."
    ),
    click.option("--test-command", help="The project's own test suite."),
    click.option(
        "--issue-file",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="The issue, in Markdown; the first line is its title.",
    ),
    click.option(
        "--out", type=click.Path(file_okay=False, path_type=Path), default=Path("demo-out"), show_default=True
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the command line says."""

    name: str
    clone: Path | None
    base: str | None
    fixes: tuple[str, ...]
    test_command: str | None
    issue_file: Path | None
    out: Path

    def project(self) -> Project:
        """Name the project with what was said of it; UsageError where something is missing."""
        known = KNOWN.get(self.name)
        given = self.clone and self.base and self.fixes and self.test_command and self.issue_file
        if known is None and not given:
            raise click.UsageError(
                f"{self.name} is none of {', '.join(KNOWN)}: give --clone, --base, --fix, --test-command and --issue-file."
            )
        usual = known or Project(self.name, "", (), 0, "")
        return Project(
            usual.slug,
            self.base or usual.base,
            self.fixes or usual.fixes,
            usual.issue,
            self.test_command or usual.test,
        )


def asking(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that `Wanted` holds."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@click.command("demo-real")
@asking
def main(**said: object) -> None:
    """Take a real project's issue to its end on the embedded forge, with one fault and one person's commit put in."""
    wanted = Wanted(**said)  # type: ignore[arg-type]  # click has checked the types
    try:
        report, good = run_project(wanted.project(), wanted.clone, wanted.issue_file, wanted.out.resolve())
    except UserError as error:
        raise click.UsageError(str(error)) from error
    click.echo(
        f"\n{report.as_text()}\nleft in {wanted.out}: record.md, script/, report.json, transcript.md, bot.log"
    )
    sys.exit(0 if good else 1)


def run_project(
    project: Project,
    clone: Path | None,
    issue_file: Path | None,
    out: Path,
    employ: Callable[[Options], Options] | None = None,
) -> tuple[Report, bool]:
    """Run one project; gives the report and whether all is well. UserError: something is missing.

    `employ` changes the run to another agent than the scripted one: then nothing disturbs it.
    """
    source = clone or fetched(project)
    with tempfile.TemporaryDirectory(prefix="gitwright-real-") as room:
        made = Path(room).resolve() / "script"
        script = write_script(source, project.base, project.fixes, made, disturbed=employ is None)
        issue = issue_file or asked(project, made / "issue.md")
        options = Options(
            out=out,
            repo=source.resolve(),
            base=project.base,
            issue_file=issue.resolve(),
            script=script,
            test_command=project.test,
            path_first=Path(sys.executable).parent,
            time_limit=TIME_LIMIT,
        )
        report, good = run_demo(employ(options) if employ else options, click.echo)
        title, _ = read_issue(issue)
        shutil.copytree(made, out / "script")
    (out / "record.md").write_text(record(project, title, report), encoding="utf-8")
    return report, good


def record(project: Project, title: str, report: Report) -> str:
    """Tell a run in Markdown; nothing in it depends on the machine but the seconds."""
    asked = f"[#{project.issue}]({project.url}/issues/{project.issue})" if project.issue else "its issue"
    lines = [
        f"### {project.slug}, {asked}: {title}",
        "",
        f"Base `{project.base}`; fixed by {', '.join(f'`{fix}`' for fix in project.fixes)}; `{project.test}`.",
        f"{report.status.capitalize()} in {report.seconds:.1f} s: {report.api_calls} API calls, "
        f"{report.deleted_sessions} sessions deleted, {report.duplicate_effects} duplicates, {report.leaks} leaks.",
        "",
        "| task | attempts | runs | merged | what was decided |",
        "|---|---|---|---|---|",
    ]
    for task in report.tasks:
        said = "; ".join(each.replace("|", "\\|") for each in task.decisions)
        lines.append(
            f"| {task.id} | {task.attempts} | {task.runs} | {'yes' if task.merged else 'no'} | {said} |"
        )
    return "\n".join(lines) + "\n"


def fetched(project: Project) -> Path:
    """Clone a project into the user's cache, unless it is there already."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = base / "gitwright" / "projects" / f"{project.slug.replace('/', '-')}.git"
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        half = folder.with_suffix(".part")
        shutil.rmtree(half, ignore_errors=True)
        try:
            run_git(["clone", "--quiet", "--bare", project.url, str(half)])
        except GitError as error:
            raise UserError(f"{project.url} cannot be cloned; give --clone: {error}") from error
        half.rename(folder)
    return folder


def asked(project: Project, path: Path, transport: httpx.BaseTransport | None = None) -> Path:
    """Write down an issue of GitHub, which everybody may read; UserError where it cannot be had."""
    url = f"https://api.github.com/repos/{project.slug}/issues/{project.issue}"
    try:
        with httpx.Client(timeout=_ASKING, follow_redirects=True, transport=transport) as client:
            found = client.get(url).raise_for_status().json()
        text = f"# {found['title']}\n\n{found['body'] or ''}\n"
    # The answer is no JSON, as from a sign-in page (ValueError), or JSON of something else.
    except (httpx.HTTPError, ValueError, LookupError, TypeError) as error:
        raise UserError(f"{url} cannot be read; give --issue-file: {error!r}") from error
    path.write_text(text, encoding="utf-8")
    return path


if __name__ == "__main__":
    try:
        main()
    except BotError as error:
        sys.exit(str(error))
