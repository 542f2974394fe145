CREATE INDEX tasks_dead ON tasks (id) WHERE state = 'dead'
