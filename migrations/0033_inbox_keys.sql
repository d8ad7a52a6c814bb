-- One key for a user's row of a message, by message: the other one had the same two columns the other way
-- around. A group message's rows lie side by side in this one, and it is one entry less to write for each.
ALTER TABLE inbox
  DROP KEY uk_inbox_message,
  DROP KEY ix_inbox_of_message,
  ADD UNIQUE KEY uk_inbox_message (msg_id, user_id);
