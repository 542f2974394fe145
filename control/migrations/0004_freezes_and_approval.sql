ALTER TABLE agent_groups ADD COLUMN requires_approval BIGINT NOT NULL DEFAULT 0;
ALTER TABLE agent_groups ADD COLUMN freezes TEXT NOT NULL DEFAULT '[]';
ALTER TABLE rollouts ADD COLUMN approved_by TEXT
