CREATE TABLE users (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    role TEXT NOT NULL,
    password_hash TEXT NOT NULL,
    disabled BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    revision BIGINT NOT NULL
);
CREATE TABLE api_keys (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    role TEXT NOT NULL,
    hash TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    revoked_at BIGINT,
    last_used_at BIGINT
);
CREATE TABLE sessions (
    id TEXT PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    hash TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);
CREATE TABLE enrolment_tokens (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    hash TEXT NOT NULL,
    labels TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    revoked_at BIGINT,
    uses BIGINT NOT NULL,
    max_uses BIGINT
);
CREATE TABLE configurations (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    description TEXT NOT NULL,
    parent_id TEXT REFERENCES configurations (id),
    latest BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    revision BIGINT NOT NULL
);
CREATE TABLE versions (
    id TEXT PRIMARY KEY,
    configuration_id TEXT NOT NULL REFERENCES configurations (id),
    number BIGINT NOT NULL,
    text TEXT NOT NULL,
    message TEXT NOT NULL,
    author TEXT NOT NULL,
    previous BIGINT,
    parent_version_id TEXT REFERENCES versions (id),
    content_hash TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    UNIQUE (configuration_id, number)
);
CREATE TABLE agent_groups (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    selector TEXT NOT NULL,
    priority BIGINT NOT NULL,
    live_version_id TEXT REFERENCES versions (id),
    created_at BIGINT NOT NULL,
    revision BIGINT NOT NULL
);
CREATE TABLE agents (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    labels TEXT NOT NULL,
    extra_labels TEXT NOT NULL,
    enrolled_labels TEXT,
    attributes TEXT NOT NULL,
    capabilities BIGINT NOT NULL,
    credential_hash TEXT,
    enrolled_with TEXT NOT NULL,
    enrolled_at BIGINT NOT NULL,
    last_seen_at BIGINT NOT NULL,
    revoked_at BIGINT,
    health TEXT,
    healthy BIGINT,
    effective TEXT,
    components TEXT,
    components_hash TEXT,
    reported_hash TEXT,
    reported_status TEXT,
    reported_error TEXT,
    reported_at BIGINT,
    revision BIGINT NOT NULL
);
CREATE TABLE agent_failures (
    agent_id TEXT NOT NULL REFERENCES agents (id) ON DELETE CASCADE,
    hash TEXT NOT NULL,
    error TEXT NOT NULL,
    failed_at BIGINT NOT NULL,
    PRIMARY KEY (agent_id, hash)
);
CREATE TABLE rollouts (
    id TEXT PRIMARY KEY,
    group_id TEXT NOT NULL REFERENCES agent_groups (id),
    from_version_id TEXT REFERENCES versions (id),
    to_version_id TEXT NOT NULL REFERENCES versions (id),
    stages TEXT NOT NULL,
    gates TEXT NOT NULL,
    stage BIGINT NOT NULL,
    state TEXT NOT NULL,
    reason TEXT NOT NULL,
    stage_since BIGINT NOT NULL,
    settled_since BIGINT,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    finished_at BIGINT,
    revision BIGINT NOT NULL
);
CREATE UNIQUE INDEX rollouts_open ON rollouts (group_id) WHERE state IN ('running', 'paused');
CREATE TABLE rollout_agents (
    rollout_id TEXT NOT NULL REFERENCES rollouts (id),
    agent_id TEXT NOT NULL REFERENCES agents (id) ON DELETE CASCADE,
    stage BIGINT NOT NULL,
    PRIMARY KEY (rollout_id, agent_id)
);
CREATE TABLE tasks (
    id TEXT PRIMARY KEY,
    agent_id TEXT NOT NULL REFERENCES agents (id) ON DELETE CASCADE,
    kind TEXT NOT NULL,
    payload TEXT NOT NULL,
    priority BIGINT NOT NULL,
    state TEXT NOT NULL,
    run_at BIGINT NOT NULL,
    attempt BIGINT NOT NULL,
    max_attempts BIGINT NOT NULL,
    fence BIGINT NOT NULL,
    lease_until BIGINT,
    result TEXT,
    error TEXT,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    finished_at BIGINT
);
CREATE INDEX tasks_ready ON tasks (agent_id, run_at) WHERE state = 'ready';
CREATE UNIQUE INDEX tasks_leased ON tasks (agent_id) WHERE state = 'leased';
CREATE INDEX tasks_by_agent ON tasks (agent_id, id);
CREATE TABLE audit (
    seq BIGINT PRIMARY KEY,
    at BIGINT NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    target TEXT NOT NULL,
    before_hash TEXT NOT NULL,
    after_hash TEXT NOT NULL,
    request_id TEXT NOT NULL,
    hash TEXT NOT NULL
);
CREATE TABLE idempotency (
    principal TEXT NOT NULL,
    key TEXT NOT NULL,
    request_hash TEXT NOT NULL,
    status BIGINT,
    body TEXT,
    headers TEXT,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (principal, key)
);
CREATE INDEX idempotency_by_age ON idempotency (created_at)
