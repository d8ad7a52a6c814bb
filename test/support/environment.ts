/** Before each test file: which servers it has, of those that `npm test` has up, and patience with them. */

/** The machine of the tests is shared: what they claim of order and safety must not hang on its speed. */
const PATIENCE = {
  IM_PUSH_DEADLINE_MS: '2000',
  IM_KAFKA_DEADLINE_MS: '3000',
  IM_MYSQL_DEADLINE_MS: '5000',
  IM_REDIS_DEADLINE_MS: '2000',
  IM_ETCD_DEADLINE_MS: '2000',
  IM_USER_SERVICE_DEADLINE_MS: '2000',
};
const { TEST_LANES, JEST_WORKER_ID } = process.env;

Object.assign(process.env, { ...PATIENCE, ...process.env });
if (TEST_LANES !== undefined) {
  const lanes = JSON.parse(TEST_LANES) as Record<string, string>[];
  const lane = lanes[Number(JEST_WORKER_ID) - 1];
  if (!lane) throw new Error(`worker ${JEST_WORKER_ID} of jest has none of ${lanes.length} lanes`);
  Object.assign(process.env, lane);
}

export {};
