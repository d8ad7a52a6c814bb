-- Content once (messages), one small row for each recipient who has yet to get it (inbox).
-- Ids are utf8mb4_bin: compared by code point, case and accents kept apart.

CREATE TABLE messages (
  id                BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
  msg_id            VARCHAR(128) NOT NULL,
  conversation_type ENUM('private', 'group') NOT NULL,
  -- private: "lower/higher" of the two user ids; group: the group id
  conversation_key  VARCHAR(257) NOT NULL,
  sequence_number   BIGINT NOT NULL,
  sender_id         VARCHAR(128) NOT NULL,
  -- NULL in a group
  recipient_id      VARCHAR(128) NULL,
  content           TEXT NOT NULL,
  -- JSON object of strings, NULL when the sender gave none
  metadata          TEXT NULL,
  -- unix ms: as the sender gave it; when we took it; first device reached; first reader
  timestamp         BIGINT NOT NULL,
  created_at        BIGINT NOT NULL,
  delivered_at      BIGINT NULL,
  read_at           BIGINT NULL,
  -- JSON array of device ids
  delivered_devices TEXT NULL,
  PRIMARY KEY (id),
  UNIQUE KEY uk_messages_msg_id (msg_id),
  KEY ix_messages_conversation (conversation_type, conversation_key, sequence_number)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- Position counts up by one for each user, assigned under the lock of the user's inbox_heads row:
-- rows become visible in the order of their positions, so a reader's cursor never skips one.
CREATE TABLE inbox (
  user_id      VARCHAR(128) NOT NULL,
  position     BIGINT NOT NULL,
  msg_id       VARCHAR(128) NOT NULL,
  -- 0 pending, 1 delivered (kept so that a cursor still resolves), 2 expired
  state        TINYINT NOT NULL DEFAULT 0,
  -- unix ms
  expires_at   BIGINT NOT NULL,
  delivered_at BIGINT NULL,
  PRIMARY KEY (user_id, position),
  UNIQUE KEY uk_inbox_message (user_id, msg_id),
  KEY ix_inbox_state (user_id, state, position)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE inbox_heads (
  user_id       VARCHAR(128) NOT NULL,
  last_position BIGINT NOT NULL DEFAULT 0,
  -- rows of inbox with state 0
  pending       BIGINT NOT NULL DEFAULT 0,
  has_pending   TINYINT AS (pending > 0) STORED,
  -- unix ms of the last visible failure of offlineDelivery, NULL once something was delivered since
  failed_at     BIGINT NULL,
  PRIMARY KEY (user_id),
  KEY ix_inbox_heads_pending (has_pending, user_id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
