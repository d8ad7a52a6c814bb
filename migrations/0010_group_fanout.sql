-- Large groups: a message is kept once, in the group's log; each member reads from a position.
-- Times are unix ms.

CREATE TABLE large_groups (
  group_id      VARCHAR(128) NOT NULL,
  -- positions count up by one, given under the lock of this row: a reader never skips one
  last_position BIGINT NOT NULL DEFAULT 0,
  -- NULL until every member has their row in group_memberships
  active_at     BIGINT NULL,
  PRIMARY KEY (group_id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE group_log (
  group_id    VARCHAR(128) NOT NULL,
  position    BIGINT NOT NULL,
  msg_id      VARCHAR(128) NOT NULL,
  sender_id   VARCHAR(128) NOT NULL,
  -- when a server took the message
  accepted_at BIGINT NOT NULL,
  PRIMARY KEY (group_id, position),
  UNIQUE KEY uk_group_log_message (msg_id),
  KEY ix_group_log_time (group_id, accepted_at)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- A stay in a large group: what was accepted from joined_at until left_at is for this user.
CREATE TABLE group_memberships (
  user_id   VARCHAR(128) NOT NULL,
  group_id  VARCHAR(128) NOT NULL,
  joined_at BIGINT NOT NULL,
  left_at   BIGINT NULL,
  -- everything up to here is delivered, or was pushed by a gateway
  position  BIGINT NOT NULL,
  PRIMARY KEY (user_id, group_id, joined_at),
  KEY ix_group_memberships_group (group_id, user_id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE group_readers (
  user_id       VARCHAR(128) NOT NULL,
  -- 0 absent, 1 present with something yet to be delivered, 2 present with everything
  state         TINYINT NOT NULL,
  -- when the user appeared; 0 while absent
  present_since BIGINT NOT NULL DEFAULT 0,
  -- of the last visible failure of offlineDelivery
  failed_at     BIGINT NULL,
  PRIMARY KEY (user_id),
  KEY ix_group_readers_state (state, user_id),
  KEY ix_group_readers_present (present_since)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- One row: when the last complete comparison of group_readers with the registry began.
CREATE TABLE group_presence_check (
  id         TINYINT NOT NULL,
  checked_at BIGINT NOT NULL,
  PRIMARY KEY (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
