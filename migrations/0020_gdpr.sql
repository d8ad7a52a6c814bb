-- Requests about personal data, what became of them, and the log that proves it. Times are unix ms.

-- One row for each request: deletion of a message, export, erasure of a user. Once a job has ended
-- nothing here names a message.
CREATE TABLE gdpr_jobs (
  id             BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
  -- random
  job_id         VARCHAR(36) NOT NULL,
  kind           ENUM('delete', 'export', 'erase') NOT NULL,
  -- whose data it is about: the sender of a message, or the recipient who deletes it for themself
  user_id        VARCHAR(128) NULL,
  requested_by   VARCHAR(128) NOT NULL,
  requested_role ENUM('own', 'compliance') NOT NULL,
  -- NULL when it would name a message
  workflow_id    VARCHAR(300) NULL,
  state          ENUM('requested', 'running', 'done', 'failed', 'canceled', 'blocked') NOT NULL,
  -- what the workflow is started with, JSON; NULL once the job has ended
  input          TEXT NULL,
  -- SHA-256 of what is asked for: a second request joins the first; NULL once the job has ended
  active_key     CHAR(64) NULL,
  -- JSON: what was found and removed where, and what expires by itself and when
  steps          MEDIUMTEXT NOT NULL,
  expires        TEXT NOT NULL,
  requested_at   BIGINT NOT NULL,
  updated_at     BIGINT NOT NULL,
  finished_at    BIGINT NULL,
  PRIMARY KEY (id),
  UNIQUE KEY uk_gdpr_jobs_job (job_id),
  UNIQUE KEY uk_gdpr_jobs_active (active_key),
  KEY ix_gdpr_jobs_user (user_id, id),
  KEY ix_gdpr_jobs_state (state, id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- Ids of messages that were deleted: a late, replayed or repeated record of one is dropped.
CREATE TABLE erased_messages (
  msg_id     VARCHAR(128) NOT NULL,
  erased_at  BIGINT NOT NULL,
  job_id     VARCHAR(36) NOT NULL,
  -- after this no copy can come back any more
  expires_at BIGINT NOT NULL,
  PRIMARY KEY (msg_id),
  KEY ix_erased_messages_expiry (expires_at)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- Who asked for what, and what came of it; never content. Each row carries a hash over the one
-- before it. The service's own database user may only read and append (see schema.ts).
CREATE TABLE audit_logs (
  seq          BIGINT NOT NULL,
  at           BIGINT NOT NULL,
  -- a user id, or 'system'
  actor        VARCHAR(128) NOT NULL,
  action       VARCHAR(64) NOT NULL,
  subject_kind VARCHAR(32) NOT NULL,
  subject_id   VARCHAR(260) NOT NULL,
  outcome      VARCHAR(32) NOT NULL,
  -- JSON as it was hashed
  details      TEXT NOT NULL,
  -- of the event: written a second time it changes nothing
  entry_key    VARCHAR(128) NOT NULL,
  prev_hash    CHAR(64) NOT NULL,
  hash         CHAR(64) NOT NULL,
  PRIMARY KEY (seq),
  UNIQUE KEY uk_audit_logs_entry (entry_key),
  KEY ix_audit_logs_subject (subject_kind, subject_id, seq),
  KEY ix_audit_logs_actor (actor, seq)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- One row: the last entry. Its lock orders the appends; a tail that was cut off is missed by it.
CREATE TABLE audit_head (
  id   TINYINT NOT NULL,
  seq  BIGINT NOT NULL,
  hash CHAR(64) NOT NULL,
  PRIMARY KEY (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

INSERT INTO audit_head (id, seq, hash) VALUES (1, 0, REPEAT('0', 64));
