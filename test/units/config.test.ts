/** The configuration is validated, and its documents say what the schema says. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { envExample, withTable } from '../../dev/config-docs';
import { ConfigError, loadConfig } from '../../src/config';
import { projectRoot } from '../../src/paths';

function problemsOf(env: Record<string, string>): string {
  try {
    loadConfig(env);
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    return (error as Error).message;
  }
  throw new Error('the configuration was accepted');
}

test('an empty environment gives the defaults', () => {
  const config = loadConfig({});
  expect(config.GRPC_PORT).toBe(9094);
  expect(config.KAFKA_BROKERS).toEqual(['127.0.0.1:9092']);
});

test('PORT_OFFSET shifts every default port, and no address that is given', () => {
  const config = loadConfig({ PORT_OFFSET: '1000', REDIS_URL: 'redis://cache:6379' });
  expect(config).toMatchObject({
    GRPC_PORT: 10_094,
    MYSQL_URL: 'mysql://im:im@127.0.0.1:4306/im',
    ETCD_ENDPOINTS: ['http://127.0.0.1:3379'],
    TEMPORAL_ADDRESS: '127.0.0.1:8233',
    REDIS_URL: 'redis://cache:6379',
  });
});

test('a wrong value is named with the variable and what is allowed', () => {
  expect(problemsOf({ GRPC_PORT: 'http' })).toBe(
    'GRPC_PORT="http" is not allowed: give a whole number, 0 to 65535.',
  );
  expect(problemsOf({ ROUTING_EXECUTOR: 'both' })).toContain('local or temporal');
});

test('a wrong secret is never shown', () => {
  const problem = problemsOf({ MYSQL_URL: 'http://im:hunter2@db/im' });
  expect(problem).toContain('MYSQL_URL');
  expect(problem).not.toContain('hunter2');
});

test('an unknown IM_ variable stops the process and its likely meaning is told', () => {
  expect(problemsOf({ IM_PUSH_DEADLINE: '5' })).toContain('did you mean IM_PUSH_DEADLINE_MS?');
});

test('several faults are told together', () => {
  expect(problemsOf({ HTTP_PORT: '-1', IM_NONSENSE: '1' }).split('\n')).toHaveLength(2);
});

test('production refuses the development secret and short ones', () => {
  expect(problemsOf({ NODE_ENV: 'production' })).toContain('JWT_SECRET');
  expect(problemsOf({ NODE_ENV: 'production', JWT_SECRET: 'short' })).toContain('32 characters');
  expect(loadConfig({ NODE_ENV: 'production', JWT_SECRET: 'x'.repeat(32) })).toBeDefined();
});

test('.env.example and the README table are what the schema says', () => {
  const file = (name: string): string => readFileSync(join(projectRoot(), name), 'utf8');
  expect(file('.env.example')).toBe(envExample());
  expect(file('README.md')).toBe(withTable(file('README.md')));
});
