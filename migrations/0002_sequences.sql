-- No conversation ever uses a sequence number above its ceiling; ceilings only rise.
CREATE TABLE sequence_ceilings (
  conversation_type ENUM('private', 'group') NOT NULL,
  conversation_key  VARCHAR(257) NOT NULL,
  ceiling           BIGINT NOT NULL,
  PRIMARY KEY (conversation_type, conversation_key)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- Each life of a Redis instance (run id and replication id) has its own, growing, generation.
CREATE TABLE redis_generations (
  generation BIGINT NOT NULL AUTO_INCREMENT,
  instance   VARCHAR(100) NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (generation),
  UNIQUE KEY uk_redis_generations_instance (instance)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
