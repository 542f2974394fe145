ALTER TABLE agent_groups ADD COLUMN own_telemetry TEXT NOT NULL DEFAULT '{}';
ALTER TABLE agents ADD COLUMN connection_status TEXT
