-- Who read what, when and on which device; and how far each member has read a group.

-- One row for each reader and device; the first time is kept, a repetition changes nothing. Written
-- before anything else happens, also for a message that `messages` does not have yet.
CREATE TABLE read_receipts (
  id                BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
  msg_id            VARCHAR(128) NOT NULL,
  reader_id         VARCHAR(128) NOT NULL,
  -- '' when the client did not say
  device_id         VARCHAR(128) NOT NULL,
  -- whose message was read: their workflow publishes the receipt
  sender_id         VARCHAR(128) NOT NULL,
  conversation_type ENUM('private', 'group') NOT NULL,
  conversation_key  VARCHAR(257) NOT NULL,
  -- unix ms: as told by the reader and corrected; when we wrote it; when Kafka had it
  read_at           BIGINT NOT NULL,
  recorded_at       BIGINT NOT NULL,
  published_at      BIGINT NULL,
  PRIMARY KEY (id),
  UNIQUE KEY uk_read_receipts_reader (msg_id, reader_id, device_id),
  KEY ix_read_receipts_unpublished (published_at, sender_id, id),
  KEY ix_read_receipts_by_reader (reader_id, id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- What the receipts of a message come to; made anew from them by readReceiptAggregation.
CREATE TABLE read_summaries (
  msg_id        VARCHAR(128) NOT NULL,
  reader_count  BIGINT NOT NULL,
  first_read_at BIGINT NOT NULL,
  last_read_at  BIGINT NOT NULL,
  -- JSON array of user ids
  first_readers TEXT NOT NULL,
  PRIMARY KEY (msg_id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- How far a member has read a group; only rises.
CREATE TABLE group_reads (
  user_id        VARCHAR(128) NOT NULL,
  group_id       VARCHAR(128) NOT NULL,
  up_to_sequence BIGINT NOT NULL,
  PRIMARY KEY (user_id, group_id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- Unread private messages of a user, by conversation, without touching the read ones.
ALTER TABLE messages ADD KEY ix_messages_unread
  (recipient_id, read_at, conversation_key, sequence_number);
-- Waiting messages past their time, without touching the others.
ALTER TABLE inbox ADD KEY ix_inbox_expiry (user_id, state, expires_at);
