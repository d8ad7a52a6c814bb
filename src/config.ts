/** The environment as one typed, validated, frozen object. */
import { SETTINGS, SHIFTED, DEVELOPMENT_JWT_SECRET } from './config-schema';
import type { Setting, SettingName, Settings } from './config-schema';

export type Config = Readonly<Settings>;

/** The environment does not make a configuration; the message says which variable and what is allowed. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

/** Reads the settings from `env`; throws {@link ConfigError} naming every wrong or unknown variable. */
export function loadConfig(env: NodeJS.ProcessEnv): Config {
  const problems: string[] = [];
  const offset = Number(env['PORT_OFFSET'] || 0);
  const settings: Partial<Record<SettingName, unknown>> = {};
  for (const [name, setting] of Object.entries(SETTINGS) as [SettingName, Setting<unknown>][]) {
    // An empty variable is an unset one, as in .env files.
    const given = env[name] === '' ? undefined : env[name];
    const value = given ?? shifted(name, setting.fallback, offset);
    const parsed = setting.schema.safeParse(value);
    if (parsed.success) settings[name] = parsed.data;
    else problems.push(`${name}=${shown(setting, value)} is not allowed: give ${setting.allowed}.`);
  }
  for (const name of Object.keys(env)) {
    if (name.startsWith('IM_') && !(name in SETTINGS)) {
      problems.push(`${name} is not a setting of this service${suggestion(name)}`);
    }
  }
  if (settings['NODE_ENV'] === 'production')
    problems.push(...unfitForProduction(settings as Partial<Settings>));
  if (problems.length > 0) throw new ConfigError(problems.join('\n'));
  return Object.freeze(settings) as Config;
}

function unfitForProduction(settings: Partial<Settings>): string[] {
  // Not used then.
  if (settings.IM_JWT_JWKS) return [];
  const secret = settings.JWT_SECRET ?? '';
  if (secret === DEVELOPMENT_JWT_SECRET) {
    return ['JWT_SECRET must be set in production: the development default is public.'];
  }
  // RFC 7518 §3.2: an HS256 key has at least 256 bits.
  if (secret.length < 32) return ['JWT_SECRET must have at least 32 characters in production.'];
  return [];
}

/** A default with PORT_OFFSET added to the port in it. */
function shifted(
  name: SettingName,
  fallback: string | undefined,
  offset: number,
): string | undefined {
  if (!fallback || !offset || !SHIFTED.includes(name)) return fallback;
  // The port is the last number that stands after a colon, or the whole value.
  return fallback.replace(/(^|:)(\d+)(?=$|\/\w*$)/, (_, before: string, port: string) => {
    return `${before}${Number(port) + offset}`;
  });
}

function shown(setting: Setting<unknown>, value: string | undefined): string {
  if (value === undefined) return '(unset)';
  return setting.secret ? '(not shown)' : JSON.stringify(value);
}

/** The setting whose name is nearest, for a typing mistake. */
function suggestion(name: string): string {
  const ranked = Object.keys(SETTINGS)
    .map((known) => ({ known, distance: editDistance(name, known) }))
    .sort((a, b) => a.distance - b.distance);
  const best = ranked[0];
  return best && best.distance <= 4 ? ` (did you mean ${best.known}?).` : '; see .env.example.';
}

/** Levenshtein distance by the two-row method (Wagner and Fischer, 1974). */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1;
      next.push(Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, (row[j - 1] ?? 0) + cost));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
