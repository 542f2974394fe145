CREATE INDEX audit_target ON audit (target, seq)
