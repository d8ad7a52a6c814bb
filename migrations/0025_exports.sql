-- Exports of what is held about a user: bundles of encrypted chunks that end by themselves.

CREATE TABLE export_bundles (
  -- of the job that makes it
  bundle_id   VARCHAR(64) NOT NULL,
  user_id     VARCHAR(128) NOT NULL,
  -- 0 being written, 1 complete, 2 removed
  state       TINYINT NOT NULL DEFAULT 0,
  -- the user's data key that the chunks are encrypted under; NULL: they are under own_key
  key_id      VARCHAR(22) NULL,
  own_key     VARBINARY(32) NULL,
  -- JSON: up to where each table is read; the same for the whole export
  marks       TEXT NOT NULL,
  -- JSON: where the writing goes on, and how much there is of each section
  progress    TEXT NOT NULL,
  chunks      INT NOT NULL DEFAULT 0,
  -- unix ms; exported_at is when the marks were set
  exported_at BIGINT NOT NULL,
  expires_at  BIGINT NOT NULL,
  PRIMARY KEY (bundle_id),
  KEY ix_export_bundles_user (user_id, state),
  KEY ix_export_bundles_expiry (state, expires_at)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- Records of one section, a line each: gzip, then A256GCM (nonce, ciphertext, tag).
CREATE TABLE export_bundle_chunks (
  bundle_id VARCHAR(64) NOT NULL,
  chunk     INT NOT NULL,
  section   VARCHAR(16) NOT NULL,
  sealed    MEDIUMBLOB NOT NULL,
  PRIMARY KEY (bundle_id, chunk)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- The user's devices, gathered while their messages and receipts are read; times are unix ms.
CREATE TABLE export_devices (
  bundle_id  VARCHAR(64) NOT NULL,
  device_id  VARCHAR(128) NOT NULL,
  first_seen BIGINT NOT NULL,
  last_seen  BIGINT NOT NULL,
  PRIMARY KEY (bundle_id, device_id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- Whose messages a bundle holds: to find the bundles that a deletion or an erasure has to remove.
CREATE TABLE export_senders (
  bundle_id VARCHAR(64) NOT NULL,
  sender_id VARCHAR(128) NOT NULL,
  PRIMARY KEY (bundle_id, sender_id),
  KEY ix_export_senders_sender (sender_id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- Everything of one user, in the order it was written.
ALTER TABLE messages
  ADD KEY ix_messages_sender (sender_id, id),
  ADD KEY ix_messages_recipient (recipient_id, id);
ALTER TABLE read_receipts ADD KEY ix_read_receipts_by_sender (sender_id, id);
