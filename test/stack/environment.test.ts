import { ownServers, portsFor, stackEnvironment } from '../../dev/stack/environment';

describe('the environment of a stack', () => {
  test('has every standard port, shifted by the offset, and no two alike', () => {
    const standard = Object.values(portsFor(0));
    expect(new Set(standard).size).toBe(standard.length);
    expect(Object.values(portsFor(10_000))).toEqual(standard.map((port) => port + 10_000));
    expect(portsFor(0)).toMatchObject({ mysql: 3306, kafka: 9092, temporalUi: 8233, grpc: 9094 });
  });

  test('names loopback addresses at the shifted ports', () => {
    expect(stackEnvironment(10_000, {})).toMatchObject({
      PORT_OFFSET: '10000',
      MYSQL_URL: 'mysql://im:im@127.0.0.1:13306/im',
      KAFKA_BROKERS: '127.0.0.1:19092',
      ETCD_ENDPOINTS: 'http://127.0.0.1:12379',
      HTTP_PORT: '18094',
      USER_SERVICE_ADDRESS: '127.0.0.1:19096',
    });
  });

  test('takes what the caller has set, and an empty value as not set', () => {
    const environment = stackEnvironment(0, { REDIS_URL: 'redis://elsewhere:1', MYSQL_URL: '' });
    expect(environment.REDIS_URL).toBe('redis://elsewhere:1');
    expect(environment.MYSQL_URL).toBe('mysql://im:im@127.0.0.1:3306/im');
  });

  test('leaves a server alone whose address the caller has set', () => {
    expect(ownServers(0, { MYSQL_URL: 'mysql://db/im' })).toEqual([
      'redis',
      'kafka',
      'etcd',
      'temporal',
    ]);
  });

  test('is recognized by processes that inherit it', () => {
    expect(ownServers(20_000, { ...stackEnvironment(20_000, {}) })).toHaveLength(5);
  });
});
