-- What was missed about groups, to be made up for. Times are unix ms.

-- Stored group messages whose members could not be known: who gets a row is decided later, in this order.
CREATE TABLE group_fanout_pending (
  id          BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
  msg_id      VARCHAR(128) NOT NULL,
  group_id    VARCHAR(128) NOT NULL,
  -- when a server took the message
  accepted_at BIGINT NOT NULL,
  -- of the last attempt, 0 before the first
  tried_at    BIGINT NOT NULL DEFAULT 0,
  PRIMARY KEY (id),
  UNIQUE KEY uk_group_fanout_pending_message (msg_id),
  KEY ix_group_fanout_pending_group (group_id, id),
  KEY ix_group_fanout_pending_expiry (accepted_at)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- Of each partition of membership_change: all before the offset is known, or known to be lost; and when
-- nothing was left to read.
CREATE TABLE membership_watch (
  partition_id INT NOT NULL,
  known_offset BIGINT NOT NULL,
  heard_at     BIGINT NOT NULL,
  PRIMARY KEY (partition_id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- Changes of the group since then may have been missed: its members are to be read anew.
ALTER TABLE large_groups ADD COLUMN doubtful_since BIGINT NULL,
  ADD KEY ix_large_groups_doubtful (doubtful_since);
