"""Durable work: inbox, outbox, timers and the engine that runs jobs; the only package that knows DBOS."""
