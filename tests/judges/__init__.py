"""Judges that we did not write: they hold the embedded forge to GitHub's published descriptions.

`openapi` and `webhooks` hold every call and every delivery against the trimmed descriptions in `published/`
(`operations` lists what is kept, `regenerate` writes them); `models` asks githubkit, `octokit` GitHub's JavaScript
client, `fsck` git itself. `wrappers` puts the judge around an application or a client, `served` runs a judged forge
in a thread, `world` fills it with people, `walk` calls every operation. `plugin` makes pytest answer for it all.
"""
