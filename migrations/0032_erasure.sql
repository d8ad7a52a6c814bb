-- Users who were erased, for good: nobody makes a key for them, stores what they sent, or routes for them.
CREATE TABLE erased_users (
  -- grows: processes read what is new since they looked last
  seq       BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
  user_id   VARCHAR(128) NOT NULL,
  -- unix ms
  erased_at BIGINT NOT NULL,
  PRIMARY KEY (seq),
  UNIQUE KEY uk_erased_users_user (user_id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- A user who asked for their own erasure, and has yet to confirm it.
CREATE TABLE erasure_confirmations (
  user_id    VARCHAR(128) NOT NULL,
  -- SHA-256 of the token
  token_hash BINARY(32) NOT NULL,
  -- unix ms
  expires_at BIGINT NOT NULL,
  PRIMARY KEY (user_id),
  KEY ix_erasure_confirmations_expiry (expires_at)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- The row of a message whose sender was erased stays in its conversation, without content; unix ms.
ALTER TABLE messages
  ADD COLUMN erased_at BIGINT NULL,
  -- Nobody has to read what is no more.
  DROP KEY ix_messages_unread,
  ADD KEY ix_messages_unread (recipient_id, read_at, erased_at, conversation_key, sequence_number);
ALTER TABLE inbox ADD KEY ix_inbox_of_message (msg_id, user_id);
