-- What is being appended to `read_receipt_events` for a sender: written before, gone once the receipts
-- are marked as published. A row that stays says where to look whether Kafka took them.
CREATE TABLE receipt_publications (
  sender_id VARCHAR(128) NOT NULL,
  -- no receipt of the append has a higher id in read_receipts
  up_to_id  BIGINT UNSIGNED NOT NULL,
  -- unix ms
  began_at  BIGINT NOT NULL,
  PRIMARY KEY (sender_id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
