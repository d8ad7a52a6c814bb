-- Word lists that operators keep here; every process takes changes into use within seconds. The format
-- of `words` is that of the files: one word or phrase a line, lines that begin with "#" are comments.
CREATE TABLE word_lists (
  name              VARCHAR(128) NOT NULL,
  action            ENUM('replace', 'block', 'audit') NOT NULL,
  -- only words that stand alone
  whole_word        TINYINT(1) NOT NULL DEFAULT 0,
  -- also "b.a d" for "bad"
  ignore_separators TINYINT(1) NOT NULL DEFAULT 0,
  words             MEDIUMTEXT NOT NULL,
  -- Not our usual unix ms: set by MySQL itself, so that no statement that changes a list can forget it.
  changed_at        TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6),
  PRIMARY KEY (name)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
