/** The settings that say how long data is kept, and how it goes; part of `config-schema.ts`. */
import { integer } from './config-setting';
import type { Setting } from './config-setting';

export const KEEPING_SETTINGS = {
  IM_OFFLINE_TTL_DAYS: integer(7, 1, 365, 'How long a message waits for its recipient.'),
  IM_OFFLINE_QUOTA: integer(10_000, 1, 10_000_000, 'Messages that may wait for one user.'),
  IM_SWEEP_INTERVAL_S: integer(
    30,
    1,
    3_600,
    'How often the sweep looks for deliveries that were missed.',
  ),
  IM_ERASURE_DELAY_S: integer(
    0,
    0,
    2_592_000,
    'How long the erasure of a user waits before it destroys anything: so long it can be canceled.',
  ),
  IM_RETENTION_JOBS_DAYS: integer(
    0,
    0,
    36_500,
    'How long requests about personal data stay listed once they ended; 0: for ever.',
  ),
  IM_RETENTION_INTERVAL_S: integer(3_600, 1, 86_400, 'How often what is past its time is removed.'),
  IM_RETENTION_INBOX_DAYS: integer(
    7,
    0,
    3_650,
    'How long rows of inboxes stay after IM_OFFLINE_TTL_DAYS, delivered or not: cursors resolve that long.',
  ),
  IM_RETENTION_MESSAGES_DAYS: integer(
    0,
    0,
    36_500,
    'How long messages are kept, at least IM_OFFLINE_TTL_DAYS; 0: for ever.',
  ),
  IM_RETENTION_RECEIPTS_DAYS: integer(
    0,
    0,
    36_500,
    'How long read receipts are kept when their message stays; 0: as long as it.',
  ),
} as const satisfies Record<string, Setting<unknown>>;
