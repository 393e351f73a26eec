"""The demo: a real run on the embedded forge, seen from outside; it meets bot and forge over HTTP, git and files only."""
