-- Legal holds: what a user sent or received, or what is in a conversation, may not be destroyed.
CREATE TABLE legal_holds (
  id          BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
  -- random
  hold_id     VARCHAR(36) NOT NULL,
  kind        ENUM('user', 'private', 'group') NOT NULL,
  -- a user id, "lower/higher" of a private conversation, or a group id
  subject     VARCHAR(257) NOT NULL,
  reason      VARCHAR(1000) NOT NULL,
  placed_by   VARCHAR(128) NOT NULL,
  -- unix ms
  placed_at   BIGINT NOT NULL,
  released_by VARCHAR(128) NULL,
  -- 0 while it holds
  released_at BIGINT NOT NULL DEFAULT 0,
  PRIMARY KEY (id),
  UNIQUE KEY uk_legal_holds_hold (hold_id),
  KEY ix_legal_holds_active (released_at, kind, subject)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
