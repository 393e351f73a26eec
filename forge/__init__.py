"""An embedded forge that speaks GitHub's REST API, webhooks and git over HTTP, for demo, tests and trying out."""

__version__ = "0.1.0"
