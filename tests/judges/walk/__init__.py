"""A walk through every operation that the forge serves, one module per subject, each call judged."""

from collections.abc import Callable, Mapping

from tests.judges.walk import apps, checks, hooks, issues, pulls, repositories
from tests.judges.world import World

# In this order: the last one takes the App's installation away.
SUBJECTS: Mapping[str, Callable[[World], None]] = {
    "repositories": repositories.walk,
    "issues": issues.walk,
    "pulls": pulls.walk,
    "checks": checks.walk,
    "hooks": hooks.walk,
    "apps": apps.walk,
}
