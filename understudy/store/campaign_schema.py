"""The tables of campaigns, in words that SQLite and PostgreSQL both know. Released: only ever added to.

An item is one call to be made: its input, how often it was tried, how often a crash met it in flight. What it came to
is a result, kept apart so that looking for work reads no texts. Tallies are counted in the transaction of what they
count, so nobody ever counts half a million rows.
"""

from __future__ import annotations

FIRST: tuple[str, ...] = (
    "CREATE TABLE IF NOT EXISTS campaigns (id TEXT PRIMARY KEY, name TEXT NOT NULL, state TEXT NOT NULL,"
    " reason TEXT NOT NULL DEFAULT '', created DOUBLE PRECISION NOT NULL, started DOUBLE PRECISION,"
    " ended DOUBLE PRECISION, items INTEGER NOT NULL DEFAULT 0, chunks INTEGER NOT NULL DEFAULT 0,"
    " limit_micro_usd BIGINT, spec TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS campaign_items (campaign TEXT NOT NULL, n INTEGER NOT NULL, key TEXT NOT NULL,"
    " chunk INTEGER NOT NULL, part TEXT NOT NULL, state TEXT NOT NULL, tries INTEGER NOT NULL DEFAULT 0,"
    " crashes INTEGER NOT NULL DEFAULT 0, worker TEXT NOT NULL DEFAULT '', why TEXT NOT NULL DEFAULT '',"
    " input TEXT NOT NULL, PRIMARY KEY (campaign, n))",
    "CREATE UNIQUE INDEX IF NOT EXISTS campaign_items_by_key ON campaign_items (campaign, key)",
    "CREATE INDEX IF NOT EXISTS campaign_items_by_chunk ON campaign_items (campaign, chunk)",
    "CREATE TABLE IF NOT EXISTS campaign_results (campaign TEXT NOT NULL, n INTEGER NOT NULL,"
    " at DOUBLE PRECISION NOT NULL, reply TEXT NOT NULL, candidate TEXT NOT NULL, input_tokens INTEGER NOT NULL,"
    " output_tokens INTEGER NOT NULL, micro_usd BIGINT NOT NULL, seconds DOUBLE PRECISION NOT NULL,"
    " text TEXT NOT NULL, data TEXT, PRIMARY KEY (campaign, n))",
    "CREATE TABLE IF NOT EXISTS campaign_tallies (campaign TEXT NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL,"
    " count BIGINT NOT NULL, input_tokens BIGINT NOT NULL, output_tokens BIGINT NOT NULL, micro_usd BIGINT NOT NULL,"
    " PRIMARY KEY (campaign, kind, name))",
    "CREATE TABLE IF NOT EXISTS campaign_workers (id TEXT PRIMARY KEY, campaign TEXT NOT NULL, host TEXT NOT NULL,"
    " pid INTEGER NOT NULL, started DOUBLE PRECISION NOT NULL, beat DOUBLE PRECISION NOT NULL,"
    " taken TEXT NOT NULL DEFAULT '')",
    "CREATE TABLE IF NOT EXISTS campaign_grants (campaign TEXT NOT NULL, home TEXT NOT NULL,"
    " micro_usd BIGINT NOT NULL, PRIMARY KEY (campaign, home))",
)
# Steps of pipelines: a row stands there before its call is sent; value is JSON, NULL while it is under way.
PIPELINES: tuple[str, ...] = (
    "CREATE TABLE IF NOT EXISTS pipeline_runs (id TEXT PRIMARY KEY, name TEXT NOT NULL, inputs TEXT NOT NULL,"
    " created DOUBLE PRECISION NOT NULL)",
    "CREATE TABLE IF NOT EXISTS pipeline_steps (run TEXT NOT NULL, step TEXT NOT NULL, n INTEGER NOT NULL,"
    " key TEXT NOT NULL, begun INTEGER NOT NULL, value TEXT, answers TEXT, PRIMARY KEY (run, step, n))",
)
