/** Reports on disk: NAME.json, NAME.md and NAME-*.svg under bench/results/. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { projectRoot } from '../../src/paths';
import { toMarkdown } from './markdown';
import { latencyPlot, throughputPlot } from './plots';
import type { Report } from './report';

const folder = (): string => join(projectRoot(), 'bench', 'results');

/** The report of that name, or in that file; undefined when there is none. */
export function readReport(name: string): Report | undefined {
  const file = name.endsWith('.json') ? name : join(folder(), `${name}.json`);
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Report) : undefined;
}

/** Returns the path of the Markdown file. */
export function writeReport(name: string, report: Report): string {
  mkdirSync(folder(), { recursive: true });
  const write = (file: string, text: string): void => writeFileSync(join(folder(), file), text);
  write(`${name}.json`, `${JSON.stringify(report, null, 1)}\n`);
  write(`${name}-throughput.svg`, throughputPlot(report));
  write(`${name}-latency.svg`, latencyPlot(report));
  write(`${name}.md`, toMarkdown(name, report));
  return join('bench', 'results', `${name}.md`);
}

/** The result of another benchmark, and what people read of it, in paragraphs. Returns the path of that. */
export function writeSummary(name: string, result: object, paragraphs: readonly string[]): string {
  writeJson(name, result);
  writeFileSync(join(folder(), `${name}.md`), `${paragraphs.join('\n\n')}\n`);
  return join('bench', 'results', `${name}.md`);
}

/** A JSON result of another benchmark. */
export function writeJson(name: string, result: object): string {
  mkdirSync(folder(), { recursive: true });
  writeFileSync(join(folder(), `${name}.json`), `${JSON.stringify(result, null, 1)}\n`);
  return join('bench', 'results', `${name}.json`);
}
