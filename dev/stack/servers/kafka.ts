/** Kafka, one broker that is its own KRaft controller, run from jars that Maven copied. */
import { createHash, randomUUID } from 'node:crypto';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { StackError } from '../errors';
import { buildOnce } from '../provision/once';
import { run, which } from '../provision/run';
import type { Command } from '../process';
import { serverEnvironment, type NativeServer, type ServerContext } from './server';

/** What Kafka 4 needs. */
const JAVA_MIN = 17;
const DEBIAN_JAVA = '/usr/lib/jvm/default-java/bin/java';

export function kafkaServer({ layout, ports }: ServerContext): NativeServer {
  const data = layout.data('kafka');
  const settingsFile = join(layout.run, `kafka-${ports.kafka}.properties`);
  const loggingFile = join(layout.root, 'dev', 'stack', 'kafka-log4j2.properties');
  const pom = join(layout.root, 'dev', 'stack', 'pom.xml');
  const version = createHash('sha256').update(readFileSync(pom)).digest('hex').slice(0, 8);
  const jars = join(layout.packages, `kafka-${version}`);

  async function java(): Promise<string> {
    const file = await findJava();
    if (!file) throw new StackError(`No Java ${JAVA_MIN} or later on PATH or in JAVA_HOME.`);
    return file;
  }

  const classPath = ['-cp', join(jars, '*'), `-Dlog4j2.configurationFile=${loggingFile}`];

  return {
    name: 'kafka',
    ports: [
      { port: ports.kafka, what: 'Kafka' },
      { port: ports.kafkaController, what: "Kafka's controller" },
    ],
    stopGraceMs: 20_000,

    async missingPackages() {
      const packages = (await findJava()) ? [] : ['default-jre-headless'];
      return existsSync(jars) || which('mvn') ? packages : [...packages, 'maven'];
    },

    async fetch(report) {
      if (existsSync(jars)) return;
      report('fetching Kafka (jars, by Maven)');
      const goal = 'dependency:copy-dependencies';
      await buildOnce(jars, async (draft) => {
        await run('mvn', ['-q', '-B', '-f', pom, goal, `-DoutputDirectory=${draft}`], {
          timeoutMs: 10 * 60_000,
          advice: 'Maven must reach Maven Central or a mirror of it (~/.m2/settings.xml).',
        });
      });
    },

    async prepare() {
      writeFileSync(settingsFile, settings(data, ports.kafka, ports.kafkaController));
      await buildOnce(data, async (draft) => {
        const draftSettings = `${settingsFile}.draft`;
        writeFileSync(draftSettings, settings(draft, ports.kafka, ports.kafkaController));
        await run(
          await java(),
          [
            ...['-XX:TieredStopAtLevel=1', '-Xshare:auto', ...classPath, 'kafka.tools.StorageTool'],
            ...['format', '-t', clusterId(), '-c', draftSettings],
          ],
          { timeoutMs: 120_000, env: serverEnvironment() },
        );
        rmSync(draftSettings);
      });
    },

    async command(): Promise<Command> {
      return {
        file: await java(),
        args: ['-Xms256m', '-Xmx512m', '-XX:+UseG1GC', ...classPath, 'kafka.Kafka', settingsFile],
        cwd: layout.dir,
        env: serverEnvironment({ JDK_JAVA_OPTIONS: process.env['STACK_JAVA_OPTIONS'] }),
      };
    },
  };
}

function settings(dir: string, brokerPort: number, controllerPort: number): string {
  const broker = `PLAINTEXT://127.0.0.1:${brokerPort}`;
  const entries = {
    'process.roles': 'broker,controller',
    'node.id': 1,
    'controller.quorum.voters': `1@127.0.0.1:${controllerPort}`,
    'controller.listener.names': 'CONTROLLER',
    listeners: `${broker},CONTROLLER://127.0.0.1:${controllerPort}`,
    'advertised.listeners': broker,
    'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT',
    'log.dirs': dir,
    // Topics are made by the service, with their settings; a typo must not make one.
    'auto.create.topics.enable': false,
    'compression.type': 'producer',
    'num.network.threads': 2,
    'num.io.threads': 4,
    // One broker: nothing to replicate to, and 50 partitions of bookkeeping slow the first start.
    'default.replication.factor': 1,
    'offsets.topic.replication.factor': 1,
    'offsets.topic.num.partitions': 8,
    'transaction.state.log.replication.factor': 1,
    'transaction.state.log.min.isr': 1,
    'transaction.state.log.num.partitions': 4,
    'share.coordinator.state.topic.replication.factor': 1,
    'share.coordinator.state.topic.min.isr': 1,
    // A killed broker may register again only when its old session is over: 9 s by default.
    'broker.session.timeout.ms': 4_000,
    'broker.heartbeat.interval.ms': 1_000,
    'group.initial.rebalance.delay.ms': 0,
    // The default, 128 MB, is a quarter of the heap.
    'log.cleaner.dedupe.buffer.size': 16 * 1024 * 1024,
  };
  return Object.entries(entries)
    .map(([name, value]) => `${name}=${value}\n`)
    .join('');
}

/** Kafka's form of a UUID: 22 characters of base64url. One that starts with "-" reads as a flag. */
function clusterId(): string {
  const id = Buffer.from(randomUUID().replaceAll('-', ''), 'hex').toString('base64url');
  return id.startsWith('-') ? `A${id.slice(1)}` : id;
}

/** The first Java that is recent enough; asked once, since a JVM takes its time to answer. */
let foundJava: string | undefined;

async function findJava(): Promise<string | undefined> {
  if (foundJava) return foundJava;
  const home = process.env['JAVA_HOME'];
  const candidates = [home && join(home, 'bin', 'java'), which('java'), DEBIAN_JAVA];
  for (const file of candidates) {
    if (file && existsSync(file) && (await javaVersion(file)) >= JAVA_MIN) {
      foundJava = file;
      return file;
    }
  }
  return undefined;
}

async function javaVersion(file: string): Promise<number> {
  try {
    const text = await run(file, ['-version'], { timeoutMs: 30_000, env: serverEnvironment() });
    return Number(/version "(\d+)/.exec(text)?.[1] ?? 0);
  } catch (error) {
    if (error instanceof StackError) return 0; // A shim without a Java behind it.
    throw error;
  }
}
