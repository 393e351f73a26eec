"""The tables of webhook deliveries, annotations, CI jobs and page sessions, beside those of the store."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS webhook_deliveries (
    id INTEGER PRIMARY KEY, guid TEXT NOT NULL, receiver TEXT NOT NULL, app_id INTEGER, hook_id INTEGER,
    installation_id INTEGER, repo_id INTEGER, event TEXT NOT NULL, action TEXT, body TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'pending', not_before REAL NOT NULL DEFAULT 0, held INTEGER NOT NULL DEFAULT 0,
    redelivery INTEGER NOT NULL DEFAULT 0, url TEXT, request_headers TEXT NOT NULL DEFAULT '{}',
    status TEXT NOT NULL DEFAULT '', status_code INTEGER NOT NULL DEFAULT 0, duration REAL NOT NULL DEFAULT 0,
    response_headers TEXT, response_body TEXT, created_at TEXT NOT NULL, delivered_at TEXT);
CREATE INDEX IF NOT EXISTS webhook_deliveries_pending ON webhook_deliveries (receiver, id) WHERE state = 'pending';
CREATE INDEX IF NOT EXISTS webhook_deliveries_of_app ON webhook_deliveries (app_id, id);
CREATE INDEX IF NOT EXISTS webhook_deliveries_of_hook ON webhook_deliveries (hook_id, id);
CREATE TABLE IF NOT EXISTS check_annotations (
    id INTEGER PRIMARY KEY, run_id INTEGER NOT NULL, path TEXT NOT NULL, body TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS check_annotations_of_run ON check_annotations (run_id);
CREATE TABLE IF NOT EXISTS ci_jobs (
    id INTEGER PRIMARY KEY, repo_id INTEGER NOT NULL, suite_id INTEGER NOT NULL, run_id INTEGER NOT NULL UNIQUE,
    sha TEXT NOT NULL, command TEXT NOT NULL, state TEXT NOT NULL DEFAULT 'pending');
CREATE TABLE IF NOT EXISTS page_sessions (
    id_hash TEXT PRIMARY KEY, user_id INTEGER NOT NULL, created_at TEXT NOT NULL);
"""
