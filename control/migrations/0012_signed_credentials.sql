CREATE TABLE signing_keys (
    id TEXT PRIMARY KEY,
    public_key TEXT NOT NULL,
    private_key TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    needed_until BIGINT NOT NULL
);
ALTER TABLE agents ADD COLUMN credential_until BIGINT
