-- A deletion may have to wait for another server between listing its message and taking it out of here:
-- until then reads leave the message out, and counts do not count it.
ALTER TABLE erased_messages
  -- 1: content, an entry of a log or rows of inboxes may still be there
  ADD COLUMN in_removal TINYINT NOT NULL DEFAULT 0,
  ADD KEY ix_erased_messages_removal (in_removal);
