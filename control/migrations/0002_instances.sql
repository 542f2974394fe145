CREATE TABLE instances (
    id TEXT PRIMARY KEY,
    seen_at BIGINT NOT NULL
);
CREATE TABLE leases (
    name TEXT PRIMARY KEY,
    holder TEXT NOT NULL,
    until BIGINT NOT NULL
);
ALTER TABLE agents ADD COLUMN connected_to TEXT;
CREATE INDEX agents_by_instance ON agents (connected_to) WHERE connected_to IS NOT NULL;
CREATE INDEX tasks_due ON tasks (run_at) WHERE state = 'ready';
CREATE INDEX tasks_by_lease ON tasks (lease_until) WHERE state = 'leased'
