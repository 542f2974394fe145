CREATE TABLE schedules (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    agent_id TEXT REFERENCES agents (id) ON DELETE CASCADE,
    selector TEXT NOT NULL,
    cron TEXT NOT NULL,
    kind TEXT NOT NULL,
    payload TEXT NOT NULL,
    priority BIGINT NOT NULL,
    max_attempts BIGINT NOT NULL,
    enabled BIGINT NOT NULL,
    next_at BIGINT NOT NULL,
    last_at BIGINT,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    revision BIGINT NOT NULL
);
CREATE INDEX schedules_due ON schedules (next_at) WHERE enabled = 1;
ALTER TABLE tasks ADD COLUMN coalesce_key TEXT;
CREATE UNIQUE INDEX tasks_coalesced ON tasks (agent_id, coalesce_key) WHERE state = 'ready'
