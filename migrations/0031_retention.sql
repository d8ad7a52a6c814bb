-- What is past its time, in the order of its time: retention reads and removes it in small batches.
ALTER TABLE messages ADD KEY ix_messages_age (created_at, id);
ALTER TABLE inbox ADD KEY ix_inbox_age (expires_at, user_id, position);
ALTER TABLE read_receipts ADD KEY ix_read_receipts_age (recorded_at, id);
ALTER TABLE read_summaries ADD KEY ix_read_summaries_age (last_read_at, msg_id);
ALTER TABLE gdpr_jobs ADD KEY ix_gdpr_jobs_age (finished_at);
