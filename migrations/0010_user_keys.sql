-- Data keys of senders, wrapped by a master key that is not in this database.
CREATE TABLE user_keys (
  -- random; what a stored message names
  key_id        VARCHAR(22) NOT NULL,
  user_id       VARCHAR(128) NOT NULL,
  -- 1, 2, …; the highest of a user is the one in use
  version       INT NOT NULL,
  -- in the form of the key provider
  wrapped_key   VARBINARY(1024) NOT NULL,
  master_key_id VARCHAR(128) NOT NULL,
  -- unix ms
  created_at    BIGINT NOT NULL,
  PRIMARY KEY (key_id),
  UNIQUE KEY uk_user_keys_version (user_id, version)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- Says what `content` is, which its text does not: a plain message may look like a ciphertext.
ALTER TABLE messages
  ADD COLUMN content_encoding ENUM('plain', 'jwe') NOT NULL DEFAULT 'plain' AFTER content;
