-- What is past its time in the logs of large groups, found without touching the rest.
ALTER TABLE group_log ADD KEY ix_group_log_expiry (accepted_at);
ALTER TABLE group_memberships ADD KEY ix_group_memberships_left (left_at);
