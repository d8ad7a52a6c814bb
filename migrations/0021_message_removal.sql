-- Messages that a recipient deleted for themself alone; for everybody else they stay.
CREATE TABLE hidden_messages (
  user_id   VARCHAR(128) NOT NULL,
  msg_id    VARCHAR(128) NOT NULL,
  -- unix ms
  hidden_at BIGINT NOT NULL,
  PRIMARY KEY (user_id, msg_id),
  KEY ix_hidden_messages_message (msg_id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
